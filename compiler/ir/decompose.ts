import type { ResultsOf } from './builder.js'
import type { CrossEntropy, Group, KernelKind, OpAttrs, OpKind, TensorType, ValueId } from './types.js'

/** What a decomposition emits into: a FuncBuilder, or a pass's own draft of a function. */
export interface Emitter {
  type(value: ValueId): TensorType
  op<K extends OpKind>(kind: K, operands: readonly (ValueId | null)[], attrs: OpAttrs[K]): ResultsOf<K>
  one<K extends OpKind>(kind: K, operands: readonly (ValueId | null)[], attrs: OpAttrs[K]): ValueId
}

type Operands = readonly (ValueId | null)[]
/**
 * What replaces each result; null for one that the expansion does not give, which nothing may use (`lse` of
 * attention, whose expanded gradient needs none). The whole is null where the op has no simpler form with these
 * operands and attributes.
 */
export type Decomposition<K extends KernelKind> = (
  b: Emitter,
  operands: Operands,
  attrs: OpAttrs[K],
) => readonly (ValueId | null)[] | null

const at = (operands: Operands, i: number) => operands[i] as ValueId
const plain = { transA: false, transB: false, epilogue: 'none' } as const

/** The sequences of one group: where its rows start in the whole tensor. */
function groupsOf(type: TensorType) {
  let start = 0
  return (type.segments as readonly Group[]).map((group) => {
    const here = { ...group, start, rows: group.count * group.length }
    start += here.rows
    return here
  })
}

/** Joins what was computed group by group; one group needs no copy but gets its segments back. */
function joinGroups(b: Emitter, parts: readonly ValueId[], whole: TensorType): ValueId {
  const segments = whole.segments as readonly Group[]
  const ragged = parts.map((part, i) => {
    const group = segments[i] as Group
    const count = group.count * group.length
    return b.one('slice_rows', [part], { start: 0, count, segments: [group] })
  })
  return ragged.length === 1 ? (ragged[0] as ValueId) : b.one('concat_rows', ragged, {})
}

function eachGroup(
  b: Emitter,
  whole: TensorType,
  tensors: readonly ValueId[],
  heads: number,
  emit: (parts: readonly ValueId[], shape: OpAttrs['split_heads']) => ValueId,
): ValueId {
  const groups = groupsOf(whole)
  const parts = groups.map(({ count, length, start, rows }) => {
    const slices = tensors.map((t) => b.one('slice_rows', [t], { start, count: rows }))
    return emit(slices, { heads, count, length })
  })
  return joinGroups(b, parts, whole)
}

/** q, k, v and the softmax of a group. */
function scores(b: Emitter, qkv: ValueId, shape: OpAttrs['split_heads']) {
  const [q, k, v] = b.op('split_heads', [qkv], shape)
  const scale = (b.type(q).shape[2] as number) ** -0.5
  const s = b.one('batch_matmul', [q, k], { transA: false, transB: true, scale })
  return { q, k, v, scale, p: b.one('softmax', [s], {}) }
}

function attentionGrad(b: Emitter, operands: Operands, { heads }: OpAttrs['attention_grad']) {
  const [dout, qkv] = [at(operands, 0), at(operands, 1)]
  const dqkv = eachGroup(b, b.type(qkv), [dout, qkv], heads, (parts, shape) => {
    const { q, k, v, scale, p } = scores(b, at(parts, 1), shape)
    const dy = b.one('unmerge_heads', [at(parts, 0)], shape)
    const dv = b.one('batch_matmul', [p, dy], { transA: true, transB: false, scale: 1 })
    const dp = b.one('batch_matmul', [dy, v], { transA: false, transB: true, scale: 1 })
    const ds = b.one('softmax_grad', [dp, p], {})
    const dq = b.one('batch_matmul', [ds, k], { transA: false, transB: false, scale })
    const dk = b.one('batch_matmul', [ds, q], { transA: true, transB: false, scale })
    return b.one('join_heads', [dq, dk, dv], shape)
  })
  return [dqkv]
}

/** Logits and targets of the streamed loss whose operands x, w, z, u, v, temp start at `first`. */
function stored(b: Emitter, operands: Operands, first: number) {
  const [x, w, z, u, v, temp] = operands.slice(first, first + 6) as ValueId[]
  return {
    logits: b.one('linear', [x ?? null, w ?? null, null], { activation: 'none' }),
    targets: b.one('make_targets', [z ?? null, u ?? null, v ?? null, temp ?? null], {}),
  }
}

