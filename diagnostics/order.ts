import type { Diagnostic } from './diagnostic.js'

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
    const key = `${d.code} ${span?.file}:${span?.start}-${span?.end} ${d.message}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
  const file = (d: Diagnostic) => (d.primary ? files.get(d.primary.span.file)! : files.size)
  const place = (d: Diagnostic) => d.primary?.span.start ?? 0
  return distinct.sort((a, b) => file(a) - file(b) || place(a) - place(b))
}

/** "2 errors, 1 warning"; empty where there is nothing. */
export function summary(diagnostics: readonly Diagnostic[]): string {
  return (['error', 'warning', 'note'] as const)
    .map((severity) => ({ severity, count: diagnostics.filter((d) => d.severity === severity).length }))
    .filter(({ count }) => count > 0)
    .map(({ severity, count }) => `${count} ${severity}${count === 1 ? '' : 's'}`)
    .join(', ')
}
