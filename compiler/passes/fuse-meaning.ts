import type { AnyOp, Func, Module, Op } from '../ir/types.js'
import { withoutDeadOps } from './dce.js'
import { inline } from './inline.js'
import { expandOps } from './legalize.js'
import { mapEntries, mapFunctions, openDraft } from './rewrite.js'
import { simplifyFunc } from './simplify.js'

/**
 * Pass 4: what belongs together by meaning becomes one op with its own VJP, before anything is differentiated.
 *
 *   %z = linear(%x, %w)                  %t = make_targets(%zt, %u, %v, %temp)
 *   %loss, %lse = cross_entropy_rows(%z, %t) {pairing: {kind: "swap", images: 64}, ...}
 *   %h = linear(%y, %w1, %b1)            %a = gelu(%h)
 * ->
 *   %loss, %lse = prototype_cross_entropy(%x, %w, %zt, %u, %v, %temp) {pairing: {kind: "swap", images: 64}, ...}
 *   %a, %h = linear(%y, %w1, %b1) {activation: "gelu"}
 *
 * With `fuse` off everything stays composed, and attention is written out as products and a softmax, group by group.
 */
export function fuseMeaning(module: Module, fuse: boolean): Module {
  if (!fuse)
    return mapEntries(
      expandOps(inline(module), (kind) => kind === 'attention'),
      (func) => withoutDeadOps(simplifyFunc(func)),
    )
  return mapFunctions(module, (func) => withoutDeadOps(fuseFunc(func)))
}

function fuseFunc(func: Func): Func {
  const gelus = activations(func)
  if (gelus.size === 0 && !func.ops.some((op) => op.kind === 'cross_entropy_rows')) return func
  const draft = openDraft(func)
  const fused = new Set<AnyOp>(gelus.values())
  for (const op of func.ops) {
    if (fused.has(op)) continue
    const gelu = gelus.get(op)
    if (op.kind === 'linear' && gelu !== undefined) {
      const results = [gelu.results[0]!, op.results[0]!]
      draft.emitAs('linear', op.operands, { activation: 'gelu' }, results, op)
      continue
    }
    if (op.kind === 'cross_entropy_rows') {
      const operands = prototypeOperands(op, draft.maker(op.operands[0]!), draft.maker(op.operands[1]!))
      if (operands !== null) {
        draft.emitAs('prototype_cross_entropy', operands, op.attrs, op.results, op)
        continue
      }
    }
    draft.keep(op)
  }
  return draft.close()
}

/** The first `gelu` of each product without an activation. */
function activations(func: Func): Map<AnyOp, AnyOp> {
  const products = new Map<number, AnyOp>()
  const found = new Map<AnyOp, AnyOp>()
  for (const op of func.ops) {
    if (op.kind === 'linear' && op.attrs.activation === 'none') products.set(op.results[0]!, op)
    if (op.kind !== 'gelu') continue
    const product = products.get(op.operands[0]!)
    if (product !== undefined && !found.has(product)) found.set(product, op)
  }
  return found
}

function prototypeOperands(
  loss: Op<'cross_entropy_rows'>,
  logits: AnyOp | undefined,
  targets: AnyOp | undefined,
): (number | null)[] | null {
  if (logits?.kind !== 'linear' || logits.attrs.activation !== 'none' || logits.operands[2] !== null)
    return null
  if (targets?.kind !== 'make_targets') return null
  return [logits.operands[0]!, logits.operands[1]!, ...targets.operands, ...loss.operands.slice(2)]
}