function prototypeGrad(b: Emitter, operands: Operands, attrs: CrossEntropy) {
  const [dloss, x, w, lse] = [at(operands, 0), at(operands, 1), at(operands, 2), at(operands, 7)]
  const [weights, rows] = [operands[8] ?? null, operands[9] ?? null]
  const { logits, targets } = stored(b, operands, 1)
  const given = [dloss, logits, targets, lse, weights, rows]
  const dlogits = b.one('cross_entropy_rows_grad', given, attrs)
  const dx = b.one('matmul', [dlogits, w], plain)
  return [dx, b.one('matmul', [dlogits, x, null, null, rows], { ...plain, transA: true })]
}

/** Logits of rows x over prototypes w, stored. */
const logitsOf = (b: Emitter, x: ValueId | null | undefined, w: ValueId | null | undefined) =>
  b.one('linear', [x ?? null, w ?? null, null], { activation: 'none' })

/** Logits and targets of the loss whose operands x, w, xt, wt, u, v, temp start at `first`. */
function storedTeacher(b: Emitter, operands: Operands, first: number) {
  const [x, w, xt, wt, ...factors] = operands.slice(first, first + 7)
  return {
    logits: logitsOf(b, x, w),
    targets: b.one('make_targets', [logitsOf(b, xt, wt), ...factors], {}),
  }
}

function streamedGrad(b: Emitter, operands: Operands, attrs: CrossEntropy) {
  const [dloss, x, w] = [at(operands, 0), at(operands, 1), at(operands, 2)]
  const [weights, rows] = [operands[9] ?? null, operands[10] ?? null]
  const { logits, targets } = storedTeacher(b, operands, 1)
  const [, lse] = b.op('cross_entropy_rows', [logits, targets, weights, rows], attrs)
  const dlogits = b.one('cross_entropy_rows_grad', [dloss, logits, targets, lse, weights, rows], attrs)
  const dx = b.one('matmul', [dlogits, w], plain)
  return [dx, b.one('matmul', [dlogits, x, null, null, rows], { ...plain, transA: true })]
}

function residualAdd(b: Emitter, operands: Operands, { scales }: OpAttrs['residual_add']) {
  const [x, branch, gamma, kept, factors] = operands
  if (gamma !== null && gamma !== undefined) {
    const scaled = b.one('layer_scale', [at(operands, 1), gamma], {})
    return b.op('residual_add', [at(operands, 0), scaled, null, kept ?? null, factors ?? null], { scales })
  }
  if (factors !== null && factors !== undefined) return null
  if (kept === null || kept === undefined || !scales) return b.op('add', [x ?? null, branch ?? null], {})
  const segments = b.type(at(operands, 0)).segments as readonly Group[]
  const whole = b.one('scatter_segments', [at(operands, 1), kept], { segments, scales })
  return b.op('add', [at(operands, 0), whole], {})
}

function residualAddGrad(b: Emitter, operands: Operands, attrs: OpAttrs['residual_add_grad']) {
  const [dy, branch, gamma, kept, factors] = operands
  if (gamma !== null && gamma !== undefined) {
    const ds = b.one('residual_add_grad', [dy ?? null, null, null, kept ?? null, factors ?? null], attrs)
    return b.op('layer_scale_grad', [ds, branch ?? null, gamma], {})
  }
  if (factors !== null && factors !== undefined) return null
  if (kept === null || kept === undefined || !attrs.scales) return [at(operands, 0)]
  const { scales, segments = [] } = attrs
  const gathered = b.one('gather_segments', [at(operands, 0), kept], { kept: segments.map((g) => g.count) })
  if (scales.every((s) => s === scales[0])) return b.op('scale', [gathered], { factor: scales[0] as number })
  const parts = groupsOf(b.type(gathered)).map(({ start, rows }, i) => {
    const slice = b.one('slice_rows', [gathered], { start, count: rows })
    return b.one('scale', [slice], { factor: scales[i] as number })
  })
  return [joinGroups(b, parts, b.type(gathered))]
}

/**
 * Simpler forms of the fused ops, for `fuse = off` and for devices that lack one. One level at a time: what comes out
 * may decompose again (residual_add with a gamma gives one without). null: nothing simpler.
 *
 * The expansion of attention is written for the segments at hand, so a function that is called with several must be
 * inlined, or copied for each, before.
 */
