import type { VariantCost } from '../../compiler/plan/cost.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'

/** A variant and what it costs; an alias has the cost of the variant that it equals. */
export interface PlannedVariant {
  readonly resolved: ResolvedExperiment
  readonly aliasOf: string | null
  readonly cost: VariantCost
  /** Null: the training images are not at hand. */
  readonly trainingImages: number | null
  /** What data and figures have to say: what would end a run, jumps, memory over budget, passes that they lack. */
  readonly findings: readonly Diagnostic[]
}

export interface PlannedFamily {
  readonly name: string
  readonly variants: readonly PlannedVariant[]
}
