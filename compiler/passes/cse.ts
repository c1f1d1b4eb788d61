import type { AnyOp, Func, Module } from '../ir/types.js'
import { mapEntries, openDraft } from './rewrite.js'
import { simplifyFunc } from './simplify.js'

/**
 * Ops of one kind with the same operands and attributes are computed once.
 *
 *   %w1 = weight_norm(%v, %g)       %w2 = weight_norm(%v, %g)
 *   %a = linear(%x, %w1)            %b = linear(%y, %w2)
 * ->
 *   %w1 = weight_norm(%v, %g)
 *   %a = linear(%x, %w1)            %b = linear(%y, %w1)
 *
 * Canonical forms first, as in pass 1, since inlining and differentiation bring new ones. Only within one stage: what
 * backward builds again must not be kept from forward instead.
 */
export function cse(module: Module): Module {
  return mapEntries(module, (func) => shareWithin(simplifyFunc(func)))
}

export function shareWithin(func: Func): Func {
  const draft = openDraft(func)
  /** Ops of one kind, stage and operands; few of them differ in attributes alone. */
  const seen = new Map<string, AnyOp[]>()
  let shared = false
  for (const op of func.ops) {
    // Thousands of sweeps, each over tensors of its own.
    if (op.stage === 'update') {
      draft.keep(op)
      continue
    }
    let key = `${op.kind} ${op.stage}`
    for (const id of op.operands) key += id === null ? ',' : `,${draft.resolve(id)}`
    const alike = seen.get(key)
    if (alike === undefined) {
      seen.set(key, [op])
      draft.keep(op)
      continue
    }
    const attrs = JSON.stringify(op.attrs)
    const same = alike.find((other) => JSON.stringify(other.attrs) === attrs)
    if (same === undefined) {
      alike.push(op)
      draft.keep(op)
      continue
    }
    shared = true
    op.results.forEach((id, i) => {
      draft.replace(id, same.results[i]!)
    })
  }
  return shared ? draft.close() : func
}
