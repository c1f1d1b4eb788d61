import type { DType, OpAttrs, OpKind, TensorType } from './types.js'

/**
 * Where a tensor may be bf16. `multiplies`: operands of products, which mixed precision rounds to bf16. `reads`:
 * operands that the op widens as it reads them. `writes`: results that it stores in bf16 with `storage: "bf16"`, sums
 * and everything else inside the op being float32 as ever. Nothing else is bf16: statistics, losses, the residual
 * stream, gradients of weights.
 */
export interface Bf16Use {
  readonly multiplies?: readonly number[]
  readonly reads?: readonly number[]
  readonly writes?: readonly number[]
}

export const bf16Uses: { readonly [K in OpKind]?: Bf16Use } = {
  linear: { multiplies: [0, 1], writes: [0, 1] },
  matmul: { multiplies: [0, 1], reads: [3], writes: [0] },
  attention: { multiplies: [0], writes: [0] },
  attention_grad: { multiplies: [0, 1, 2], writes: [0] },
  prototype_cross_entropy: { multiplies: [0, 1] },
  prototype_cross_entropy_grad: { multiplies: [1, 2] },
  streamed_sinkhorn: { multiplies: [0, 1] },
  streamed_sharpen_center: { multiplies: [0, 1] },
  streamed_mean_rows: { multiplies: [0, 1] },
  streamed_cross_entropy: { multiplies: [0, 1, 2, 3] },
  streamed_cross_entropy_grad: { multiplies: [1, 2, 3, 4] },
  sum_rows: { reads: [0] },
  layer_norm: { writes: [0] },
  layer_norm_rebuild: { writes: [0] },
  layer_norm_grad: { reads: [0] },
  gelu: { reads: [0], writes: [0] },
  gelu_grad: { reads: [0, 1], writes: [0] },
  silu_gate: { reads: [0], writes: [0] },
  silu_gate_grad: { reads: [0, 1], writes: [0] },
  layer_scale_grad: { reads: [1], writes: [0] },
  residual_add: { reads: [1] },
  residual_add_grad: { reads: [1], writes: [0] },
  l2_normalize: { writes: [0] },
  weight_norm: { writes: [0] },
  cast: { reads: [0] },
}

export const multipliesBf16 = (kind: OpKind, operand: number) =>
  bf16Uses[kind]?.multiplies?.includes(operand) ?? false
export const takesBf16 = (kind: OpKind, operand: number) =>
  multipliesBf16(kind, operand) || (bf16Uses[kind]?.reads?.includes(operand) ?? false)

/** Result types as the op stores them: bf16 where it writes bf16 and `storage` asks for it, else f32. */
export function storedTypes(
  kind: OpKind,
  attrs: OpAttrs[OpKind],
  types: readonly TensorType[],
): readonly TensorType[] {
  if (kind === 'cast' || bf16Uses[kind] === undefined) return types
  const storage: DType = 'storage' in attrs && attrs.storage !== undefined ? attrs.storage : 'f32'
  return types.map((type, i) => {
    if (type.dtype === 'i32') return type
    const dtype = bf16Uses[kind]?.writes?.includes(i) ? storage : 'f32'
    return dtype === type.dtype ? type : { ...type, dtype }
  })
}

const word = new Float32Array(1)
const bits = new Uint32Array(word.buffer)

/** The nearest bf16, ties to even; NaN stays NaN. */
export function roundToBf16(x: number): number {
  word[0] = x
  const b = bits[0]!
  if ((b & 0x7fffffff) > 0x7f800000) return Number.NaN
  bits[0] = (b + 0x7fff + ((b >>> 16) & 1)) & 0xffff0000
  return word[0]!
}
