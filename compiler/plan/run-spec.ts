import type { Initializer, Shards, StateTensor } from '../ir/types.js'
import type {
  Augment,
  DataReference,
  Evaluation,
  Masking,
  Schedule,
  Source,
  Time,
} from '../resolve/resolved.js'

export type { Augment, DataReference, Evaluation, Masking, Schedule, Source, Time }

/**
 * Everything that a run needs besides its plans: JSON, versioned, checked against `run-spec.schema.json`. A run spec
 * and its plans, saved, train without the compiler. The training loop reads it and knows nothing of the recipe.
 */
export const runSpecVersion = 1
/** Raised whenever the same run spec would give other bits: part of every run's identity. */
export const numericsVersion = 1

export interface RunSpec {
  readonly format: 'dinoc-run-spec'
  readonly version: typeof runSpecVersion
  readonly numericsVersion: number
  readonly experiment: string
  readonly variant: string
  readonly seed: number
  /** Hash of what LANGUAGE.md "Identity" lists, less the data manifest, which only the run knows. */
  readonly configIdentity: string
  readonly device: string
  readonly threads: number | null
  readonly loaders: number | null
  readonly ranks: number
  /** How state is divided over ranks; null: each holds everything. */
  readonly shards: Shards | null
  readonly state: readonly RunState[]
  readonly phases: readonly RunPhase[]
  readonly batch: {
    /** Images a step. */
    readonly images: number
    /** Runs of `accumulate` a step, each rank's. */
    readonly microSteps: number
    /** Equal parts of a micro-batch's images that draw masks and kept subsets each for itself. */
    readonly imageGroups: number
  }
  readonly crops: readonly {
    readonly group: string
    readonly count: number
    readonly scale: { readonly min: number; readonly max: number }
  }[]
  readonly channels: number
  readonly augment: Augment
  readonly masking: Masking | null
  readonly data: {
    readonly train: DataReference | null
    readonly sources: Readonly<Record<string, Source>>
  }
  readonly epoch: Time | null
  readonly features: readonly FeaturePlan[]
  readonly evaluations: readonly RunEvaluation[]
  readonly monitors: readonly Monitor[]
  readonly checkpoint: { readonly every: Time; readonly keep: number }
  /** Dotted path to the place of the value: `a.dino:4:26-30`, `a.dino:4:26-6:3` where it ends on a later line. */
  readonly provenance: Readonly<Record<string, string>>
}

export interface RunState {
  readonly name: string
  readonly dtype: 'f32'
  readonly shape: readonly number[]
  readonly storedShape: readonly number[]
  readonly role: StateTensor['role']
  readonly init: Initializer
}

export interface RunPhase {
  readonly name: string
  /** File beside the run spec: `plan-pretrain.json`. */
  readonly plan: string
  readonly length: Time
  readonly resolutionPx: number
  readonly localResolutionPx: number
  readonly patchPx: number
  readonly resetMoments: boolean
  readonly schedules: Readonly<Record<string, ScheduleSpec>>
  /** Until which step of the run the last layer's lr is 0. */
  readonly freezeLastLayer: Time
}

/** `compress` holds the lengths by which an inherited schedule is shortened: each `over` times to/from, rounded down. */
export interface ScheduleSpec {
  readonly schedule: Schedule
  readonly compress: { readonly from: Time; readonly to: Time } | null
}

export interface FeaturePlan {
  /** `features-teacher-64px` */
  readonly name: string
  readonly plan: string
  readonly of: 'teacher' | 'student' | 'keep'
  readonly resolutionPx: number
  /** Images a run of the plan. */
  readonly batch: number
}

export interface RunEvaluation {
  readonly name: string
  readonly protocol: Evaluation
  /** Hash of the protocol: printed beside each metric. */
  readonly protocolIdentity: string
  readonly features: string
}

export type Monitor = {
  readonly name: string
  /**
   * The measure it watches. Each step, of the loss named (from the plan's metrics of the same names):
   * `entropy.dino`: mean entropy of the teacher's targets in nats, ln K where they are uniform;
   * `usage.dino`: effective number of prototypes, exp of the entropy of the mean target, 1 to K.
   * At each evaluation, over the teacher's class tokens of the evaluation's training images:
   * `rank.cls`: RankMe, exp of the entropy of the normalised singular values, 1 to the width;
   * `spread.cls`: sqrt(width) x mean over dims of the standard deviation of L2-normalised features: 0 where all images
   * look alike, 1 where features fill the sphere.
   */
  readonly metric: string
  readonly below: number | null
  readonly above: number | null
  /** Steps before which it stays silent. */
  readonly from: Time
  /** Consecutive steps over the threshold before it acts. */
  readonly patience: number
  readonly action: 'warn' | 'stop'
  /** For the message: "ln K = 6.238 for 512 prototypes: the targets are uniform". */
  readonly explanation: string
}
