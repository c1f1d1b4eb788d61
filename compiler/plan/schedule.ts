import { tensorBytes } from '../ir/bytes.js'
import type { AnyOp, Func, ValueId } from '../ir/types.js'
import { indices } from './arena.js'

/**
 * An order of a function's ops with a small peak. The program order is the starting point: it already reads teacher,
 * student, losses, backward block by block, and two moves are tried on it:
 *
 *   late   an op whose results are larger than what it would keep alive goes right before its first reader
 *          (rebuilt norms and activations, targets, normalised weights)
 *   early  an op that frees more than it makes goes right after its last operand (weight gradients, which end the
 *          life of an activation)
 *
 * Each is kept only if the peak, counted without sharing buffers in place, gets no larger. Functions that replace
 * state stay as they are: there a later reader of the old value would read the new one.
 */
export function schedule(func: Func): Func {
  if (func.results.some((result) => result.sink.kind === 'state')) return func
  const bytes = Float64Array.from(func.values, (value) => tensorBytes(value.type))
  for (const param of func.params) if (param.source.kind !== 'input') bytes[param.value] = 0
  let ops = func.ops
  let peak = peakLiveBytes(func, ops, bytes)
  for (const move of [late, early, late]) {
    const moved = move(func, ops, bytes)
    const movedPeak = peakLiveBytes(func, moved, bytes)
    if (movedPeak > peak) continue
    ops = moved
    peak = movedPeak
  }
  return { ...func, ops }
}

/** The most bytes alive at one op, each op's operands and results together. */
export function peakLiveBytes(func: Func, ops: readonly AnyOp[], bytes: Float64Array): number {
  const last = lastReaders(func, ops)
  let live = 0
  let peak = 0
  for (const param of func.params) live += bytes[param.value]!
  ops.forEach((op, i) => {
    for (const id of op.results) live += bytes[id]!
    if (live > peak) peak = live
    for (const id of op.results) if (last[id] === -1) live -= bytes[id]!
    op.operands.forEach((id, at) => {
      if (id !== null && last[id] === i && op.operands.indexOf(id) === at) live -= bytes[id]!
    })
  })
  return peak
}

/** By value: the position of its last reader; `ops.length` for results of the function; -1 where nothing reads it. */
function lastReaders(func: Func, ops: readonly AnyOp[]): Int32Array {
  const last = new Int32Array(func.values.length).fill(-1)
  ops.forEach((op, i) => {
    for (const id of op.operands) if (id !== null) last[id] = i
  })
  for (const result of func.results) last[result.value] = ops.length
  return last
}

function late(func: Func, ops: readonly AnyOp[], bytes: Float64Array): AnyOp[] {
  const last = lastReaders(func, ops)
  const firstReader = new Int32Array(func.values.length).fill(ops.length)
  const key = indices(ops.length)
  for (let i = ops.length - 1; i >= 0; i--) {
    const op = ops[i]!
    let first = ops.length
    let made = 0
    for (const id of op.results) {
      made += bytes[id]!
      if (firstReader[id]! < first) first = firstReader[id]!
    }
    // Gathered ahead of time, on purpose (pass 10).
    if (op.kind !== 'all_gather' && first > i + 1 && first < ops.length) {
      let kept = 0
      for (const id of op.operands) if (id !== null && last[id]! < first) kept += bytes[id]!
      if (made > kept) key[i] = first
    }
    for (const id of op.operands) {
      if (id === null) continue
      if (key[i]! < firstReader[id]!) firstReader[id] = key[i]!
      if (key[i]! > last[id]!) last[id] = key[i]!
    }
  }
  return byKey(ops, key)
}

function early(func: Func, ops: readonly AnyOp[], bytes: Float64Array): AnyOp[] {
  const last = lastReaders(func, ops)
  const defined = new Int32Array(func.values.length).fill(-1)
  const key = indices(ops.length)
  ops.forEach((op, i) => {
    let after = -1
    let freed = 0
    let made = 0
    for (const id of new Set<ValueId | null>(op.operands)) {
      if (id === null) continue
      if (defined[id]! > after) after = defined[id]!
      if (last[id] === i) freed += bytes[id]!
    }
    for (const id of op.results) made += bytes[id]!
    if (after < i - 1 && freed > made) key[i] = after
    for (const id of op.results) defined[id] = key[i]!
  })
  return byKey(ops, key)
}

/** Ops that move to one place keep their order; a producer stands before its reader in the old order, so it does here. */
function byKey(ops: readonly AnyOp[], key: Int32Array): AnyOp[] {
  const order = indices(ops.length).sort((a, b) => key[a]! - key[b]! || a - b)
  return Array.from(order, (i) => ops[i]!)
}
