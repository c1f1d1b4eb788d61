import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { badAttribute } from './attributes.js'
import type { ShapeContext } from './operands.js'
import { noCallees, Operands } from './operands.js'
import { storedTypes, takesBf16 } from './precision.js'
import { rules } from './shape-rules.js'
import type { CollectiveKind, OpAttrs, OpKind, StructuralKind, TensorType } from './types.js'

/**
 * Names of the operands of each op in order, for messages and printing. `?` marks an optional one, whose place holds
 * null; `...` any number (only as the last). So an op without `...` always has exactly this many operands.
 */
export const operandNames: { readonly [K in OpKind]: readonly string[] } = {
  call: ['...operand'],
  residual: ['x', '...weight'],
  grad: ['...loss or parameter'],
  patchify: ['images'],
  replace_masked: ['x', 'token', 'mask'],
  replace_masked_grad: ['dy', 'mask'],
  interpolate_pos: ['pos'],
  interpolate_pos_grad: ['dy'],
  assemble_tokens: ['patches', 'cls', 'pos', 'registers?'],
  assemble_tokens_grad: ['dy'],
  linear: ['x', 'w', 'b?'],
  matmul: ['a', 'b', 'c?', 'pre?', 'rows?'],
  batch_matmul: ['a', 'b'],
  sum_rows: ['x', 'rows?'],
  layer_norm: ['x', 'w', 'b'],
  layer_norm_rebuild: ['x', 'mean', 'rstd', 'w', 'b'],
  layer_norm_grad: ['dy', 'x', 'mean', 'rstd', 'w'],
  gelu: ['x'],
  gelu_grad: ['dy', 'x'],
  silu_gate: ['x'],
  silu_gate_grad: ['dy', 'x'],
  layer_scale: ['x', 'gamma'],
  layer_scale_grad: ['dy', 'x', 'gamma'],
  l2_normalize: ['x'],
  l2_normalize_grad: ['dy', 'x'],
  weight_norm: ['v', 'g'],
  weight_norm_grad: ['dw', 'v', 'g'],
  softmax: ['x'],
  softmax_grad: ['dy', 'y'],
  add: ['x', 'y'],
  scale: ['x'],
  fill: [],
  cast: ['x'],
  attention: ['qkv'],
  attention_grad: ['do', 'qkv', 'o', 'lse'],
  split_heads: ['qkv'],
  join_heads: ['q', 'k', 'v'],
  merge_heads: ['o'],
  unmerge_heads: ['o'],
  concat_rows: ['...x'],
  slice_rows: ['x'],
  place_rows: ['dy'],
  select_tokens: ['x'],
  place_tokens: ['dy'],
  gather_rows: ['x', 'index', 'rows?'],
  scatter_add_rows: ['y', 'index', 'rows?'],
  gather_segments: ['x', 'kept'],
  scatter_segments: ['y', 'kept'],
  residual_add: ['x', 'branch', 'gamma?', 'kept?', 'factors?'],
  residual_add_grad: ['dy', 'branch?', 'gamma?', 'kept?', 'factors?'],
  sinkhorn: ['z', 'temp', 'rows?'],
  sharpen_center: ['z', 'center', 'temp'],
  make_targets: ['z', 'u', 'v', 'temp'],
  mean_rows: ['z', 'rows?'],
  cross_entropy_rows: ['logits', 't', 'weights?', 'rows?'],
  cross_entropy_rows_grad: ['dloss', 'logits', 't', 'lse', 'weights?', 'rows?'],
  prototype_cross_entropy: ['x', 'w', 'z', 'u', 'v', 'temp', 'weights?', 'rows?'],
  prototype_cross_entropy_grad: ['dloss', 'x', 'w', 'z', 'u', 'v', 'temp', 'lse', 'weights?', 'rows?'],
  streamed_sinkhorn: ['x', 'w', 'temp', 'rows?'],
  streamed_sharpen_center: ['x', 'w', 'center', 'temp'],
  streamed_mean_rows: ['x', 'w', 'rows?'],
  streamed_cross_entropy: ['x', 'w', 'xt', 'wt', 'u', 'v', 'temp', 'weights?', 'rows?'],
  streamed_cross_entropy_grad: [
    'dloss',
    'x',
    'w',
    'xt',
    'wt',
    'u',
    'v',
    'temp',
    'shift',
    'weights?',
    'rows?',
  ],
  koleo: ['x'],
  koleo_grad: ['dloss', 'x', 'neighbour'],
  weighted_sum: ['...s'],
  norm: ['...g'],
  finite: ['...s'],
  clip_factor: ['norm'],
  adamw: ['p', 'g', 'm', 'v', 'lr', 'wd', 'step', 'clip?', 'finite'],
  ema: ['t', 's', 'momentum', 'finite'],
  adamw_ema: ['p', 'g', 'm', 'v', 't', 'lr', 'wd', 'step', 'momentum', 'clip?', 'finite'],
  update_center: ['center', 'mean', 'finite', 'rows?'],
  accumulate: ['acc', 'x', 'first'],
  all_gather: ['x'],
  reduce_scatter: ['...x'],
  all_reduce: ['...x'],
  sinkhorn_columns: ['z', 'u?', 'temp', 'rows?'],
  sinkhorn_rows: ['z', 'v', 'temp', 'rows?'],
  square_sum: ['...x'],
  sqrt: ['x'],
}

