import type { Source } from '../../compiler/plan/run-spec.js'
import { type Code, diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError, type Span } from '../../diagnostics/diagnostic.js'

/** `[images, height, width, channels]` bytes. */
export interface PackedImages {
  readonly pixels: SharedArrayBuffer
  readonly width: number
  readonly height: number
  readonly channels: number
}

/** What a reader of one type finds. `labels` and `groups` are values as text; null where there is none. */
export interface FoundImages {
  readonly names: readonly string[]
  readonly root: string | null
  readonly labels: readonly (string | null)[]
  readonly groups: readonly (string | null)[] | null
  /** Published splits: the split of each image. */
  readonly published: readonly string[] | null
  readonly packed: PackedImages | null
  /** Files that the label table names and that are not there. */
  readonly missing: readonly string[]
}

export interface SourceContext {
  readonly name: string
  readonly spec: Source
  /** The place of a field of the source in the experiment's text. */
  readonly place: (field: string) => Span | null
}

/** A fault of the source itself, at the field to blame. */
export function sourceError<C extends Code>(
  context: SourceContext,
  field: string,
  code: C,
  args: Parameters<typeof diagnose<C>>[2],
  help: readonly string[] = [],
): DiagnosticError {
  return new DiagnosticError([diagnose(code, context.place(field), args, { help })])
}
