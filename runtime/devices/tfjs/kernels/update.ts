import type { AdamW } from '../../../../compiler/ir/types.js'
import type { Call, Kernel, Tensor } from '../call.js'
import { anyRow } from '../math.js'

export const square_sum: Kernel<'square_sum'> = (call) => {
  const { tf } = call
  const squares = call.operandTypes.map((_, i) => tf.sum(tf.square(call.arg(i))))
  return [squares.length === 1 ? squares[0]! : tf.addN(squares)]
}

export const sqrt: Kernel<'sqrt'> = ({ tf, arg }) => [tf.sqrt(arg(0))]

export const norm: Kernel<'norm'> = (call) => {
  const [squares] = square_sum(call, {})
  return [call.tf.sqrt(squares!)]
}

export const finite: Kernel<'finite'> = (call) => {
  const { tf } = call
  const each = call.operandTypes.map((_, i) => tf.cast(tf.isFinite(call.arg(i)), 'float32'))
  return [each.reduce((a, b) => tf.mul(a, b))]
}

export const clip_factor: Kernel<'clip_factor'> = ({ tf, arg }, { max }) => [
  tf.minimum(1, tf.div(max, tf.add(arg(0), 1e-6))),
]

/** Operands p, g, m, v, lr, wd, step at 0..6. */
function adamwOf(call: Call, a: AdamW, clip: Tensor | null): [Tensor, Tensor, Tensor] {
  const { tf } = call
  const [p, m, v] = [call.arg(0), call.arg(2), call.arg(3)]
  const g = clip === null ? call.arg(1) : tf.mul(call.arg(1), clip)
  const lr = call.known(4) * a.lrMultiplier
  const wd = call.known(5) * a.wdMultiplier
  const step = call.known(6)
  const m1 = tf.add(tf.mul(m, a.beta1), tf.mul(g, 1 - a.beta1))
  const v1 = tf.add(tf.mul(v, a.beta2), tf.mul(tf.square(g), 1 - a.beta2))
  const root = tf.add(tf.mul(tf.sqrt(v1), 1 / Math.sqrt(1 - a.beta2 ** step)), a.eps)
  const move = tf.div(tf.mul(m1, lr / (1 - a.beta1 ** step)), root)
  return [tf.sub(tf.mul(p, 1 - lr * wd), move), m1, v1]
}

function emaOf(call: Call, target: Tensor, source: Tensor, momentum: number): Tensor {
  const { tf } = call
  return tf.add(tf.mul(target, momentum), tf.mul(source, 1 - momentum))
}

/** After a step that was not finite the state stays what it was. */
function unchanged(call: Call, indices: readonly number[]): Tensor[] {
  return indices.map((i) => call.tf.clone(call.arg(i)))
}

export const adamw: Kernel<'adamw'> = (call, a) =>
  call.known(8) === 1 ? adamwOf(call, a, call.maybe(7)) : unchanged(call, [0, 2, 3])

export const ema: Kernel<'ema'> = (call) =>
  call.known(3) === 1 ? [emaOf(call, call.arg(0), call.arg(1), call.known(2))] : unchanged(call, [0])

/** Operands p, g, m, v, t, lr, wd, step, momentum, clip, finite. */
export const adamw_ema: Kernel<'adamw_ema'> = (call, a) => {
  if (call.known(10) !== 1) return unchanged(call, [0, 2, 3, 4])
  const shifted: Call = {
    ...call,
    arg: (i) => call.arg(i),
    known: (i) => call.known(i + 1),
  }
  const [p, m, v] = adamwOf(shifted, a, call.maybe(9))
  return [p, m, v, emaOf(call, call.arg(4), p, call.known(8))]
}

export const update_center: Kernel<'update_center'> = (call, { momentum }) => {
  if (call.known(2) !== 1) return unchanged(call, [0])
  const { tf } = call
  const [center, mean, rows] = [call.arg(0), call.arg(1), call.maybe(3)]
  const moved = tf.mul(tf.sub(mean, center), 1 - momentum)
  return [tf.add(center, rows === null ? moved : tf.mul(moved, anyRow(tf, rows)))]
}

export const accumulate: Kernel<'accumulate'> = (call) =>
  call.known(2) === 1 ? [call.tf.clone(call.arg(1))] : [call.tf.add(call.arg(0), call.arg(1))]
