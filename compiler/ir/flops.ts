import { elements } from './operands.js'
import type { AnyOp, Func, Group, KernelKind, OpAttrs, TensorType, Value } from './types.js'

/**
 * Floating-point operations of one op. `products` are those of matrix products (2mkn) and attention (4dn² a sequence
 * forward, twice that backward): the useful work that model FLOPs count. `other` is everything else: element-wise
 * work at a few FLOPs an element (an exponential counts as one), and products that a fused op computes again.
 */
export interface Flops {
  readonly products: number
  readonly other: number
}

/** Types of operands and results; null where an optional operand is absent. */
type Rule<K extends KernelKind> = (
  operands: readonly (TensorType | null)[],
  attrs: OpAttrs[K],
  results: readonly TensorType[],
) => Flops

const dim = (types: readonly (TensorType | null)[], i: number, axis: number) => types[i]?.shape[axis] ?? 0
const size = (type: TensorType | null | undefined) => (type ? elements(type) : 0)

/** n FLOPs for each element of the first operand. */
const perElement =
  (n: number): Rule<KernelKind> =>
  (operands) => ({ products: 0, other: n * size(operands[0]) })
/** Moves data only. */
const free: Rule<KernelKind> = () => ({ products: 0, other: 0 })

/** d times the sum of squared sequence lengths. */
function squares(type: TensorType | null | undefined, width: number): number {
  const groups: readonly Group[] = type?.segments ?? []
  return width * groups.reduce((sum, g) => sum + g.count * g.length * g.length, 0)
}

const interpolation: Rule<'interpolate_pos' | 'interpolate_pos_grad'> = (operands, { height, width }) => ({
  products: 0,
  other: 32 * height * width * dim(operands, 0, 1),
})

/** Student rows S, teacher rows a student row meets, prototypes K. */
function crossEntropyWork(S: number, K: number, attrs: OpAttrs['cross_entropy_rows']) {
  const met = attrs.pairing.kind === 'each' ? attrs.pairing.crops : 1
  return S * K * (4 + 2 * met)
}

/** Products of rows [R, b] and prototypes [K, b], which start at operand `first`. */
function streamedLogits(operands: readonly (TensorType | null)[], first: number) {
  const logits = dim(operands, first, 0) * dim(operands, first + 1, 0)
  return { logits, product: 2 * logits * dim(operands, first, 1) }
}

