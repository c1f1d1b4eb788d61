import type { Span } from '../../diagnostics/diagnostic.js'
import type { DType, Generator, Group, Initializer, KernelKind, OpAttrs } from '../ir/types.js'

/**
 * An execution plan: everything a device needs to run one phase, one feature extraction or one probe, and nothing
 * of the language. JSON, versioned, checked against `plan.schema.json` and by `validate.ts` before any device
 * loads it.
 */
export const planVersion = 1

export interface Plan {
  readonly format: 'dinoc-plan'
  readonly version: typeof planVersion
  /** `quickstart.full/pretrain`, `quickstart.full/features-64px` */
  readonly name: string
  readonly target: {
    readonly class: 'arena' | 'tensor-ops'
    /** Capabilities that a device must have: `op:attention`, `bf16`. */
    readonly requires: readonly string[]
  }
  /** Offsets are multiples of 256 bytes. Empty for class `tensor-ops`. */
  readonly arenas: readonly { readonly bytes: number }[]
  /** Indexed by id. */
  readonly tensors: readonly PlanTensor[]
  readonly inputs: readonly PlanInput[]
  readonly state: readonly PlanState[]
  /** Programs run in this order in a step; `accumulate` is run `microSteps` times. */
  readonly programs: readonly Program[]
  readonly microSteps: number
  readonly metrics: readonly { readonly name: string; readonly tensor: number }[]
  readonly outputs: readonly { readonly name: string; readonly tensor: number }[]
  /** Images a run of the first program. */
  readonly images: number
  /** Exact work of a step by the cost table, for throughput figures. */
  readonly modelFlopsPerStep: number
}

export interface PlanTensor {
  readonly id: number
  /** For messages: `student.backbone.blocks.0.attn.qkv` */
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly segments?: readonly Group[]
  readonly rows?: string
  readonly place:
    | { readonly kind: 'arena'; readonly arena: number; readonly offset: number }
    /** In the device's `State`, under its logical name. */
    | { readonly kind: 'state'; readonly name: string }
    /** Class `tensor-ops`: the device allocates. */
    | { readonly kind: 'device' }
  /**
   * First and last step at which the tensor holds its value, numbered through all programs in order; host inputs
   * from -1; metrics, outputs and carried tensors to the end.
   */
  readonly live: readonly [number, number]
}

/**
 * An input's bytes are its own from before the step to its last reader, then others'; scalars keep theirs. So inputs
 * are written before each run of their program (those of `update` at any time before it), and not during a step for
 * the next one: a device that takes them early holds them back.
 */
export interface PlanInput {
  readonly name: string
  readonly tensor: number
  /** Which program reads it first: inputs of `update` are written once a step. */
  readonly program: string
  readonly generator: Generator
}

export interface PlanState {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
}

export interface Program {
  readonly name: string
  readonly steps: readonly Step[]
}

export interface StepOf<K extends KernelKind> {
  readonly op: K
  /** Tensor ids; -1 where an optional operand is absent. */
  readonly operands: readonly number[]
  /**
   * Tensor ids. A result may share the place of an operand (in place) only where `inPlace` in ops.ts allows it; the
   * results of update ops on state name the state's own tensor.
   */
  readonly results: readonly number[]
  readonly attrs: OpAttrs[K]
  readonly module: string
  readonly stage: 'forward' | 'backward' | 'recompute' | 'update'
  readonly span: Span | null
}
export type Step = { [K in KernelKind]: StepOf<K> }[KernelKind]

/** State as a device allocates it: the union over the plans of a run. */
export interface StateSpec {
  readonly tensors: readonly (PlanState & {
    readonly init: Initializer
    readonly storedShape: readonly number[]
  })[]
}
