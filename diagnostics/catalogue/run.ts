import { entry } from './entry.js'

interface MonitorArgs {
  readonly monitor: string
  readonly metric: string
  readonly value: number
  readonly threshold: number
  readonly side: 'below' | 'above'
  readonly step: number
  readonly patience: number
}

const figure = (value: number): string => String(Number(value.toPrecision(4)))

/** DINO1030-1099: the run itself: its directory, checkpoints, monitors, evaluations and how it ends. */
export const run = {
  DINO1030: entry<{ directory: string; pid: number }>(
    'error',
    'another process owns the run directory',
    (a) => `${a.directory} is in use by process ${a.pid}`,
  ),
  DINO1031: entry<{ directory: string; identity: string; moved: string }>(
    'note',
    'a run of another identity was moved aside',
    (a) => `${a.directory} held a run of another identity (${a.identity}): moved whole to ${a.moved}`,
  ),
  DINO1032: entry<{ path: string; reason: string }>(
    'error',
    'a file cannot be written',
    (a) => `cannot write ${a.path}: ${a.reason}`,
  ),
  DINO1033: entry<{ checkpoint: string; reason: string; instead: string }>(
    'warning',
    'a checkpoint is damaged',
    (a) => `checkpoint ${a.checkpoint} is damaged (${a.reason}): continues from ${a.instead}`,
  ),
  DINO1034: entry<{ was: string; now: string; step: number }>(
    'warning',
    'a run resumes on another device or instruction set',
    (a) =>
      `resumes from step ${a.step} on ${a.now}, begun on ${a.was}: the last bits of its results will differ`,
  ),
  DINO1035: entry<{ checkpoint: string; tensor: string; reason: string }>(
    'error',
    'a checkpoint does not read back as written',
    (a) => `checkpoint ${a.checkpoint} does not read back as written: tensor \`${a.tensor}\` ${a.reason}`,
  ),
  DINO1036: entry<{ term: string; step: number; value: string; kept: number }>(
    'error',
    'a loss or gradient is not finite',
    (a) =>
      `non-finite ${a.term} (${a.value}) at step ${a.step}; the last good state is kept at step ${a.kept}`,
  ),
  DINO1037: entry<MonitorArgs>(
    'warning',
    'a health monitor warns',
    (a) =>
      `\`${a.metric}\` is ${figure(a.value)}, ${a.side} ${figure(a.threshold)}${a.patience > 1 ? ` for ${a.patience} measurements` : ''}, at step ${a.step}`,
  ),
  DINO1038: entry<MonitorArgs>(
    'error',
    'a health monitor stopped the run',
    (a) =>
      `stopped at step ${a.step}: \`${a.metric}\` is ${figure(a.value)}, ${a.side} ${figure(a.threshold)}${a.patience > 1 ? ` for ${a.patience} measurements` : ''}`,
  ),
  DINO1039: entry<{ experiment: string }>(
    'error',
    'an experiment without training data cannot run',
    (a) => `experiment \`${a.experiment}\` has no training data`,
  ),
  DINO1040: entry<{ kind: string; name: string; known: string }>(
    'error',
    'a name given on the command line is not in the file',
    (a) => `no ${a.kind} \`${a.name}\` here: there is ${a.known}`,
  ),
  DINO1041: entry<{ reason: string }>(
    'warning',
    'the native device is not built',
    (a) => `the native device is not available (${a.reason}): this runs on wasm, several times slower`,
  ),
  DINO1044: entry<{ evaluation: string; type: string }>(
    'error',
    'an evaluation of this type cannot be run yet',
    (a) => `evaluation \`${a.evaluation}\`: type \`${a.type}\` cannot be run by this version`,
  ),
  DINO1045: entry<{ run: string; state: string }>(
    'error',
    'nothing is trained yet',
    (a) => `${a.run} ${a.state}`,
  ),
  DINO1046: entry<{ run: string; how: string }>(
    'error',
    'the process of a run died',
    (a) => `the process of ${a.run} ended without a result: ${a.how}`,
  ),
  DINO1047: entry<{ step: number; steps: number; resume: number }>(
    'note',
    'a run was interrupted',
    (a) => `interrupted at step ${a.step} of ${a.steps}: the same command resumes from step ${a.resume}`,
  ),
  DINO1048: entry<{ evaluations: string }>(
    'note',
    'an evaluation was added to a finished run',
    (a) => `${a.evaluations}: added after training, so measured untrained and at the end only`,
  ),
  DINO1049: entry<{ more: number; all: number }>(
    'warning',
    'more images cannot be read',
    (a) => `${a.more} more ${a.more === 1 ? 'image' : 'images'} cannot be read: ${a.all} so far`,
  ),
  DINO1052: entry<{ identity: string; directory: string }>(
    'note',
    'an earlier run of this identity was brought back',
    (a) => `a run of identity ${a.identity} was set aside earlier: brought back to ${a.directory}`,
  ),
  DINO1053: entry<{ path: string; what: string }>(
    'warning',
    'a file of results is damaged',
    (a) => `${a.path} is damaged: ${a.what}`,
  ),
} as const
