import { entry } from './entry.js'

/** DINO08xx: plan and memory. */
export const plan = {
  DINO0801: entry<{ experiment: string; phase: string; peak: string; budget: string; setBy: string }>(
    'warning',
    'memory over budget',
    ({ experiment, phase, peak, budget, setBy }) =>
      `phase \`${phase}\` of \`${experiment}\` needs ${peak} a rank, more than the ${budget} of ${setBy}`,
  ),
  DINO0802: entry<{ from: string }>(
    'error',
    'frozen teacher of unknown shape',
    ({ from }) => `the architecture of \`${from}\` is not known before its weights are read`,
  ),
  DINO0804: entry<{ set: number; images: number }>(
    'error',
    'KoLeo sets that do not divide a micro-batch',
    ({ set, images }) => `sets of ${set} images do not divide a micro-batch of ${images}`,
  ),
  DINO0810: entry<{ tensor: string; bytes: number; limitBytes: number }>(
    'error',
    'a tensor larger than what the device can bind at once',
    ({ tensor, bytes, limitBytes }) =>
      `\`${tensor}\` takes ${bytes} bytes, more than the ${limitBytes} that this device binds at once`,
  ),
  DINO0811: entry<{ op: string }>(
    'error',
    'an operation that the device cannot do',
    ({ op }) => `this device has no \`${op}\`, and there is no way to write it out with what it has`,
  ),
  DINO0820: entry<{ what: string; path: string; fault: string }>(
    'error',
    'a plan or run spec that does not have its form',
    ({ what, path, fault }) => `${what}: ${path}: ${fault}`,
  ),
  DINO0821: entry<{ what: string; found: string; expected: string }>(
    'error',
    'a plan or run spec of another version',
    ({ what, found, expected }) => `${what} is of version ${found}, expected ${expected}`,
  ),
  DINO0822: entry<{ plan: string; tensor: string; fault: string }>(
    'error',
    'a tensor of a plan lies where it cannot',
    ({ plan, tensor, fault }) => `plan ${plan}: tensor ${tensor}: ${fault}`,
  ),
  DINO0823: entry<{ plan: string; first: string; second: string; step: number }>(
    'error',
    'two tensors of a plan that are alive at once share memory',
    ({ plan, first, second, step }) =>
      `plan ${plan}: ${first} and ${second} share memory while both are alive at step ${step}`,
  ),
  DINO0824: entry<{ plan: string; step: number; op: string; fault: string }>(
    'error',
    'a step of a plan is not valid',
    ({ plan, step, op, fault }) => `plan ${plan}: step ${step}, ${op}: ${fault}`,
  ),
  DINO0825: entry<{ plan: string; name: string; fault: string }>(
    'error',
    'a name in a plan or run spec refers to nothing that fits',
    ({ plan, name, fault }) => `${plan}: ${name}: ${fault}`,
  ),
} as const
