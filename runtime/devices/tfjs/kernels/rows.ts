import type { Group } from '../../../../compiler/ir/types.js'
import {
  type Call,
  column,
  concatRows,
  type Kernel,
  placed,
  rowMask,
  rowsOf,
  sumRows,
  type Tensor,
  type Tf,
} from '../call.js'

export const concat_rows: Kernel<'concat_rows'> = (call) => [
  concatRows(
    call.tf,
    call.operandTypes.map((_, i) => call.arg(i)),
  ),
]

export const slice_rows: Kernel<'slice_rows'> = ({ tf, arg }, { start, count }) => [
  rowsOf(tf, arg(0), start, count),
]

function placeRows(tf: Tf, x: Tensor, start: number, total: number): Tensor {
  const rest = x.shape.slice(1)
  const zeros = (n: number) => tf.zeros([n, ...rest])
  return concatRows(tf, [zeros(start), x, zeros(total - start - x.shape[0]!)])
}

export const place_rows: Kernel<'place_rows'> = ({ tf, arg }, { start, total }) => [
  placeRows(tf, arg(0), start, total),
]

export const select_tokens: Kernel<'select_tokens'> = (call, { group, start, tokens }) => {
  const { tf } = call
  const x = call.arg(0)
  const d = x.shape[1]!
  const g = placed(call.operandTypes[0]!.segments!).find((other) => other.name === group)!
  const sequences = tf.reshape(rowsOf(tf, x, g.firstRow, g.count * g.length), [g.count, g.length, d])
  return [tf.reshape(tf.slice(sequences, [0, start, 0], [g.count, tokens, d]), [g.count * tokens, d])]
}

export const place_tokens: Kernel<'place_tokens'> = ({ tf, arg }, { group, start, tokens, segments }) => {
  const d = arg(0).shape[1]!
  const parts = segments.map((g) => {
    if (g.name !== group) return tf.zeros([g.count * g.length, d])
    const dy = tf.reshape(arg(0), [g.count, tokens, d])
    const pad = (n: number) => (n > 0 ? [tf.zeros([g.count, n, d])] : [])
    const whole = tf.concat([...pad(start), dy, ...pad(g.length - start - tokens)], 1)
    return tf.reshape(whole, [g.count * g.length, d])
  })
  return [concatRows(tf, parts)]
}

export const gather_rows: Kernel<'gather_rows'> = (call) => {
  const { tf } = call
  const mask = rowMask(call, call.arg(1).size, call.maybe(2))
  const index =
    mask === null ? call.arg(1) : tf.mul(call.arg(1), tf.cast(tf.reshape(mask, [mask.size]), 'int32'))
  const found = tf.gather(call.arg(0), index, 0)
  return [mask === null ? found : tf.mul(found, mask)]
}

export const scatter_add_rows: Kernel<'scatter_add_rows'> = (call, { total }) => {
  const { tf } = call
  const y = call.arg(0)
  const mask = rowMask(call, y.shape[0]!, call.maybe(2))
  const updates = mask === null ? y : tf.mul(y, mask)
  const index =
    mask === null ? call.arg(1) : tf.mul(call.arg(1), tf.cast(tf.reshape(mask, [mask.size]), 'int32'))
  return [tf.scatterND(column(tf, index), updates, [total, y.shape[1]!])]
}

/** The part of `kept` that belongs to a group, counted from the group's first sequence. */
function keptOf(tf: Tf, kept: Tensor, from: number, count: number, firstSequence: number): Tensor {
  return tf.sub(rowsOf(tf, kept, from, count), tf.scalar(firstSequence, 'int32'))
}

export const gather_segments: Kernel<'gather_segments'> = (call, { kept }) => {
  const { tf } = call
  const [x, which] = [call.arg(0), call.arg(1)]
  const d = x.shape[1]!
  let from = 0
  const parts = placed(call.operandTypes[0]!.segments!).map((g, i) => {
    const count = kept[i]!
    const sequences = tf.reshape(rowsOf(tf, x, g.firstRow, g.count * g.length), [g.count, g.length * d])
    const found = tf.gather(sequences, keptOf(tf, which, from, count, g.firstSequence), 0)
    from += count
    return tf.reshape(found, [count * g.length, d])
  })
  return [concatRows(tf, parts)]
}

