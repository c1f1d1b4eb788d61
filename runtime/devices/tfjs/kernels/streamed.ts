import { type Call, type Kernel, product, type Tensor } from '../call.js'
import { mean_rows, sharpen_center, sinkhorn } from './losses.js'
import { compared, pairsOf, slopeOf, targets } from './pairs.js'

/** The call with other operands: logits, which live until the kernel returns, in place of what they are products of. */
function given(call: Call, operands: readonly (Tensor | null)[]): Call {
  const maybe = (i: number) => operands[i] ?? null
  return { ...call, arg: (i) => operands[i] as Tensor, maybe }
}

const logits = (call: Call, first: number) => product(call, call.arg(first), call.arg(first + 1), false, true)

export const streamed_sinkhorn: Kernel<'streamed_sinkhorn'> = (call, a) =>
  sinkhorn(given(call, [logits(call, 0), call.arg(2), call.maybe(3)]), a)

export const streamed_sharpen_center: Kernel<'streamed_sharpen_center'> = (call, a) =>
  sharpen_center(given(call, [logits(call, 0), call.arg(2), call.arg(3)]), a)

export const streamed_mean_rows: Kernel<'streamed_mean_rows'> = (call, a) =>
  mean_rows(given(call, [logits(call, 0), call.maybe(2)]), a)

export const streamed_cross_entropy: Kernel<'streamed_cross_entropy'> = (call, a) => {
  const t = targets(call.tf, logits(call, 2), call.arg(4), call.arg(5), call.arg(6))
  const pairs = pairsOf(call, logits(call, 0), t, call.maybe(7), call.maybe(8), a)
  return compared(call, pairs, call.maybe(8), a, true)
}

export const streamed_cross_entropy_grad: Kernel<'streamed_cross_entropy_grad'> = (call, a) => {
  const t = targets(call.tf, logits(call, 3), call.arg(5), call.arg(6), call.arg(7))
  const pairs = pairsOf(call, logits(call, 1), t, call.maybe(9), call.maybe(10), a)
  // The mass is in the shift.
  const dlogits = slopeOf(call, { ...pairs, mass: call.tf.scalar(1) }, call.arg(8), call.arg(0), a)
  return [product(call, dlogits, call.arg(2)), product(call, dlogits, call.arg(1), true)]
}
