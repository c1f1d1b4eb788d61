import { column, concatRows, type Kernel, product, rowMask, rowsOf, type Tensor, type Tf } from '../call.js'
import { anyRow, l2NormalizeGrad } from '../math.js'
import { compared, flat, pairsOf, row, rowCount, slopeOf, targets } from './pairs.js'

export const sinkhorn: Kernel<'sinkhorn'> = (call, { iterations }) => {
  const { tf } = call
  const [z, temp, rows] = [call.arg(0), call.arg(1), call.maybe(2)]
  const [n, prototypes] = z.shape as [number, number]
  const logits = tf.div(z, temp)
  const mask = rowMask(call, n, rows)
  const real = mask === null ? null : tf.mul(tf.sub(mask, 1), 1e30)
  const count = rowCount(tf, n, rows)
  let u: Tensor = tf.zeros([n, 1])
  let v: Tensor = tf.zeros([1, prototypes])
  for (let i = 0; i < iterations; i++) {
    const shifted = tf.add(logits, u)
    const seen = real === null ? shifted : tf.add(shifted, real)
    v = tf.sub(tf.neg(tf.logSumExp(seen, 0, true)), Math.log(prototypes))
    u = tf.sub(tf.neg(tf.logSumExp(tf.add(logits, v), 1, true)), tf.log(count))
  }
  if (iterations === 0) {
    const seen = real === null ? logits : tf.add(logits, real)
    u = tf.sub(u, tf.logSumExp(seen))
  }
  u = tf.add(u, tf.log(count))
  if (mask !== null && rows !== null) {
    u = tf.mul(u, mask)
    v = tf.mul(v, anyRow(tf, rows))
  }
  return [flat(tf, u), flat(tf, v)]
}

export const sinkhorn_columns: Kernel<'sinkhorn_columns'> = (call) => {
  const { tf } = call
  const [z, u, temp, rows] = [call.arg(0), call.maybe(1), call.arg(2), call.maybe(3)]
  const logits = tf.div(z, temp)
  const shifted = u === null ? logits : tf.add(logits, column(tf, u))
  const mask = rowMask(call, z.shape[0]!, rows)
  return [tf.logSumExp(mask === null ? shifted : tf.add(shifted, tf.mul(tf.sub(mask, 1), 1e30)), 0)]
}

export const sinkhorn_rows: Kernel<'sinkhorn_rows'> = (call) => {
  const { tf } = call
  const [z, v, temp, rows] = [call.arg(0), call.arg(1), call.arg(2), call.maybe(3)]
  const u = tf.neg(tf.logSumExp(tf.add(tf.div(z, temp), row(tf, v)), 1))
  const mask = rowMask(call, z.shape[0]!, rows)
  return [mask === null ? u : tf.mul(u, flat(tf, mask))]
}

export const sharpen_center: Kernel<'sharpen_center'> = ({ tf, arg }) => {
  const [z, center, temp] = [arg(0), arg(1), arg(2)]
  const v = tf.neg(tf.div(center, temp))
  const u = tf.neg(tf.logSumExp(tf.add(tf.div(z, temp), row(tf, v)), 1))
  return [u, v]
}

export const make_targets: Kernel<'make_targets'> = ({ tf, arg }) => [
  targets(tf, arg(0), arg(1), arg(2), arg(3)),
]

export const mean_rows: Kernel<'mean_rows'> = (call) => {
  const { tf } = call
  const z = call.arg(0)
  const [rows, empty] = [call.maybe(1), call.maybe(2)]
  const mask = rowMask(call, z.shape[0]!, rows)
  const mean = tf.div(tf.sum(mask === null ? z : tf.mul(z, mask), 0), rowCount(tf, z.shape[0]!, rows))
  if (rows === null || empty === null) return [mean]
  return [tf.add(mean, tf.mul(empty, tf.sub(1, anyRow(tf, rows))))]
}

export const cross_entropy_rows: Kernel<'cross_entropy_rows'> = (call, a) => {
  const pairs = pairsOf(call, call.arg(0), call.arg(1), call.maybe(2), call.maybe(3), a)
  return compared(call, pairs, call.maybe(3), a, false)
}

