import { bf16Uses, multipliesBf16, takesBf16 } from '../ir/precision.js'
import type { AnyOp, Func, Module, OpAttrs, OpKind, ValueId } from '../ir/types.js'
import { definitions, makeOp, mapEntries, openDraft } from './rewrite.js'

/**
 * Pass 8, `bf16`: products multiply bf16 and add up float32. An activation that only products and ops which widen it
 * read is stored in bf16 by the op that makes it; what is left of their operands, weights above all, is cast, once.
 *
 *   %y, %mean, %rstd = layer_norm(%x, %norm_weight, %norm_bias) {eps: 0.000001}
 *   %h, %pre = linear(%y, %fc1_weight, %fc1_bias) {activation: "gelu"}
 * ->
 *   %y, %mean, %rstd = layer_norm(%x, %norm_weight, %norm_bias) {eps: 0.000001, storage: "bf16"}       %y: bf16
 *   %w = cast(%fc1_weight) {to: "bf16"}
 *   %h, %pre = linear(%y, %w, %fc1_bias) {activation: "gelu", storage: "bf16"}                         both bf16
 *
 * Which ops read and write bf16 is the table of ir/precision.ts; decision 31 says why. State, gradients of parameters,
 * the residual stream, statistics and losses stay float32: no op reads them as bf16.
 */
export function mixedPrecision(module: Module, precision: 'float32' | 'bf16'): Module {
  return precision === 'float32' ? module : mapEntries(module, lowerPrecision)
}

function lowerPrecision(func: Func): Func {
  const half = storedInBf16(func)
  const draft = openDraft({
    ...func,
    values: func.values.map((value) =>
      half[value.id] === 1 ? { ...value, type: { ...value.type, dtype: 'bf16' as const } } : value,
    ),
  })
  const casts = new Map<ValueId, ValueId>()
  const cast = (id: ValueId, at: AnyOp): ValueId => {
    const known = casts.get(id)
    if (known !== undefined) return known
    const copy = draft.emit('cast', [id], { to: 'bf16' }, at)[0]!
    casts.set(id, copy)
    return copy
  }
  for (const op of func.ops) {
    const operands = op.operands.map((id, i) =>
      id !== null && half[id] === 0 && multipliesBf16(op.kind, i) ? cast(id, op) : id,
    )
    const stored = writes(op).some((id) => half[id] === 1)
    const attrs = stored ? ({ ...op.attrs, storage: 'bf16' } as OpAttrs[OpKind]) : op.attrs
    const same = !stored && operands.every((id, i) => id === op.operands[i])
    draft.keep(same ? op : makeOp(op.kind, operands, op.results, attrs as OpAttrs[OpKind], op))
  }
  return draft.close()
}

const writes = (op: AnyOp): readonly ValueId[] =>
  bf16Uses[op.kind]?.writes?.flatMap((i) => op.results[i] ?? []) ?? []

/** By value, 1: its maker can write bf16, and everything that reads it takes it. All such results of an op go together. */
function storedInBf16(func: Func): Uint8Array {
  const makers = definitions(func)
  const half = new Uint8Array(func.values.length)
  for (const op of func.ops) for (const id of writes(op)) half[id] = 1
  const keepFloat = (id: ValueId) => {
    const maker = makers[id]
    // Statistics beside an activation are float32 in any case.
    if (maker === undefined || !writes(maker).includes(id)) return
    for (const together of writes(maker)) half[together] = 0
  }
  for (const op of func.ops)
    op.operands.forEach((id, i) => {
      if (id !== null && !takesBf16(op.kind, i)) keepFloat(id)
    })
  for (const { value } of func.results) keepFloat(value)
  return half
}