/** Kinds that a plan never holds. */
export const structural: { readonly [K in StructuralKind]: true } = { call: true, residual: true, grad: true }

/**
 * On how much of its row operands an op looks at once: one row, one sequence, or everything. `callee`: as far as
 * the function it names does. Only rows and sequences may be packed.
 */
export type Locality = 'row' | 'segment' | 'callee' | 'none'
export const locality: { readonly [K in OpKind]: Locality } = {
  call: 'callee',
  residual: 'callee',
  grad: 'none',
  patchify: 'none',
  replace_masked: 'row',
  replace_masked_grad: 'none',
  interpolate_pos: 'none',
  interpolate_pos_grad: 'none',
  assemble_tokens: 'none',
  assemble_tokens_grad: 'none',
  linear: 'row',
  matmul: 'none',
  batch_matmul: 'none',
  sum_rows: 'none',
  layer_norm: 'row',
  layer_norm_rebuild: 'row',
  layer_norm_grad: 'none',
  gelu: 'row',
  gelu_grad: 'row',
  silu_gate: 'row',
  silu_gate_grad: 'row',
  layer_scale: 'row',
  layer_scale_grad: 'none',
  l2_normalize: 'row',
  l2_normalize_grad: 'row',
  weight_norm: 'none',
  weight_norm_grad: 'none',
  softmax: 'row',
  softmax_grad: 'row',
  add: 'row',
  scale: 'row',
  fill: 'none',
  cast: 'row',
  attention: 'segment',
  attention_grad: 'segment',
  split_heads: 'none',
  join_heads: 'none',
  merge_heads: 'none',
  unmerge_heads: 'none',
  concat_rows: 'none',
  slice_rows: 'none',
  place_rows: 'none',
  select_tokens: 'none',
  place_tokens: 'none',
  gather_rows: 'none',
  scatter_add_rows: 'none',
  gather_segments: 'none',
  scatter_segments: 'none',
  residual_add: 'segment',
  residual_add_grad: 'none',
  sinkhorn: 'none',
  sharpen_center: 'none',
  make_targets: 'none',
  mean_rows: 'none',
  cross_entropy_rows: 'none',
  cross_entropy_rows_grad: 'none',
  prototype_cross_entropy: 'none',
  prototype_cross_entropy_grad: 'none',
  streamed_sinkhorn: 'none',
  streamed_sharpen_center: 'none',
  streamed_mean_rows: 'none',
  streamed_cross_entropy: 'none',
  streamed_cross_entropy_grad: 'none',
  koleo: 'none',
  koleo_grad: 'none',
  weighted_sum: 'none',
  norm: 'none',
  finite: 'none',
  clip_factor: 'none',
  adamw: 'none',
  ema: 'none',
  adamw_ema: 'none',
  update_center: 'none',
  accumulate: 'none',
  all_gather: 'none',
  reduce_scatter: 'none',
  all_reduce: 'none',
  sinkhorn_columns: 'none',
  sinkhorn_rows: 'none',
  square_sum: 'none',
  sqrt: 'none',
}

