import { entry } from './entry.js'

/** DINO07xx: sharding. */
export const sharding = {
  DINO0701: entry<{ groups: number; ranks: number }>(
    'error',
    'groups do not divide over the ranks',
    ({ groups, ranks }) => `${groups} groups do not divide over ${ranks} ranks`,
  ),
  DINO0702: entry<{ batch: number; groups: number }>(
    'error',
    'batch does not divide into groups',
    ({ batch, groups }) => `batch ${batch} does not divide into ${groups} groups`,
  ),
} as const
