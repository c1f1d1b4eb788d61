import type { VariantChanges } from '../../compiler/codegen/report.js'
import { compare } from '../../compiler/resolve/diff.js'
import type { Span } from '../../diagnostics/diagnostic.js'
import type { CollectedRun } from './collect.js'

/** What each variant changes of `full`, as `dinoc diff` tells it. */
export function changesOf(runs: readonly CollectedRun[]): VariantChanges[] {
  const full = runs.find((run) => run.variant === 'full')?.resolved
  if (!full) return []
  const seen = new Map(runs.map((run) => [run.variant, run.resolved]))
  return [...seen].flatMap(([name, resolved]) =>
    name === 'full' || !resolved
      ? []
      : [
          {
            name,
            rows: compare(full, resolved, '').map(({ path, beforeText, afterText, effect, at }) => ({
              path: path.replace(/^\./, ''),
              before: beforeText ?? '',
              after: afterText ?? 'dropped',
              effect,
              at: place(at.after ?? at.before),
            })),
          },
        ],
  )
}

function place(span: Span | null): string {
  return span === null ? '' : `${span.file}:${span.startLine}:${span.startColumn}`
}
