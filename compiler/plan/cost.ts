import { keptCount } from '../ir/operands.js'
import type { Module } from '../ir/types.js'
import type { Phase, ResolvedExperiment } from '../resolve/resolved.js'
import { phaseSchedules } from './build-run-spec.js'
import type { Communication } from './cost-communication.js'
import { type ModelFlops, totalFlops } from './cost-flops.js'
import type { Memory } from './cost-memory.js'
import type { Plan } from './plan.js'
import { type ScheduleSummary, type StepClock, summarize, timeInSteps } from './times.js'

/** What a variant costs: everything that `plan` prints, and what `diff` derives. Steps are null until passes are known. */
export interface VariantCost {
  readonly parameters: {
    readonly backbone: number
    readonly heads: number
    readonly total: number
    /** By part: `dino_head`. */
    readonly byHead: Readonly<Record<string, number>>
    /** Of a frozen teacher, which is another network; null where it has the student's shape. */
    readonly frozenTeacher: number | null
  }
  /** The student's, in the first phase. */
  readonly tokensPerImage: number
  readonly phases: readonly PhaseCost[]
}

export interface PhaseCost {
  readonly name: string
  readonly resolutionPx: number
  readonly localResolutionPx: number | null
  readonly steps: number | null
  /** True ones: times that each training image is seen. */
  readonly epochs: number | null
  readonly imagesSeen: number | null
  readonly tokensPerImage: number
  readonly modelFlopsPerImage: number
  /** The same by part, an image. */
  readonly modelFlops: ModelFlops
  /** Over all ranks. */
  readonly executedFlopsPerStep: number
  /** Of one micro-batch; their bound is what buffers hold. */
  readonly maskedRows: { readonly expected: number; readonly bound: number } | null
  readonly ranks: number
  readonly imagesPerRank: number
  readonly microSteps: number
  readonly perRank: {
    readonly peakBytes: number
    readonly stateBytes: number
    readonly collectiveBytesPerStep: number
    readonly keptSamples: readonly KeptSamples[]
  }
  readonly memory: Memory
  readonly communication: Communication
  /** By host input: `lr`, `teacher_temp`. */
  readonly schedules: Readonly<Record<string, ScheduleSummary>>
  readonly layerRates: LayerRates
}

/** Of `of` sequences a branch computes `kept`: one number, or one for each block where rates differ. */
export interface KeptSamples {
  readonly group: string
  readonly kept: number | readonly number[]
  readonly of: number
}

/** The learning rate at its peak, at both ends of the network. */
export interface LayerRates {
  readonly patchEmbed: number
  readonly firstBlock: number
  readonly lastBlock: number
  readonly heads: number
}

/** One phase as the compiler made it. */
export interface PlannedPhase {
  readonly phase: Phase
  readonly module: Module
  readonly plan: Plan
  readonly figures: PhaseFigures
}

/** What planning a phase tells of its cost. Phases that `figuresForm` calls alike have the same. */
export interface PhaseFigures {
  /** B, of a micro-batch. */
  readonly images: number
  readonly microSteps: number
  readonly state: Module['state']
  readonly memory: Memory
  readonly communication: Communication
  /** Of one micro-batch. */
  readonly modelFlops: ModelFlops
  /** Of one step of one rank: all programs, each as often as it runs. */
  readonly executedFlops: number
  readonly groups: readonly { readonly name: string; readonly count: number; readonly length: number }[]
  readonly maskedRows: { readonly expected: number; readonly bound: number } | null
  /** Parts of the images of a run of `accumulate` that draw masks and kept subsets each for itself. */
  readonly imageGroups: number
  /** Stochastic depth of each block; empty where every sequence is computed. */
  readonly subsetRates: readonly number[]
}

/** `phases`: those of the experiment, in order. `trainingImages`: null where the data is not at hand. */
export function variantCost(
  experiment: ResolvedExperiment,
  phases: readonly PhaseFigures[],
  trainingImages: number | null,
): VariantCost {
  const [first] = phases
  if (first === undefined) throw new Error(`${experiment.name} has no phase`)
  const batch = experiment.schedule.batch
  const clock: StepClock = {
    epoch: experiment.schedule.epoch,
    passSteps: trainingImages === null ? null : Math.ceil(trainingImages / batch),
  }
  const costs = phases.map((figures, i) => phaseCost(experiment, figures, i, clock, trainingImages))
  return {
    parameters: parameterCounts(experiment, first.state),
    tokensPerImage: (costs[0] as PhaseCost).tokensPerImage,
    phases: costs,
  }
}

