/**
 * A place in a source text. Offsets count UTF-16 units from 0, `end` exclusive; lines and columns count from 1.
 * `file` is the path as the user wrote it (relative to the working directory), or `std/dinov2.dino` for a preset.
 */
export interface Span {
  readonly file: string
  readonly start: number
  readonly end: number
  readonly startLine: number
  readonly startColumn: number
  readonly endLine: number
  readonly endColumn: number
}

export type Severity = 'error' | 'warning' | 'note'

export interface Label {
  readonly span: Span
  /** What this place contributes, for example "patch size becomes 16 px here". */
  readonly message: string
}

/** A replacement that can be applied to the source: `dinoc check --fix` and editors use it. */
export interface Fix {
  readonly title: string
  readonly span: Span
  readonly replacement: string
}

/**
 * One finding. `code` is a key of the catalogue (`DINO0502`); `primary` is null only where no source text is to
 * blame (a device, a run directory). `notes` give the arithmetic that failed, `help` is something to type.
 */
export interface Diagnostic {
  readonly code: string
  readonly severity: Severity
  readonly message: string
  readonly primary: Label | null
  readonly labels: readonly Label[]
  readonly notes: readonly string[]
  readonly help: readonly string[]
  readonly fixes: readonly Fix[]
}

/** A user's mistake on its way to the terminal: thrown where no value can be returned, caught by the CLI. */
export class DiagnosticError extends Error {
  readonly diagnostics: readonly Diagnostic[]
  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((d) => `${d.code}: ${d.message}`).join('\n'))
    this.name = 'DiagnosticError'
    this.diagnostics = diagnostics
  }
}
