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
  const seen = new Map<string, AnyOp>()
  const attrs = new Map<object, number>()
  const attrsByText = new Map<string, number>()
  let shared = false
  /** A number for each distinct attribute record. */
  const attrsKey = (record: object): number => {
    const known = attrs.get(record)
    if (known !== undefined) return known
    const text = JSON.stringify(record)
    const key = attrsByText.get(text) ?? attrsByText.size
    attrsByText.set(text, key)
    attrs.set(record, key)
    return key
  }
  for (const op of func.ops) {
    let operands = ''
    for (const id of op.operands) operands += id === null ? ',' : `,${draft.resolve(id)}`
    const key = `${op.kind}${operands}|${attrsKey(op.attrs)}|${op.stage}`
    const same = seen.get(key)
    if (same === undefined) {
      seen.set(key, op)
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