/** Of each kernel, from the shapes that it runs on: a caller may put the expected rows in place of a bound. */
export const flops: { readonly [K in KernelKind]: Rule<K> } = {
  patchify: free,
  replace_masked: free,
  replace_masked_grad: perElement(1),
  interpolate_pos: interpolation,
  interpolate_pos_grad: interpolation,
  assemble_tokens: perElement(1),
  assemble_tokens_grad: perElement(1),
  linear: (operands, { activation }, results) => ({
    products: 2 * size(results[0]) * dim(operands, 0, 1),
    other: size(results[0]) * ((operands[2] ? 1 : 0) + (activation === 'gelu' ? 8 : 0)),
  }),
  matmul: (operands, { transA, epilogue }, results) => ({
    products: 2 * size(results[0]) * dim(operands, 0, transA ? 0 : 1),
    other: size(results[0]) * ((operands[2] ? 1 : 0) + (epilogue === 'gelu_grad' ? 12 : 0)),
  }),
  batch_matmul: (operands, { transA }, results) => ({
    products: 2 * size(results[0]) * dim(operands, 0, transA ? 1 : 2),
    other: 0,
  }),
  sum_rows: perElement(1),
  layer_norm: perElement(8),
  layer_norm_rebuild: perElement(4),
  layer_norm_grad: perElement(14),
  gelu: perElement(8),
  gelu_grad: perElement(12),
  silu_gate: perElement(3),
  silu_gate_grad: perElement(10),
  layer_scale: perElement(1),
  layer_scale_grad: perElement(3),
  l2_normalize: perElement(3),
  l2_normalize_grad: perElement(6),
  weight_norm: perElement(3),
  weight_norm_grad: perElement(7),
  softmax: perElement(4),
  softmax_grad: perElement(4),
  add: perElement(1),
  scale: perElement(1),
  fill: free,
  cast: free,
  attention: (operands) => {
    const n = squares(operands[0], dim(operands, 0, 1) / 3)
    return { products: 4 * n, other: 0 }
  },
  attention_grad: (operands) => {
    const n = squares(operands[0], dim(operands, 0, 1))
    return { products: 8 * n, other: 2 * n }
  },
  split_heads: free,
  join_heads: free,
  merge_heads: free,
  unmerge_heads: free,
  concat_rows: free,
  slice_rows: free,
  place_rows: free,
  select_tokens: free,
  place_tokens: free,
  gather_rows: free,
  scatter_add_rows: perElement(1),
  gather_segments: free,
  scatter_segments: perElement(1),
  residual_add: (operands) => ({ products: 0, other: (operands[2] ? 3 : 2) * size(operands[1]) }),
  residual_add_grad: (operands, _, results) => ({
    products: 0,
    other: (operands[2] ? 4 : 1) * size(results[0]),
  }),
  sinkhorn: (operands, { iterations }) => ({ products: 0, other: 6 * iterations * size(operands[0]) }),
  sharpen_center: perElement(4),
  make_targets: perElement(4),
  mean_rows: perElement(1),
  cross_entropy_rows: (operands, attrs) => ({
    products: 0,
    other: crossEntropyWork(dim(operands, 0, 0), dim(operands, 0, 1), attrs),
  }),
  cross_entropy_rows_grad: (operands, attrs) => ({
    products: 0,
    other: crossEntropyWork(dim(operands, 1, 0), dim(operands, 1, 1), attrs),
  }),
  prototype_cross_entropy: (operands, attrs) => {
    const [S, inner, K] = [dim(operands, 0, 0), dim(operands, 0, 1), dim(operands, 1, 0)]
    return { products: 2 * S * inner * K, other: crossEntropyWork(S, K, attrs) + 4 * size(operands[2]) }
  },
  prototype_cross_entropy_grad: (operands, attrs) => {
    const [S, inner, K] = [dim(operands, 1, 0), dim(operands, 1, 1), dim(operands, 2, 0)]
    const logits = 2 * S * inner * K
    const other = logits + crossEntropyWork(S, K, attrs) + 4 * size(operands[3])
    return { products: 2 * logits, other }
  },
  streamed_sinkhorn: (operands, { iterations }) => {
    const { product, logits } = streamedLogits(operands, 0)
    return { products: product, other: (Math.max(1, iterations) - 1) * product + 6 * iterations * logits }
  },
  streamed_sharpen_center: (operands) => {
    const { product, logits } = streamedLogits(operands, 0)
    return { products: product, other: 4 * logits }
  },
  streamed_mean_rows: (operands) => ({ products: 0, other: size(operands[0]) + 2 * size(operands[1]) }),
  streamed_cross_entropy: (operands, attrs) => {
    const [student, teacher] = [streamedLogits(operands, 0), streamedLogits(operands, 2)]
    const work = crossEntropyWork(dim(operands, 0, 0), dim(operands, 1, 0), attrs)
    return { products: student.product, other: teacher.product + work + 4 * teacher.logits }
  },
  streamed_cross_entropy_grad: (operands, attrs) => {
    const [student, teacher] = [streamedLogits(operands, 1), streamedLogits(operands, 3)]
    const work = crossEntropyWork(dim(operands, 1, 0), dim(operands, 2, 0), attrs)
    return {
      products: 2 * student.product,
      other: student.product + teacher.product + work + 4 * teacher.logits,
    }
  },
  koleo: (operands, { set }) => ({
    products: 0,
    other: 2 * dim(operands, 0, 0) * set * dim(operands, 0, 1) + 6 * size(operands[0]),
  }),
  koleo_grad: (operands) => ({ products: 0, other: 16 * size(operands[1]) }),
  weighted_sum: (operands) => ({ products: 0, other: 2 * operands.length }),
  norm: (operands) => ({ products: 0, other: operands.reduce((n, g) => n + 2 * size(g), 0) }),
  finite: (operands) => ({ products: 0, other: operands.length }),
  clip_factor: perElement(3),
  adamw: perElement(16),
  ema: perElement(3),
  adamw_ema: perElement(19),
  update_center: perElement(3),
  accumulate: perElement(1),
  all_gather: free,
  reduce_scatter: (operands, { ranks }) => ({
    products: 0,
    other: operands.reduce((n, x) => n + size(x), 0) * ((ranks - 1) / ranks),
  }),
  all_reduce: (operands, { ranks }) => ({
    products: 0,
    other: operands.reduce((n, x) => n + size(x), 0) * (ranks - 1),
  }),
  sinkhorn_columns: perElement(3),
  sinkhorn_rows: perElement(3),
  square_sum: (operands) => ({ products: 0, other: operands.reduce((n, g) => n + 2 * size(g), 0) }),
  sqrt: perElement(1),
}

/** `flops` for an op whose kind is only known at run time. */
export function kernelFlops(
  kind: KernelKind,
  operands: readonly (TensorType | null)[],
  attrs: OpAttrs[KernelKind],
  results: readonly TensorType[],
): Flops {
  return (flops[kind] as Rule<KernelKind>)(operands, attrs, results)
}

/** Of one op inside a function; ops that passes still expand count nothing. */
export function opFlops(func: Func, op: AnyOp): Flops {
  if (op.kind === 'call' || op.kind === 'residual' || op.kind === 'grad') return { products: 0, other: 0 }
  const type = (id: number) => (func.values[id] as Value).type
  const operands = op.operands.map((v) => (v === null ? null : type(v)))
  return kernelFlops(op.kind, operands, op.attrs, op.results.map(type))
}