export const cross_entropy_rows_grad: Kernel<'cross_entropy_rows_grad'> = (call, a) => {
  const pairs = pairsOf(call, call.arg(1), call.arg(2), call.maybe(4), call.maybe(5), a)
  return [slopeOf(call, pairs, call.arg(3), call.arg(0), a)]
}

export const prototype_cross_entropy: Kernel<'prototype_cross_entropy'> = (call, a) => {
  const logits = product(call, call.arg(0), call.arg(1), false, true)
  const t = targets(call.tf, call.arg(2), call.arg(3), call.arg(4), call.arg(5))
  const pairs = pairsOf(call, logits, t, call.maybe(6), call.maybe(7), a)
  return compared(call, pairs, call.maybe(7), a, false)
}

export const prototype_cross_entropy_grad: Kernel<'prototype_cross_entropy_grad'> = (call, a) => {
  const [x, w] = [call.arg(1), call.arg(2)]
  const logits = product(call, x, w, false, true)
  const t = targets(call.tf, call.arg(3), call.arg(4), call.arg(5), call.arg(6))
  const pairs = pairsOf(call, logits, t, call.maybe(8), call.maybe(9), a)
  const dlogits = slopeOf(call, pairs, call.arg(7), call.arg(0), a)
  return [product(call, dlogits, w), product(call, dlogits, x, true)]
}

/** 1 at (i, neighbour of i): [S, S]. */
function selection(tf: Tf, neighbour: Tensor, set: number): Tensor {
  return tf.cast(tf.oneHot(neighbour as Parameters<typeof tf.oneHot>[0], set), 'float32')
}

export const koleo: Kernel<'koleo'> = (call, { set, eps, scale }) => {
  const { tf } = call
  const x = call.arg(0)
  const n = x.shape[0]!
  const unit = tf.div(x, tf.maximum(tf.sqrt(tf.sum(tf.square(x), 1, true)), eps))
  const diagonal = call.constant(`eye:${set}`, () => tf.eye(set))
  const losses: Tensor[] = []
  const neighbours: Tensor[] = []
  for (let from = 0; from < n; from += set) {
    const rows = rowsOf(tf, unit, from, set)
    const dots = tf.sub(tf.mul(product(call, rows, rows, false, true), tf.sub(1, diagonal)), diagonal)
    const nearest = tf.argMax(dots, 1)
    const gap = tf.add(tf.sub(rows, tf.gather(rows, tf.cast(nearest, 'int32'), 0)), eps)
    const distance = tf.sqrt(tf.sum(tf.square(gap), 1))
    losses.push(tf.sum(tf.log(tf.add(distance, eps))))
    neighbours.push(tf.add(tf.cast(nearest, 'int32'), tf.scalar(from, 'int32')))
  }
  return [tf.mul(tf.addN(losses), -scale), concatRows(tf, neighbours)]
}

export const koleo_grad: Kernel<'koleo_grad'> = (call, { set, eps, scale }) => {
  const { tf } = call
  const [dloss, x, neighbour] = [call.arg(0), call.arg(1), call.arg(2)]
  const unit = tf.div(x, tf.maximum(tf.sqrt(tf.sum(tf.square(x), 1, true)), eps))
  const parts: Tensor[] = []
  for (let from = 0; from < x.shape[0]!; from += set) {
    const rows = rowsOf(tf, unit, from, set)
    const local = tf.sub(tf.cast(rowsOf(tf, neighbour, from, set), 'int32'), tf.scalar(from, 'int32'))
    const gap = tf.add(tf.sub(rows, tf.gather(rows, local, 0)), eps)
    const distance = tf.sqrt(tf.sum(tf.square(gap), 1, true))
    const pull = tf.mul(tf.div(gap, tf.mul(distance, tf.add(distance, eps))), tf.mul(dloss, -scale))
    parts.push(tf.sub(pull, product(call, selection(tf, local, set), pull, true)))
  }
  return [l2NormalizeGrad(tf, concatRows(tf, parts), x, eps)]
}

export const weighted_sum: Kernel<'weighted_sum'> = ({ tf, arg }, { coefficients }) => [
  tf.addN(coefficients.map((c, i) => tf.mul(arg(i), c))),
]
