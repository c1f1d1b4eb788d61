import { type Call, type Kernel, product, rowMask, sumRows, type Tensor } from '../call.js'
import { geluOf, geluSlope } from '../math.js'

export const linear: Kernel<'linear'> = (call, { activation }) => {
  const { tf } = call
  const bias = call.maybe(2)
  const plain = product(call, call.arg(0), call.arg(1), false, true)
  const pre = bias === null ? plain : tf.add(plain, bias)
  return activation === 'none' ? [pre] : [geluOf(tf, pre), pre]
}

export const matmul: Kernel<'matmul'> = (call, { transA, transB, epilogue }) => {
  const { tf } = call
  const rows = call.maybe(4)
  const a = limited(call, call.arg(0), transA ? 0 : 1, rows)
  let result = product(call, a, call.arg(1), transA, transB)
  const c = call.maybe(2)
  if (c !== null) result = tf.add(result, c)
  return [epilogue === 'none' ? result : tf.mul(result, geluSlope(tf, call.arg(3)))]
}

/** Zero from `rows` on along the contracted axis: such rows then add nothing, since they are finite. */
function limited(call: Call, a: Tensor, axis: 0 | 1, rows: Tensor | null): Tensor {
  const mask = rowMask(call, a.shape[axis]!, rows)
  if (mask === null) return a
  return call.tf.mul(a, axis === 0 ? mask : call.tf.reshape(mask, [1, a.shape[1]!]))
}

export const batch_matmul: Kernel<'batch_matmul'> = (call, { transA, transB, scale }) => {
  const plain = product(call, call.arg(0), call.arg(1), transA, transB)
  return [scale === 1 ? plain : call.tf.mul(plain, scale)]
}

export const sum_rows: Kernel<'sum_rows'> = (call) => {
  const x = call.arg(0)
  const mask = rowMask(call, x.shape[0]!, call.maybe(1))
  return [sumRows(call, mask === null ? x : call.tf.mul(x, mask))]
}