function phaseCost(
  experiment: ResolvedExperiment,
  figures: PhaseFigures,
  index: number,
  clock: StepClock,
  trainingImages: number | null,
): PhaseCost {
  const { images, microSteps, memory, groups } = figures
  const phase = experiment.schedule.phases[index] as Phase
  const { hardware, schedule, optimizer, backbone } = experiment
  const { ranks } = hardware
  const steps = timeInSteps(phase.length, clock)
  const imagesSeen = steps === null ? null : steps * schedule.batch
  const exchanged = figures.communication
  const schedules = Object.fromEntries(
    Object.entries(phaseSchedules(experiment, index)).map(([name, spec]) => [
      name,
      summarize(spec, clock, steps),
    ]),
  )
  const peak = schedules.lr?.peak ?? 0
  const decay = (layersAbove: number) => peak * optimizer.layerDecay ** layersAbove
  return {
    name: phase.name,
    resolutionPx: phase.resolution,
    localResolutionPx: groups.length > 1 ? phase.localResolution : null,
    steps,
    epochs: imagesSeen === null || trainingImages === null ? null : imagesSeen / trainingImages,
    imagesSeen,
    tokensPerImage: groups.reduce((sum, g) => sum + g.count * g.length, 0) / images,
    modelFlopsPerImage: totalFlops(figures.modelFlops) / images,
    modelFlops: perImage(figures.modelFlops, images),
    executedFlopsPerStep: figures.executedFlops * ranks,
    maskedRows: figures.maskedRows,
    ranks,
    imagesPerRank: images * microSteps,
    microSteps,
    perRank: {
      peakBytes: memory.arenaBytes + memory.stateBytes,
      stateBytes: memory.stateBytes,
      collectiveBytesPerStep: exchanged.bytesPerStep,
      keptSamples: groups.map((g) => ({
        group: g.name,
        kept: keptOf(g.count, figures.subsetRates, figures.imageGroups),
        of: g.count,
      })),
    },
    memory,
    communication: exchanged,
    schedules,
    layerRates: {
      patchEmbed: decay(backbone.depth + 1) * optimizer.patchEmbedLr,
      firstBlock: decay(backbone.depth),
      lastBlock: decay(1),
      heads: peak,
    },
  }
}

function keptOf(count: number, rates: readonly number[], draws: number): number | readonly number[] {
  const kept = rates.map((rate) => keptCount(count, rate, draws))
  const [first = count] = kept
  return kept.every((n) => n === first) ? first : kept
}

function perImage(flops: ModelFlops, images: number): ModelFlops {
  return {
    student: flops.student / images,
    teacher: flops.teacher / images,
    heads: flops.heads / images,
  }
}

function parameterCounts(experiment: ResolvedExperiment, state: Module['state']): VariantCost['parameters'] {
  const backbone = elementsOf(state, (name) => name.startsWith('student.backbone.'))
  const byHead: Record<string, number> = {}
  for (const { name } of state) {
    const part = /^student\.(\w+_head)\./.exec(name)?.[1]
    if (part !== undefined && byHead[part] === undefined)
      byHead[part] = elementsOf(state, (other) => other.startsWith(`student.${part}.`))
  }
  const heads = Object.values(byHead).reduce((sum, n) => sum + n, 0)
  return {
    backbone,
    heads,
    total: backbone + heads,
    byHead,
    frozenTeacher:
      experiment.teacher.type === 'frozen' ? elementsOf(state, (name) => name.startsWith('teacher.')) : null,
  }
}

function elementsOf(state: Module['state'], wanted: (name: string) => boolean): number {
  return state.reduce(
    (sum, { name, type }) => (wanted(name) ? sum + type.shape.reduce((n, size) => n * size, 1) : sum),
    0,
  )
}