function scatterSegments(
  tf: Tf,
  y: Tensor,
  kept: Tensor,
  full: readonly Group[],
  counts: readonly number[],
  scales: readonly number[],
): Tensor {
  const d = y.shape[1]!
  let sequence = 0
  let row = 0
  const parts = placed(full).map((g, i) => {
    const count = counts[i]!
    const rows = tf.reshape(rowsOf(tf, y, row, count * g.length), [count, g.length * d])
    const at = column(tf, keptOf(tf, kept, sequence, count, g.firstSequence))
    const spread = tf.scatterND(at, tf.mul(rows, scales[i]!), [g.count, g.length * d])
    sequence += count
    row += count * g.length
    return tf.reshape(spread, [g.count * g.length, d])
  })
  return concatRows(tf, parts)
}

export const scatter_segments: Kernel<'scatter_segments'> = (call, { segments, scales }) => {
  const counts = call.operandTypes[0]!.segments!.map((g) => g.count)
  return [scatterSegments(call.tf, call.arg(0), call.arg(1), segments, counts, scales)]
}

/** [sequences] -> [T, 1] */
function perRow(tf: Tf, factors: Tensor, groups: readonly Group[]): Tensor {
  const parts = placed(groups).map((g) => {
    const own = column(tf, rowsOf(tf, factors, g.firstSequence, g.count))
    return tf.reshape(tf.tile(own, [1, g.length]), [g.count * g.length, 1])
  })
  return concatRows(tf, parts)
}

export const residual_add: Kernel<'residual_add'> = (call, { scales }) => {
  const { tf } = call
  const [x, branch] = [call.arg(0), call.arg(1)]
  const [gamma, kept, factors] = [call.maybe(2), call.maybe(3), call.maybe(4)]
  const segments = call.operandTypes[0]!.segments
  let scaled = gamma === null ? branch : tf.mul(branch, gamma)
  if (kept !== null) {
    const counts = call.operandTypes[1]!.segments!.map((g) => g.count)
    scaled = scatterSegments(tf, scaled, kept, segments!, counts, scales ?? counts.map(() => 1))
  }
  if (factors !== null) scaled = tf.mul(scaled, perRow(tf, factors, segments!))
  return [tf.add(x, scaled)]
}

export const residual_add_grad: Kernel<'residual_add_grad'> = (call, { scales, segments }) => {
  const { tf } = call
  const [dy, branch, gamma] = [call.arg(0), call.maybe(1), call.maybe(2)]
  const [kept, factors] = [call.maybe(3), call.maybe(4)]
  const full = call.operandTypes[0]!.segments
  let g = dy
  if (kept !== null) g = gathered(call, dy, kept, full!, segments!, scales)
  if (factors !== null) g = tf.mul(g, perRow(tf, factors, full!))
  if (gamma === null) return [tf.clone(g)]
  return [tf.mul(g, gamma), sumRows(call, tf.mul(g, branch!))]
}

function gathered(
  call: Call,
  dy: Tensor,
  kept: Tensor,
  full: readonly Group[],
  segments: readonly Group[],
  scales: readonly number[] | null,
): Tensor {
  const { tf } = call
  const d = dy.shape[1]!
  let from = 0
  const parts = placed(full).map((g, i) => {
    const count = segments[i]!.count
    const sequences = tf.reshape(rowsOf(tf, dy, g.firstRow, g.count * g.length), [g.count, g.length * d])
    const found = tf.gather(sequences, keptOf(tf, kept, from, count, g.firstSequence), 0)
    from += count
    return tf.mul(tf.reshape(found, [count * g.length, d]), scales === null ? 1 : scales[i]!)
  })
  return concatRows(tf, parts)
}
