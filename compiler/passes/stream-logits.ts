import { dtypeBytes, tensorBytes } from '../ir/bytes.js'
import type { AnyOp, Func, Module, Op, TensorType, ValueId } from '../ir/types.js'
import { type Draft, mapEntries, openDraft } from './rewrite.js'

/**
 * Pass 4 as well, after fusing and before anything is differentiated: teacher logits that take much memory are never
 * stored. Every reader multiplies features and prototypes again, a range of prototypes at a time.
 *
 *   %z = linear(%x, %w)                                  f32[4096, 131072]: 2 GiB
 *   %u, %v = sinkhorn(%z, %temp) {iterations: 3}
 *   %loss, %lse = prototype_cross_entropy(%xs, %ws, %z, %u, %v, %temp) {...}
 * ->
 *   %u, %v = streamed_sinkhorn(%x, %w, %temp) {iterations: 3}
 *   %loss, %shift = streamed_cross_entropy(%xs, %ws, %x, %w, %u, %v, %temp) {...}
 *
 * Every sweep over the prototypes repeats the product, so this costs time: decision 35 says what is gained and from where
 * on. `large`: logits of 65,536 prototypes or more, unless they are small beside the prototypes themselves.
 */
export type Streaming = 'never' | 'large' | 'always'

export function streamLogits(module: Module, streaming: Streaming): Module {
  return streaming === 'never' ? module : mapEntries(module, (func) => streamFunc(func, streaming))
}

/** Bytes of a row of logits from which on they are large: as much as a token of a small network keeps for backward. */
const largeRow = 65_536 * dtypeBytes.f32

/** z [R, K] of prototypes w [K, b]. A few rows are not worth reading w again in every sweep. */
function isLarge(z: TensorType, w: TensorType): boolean {
  return tensorBytes(z) >= largeRow * (z.shape[0] ?? 0) && tensorBytes(z) > tensorBytes(w) / 4
}

function streamFunc(func: Func, streaming: Streaming): Func {
  const logits = streamable(func, streaming)
  if (logits.size === 0) return func
  const draft = openDraft(func)
  for (const op of func.ops) {
    if (logits.has(op.results[0] as ValueId)) continue
    const product = productOf(op, logits)
    if (product === undefined) draft.keep(op)
    else stream(draft, op, product.operands[0] as ValueId, product.operands[1] as ValueId)
  }
  return draft.close()
}

/** By value: products that are large and that only ops with a streamed form read. */
function streamable(func: Func, streaming: Streaming): Map<ValueId, Op<'linear'>> {
  const found = new Map<ValueId, Op<'linear'>>()
  for (const op of func.ops) {
    if (op.kind !== 'linear' || op.attrs.activation !== 'none' || op.operands[2] !== null) continue
    const z = op.results[0] as ValueId
    const [{ type }, prototypes] = [func.values[z]!, func.values[op.operands[1] as ValueId]!]
    if (streaming === 'always' || isLarge(type, prototypes.type)) found.set(z, op)
  }
  const streamed = new Set<ValueId>()
  for (const op of func.ops) {
    const product = productOf(op, found)
    op.operands.forEach((id, i) => {
      if (id === null) return
      if (product !== undefined && i === logitsOperand(op)) streamed.add(id)
      else found.delete(id)
    })
  }
  for (const { value } of func.results) found.delete(value)
  for (const z of found.keys()) if (!streamed.has(z)) found.delete(z)
  return found
}

/** Which operand of an op with a streamed form is the teacher's logits. */
function logitsOperand(op: AnyOp): number | null {
  switch (op.kind) {
    case 'sinkhorn':
    case 'sharpen_center':
    case 'mean_rows':
      return 0
    case 'prototype_cross_entropy':
      return 2
    default:
      return null
  }
}

/** The product whose logits the op reads as the teacher's. */
function productOf(op: AnyOp, logits: ReadonlyMap<ValueId, Op<'linear'>>): Op<'linear'> | undefined {
  const i = logitsOperand(op)
  const id = i === null ? null : op.operands[i]
  return id === null || id === undefined ? undefined : logits.get(id)
}

function stream(draft: Draft, op: AnyOp, x: ValueId, w: ValueId): void {
  const rest = op.operands.slice(1)
  switch (op.kind) {
    case 'sinkhorn':
      draft.emitAs('streamed_sinkhorn', [x, w, ...rest], op.attrs, op.results, op)
      break
    case 'sharpen_center':
      draft.emitAs('streamed_sharpen_center', [x, w, ...rest], op.attrs, op.results, op)
      break
    case 'mean_rows':
      draft.emitAs('streamed_mean_rows', [x, w, ...rest], op.attrs, op.results, op)
      break
    case 'prototype_cross_entropy': {
      const operands = [...op.operands.slice(0, 2), x, w, ...op.operands.slice(3)]
      draft.emitAs('streamed_cross_entropy', operands, op.attrs, op.results, op)
      break
    }
    default:
      throw new Error(`${op.kind} has no streamed form`)
  }
}
