import { elements } from './operands.js'
import type { AnyOp, DType, Func, KernelKind, OpAttrs, TensorType, Value } from './types.js'

export const dtypeBytes: { readonly [D in DType]: number } = { f32: 4, bf16: 2, i32: 4 }

export const tensorBytes = (type: TensorType) => elements(type) * dtypeBytes[type.dtype]

type Types = readonly (TensorType | null)[]
type Rule<K extends KernelKind> = (
  operands: Types,
  attrs: OpAttrs[K],
  results: readonly TensorType[],
) => number

const sum = (types: Types) => types.reduce((n, type) => n + (type ? tensorBytes(type) : 0), 0)

/** Reads every operand once and writes every result once. */
const all: Rule<KernelKind> = (operands, _, results) => sum(operands) + sum(results)
/** Reads of its data operand only what it writes; the other operands whole. */
const selected: Rule<KernelKind> = (operands, _, results) => 2 * sum(results) + sum(operands.slice(1))

/**
 * Bytes that an op must move between memory and cores: operands read and results written, each once, whatever stays
 * inside the op. What a kernel reads several times by its nature is counted so (sinkhorn's logits once an iteration).
 */
export const bytes: { readonly [K in KernelKind]: Rule<K> } = {
  patchify: all,
  replace_masked: all,
  replace_masked_grad: all,
  interpolate_pos: all,
  interpolate_pos_grad: all,
  assemble_tokens: all,
  assemble_tokens_grad: all,
  linear: all,
  matmul: all,
  batch_matmul: all,
  sum_rows: all,
  layer_norm: all,
  layer_norm_rebuild: all,
  layer_norm_grad: all,
  gelu: all,
  gelu_grad: all,
  silu_gate: all,
  silu_gate_grad: all,
  layer_scale: all,
  layer_scale_grad: all,
  l2_normalize: all,
  l2_normalize_grad: all,
  weight_norm: all,
  weight_norm_grad: all,
  softmax: all,
  softmax_grad: all,
  add: all,
  scale: all,
  fill: all,
  cast: all,
  attention: all,
  attention_grad: all,
  split_heads: all,
  join_heads: all,
  merge_heads: all,
  unmerge_heads: all,
  concat_rows: all,
  slice_rows: selected,
  place_rows: all,
  select_tokens: selected,
  place_tokens: all,
  gather_rows: selected,
  scatter_add_rows: all,
  gather_segments: selected,
  scatter_segments: all,
  residual_add: all,
  residual_add_grad: ([dy = null, ...rest], _, [dbranch, ...others]) => {
    const read = dbranch && dy ? Math.min(tensorBytes(dbranch), tensorBytes(dy)) : 0
    return read + sum(rest) + sum([dbranch ?? null, ...others])
  },
  sinkhorn: (operands, { iterations }, results) =>
    sum(operands.slice(0, 1)) * Math.max(1, iterations) + sum(results),
  sharpen_center: all,
  make_targets: all,
  mean_rows: all,
  cross_entropy_rows: all,
  cross_entropy_rows_grad: all,
  prototype_cross_entropy: all,
  prototype_cross_entropy_grad: all,
  streamed_sinkhorn: (operands, { iterations }, results) =>
    sum(operands.slice(0, 2)) * Math.max(1, iterations) + sum(results),
  streamed_sharpen_center: all,
  streamed_mean_rows: all,
  streamed_cross_entropy: all,
  streamed_cross_entropy_grad: all,
  koleo: all,
  koleo_grad: all,
  weighted_sum: all,
  norm: all,
  finite: all,
  clip_factor: all,
  adamw: all,
  ema: all,
  adamw_ema: all,
  update_center: all,
  accumulate: all,
  all_gather: all,
  reduce_scatter: all,
  all_reduce: all,
  sinkhorn_columns: all,
  sinkhorn_rows: all,
  square_sum: all,
  sqrt: all,
}

/** `bytes` for an op whose kind is only known at run time. */
export function kernelBytes(
  kind: KernelKind,
  operands: Types,
  attrs: OpAttrs[KernelKind],
  results: readonly TensorType[],
): number {
  return (bytes[kind] as Rule<KernelKind>)(operands, attrs, results)
}

/** Of one op inside a function; ops that passes still expand count nothing. */
export function opBytes(func: Func, op: AnyOp): number {
  if (op.kind === 'call' || op.kind === 'residual' || op.kind === 'grad') return 0
  const type = (id: number) => (func.values[id] as Value).type
  const operands = op.operands.map((v) => (v === null ? null : type(v)))
  return kernelBytes(op.kind, operands, op.attrs, op.results.map(type))
}
