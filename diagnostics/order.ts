import type { Diagnostic, Span } from './diagnostic.js'

/**
 * Each diagnostic once, files in the order in which they are first named, places in the order of the text; what has no
 * place comes last.
 */
export function inOrder(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const files = new Map<string, number>()
  const seen = new Set<string>()
  const distinct = diagnostics.filter((d) => {
    const span = d.primary?.span
    if (span && !files.has(span.file)) files.set(span.file, files.size)
    // By lines and columns: places that a run spec brings have no offsets.
    const key = `${d.code} ${span && placeKey(span)} ${d.message}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
  const file = (d: Diagnostic) => (d.primary ? files.get(d.primary.span.file)! : files.size)
  const line = (d: Diagnostic) => d.primary?.span.startLine ?? 0
  const column = (d: Diagnostic) => d.primary?.span.startColumn ?? 0
  return distinct.sort((a, b) => file(a) - file(b) || line(a) - line(b) || column(a) - column(b))
}

const placeKey = (s: Span) => `${s.file}:${s.startLine}:${s.startColumn}-${s.endLine}:${s.endColumn}`

/** "2 errors, 1 warning"; empty where there is nothing. */
export function summary(diagnostics: readonly Diagnostic[]): string {
  return (['error', 'warning', 'note'] as const)
    .map((severity) => ({ severity, count: diagnostics.filter((d) => d.severity === severity).length }))
    .filter(({ count }) => count > 0)
    .map(({ severity, count }) => `${count} ${severity}${count === 1 ? '' : 's'}`)
    .join(', ')
}
