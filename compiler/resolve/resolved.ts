import type { Span } from '../../diagnostics/diagnostic.js'

/**
 * One variant of one experiment with everything written out: plain frozen JSON, units canonical (pixels, images,
 * bytes, seconds, plain ratios), every default present. `provenance` knows where each value was set.
 * The schemas in grammar/schema describe the same shape; ajv checks it.
 */
export interface ResolvedExperiment {
  readonly formatVersion: 1
  readonly name: string
  /** `full`, a variant's name, or `masks[probability=30%,ratio=10%..50%]`. */
  readonly variant: string
  readonly grid: { readonly name: string; readonly point: Readonly<Record<string, string>> } | null
  readonly description: string | null
  readonly data: { readonly train: DataReference } | null
  readonly backbone: Backbone
  readonly teacher: Teacher
  readonly keep: { readonly type: 'ema'; readonly momentum: Schedule } | null
  readonly crops: { readonly global: CropGroup; readonly local: CropGroup }
  readonly augment: Augment
  readonly masking: Masking | null
  /** By name (`dino`, `ibot`); heads that no loss uses are left out. */
  readonly head: Readonly<Record<string, Head>>
  readonly loss: Readonly<Record<string, Loss>>
  readonly optimizer: Optimizer
  readonly schedule: TrainingSchedule
  readonly eval: Readonly<Record<string, Evaluation>>
  readonly visualize: Readonly<Record<string, { readonly type: string; readonly [field: string]: unknown }>>
  readonly optimize: Optimize
  readonly hardware: Hardware
  readonly checkpoint: { readonly every: Time; readonly keep: number }
  readonly report: { readonly [field: string]: unknown }
  readonly seeds: readonly number[]
  /** `eval.knn.top1@20` */
  readonly primary: readonly string[]
  /** Sources and curations that this variant reaches, by name, whole. */
  readonly sources: Readonly<Record<string, Source>>
  readonly curations: Readonly<Record<string, Curation>>
  /** By dotted path: `backbone.width`, `schedule.pretrain.lr`, `sources.twemoji.split`. Not part of the identity. */
  readonly provenance: Readonly<Record<string, Provenance>>
}

export interface Provenance {
  /** Where the value was set last; null for a schema default. */
  readonly at: Span | null
  /** The places it overrode, nearest first. */
  readonly overrode: readonly Span[]
  /** Present where `at` is a `drop`: of the block, or of the value that then returned to its default. */
  readonly dropped?: true
}

/** `80 epochs`: kept as written, since only data on disk can turn passes into steps. */
export interface Time {
  readonly value: number
  readonly unit: 'step' | 'epoch' | 'pass'
}

export type DataReference =
  | { readonly kind: 'source'; readonly source: string; readonly splits: readonly string[] | null }
  | { readonly kind: 'curation'; readonly curation: string; readonly stage: string | null }
  | {
      readonly kind: 'mix'
      readonly parts: readonly { readonly of: DataReference; readonly share: number }[]
    }

/** Another run's outcome, or a file. */
export type ModelReference =
  | {
      readonly kind: 'run'
      readonly experiment: string
      readonly variant: string
      readonly resolved: ResolvedExperiment
    }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'hub'; readonly repository: string }

export interface Backbone {
  readonly type: 'vit'
  readonly width: number
  readonly depth: number
  readonly heads: number
  /** Pixels. */
  readonly patch: number
  readonly ffn: 'mlp' | 'swiglu'
  readonly ffnRatio: number
  readonly registers: number
  readonly dropPath: {
    /** uniform: every block `to`; linear: linspace(from, to, depth). */
    readonly shape: 'uniform' | 'linear'
    readonly from: number
    readonly to: number
    readonly form: 'subset' | 'masked'
  }
  /** Initial gamma; null: no layer scale. */
  readonly layerScale: number | null
  /** Side of the square grid of the position embedding, in patches. */
  readonly posGrid: number
  readonly posInterpolation: { readonly offset: number; readonly antialias: boolean }
  readonly init: { readonly from: ModelReference; readonly parts: readonly string[] } | null
}

export type Teacher =
  | { readonly type: 'ema'; readonly momentum: Schedule }
  | { readonly type: 'frozen'; readonly from: ModelReference }

export interface CropGroup {
  readonly count: number
  /** Pixels. */
  readonly size: number
  /** Area fraction. */
  readonly scale: { readonly min: number; readonly max: number }
}

