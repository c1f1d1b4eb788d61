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
  DINO0904: entry<{ device: string; what: string }>(
    'error',
    'not enough memory on the device',
    ({ device, what }) => `device \`${device}\` has not enough memory for ${what}`,
  ),
  DINO0905: entry<{ tensor: string; op: string; value: number; limit: number }>(
    'error',
    'an index outside its tensor',
    ({ tensor, op, value, limit }) =>
      `\`${tensor}\` holds ${value}, which \`${op}\` takes for a place among 0 to ${limit}`,
  ),
  DINO0906: entry<{ device: string; plan: string }>(
    'error',
    'device closed during a run',
    ({ device, plan }) => `device \`${device}\` was closed while it ran plan \`${plan}\``,
  ),
  DINO0907: entry<{ plan: string }>(
    'error',
    'another rank stopped',
    ({ plan }) => `this rank of plan \`${plan}\` stopped, because another rank did`,
  ),
  DINO0908: entry<{ ranks: number; most: number }>(
    'error',
    'more ranks than the device has',
    ({ ranks, most }) =>
      `this device runs ${most === 1 ? 'one rank' : `at most ${most} ranks`}, the experiment asks for ${ranks}`,
  ),
} as const
