import { entry } from './entry.js'

/** DINO20xx: lints, and DINO0890. */
export const lint = {
  DINO0890: entry<{ what: string }>(
    'warning',
    'not executable in this version yet',
    ({ what }) => `${what} is checked and planned, but this version cannot execute it yet`,
  ),
} as const