/** Effective probabilities (RECIPE.md B1), one entry per view where they differ: [global 1, global 2, local]. */
export interface Augment {
  /** Aspect range of the random resized crop. */
  readonly aspect: { readonly min: number; readonly max: number }
  readonly flip: number
  readonly jitter: {
    readonly probability: number
    readonly brightness: number
    readonly contrast: number
    readonly saturation: number
    readonly hue: number
  }
  readonly grayscale: number
  readonly blur: {
    readonly probability: readonly [number, number, number]
    readonly kernel: number
    readonly sigma: { readonly min: number; readonly max: number }
  }
  readonly solarize: { readonly probability: readonly [number, number, number]; readonly threshold: number }
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

export interface Masking {
  readonly type: 'block' | 'random'
  readonly probability: number
  readonly ratio: { readonly min: number; readonly max: number }
  readonly aspect: { readonly min: number; readonly max: number }
  readonly minPatches: number
  readonly apply: boolean
}

export type Head =
  | {
      readonly type: 'mlp'
      readonly prototypes: number
      readonly hidden: number
      readonly bottleneck: number
      readonly layers: number
    }
  | { readonly type: 'tied'; readonly to: string }

export type Centering =
  | { readonly type: 'sinkhorn'; readonly iterations: number }
  | { readonly type: 'softmax'; readonly momentum: number }

export type Loss =
  | {
      readonly type: 'dino'
      readonly on: 'cls'
      readonly head: string
      readonly weight: number
      readonly studentTemp: number
      readonly centering: Centering
    }
  | {
      readonly type: 'ibot'
      readonly on: 'masked_patches' | 'all_patches'
      readonly head: string
      readonly weight: number
      readonly studentTemp: number
      readonly centering: Centering
    }
  | {
      readonly type: 'koleo'
      readonly on: 'cls'
      readonly weight: number
      readonly crops: 'both' | 'first'
      readonly scope:
        | { readonly type: 'rank' | 'global' }
        | { readonly type: 'sets'; readonly images: number }
    }

export interface Optimizer {
  readonly type: 'adamw'
  readonly betas: readonly [number, number]
  readonly eps: number
  /** Largest gradient norm of each sub-module; null: no clipping. */
  readonly clip: number | null
  readonly layerDecay: number
  readonly patchEmbedLr: number
  readonly freezeLastLayer: Time
}

/**
 * A value over the steps of a phase: pieces in order, each `over` a time, the last one to the end of the phase.
 * Numbers are evaluated (`batch` is known), so `4e-3 * sqrt(batch / 1024 img)` is a plain number here.
 */
export interface Schedule {
  readonly pieces: readonly SchedulePiece[]
  /**
   * Present where a phase inherits the schedule of an earlier phase of another length: each `over` counts times
   * to/from, rounded down, at least 1 step (steps are known once passes are).
   */
  readonly compress?: { readonly from: Time; readonly to: Time }
}
export type SchedulePiece =
  | { readonly kind: 'constant'; readonly value: number; readonly over: Time | null }
  | {
      readonly kind: 'warmup' | 'linear' | 'cosine'
      readonly from: number
      readonly to: number
      readonly over: Time | null
    }

export interface TrainingSchedule {
  /** Images a step over all ranks and micro-batches. */
  readonly batch: number
  readonly microBatch: number | null
  readonly epoch: Time | null
  readonly phases: readonly Phase[]
}

export interface Phase {
  readonly name: string
  readonly length: Time
  /** Global crop size in pixels. */
  readonly resolution: number
  readonly localResolution: number
  readonly lr: Schedule
  readonly weightDecay: Schedule
  readonly teacherTemp: Schedule
  /** The teacher's EMA momentum (`teacher.momentum` counts as set in the first phase); null for a frozen teacher. */
  readonly momentum: Schedule | null
  readonly keepMomentum: Schedule | null
  readonly optimizerState: 'keep' | 'reset'
  /** Parts that do not train in this phase: `backbone`, `backbone.patch_embed`, `head.dino`. */
  readonly freeze: readonly string[]
}

export interface Evaluation {
  readonly type: 'knn' | 'linear' | 'logistic' | 'retrieval' | 'segment' | 'depth'
  readonly train: DataReference | null
  readonly test: DataReference
  readonly of: 'teacher' | 'student' | 'keep'
  /** Pixels, a multiple of the patch size. */
  readonly resolution: number
  /** Null: untrained and at the end only. */
  readonly every: Time | null
  /** knn: neighbours; temperature of the vote. */
  readonly k?: readonly number[]
  readonly temperature?: number
  readonly [field: string]: unknown
}

export interface Optimize {
  readonly precision: 'float32' | 'bf16'
  readonly recompute: 'off' | 'blocks' | 'auto'
  readonly fuse: boolean
  readonly pack: boolean
  /** Bytes; null: what the hardware says. */
  readonly memoryBudget: number | null
}

export interface Hardware {
  readonly device: string
  /** Null: all cores. */
  readonly threads: number | null
  readonly loaders: number | null
  /** nodes x gpus where those are given. */
  readonly ranks: number
  /** Bytes a rank; null: what the device reports. */
  readonly memory: number | null
  readonly shard: 'fsdp' | 'none'
  readonly engine: 'local' | 'torchrun'
  readonly semantics: 'per_rank' | 'global'
  readonly groups: number | null
  readonly nodes: number | null
  readonly gpus: number | null
}

export interface Source {
  readonly type: string
  readonly path: string | null
  readonly labels: {
    readonly table: string
    readonly nested: string | null
    readonly file: string
    readonly label: string | null
  } | null
  readonly split:
    | { readonly kind: 'hash'; readonly shares: Readonly<Record<string, number>>; readonly by: string | null }
    | { readonly kind: 'all'; readonly split: string }
    | { readonly kind: 'published' }
    /** A listed split: the file names of each split, one a line. */
    | { readonly kind: 'listed'; readonly files: Readonly<Record<string, string>> }
  readonly background: string | null
  readonly channels: number
  readonly [field: string]: unknown
}

export interface Curation {
  readonly stages: readonly {
    readonly kind: string
    readonly name: string | null
    readonly [field: string]: unknown
  }[]
  readonly keep: readonly DataReference[]
}