/**
 * Which operands of a row- or segment-wise op hold the rows; the others are parameters, the same for every row.
 * (Of `call` and `residual`: the first `data` operands, and the first.)
 */
export const rowOperands: { readonly [K in OpKind]?: readonly number[] } = {
  replace_masked: [0, 2],
  linear: [0],
  layer_norm: [0],
  layer_norm_rebuild: [0, 1, 2],
  gelu: [0],
  gelu_grad: [0, 1],
  silu_gate: [0],
  silu_gate_grad: [0, 1],
  layer_scale: [0],
  l2_normalize: [0],
  l2_normalize_grad: [0, 1],
  softmax: [0],
  softmax_grad: [0, 1],
  add: [0, 1],
  scale: [0],
  cast: [0],
  attention: [0],
  attention_grad: [0, 1, 2, 3],
  residual_add: [0, 1],
}

export const rowWise = (kind: OpKind) => locality[kind] === 'row'
/** Row-wise ops are segment-wise too. */
export const segmentWise = (kind: OpKind) => locality[kind] === 'row' || locality[kind] === 'segment'

/**
 * `[result, operand]`: this result may be written over this operand where the operand dies in the op and both have
 * the same bytes. A kernel then reads an element before it writes it; kernels marked (row) read the whole row first.
 */
export const inPlace: { readonly [K in OpKind]?: readonly (readonly [number, number])[] } = {
  replace_masked: [[0, 0]],
  replace_masked_grad: [[0, 0]],
  layer_norm: [[0, 0]], // (row)
  layer_norm_rebuild: [[0, 0]],
  layer_norm_grad: [[0, 0]], // (row)
  gelu: [[0, 0]],
  gelu_grad: [
    [0, 0],
    [0, 1],
  ],
  silu_gate_grad: [[0, 1]], // (row)
  layer_scale: [[0, 0]],
  layer_scale_grad: [[0, 0]],
  l2_normalize: [[0, 0]], // (row)
  l2_normalize_grad: [[0, 0]], // (row)
  softmax: [[0, 0]], // (row)
  softmax_grad: [[0, 0]], // (row)
  add: [
    [0, 0],
    [0, 1],
  ],
  scale: [[0, 0]],
  residual_add: [[0, 0]],
  make_targets: [[0, 0]],
  cross_entropy_rows_grad: [[0, 1]], // (row)
  adamw: [
    [0, 0],
    [1, 2],
    [2, 3],
  ],
  ema: [[0, 0]],
  adamw_ema: [
    [0, 0],
    [1, 2],
    [2, 3],
    [3, 4],
  ],
  update_center: [[0, 0]],
  accumulate: [[0, 0]],
  sqrt: [[0, 0]],
}

/**
 * Ops that add over the rows of an operand: which operands, and where the op takes the number of real rows (null: it
 * cannot, so a bounded tensor is a fault).
 */
export const reductions: {
  readonly [K in OpKind]?: { readonly over: readonly number[]; readonly rows: number | null }
} = {
  replace_masked_grad: { over: [0], rows: null },
  assemble_tokens_grad: { over: [0], rows: null },
  sum_rows: { over: [0], rows: 1 },
  layer_norm_grad: { over: [0], rows: null },
  layer_scale_grad: { over: [0], rows: null },
  residual_add_grad: { over: [1], rows: null },
  scatter_add_rows: { over: [0], rows: 2 },
  sinkhorn: { over: [0], rows: 2 },
  mean_rows: { over: [0], rows: 1 },
  cross_entropy_rows: { over: [0, 1], rows: 3 },
  cross_entropy_rows_grad: { over: [1, 2], rows: 5 },
  prototype_cross_entropy: { over: [0, 2], rows: 7 },
  prototype_cross_entropy_grad: { over: [1, 3], rows: 9 },
  streamed_sinkhorn: { over: [0], rows: 3 },
  streamed_mean_rows: { over: [0], rows: 2 },
  streamed_cross_entropy: { over: [0, 2], rows: 8 },
  streamed_cross_entropy_grad: { over: [1, 3], rows: 10 },
  koleo: { over: [0], rows: null },
  koleo_grad: { over: [1], rows: null },
  norm: { over: [0], rows: null },
  sinkhorn_columns: { over: [0], rows: 3 },
  square_sum: { over: [0], rows: null },
}

