import { entry } from './entry.js'

/** DINO09xx: code generation and device. */
export const device = {
  DINO0900: entry<{ name: string; known: readonly string[] }>(
    'error',
    'unknown device',
    ({ name, known }) => `unknown device \`${name}\`, expected one of ${known.join(', ')}`,
  ),
  DINO0901: entry<{ device: string; why: string }>(
    'error',
    'device not available',
    ({ device, why }) => `device \`${device}\` is not available: ${why}`,
  ),
  DINO0902: entry<{ device: string; what: string }>(
    'error',
    'device refuses the plan',
    ({ device, what }) => `device \`${device}\` refuses the plan: ${what}`,
  ),
  DINO0903: entry<{ device: string; plan: string; what: string }>(
    'error',
    'device lacks what the plan needs',
    ({ device, plan, what }) => `device \`${device}\` cannot run plan \`${plan}\`: it lacks ${what}`,
  ),
} as const
