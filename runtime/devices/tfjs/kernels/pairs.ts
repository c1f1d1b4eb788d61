import type { CrossEntropy, Pairing } from '../../../../compiler/ir/types.js'
import { type Call, column, concatRows, rowMask, rowsOf, type Tensor, type Tf } from '../call.js'

export function row(tf: Tf, x: Tensor): Tensor {
  return tf.reshape(x, [1, x.size])
}

export function flat(tf: Tf, x: Tensor): Tensor {
  return tf.reshape(x, [x.size])
}

/** The number of real rows as a float tensor, at least 1, so that a mean over none is 0. */
export function rowCount(tf: Tf, n: number, rows: Tensor | null): Tensor {
  return rows === null ? tf.scalar(n) : tf.maximum(tf.cast(rows, 'float32'), 1)
}

export function targets(tf: Tf, z: Tensor, u: Tensor, v: Tensor, temp: Tensor): Tensor {
  return tf.exp(tf.add(tf.add(tf.div(z, temp), column(tf, u)), row(tf, v)))
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

export interface Pairs {
  /** Student logits over the temperature. */
  readonly x: Tensor
  /** Targets of each teacher row, and their sums for each student row. */
  readonly targets: Tensor
  readonly t: Tensor
  /** Sum of the target of each row: the number of its teachers, but for rounding. */
  readonly mass: Tensor
  readonly weight: Tensor | null
}

export function pairsOf(
  call: Call,
  logits: Tensor,
  t: Tensor,
  weights: Tensor | null,
  rows: Tensor | null,
  { studentTemp, pairing }: CrossEntropy,
): Pairs {
  const { tf } = call
  const students = logits.shape[0]!
  const summed = paired(tf, t, students, pairing)
  const mask = rowMask(call, students, rows)
  const own = weights === null ? null : column(tf, weights)
  const weight = mask === null ? own : own === null ? mask : tf.mul(own, mask)
  return { x: tf.div(logits, studentTemp), targets: t, t: summed, mass: tf.sum(summed, 1, true), weight }
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

export function slopeOf(
  call: Call,
  pairs: Pairs,
  lse: Tensor,
  dloss: Tensor,
  { scale, studentTemp }: CrossEntropy,
): Tensor {
  const { tf } = call
  const p = tf.exp(tf.sub(pairs.x, column(tf, lse)))
  const slope = tf.mul(tf.sub(tf.mul(p, pairs.mass), pairs.t), tf.mul(dloss, scale / studentTemp))
  return pairs.weight === null ? slope : tf.mul(slope, pairs.weight)
}

/** Results of a cross-entropy: loss, lse (`shifted`: less the logarithm of the mass), and statistics. */
export function compared(
  call: Call,
  pairs: Pairs,
  rows: Tensor | null,
  a: CrossEntropy,
  shifted: boolean,
): Tensor[] {
  const { tf } = call
  const lse = tf.logSumExp(pairs.x, 1, true)
  const loss = lossOf(call, pairs, lse, a.scale)
  const kept = shifted ? tf.sub(lse, tf.log(pairs.mass)) : lse
  const mask = rowMask(call, lse.shape[0]!, rows)
  const results = [loss, flat(tf, mask === null ? kept : tf.mul(kept, mask))]
  return a.stats ? [...results, ...statsOf(call, pairs.targets, rows)] : results
}