export const decompositions: { readonly [K in KernelKind]: Decomposition<K> | null } = {
  patchify: null,
  replace_masked: null,
  replace_masked_grad: null,
  interpolate_pos: null,
  interpolate_pos_grad: null,
  assemble_tokens: null,
  assemble_tokens_grad: null,
  linear: (b, [x = null, w = null, bias = null], { activation }) => {
    if (activation === 'none') return null
    const pre = b.one('linear', [x, w, bias], { activation: 'none' })
    return [b.one('gelu', [pre], {}), pre]
  },
  matmul: (b, [x = null, y = null, c = null, pre = null, rows = null], attrs) => {
    if (attrs.epilogue === 'none' && c === null) return null
    const product = b.one('matmul', [x, y, null, null, rows], { ...attrs, epilogue: 'none' })
    const sum = c === null ? product : b.one('add', [product, c], {})
    return [attrs.epilogue === 'none' ? sum : b.one('gelu_grad', [sum, pre], {})]
  },
  batch_matmul: null,
  sum_rows: null,
  layer_norm: null,
  layer_norm_rebuild: null,
  layer_norm_grad: null,
  gelu: null,
  gelu_grad: null,
  silu_gate: null,
  silu_gate_grad: null,
  layer_scale: null,
  layer_scale_grad: null,
  l2_normalize: null,
  l2_normalize_grad: null,
  weight_norm: null,
  weight_norm_grad: null,
  softmax: null,
  softmax_grad: null,
  add: null,
  scale: null,
  fill: null,
  cast: null,
  attention: (b, operands, { heads }) => {
    const qkv = at(operands, 0)
    const o = eachGroup(b, b.type(qkv), [qkv], heads, (parts, shape) => {
      const { v, p } = scores(b, at(parts, 0), shape)
      const y = b.one('batch_matmul', [p, v], { transA: false, transB: false, scale: 1 })
      return b.one('merge_heads', [y], shape)
    })
    return [o, null]
  },
  attention_grad: attentionGrad,
  split_heads: null,
  join_heads: null,
  merge_heads: null,
  unmerge_heads: null,
  concat_rows: null,
  slice_rows: null,
  place_rows: null,
  select_tokens: null,
  place_tokens: null,
  gather_rows: null,
  scatter_add_rows: null,
  gather_segments: null,
  scatter_segments: null,
  residual_add: residualAdd,
  residual_add_grad: residualAddGrad,
  sinkhorn: null,
  sharpen_center: null,
  make_targets: null,
  mean_rows: null,
  cross_entropy_rows: null,
  cross_entropy_rows_grad: null,
  prototype_cross_entropy: (b, operands, attrs) => {
    const { logits, targets } = stored(b, operands, 0)
    return b.op('cross_entropy_rows', [logits, targets, operands[6] ?? null, operands[7] ?? null], attrs)
  },
  prototype_cross_entropy_grad: prototypeGrad,
  streamed_sinkhorn: (b, [x, w, temp = null, rows = null], attrs) =>
    b.op('sinkhorn', [logitsOf(b, x, w), temp, rows], attrs),
  streamed_sharpen_center: (b, [x, w, center = null, temp = null]) =>
    b.op('sharpen_center', [logitsOf(b, x, w), center, temp], {}),
  streamed_mean_rows: (b, [x, w, rows = null]) => b.op('mean_rows', [logitsOf(b, x, w), rows], {}),
  streamed_cross_entropy: (b, operands, attrs) => {
    const { logits, targets } = storedTeacher(b, operands, 0)
    const given = [logits, targets, operands[7] ?? null, operands[8] ?? null]
    const [loss, , ...stats] = b.op('cross_entropy_rows', given, attrs)
    return [loss, null, ...stats]
  },
  streamed_cross_entropy_grad: streamedGrad,
  koleo: null,
  koleo_grad: null,
  weighted_sum: null,
  norm: null,
  finite: null,
  clip_factor: null,
  adamw: null,
  ema: null,
  adamw_ema: (b, operands, attrs) => {
    const [p, g, m, v, t, lr, wd, step, momentum, clip, finite] = operands as readonly (ValueId | null)[]
    const given = [p, g, m, v, lr, wd, step, clip, finite].map((x) => x ?? null)
    const updated = b.op('adamw', given, attrs)
    const mean = b.one('ema', [t ?? null, updated[0], momentum ?? null, finite ?? null], {})
    return [...updated, mean]
  },
  update_center: null,
  accumulate: null,
  all_gather: null,
  reduce_scatter: null,
  all_reduce: null,
  sinkhorn_columns: null,
  sinkhorn_rows: null,
  square_sum: null,
  sqrt: null,
}

/** `decompositions` for an op whose kind is only known at run time. */
export function decompose(
  b: Emitter,
  kind: KernelKind,
  operands: Operands,
  attrs: OpAttrs[KernelKind],
): readonly (ValueId | null)[] | null {
  const rule = decompositions[kind] as Decomposition<KernelKind> | null
  return rule === null ? null : rule(b, operands, attrs)
}
