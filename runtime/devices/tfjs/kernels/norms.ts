import { column, columnsOf, type Kernel, sumRows, type Tensor, type Tf } from '../call.js'
import { geluOf, geluSlope, l2NormalizeGrad } from '../math.js'

export const layer_norm: Kernel<'layer_norm'> = ({ tf, arg }, { eps }) => {
  const [x, w, b] = [arg(0), arg(1), arg(2)]
  const mean = tf.mean(x, 1, true)
  const centred = tf.sub(x, mean)
  const rstd = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), eps))
  const y = tf.add(tf.mul(tf.mul(centred, rstd), w), b)
  return [y, tf.reshape(mean, [mean.size]), tf.reshape(rstd, [rstd.size])]
}

function normalised(tf: Tf, x: Tensor, mean: Tensor, rstd: Tensor): Tensor {
  return tf.mul(tf.sub(x, column(tf, mean)), column(tf, rstd))
}

export const layer_norm_rebuild: Kernel<'layer_norm_rebuild'> = ({ tf, arg }) => [
  tf.add(tf.mul(normalised(tf, arg(0), arg(1), arg(2)), arg(3)), arg(4)),
]

export const layer_norm_grad: Kernel<'layer_norm_grad'> = (call) => {
  const { tf, arg } = call
  const [dy, x, mean, rstd, w] = [arg(0), arg(1), arg(2), arg(3), arg(4)]
  const hat = normalised(tf, x, mean, rstd)
  const dhat = tf.mul(dy, w)
  const average = tf.mean(dhat, 1, true)
  const along = tf.mul(hat, tf.mean(tf.mul(dhat, hat), 1, true))
  const dx = tf.mul(tf.sub(tf.sub(dhat, average), along), column(tf, rstd))
  return [dx, sumRows(call, tf.mul(dy, hat)), sumRows(call, dy)]
}

export const gelu: Kernel<'gelu'> = ({ tf, arg }) => [geluOf(tf, arg(0))]

export const gelu_grad: Kernel<'gelu_grad'> = ({ tf, arg }) => [tf.mul(arg(0), geluSlope(tf, arg(1)))]

export const silu_gate: Kernel<'silu_gate'> = ({ tf, arg }) => {
  const hidden = arg(0).shape[1]! / 2
  const [a, b] = [columnsOf(tf, arg(0), 0, hidden), columnsOf(tf, arg(0), hidden, hidden)]
  return [tf.mul(tf.mul(a, tf.sigmoid(a)), b)]
}

export const silu_gate_grad: Kernel<'silu_gate_grad'> = ({ tf, arg }) => {
  const [dy, x] = [arg(0), arg(1)]
  const hidden = dy.shape[1]!
  const [a, b] = [columnsOf(tf, x, 0, hidden), columnsOf(tf, x, hidden, hidden)]
  const s = tf.sigmoid(a)
  const slope = tf.mul(s, tf.add(1, tf.mul(a, tf.sub(1, s))))
  return [tf.concat([tf.mul(tf.mul(dy, b), slope), tf.mul(dy, tf.mul(a, s))], 1)]
}

export const layer_scale: Kernel<'layer_scale'> = ({ tf, arg }) => [tf.mul(arg(0), arg(1))]

export const layer_scale_grad: Kernel<'layer_scale_grad'> = (call) => [
  call.tf.mul(call.arg(0), call.arg(2)),
  sumRows(call, call.tf.mul(call.arg(0), call.arg(1))),
]

export const l2_normalize: Kernel<'l2_normalize'> = ({ tf, arg }, { eps }) => [
  tf.div(arg(0), tf.maximum(tf.sqrt(tf.sum(tf.square(arg(0)), 1, true)), eps)),
]

export const l2_normalize_grad: Kernel<'l2_normalize_grad'> = ({ tf, arg }, { eps }) => [
  l2NormalizeGrad(tf, arg(0), arg(1), eps),
]

export const weight_norm: Kernel<'weight_norm'> = ({ tf, arg }) => {
  const [v, g] = [arg(0), arg(1)]
  return [tf.mul(v, tf.div(column(tf, g), tf.sqrt(tf.sum(tf.square(v), 1, true))))]
}

export const weight_norm_grad: Kernel<'weight_norm_grad'> = ({ tf, arg }) => {
  const [dw, v, g] = [arg(0), arg(1), arg(2)]
  const length = tf.sqrt(tf.sum(tf.square(v), 1, true))
  const unit = tf.div(v, length)
  const dg = tf.sum(tf.mul(dw, unit), 1, true)
  const dv = tf.mul(tf.sub(dw, tf.mul(unit, dg)), tf.div(column(tf, g), length))
  return [dv, tf.reshape(dg, [dg.size])]
}

export const softmax: Kernel<'softmax'> = ({ tf, arg }) => [tf.softmax(arg(0))]

export const softmax_grad: Kernel<'softmax_grad'> = ({ tf, arg }) => {
  const [dy, y] = [arg(0), arg(1)]
  return [tf.mul(y, tf.sub(dy, tf.sum(tf.mul(dy, y), -1, true)))]
}

export const add: Kernel<'add'> = ({ tf, arg }) => [tf.add(arg(0), arg(1))]

export const scale: Kernel<'scale'> = ({ tf, arg }, { factor }) => [tf.mul(arg(0), factor)]

export const fill: Kernel<'fill'> = ({ tf }, { value, type }) => [
  tf.fill([...type.shape], value, type.dtype === 'i32' ? 'int32' : 'float32'),
]

export const cast: Kernel<'cast'> = ({ tf, arg }, { to }) => [
  tf.cast(arg(0), to === 'i32' ? 'int32' : 'float32'),
]
