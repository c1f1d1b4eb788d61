import type { Scope } from './dyn.js'
import { type Dyn, trim } from './dyn.js'

/** Whether shares add up to 1; reports where they do not. */
export function addUp(shares: readonly number[], what: string, value: Dyn, scope: Scope): boolean {
  const sum = shares.reduce((a, b) => a + b, 0)
  if (Math.abs(sum - 1) < 1e-9) return true
  scope.report.give(
    'DINO0517',
    value.span,
    { what, sum: `${trim(sum * 100)}%` },
    {
      notes: [`${shares.map((s) => `${trim(s * 100)}%`).join(' + ')} = ${trim(sum * 100)}%`],
      help: ['make them add up to 100%'],
    },
  )
  return false
}
