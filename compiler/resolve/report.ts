import { type Code, diagnose, type Extras } from '../../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../../diagnostics/diagnostic.js'

type Args<C extends Code> = Parameters<typeof diagnose<C>>[2]

/**
 * Collects diagnostics. The same code at the same place is kept once: several variants and children meet the same
 * fault. `errors` counts every error reported, kept or not, so that a caller can tell whether its own part is whole.
 */
export interface Report {
  readonly diagnostics: Diagnostic[]
  errors: number
  give<C extends Code>(code: C, at: Span | null, args: Args<C>, extras?: Extras): void
  /** For faults without a place of their own (something is missing): kept once for each `key`. */
  giveOnce<C extends Code>(key: string, code: C, at: Span | null, args: Args<C>, extras?: Extras): void
  /**
   * Faults that `work` meets are counted, not kept: for what nobody asked about. Last of all, since what is built on the
   * way is not looked at again.
   */
  quietly<T>(work: () => T): T
}

export function newReport(): Report {
  const seen = new Set<string>()
  const diagnostics: Diagnostic[] = []
  let quiet = false
  const report: Report = {
    diagnostics,
    errors: 0,
    give(code, at, args, extras) {
      const key = at === null ? `${code} ${JSON.stringify(args)}` : `${code} ${at.file}:${at.start}`
      report.giveOnce(key, code, at, args, extras)
    },
    giveOnce(key, code, at, args, extras) {
      const diagnostic = diagnose(code, at, args, extras)
      if (diagnostic.severity === 'error') report.errors++
      if (quiet) return
      const said = `${code} ${at?.file}:${at?.start} ${diagnostic.message}`
      if (seen.has(key) || seen.has(said)) return
      seen.add(key).add(said)
      diagnostics.push(diagnostic)
    },
    quietly(work) {
      quiet = true
      try {
        return work()
      } finally {
        quiet = false
      }
    },
  }
  return report
}
