import type { Span } from '../../diagnostics/diagnostic.js'
import type { FieldType } from '../../grammar/schema/types.js'
import type { Dyn, DynArgument, Scope } from './dyn.js'
import type { CurationDefinition, ExperimentDefinition, SourceDefinition } from './modules.js'
import type { Poison } from './poison.js'
import type { Curation, ResolvedExperiment, Source } from './resolved.js'

/** Where a value is going: the field as messages name it, and what references mean there. */
export interface FieldScope extends Scope {
  readonly field: string
  readonly references: References
  /** The resolved form of a value for a field of the type, or poison after a diagnostic. */
  coerce(value: Dyn, type: FieldType, scope: FieldScope): unknown | Poison
}

/** What a name of another block means: the rest of the program, as far as one experiment reaches into it. */
export interface References {
  /** The resolved source or curation and the name it goes by; poison where it has a fault of its own. */
  source(definition: SourceDefinition): { name: string; source: Source | Poison }
  curation(definition: CurationDefinition): {
    name: string
    curation: Curation | Poison
    stages: readonly string[]
  }
  /** Another experiment's variant; null where it has none of that name, poison where it has a fault or needs this one. */
  run(
    definition: ExperimentDefinition,
    variant: string,
    at: Span,
  ): { resolved: ResolvedExperiment | Poison } | { variants: readonly string[] }
  /** Stages of the curation that is being resolved. */
  readonly stages: ReadonlySet<string> | null
}

export function argumentName(arg: DynArgument): string {
  return arg.name?.names.map((n) => n.text).join('.') ?? ''
}
