import type { Pairing } from '../../../../compiler/ir/types.js'
import {
  type Call,
  column,
  concatRows,
  type Kernel,
  product,
  rowMask,
  rowsOf,
  type Tensor,
  type Tf,
} from '../call.js'
import { anyRow, l2NormalizeGrad } from '../math.js'

function row(tf: Tf, x: Tensor): Tensor {
  return tf.reshape(x, [1, x.size])
}

function flat(tf: Tf, x: Tensor): Tensor {
  return tf.reshape(x, [x.size])
}

/** The number of real rows as a float tensor, at least 1, so that a mean over none is 0. */
function rowCount(tf: Tf, n: number, rows: Tensor | null): Tensor {
  return rows === null ? tf.scalar(n) : tf.maximum(tf.cast(rows, 'float32'), 1)
}

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

function targets(tf: Tf, z: Tensor, u: Tensor, v: Tensor, temp: Tensor): Tensor {
  return tf.exp(tf.add(tf.add(tf.div(z, temp), column(tf, u)), row(tf, v)))
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

/** For each of S student rows, the sum of its teachers' targets; and how many teachers it has. */
function paired(tf: Tf, t: Tensor, students: number, pairing: Pairing): Tensor {
  switch (pairing.kind) {
    case 'same':
      return t
    case 'swap':
      return concatRows(tf, [rowsOf(tf, t, pairing.images, pairing.images), rowsOf(tf, t, 0, pairing.images)])
    case 'each': {
      const { images, crops } = pairing
      const summed = tf.sum(tf.reshape(t, [crops, images, t.shape[1]!]), 0)
      return tf.tile(summed, [students / images, 1])
    }
    default:
      return pairing satisfies never
  }
}

interface Pairs {
  /** Student logits over the temperature. */
  readonly x: Tensor
  readonly t: Tensor
  /** Sum of the target of each row: the number of its teachers, but for rounding. */
  readonly mass: Tensor
  readonly weight: Tensor | null
}

function pairsOf(
  call: Call,
  logits: Tensor,
  t: Tensor,
  weights: Tensor | null,
  rows: Tensor | null,
  studentTemp: number,
  pairing: Pairing,
): Pairs {
  const { tf } = call
  const students = logits.shape[0]!
  const summed = paired(tf, t, students, pairing)
  const mask = rowMask(call, students, rows)
  const own = weights === null ? null : column(tf, weights)
  const weight = mask === null ? own : own === null ? mask : tf.mul(own, mask)
  return { x: tf.div(logits, studentTemp), t: summed, mass: tf.sum(summed, 1, true), weight }
}

function lossOf(call: Call, pairs: Pairs, lse: Tensor, scale: number): Tensor {
  const { tf } = call
  const each = tf.sub(tf.mul(lse, pairs.mass), tf.sum(tf.mul(pairs.t, pairs.x), 1, true))
  return tf.mul(tf.sum(pairs.weight === null ? each : tf.mul(each, pairs.weight)), scale)
}

/** Mean entropy and mean target over the real teacher rows; 0 log 0 is 0. */
function statsOf(call: Call, t: Tensor, rows: Tensor | null): [Tensor, Tensor] {
  const { tf } = call
  const mask = rowMask(call, t.shape[0]!, rows)
  const count = rowCount(tf, t.shape[0]!, rows)
  const seen = mask === null ? t : tf.mul(t, mask)
  const entropy = tf.neg(tf.div(tf.sum(tf.mul(seen, tf.log(tf.maximum(t, 1e-38)))), count))
  return [entropy, tf.div(tf.sum(seen, 0), count)]
}

function slopeOf(
  call: Call,
  pairs: Pairs,
  lse: Tensor,
  dloss: Tensor,
  scale: number,
  studentTemp: number,
): Tensor {
  const { tf } = call
  const p = tf.exp(tf.sub(pairs.x, column(tf, lse)))
  const slope = tf.mul(tf.sub(tf.mul(p, pairs.mass), pairs.t), tf.mul(dloss, scale / studentTemp))
  return pairs.weight === null ? slope : tf.mul(slope, pairs.weight)
}

export const cross_entropy_rows: Kernel<'cross_entropy_rows'> = (call, a) => {
  const { tf } = call
  const [logits, t, weights, rows] = [call.arg(0), call.arg(1), call.maybe(2), call.maybe(3)]
  const pairs = pairsOf(call, logits, t, weights, rows, a.studentTemp, a.pairing)
  const lse = tf.logSumExp(pairs.x, 1, true)
  const mask = rowMask(call, lse.shape[0]!, rows)
  const results = [lossOf(call, pairs, lse, a.scale), flat(tf, mask === null ? lse : tf.mul(lse, mask))]
  return a.stats ? [...results, ...statsOf(call, t, rows)] : results
}

export const cross_entropy_rows_grad: Kernel<'cross_entropy_rows_grad'> = (call, a) => {
  const pairs = pairsOf(
    call,
    call.arg(1),
    call.arg(2),
    call.maybe(4),
    call.maybe(5),
    a.studentTemp,
    a.pairing,
  )
  return [slopeOf(call, pairs, call.arg(3), call.arg(0), a.scale, a.studentTemp)]
}

export const prototype_cross_entropy: Kernel<'prototype_cross_entropy'> = (call, a) => {
  const { tf } = call
  const logits = product(call, call.arg(0), call.arg(1), false, true)
  const t = targets(tf, call.arg(2), call.arg(3), call.arg(4), call.arg(5))
  const rows = call.maybe(7)
  const pairs = pairsOf(call, logits, t, call.maybe(6), rows, a.studentTemp, a.pairing)
  const lse = tf.logSumExp(pairs.x, 1, true)
  const mask = rowMask(call, lse.shape[0]!, rows)
  const results = [lossOf(call, pairs, lse, a.scale), flat(tf, mask === null ? lse : tf.mul(lse, mask))]
  return a.stats ? [...results, ...statsOf(call, t, rows)] : results
}

export const prototype_cross_entropy_grad: Kernel<'prototype_cross_entropy_grad'> = (call, a) => {
  const { tf } = call
  const [x, w] = [call.arg(1), call.arg(2)]
  const logits = product(call, x, w, false, true)
  const t = targets(tf, call.arg(3), call.arg(4), call.arg(5), call.arg(6))
  const pairs = pairsOf(call, logits, t, call.maybe(8), call.maybe(9), a.studentTemp, a.pairing)
  const dlogits = slopeOf(call, pairs, call.arg(7), call.arg(0), a.scale, a.studentTemp)
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
