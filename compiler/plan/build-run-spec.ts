import type { StateTensor } from '../ir/types.js'
import type { Phase, ResolvedExperiment, Schedule } from '../resolve/resolved.js'
import { type ComparedLoss, monitorsOf } from './monitors.js'
import {
  type FeaturePlan,
  numericsVersion,
  type RunPhase,
  type RunSpec,
  type RunState,
  runSpecVersion,
  type ScheduleSpec,
} from './run-spec.js'

/** What compiling a variant settled, as far as the run spec repeats it. */
export interface RunSpecParts {
  readonly configIdentity: string
  /** Of an evaluation, by name. */
  readonly protocolIdentity: (evaluation: string) => string
  /** Of all plans: a tensor of one name is the same tensor. */
  readonly state: readonly StateTensor[]
  readonly microSteps: number
  readonly imageGroups: number
  readonly shards: RunSpec['shards']
  readonly channels: number
  readonly features: readonly FeaturePlan[]
  readonly compared: readonly ComparedLoss[]
}

/** `pretrain` -> `plan-pretrain.json`, beside the run spec. */
export const planFile = (name: string): string => `plan-${name}.json`

export function buildRunSpec(experiment: ResolvedExperiment, seed: number, parts: RunSpecParts): RunSpec {
  const { schedule, hardware, crops } = experiment
  return {
    format: 'dinoc-run-spec',
    version: runSpecVersion,
    numericsVersion,
    experiment: experiment.name,
    variant: experiment.variant,
    seed,
    configIdentity: parts.configIdentity,
    device: hardware.device,
    threads: hardware.threads,
    loaders: hardware.loaders,
    ranks: hardware.ranks,
    state: parts.state.map(runState),
    phases: schedule.phases.map((phase, i) => runPhase(experiment, phase, i)),
    shards: parts.shards,
    batch: { images: schedule.batch, microSteps: parts.microSteps, imageGroups: parts.imageGroups },
    crops: [
      { group: 'global', count: crops.global.count, scale: crops.global.scale },
      ...(crops.local.count === 0
        ? []
        : [{ group: 'local', count: crops.local.count, scale: crops.local.scale }]),
    ],
    channels: parts.channels,
    augment: experiment.augment,
    masking: experiment.masking,
    data: { train: experiment.data?.train ?? null, sources: experiment.sources },
    epoch: schedule.epoch,
    features: parts.features,
    evaluations: Object.entries(experiment.eval).map(([name, protocol]) => ({
      name,
      protocol,
      protocolIdentity: parts.protocolIdentity(name),
      features: featureName(protocol.of, protocol.resolution),
    })),
    monitors: monitorsOf(experiment, parts.compared),
    checkpoint: experiment.checkpoint,
    provenance: provenanceText(experiment),
  }
}

/** The feature plan that evaluations of one network at one resolution share. */
export const featureName = (of: string, resolutionPx: number): string => `features-${of}-${resolutionPx}px`

function runState(tensor: StateTensor): RunState {
  return {
    name: tensor.name,
    dtype: 'f32',
    shape: tensor.type.shape,
    storedShape: tensor.storedShape,
    role: tensor.role,
    init: tensor.init,
  }
}

function runPhase(experiment: ResolvedExperiment, phase: Phase, index: number): RunPhase {
  return {
    name: phase.name,
    plan: planFile(phase.name),
    length: phase.length,
    resolutionPx: phase.resolution,
    localResolutionPx: phase.localResolution,
    patchPx: experiment.backbone.patch,
    resetMoments: phase.optimizerState === 'reset',
    schedules: phaseSchedules(experiment, index),
    freezeLastLayer: experiment.optimizer.freezeLastLayer,
  }
}

const scheduleFields = {
  lr: 'lr',
  weight_decay: 'weightDecay',
  teacher_temp: 'teacherTemp',
  momentum: 'momentum',
  keep_momentum: 'keepMomentum',
} as const

/** By the name of the host input. */
export function phaseSchedules(experiment: ResolvedExperiment, index: number): Record<string, ScheduleSpec> {
  const phase = experiment.schedule.phases[index]
  if (phase === undefined) throw new RangeError(`no phase ${index}`)
  const schedules: Record<string, ScheduleSpec> = {}
  for (const [name, field] of Object.entries(scheduleFields)) {
    const schedule: Schedule | null = phase[field]
    if (schedule !== null)
      schedules[name] = { schedule: { pieces: schedule.pieces }, compress: schedule.compress ?? null }
  }
  return schedules
}

/** `a.dino:4:26-30`; `a.dino:4:26-6:3` where a value ends on a later line. */
export function provenanceText(experiment: ResolvedExperiment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(experiment.provenance).flatMap(([path, { at }]) => {
      if (at === null) return []
      const end = at.endLine === at.startLine ? at.endColumn : `${at.endLine}:${at.endColumn}`
      return [[path, `${at.file}:${at.startLine}:${at.startColumn}-${end}`]]
    }),
  )
}