/**
 * Which results backward may build again instead of keeping them, from values that it keeps anyway: layer_norm from
 * (x, mean, rstd), the others by the forward op (linear with gelu: by gelu of `pre`).
 */
export const rebuildable: { readonly [K in OpKind]?: { readonly result: 0; readonly by: OpKind } } = {
  layer_norm: { result: 0, by: 'layer_norm_rebuild' },
  linear: { result: 0, by: 'gelu' },
  gelu: { result: 0, by: 'gelu' },
  silu_gate: { result: 0, by: 'silu_gate' },
  l2_normalize: { result: 0, by: 'l2_normalize' },
}

function checkCount(kind: OpKind, found: number, context: ShapeContext) {
  const names = operandNames[kind]
  const variadic = names.at(-1)?.startsWith('...') ?? false
  const least = names.filter((n) => !n.startsWith('...')).length
  if (variadic ? found < Math.max(least, kind === 'call' ? 0 : 1) : found !== least)
    throw new DiagnosticError([
      diagnose('DINO0602', context.span, { op: kind, expected: `(${names.join(', ')})`, found }),
    ])
}

export type ShapeRule<K extends OpKind> = (
  types: readonly (TensorType | null)[],
  attrs: OpAttrs[K],
  context?: ShapeContext,
) => readonly TensorType[]

/** Kinds whose operands are of any dtype. */
const anyDtype: ReadonlySet<OpKind> = new Set([
  ...['call', 'residual', 'grad', 'cast', 'all_gather', 'reduce_scatter'],
] as const)

/** Operand count, attributes, bf16 only where the op takes it, then the op's own rule. */
function shapeRule<K extends OpKind>(kind: K): ShapeRule<K> {
  return (types, attrs, context = noCallees) => {
    checkCount(kind, types.length, context)
    const o = new Operands(kind, operandNames[kind], types, context)
    const bad = badAttribute(kind, attrs)
    if (bad) o.badAttribute(bad.attribute, bad.expected, bad.found)
    types.forEach((type, i) => {
      if (type?.dtype === 'bf16' && !anyDtype.has(kind) && !takesBf16(kind, i)) o.fail(i, 'f32')
    })
    return storedTypes(kind, attrs, rules[kind](o, attrs))
  }
}

/**
 * Types of an op's results from those of its operands (null where an optional one is absent). Throws a
 * DiagnosticError: DINO0601 for a type that does not fit, DINO0602 for the number of operands, DINO0603 for an
 * attribute.
 */
export const shapeRules = Object.fromEntries(
  Object.keys(rules).map((kind) => [kind, shapeRule(kind as OpKind)]),
) as unknown as { readonly [K in OpKind]: ShapeRule<K> }

/** `shapeRules` for an op whose kind is only known at run time. */
export function resultTypes(
  kind: OpKind,
  types: readonly (TensorType | null)[],
  attrs: OpAttrs[OpKind],
  context: ShapeContext = noCallees,
): readonly TensorType[] {
  return (shapeRules[kind] as ShapeRule<OpKind>)(types, attrs, context)
}

export const isKind = (name: string): name is OpKind => Object.hasOwn(rules, name)
/** Kinds that need every rank's operands. */
export const collectiveKinds: { readonly [K in CollectiveKind]: true } = {
  all_gather: true,
  reduce_scatter: true,
  all_reduce: true,
}
export const isCollective = (kind: OpKind): kind is CollectiveKind => Object.hasOwn(collectiveKinds, kind)
export const isStructural = (kind: OpKind): kind is StructuralKind => Object.hasOwn(structural, kind)
