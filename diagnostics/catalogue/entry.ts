import type { Severity } from '../diagnostic.js'

/** One way to be wrong: its severity, the title of its page, and its message from typed arguments. */
export interface Entry<A> {
  readonly severity: Severity
  /** A few words without values: "crop size is not a multiple of the patch size". */
  readonly title: string
  readonly message: (args: A) => string
}

export function entry<A = Record<never, never>>(
  severity: Severity,
  title: string,
  message: (args: A) => string,
): Entry<A> {
  return { severity, title, message }
}
