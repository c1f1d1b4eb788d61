import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { FuncBuilder } from './builder.js'
import type { CrossEntropy, Group, Op, OpAttrs, OpKind, TensorType, ValueId } from './types.js'

/** What the rule of one forward op may use while it emits the op's share of backward. */
export interface Backward<K extends OpKind> {
  readonly b: FuncBuilder
  readonly op: Op<K>
  readonly attrs: OpAttrs[K]
  /** Gradient of result i; null where the loss does not depend on it. */
  readonly d: (i: number) => ValueId | null
  /** Whether the gradient of operand i is needed. */
  readonly wants: (i: number) => boolean
  /** Operand i as it is, kept from forward: weights, masks, small things. */
  readonly operand: (i: number) => ValueId
  readonly optional: (i: number) => ValueId | null
  /** Operand i, built again where that costs no memory (`rebuildable` in ops.ts). */
  readonly saved: (i: number) => ValueId
  readonly result: (i: number) => ValueId
  readonly type: (i: number) => TensorType
  /** The host scalar that bounds the rows of operand i; null where it is not bounded. */
  readonly rows: (i: number) => ValueId | null
}

/** Gradients of the operands in order; null where none is wanted or there is none. */
export type Vjp<K extends OpKind> = (g: Backward<K>) => readonly (ValueId | null)[]

/** The gradient of result 0, where no gradient may come through the others (statistics, indices). */
function only<K extends OpKind>(g: Backward<K>): ValueId {
  const dy = g.d(0)
  const other = g.op.results.some((_, i) => i > 0 && g.d(i) !== null)
  if (dy === null || other) return noGradient(g.op)
  return dy
}

export function noGradient(op: Op): never {
  throw new DiagnosticError([diagnose('DINO0611', op.span, { op: op.kind, module: op.module })])
}

const plain = { transA: false, transB: false, epilogue: 'none' } as const

/** Gradients of y = op(a) op(b), each by one product. `rows` bounds a contraction over the rows of a. */
function productGradients<K extends 'matmul' | 'batch_matmul'>(
  g: Backward<K>,
  dy: ValueId,
  emit: (a: ValueId, b: ValueId, transA: boolean, transB: boolean, rows: ValueId | null) => ValueId,
): readonly [ValueId | null, ValueId | null] {
  const { transA, transB } = g.attrs
  const rows = transA ? null : g.rows(0)
  const da = () =>
    transA ? emit(g.operand(1), dy, transB, true, null) : emit(dy, g.operand(1), false, !transB, null)
  const db = () =>
    transB ? emit(dy, g.saved(0), true, transA, rows) : emit(g.saved(0), dy, !transA, false, rows)
  return [g.wants(0) ? da() : null, g.wants(1) ? db() : null]
}

/** A zero gradient for a result of an op that needs all of them. */
const orZero = <K extends OpKind>(g: Backward<K>, i: number) =>
  g.d(i) ?? g.b.one('fill', [], { value: 0, type: g.b.type(g.result(i)) })

/** Row structure of operand i, as attributes of the op that gives its gradient. */
const structure = (type: TensorType) => ({
  ...(type.segments && { segments: type.segments }),
  ...(type.rows !== undefined && { rows: type.rows }),
})

const lossAttributes = (attrs: CrossEntropy): CrossEntropy => ({ ...attrs, stats: false })

/**
 * The gradient rule of each op: how the gradients of its operands follow from those of its results (its
 * vector-Jacobian product). null: the op has none; asking for one is DINO0611. What a rule reads with `saved` decides
 * what backward keeps: of a transformer block the inputs of the two norms, qkv, o, the input of gelu and the two
 * branches before their layer scale, 12 d floats a row.
 */
export const vjps = {
  call: null,
  residual: null,
  grad: null,

  patchify: null,
  replace_masked: (g) => [...g.b.op('replace_masked_grad', [only(g), g.operand(2)], {}), null],
  replace_masked_grad: null,
  interpolate_pos: (g) => g.b.op('interpolate_pos_grad', [only(g)], g.attrs),
  interpolate_pos_grad: null,
  assemble_tokens: (g) => {
    const [dpatches, dcls, dpos, dregisters] = g.b.op('assemble_tokens_grad', [only(g)], g.attrs)
    return [dpatches, dcls, dpos, dregisters ?? null]
  },
  assemble_tokens_grad: null,

  linear: (g) => {
    const throughGelu = () => {
      const dy = g.d(0)
      const through = dy === null ? null : g.b.one('gelu_grad', [dy, g.result(1)], {})
      const direct = g.d(1)
      if (through === null) return direct as ValueId
      return direct === null ? through : g.b.one('add', [through, direct], {})
    }
    const dy = g.attrs.activation === 'gelu' ? throughGelu() : only(g)
    return [
      g.wants(0) ? g.b.one('matmul', [dy, g.operand(1)], plain) : null,
      g.wants(1)
        ? g.b.one('matmul', [dy, g.saved(0), null, null, g.rows(0)], { ...plain, transA: true })
        : null,
      g.wants(2) ? g.b.one('sum_rows', [dy, g.rows(0)], {}) : null,
    ]
  },
  matmul: (g) => {
    const dy = only(g)
    if (g.attrs.epilogue !== 'none' || g.optional(4) !== null) return noGradient(g.op)
    const [da, db] = productGradients(g, dy, (a, b, transA, transB, rows) =>
      g.b.one('matmul', [a, b, null, null, rows], { transA, transB, epilogue: 'none' }),
    )
    return [da, db, g.wants(2) ? dy : null, null, null]
  },
  batch_matmul: (g) =>
    productGradients(g, only(g), (a, b, transA, transB) =>
      g.b.one('batch_matmul', [a, b], { transA, transB, scale: g.attrs.scale }),
    ),
  sum_rows: null,

  layer_norm: (g) =>
    g.b.op('layer_norm_grad', [only(g), g.saved(0), g.result(1), g.result(2), g.operand(1)], {}),
  layer_norm_rebuild: null,
  layer_norm_grad: null,
  gelu: (g) => g.b.op('gelu_grad', [only(g), g.saved(0)], {}),
  gelu_grad: null,
  silu_gate: (g) => g.b.op('silu_gate_grad', [only(g), g.saved(0)], {}),
  silu_gate_grad: null,
  layer_scale: (g) => g.b.op('layer_scale_grad', [only(g), g.saved(0), g.operand(1)], {}),
  layer_scale_grad: null,
  l2_normalize: (g) => g.b.op('l2_normalize_grad', [only(g), g.saved(0)], g.attrs),
  l2_normalize_grad: null,
  weight_norm: (g) => g.b.op('weight_norm_grad', [only(g), g.operand(0), g.operand(1)], {}),
  weight_norm_grad: null,
  softmax: (g) => g.b.op('softmax_grad', [only(g), g.result(0)], {}),
  softmax_grad: null,
  add: (g) => [only(g), only(g)],
  scale: (g) => g.b.op('scale', [only(g)], g.attrs),
  fill: null,
  cast: (g) => g.b.op('cast', [only(g)], { to: g.type(0).dtype }),

  attention: (g) => g.b.op('attention_grad', [only(g), g.saved(0), g.result(0), g.result(1)], g.attrs),
  attention_grad: null,
  split_heads: (g) => g.b.op('join_heads', [orZero(g, 0), orZero(g, 1), orZero(g, 2)], g.attrs),
  join_heads: (g) => g.b.op('split_heads', [only(g)], g.attrs),
  merge_heads: (g) => g.b.op('unmerge_heads', [only(g)], g.attrs),
  unmerge_heads: (g) => g.b.op('merge_heads', [only(g)], g.attrs),

  concat_rows: (g) => {
    const dy = only(g)
    let start = 0
    return g.op.operands.map((_, i) => {
      const type = g.type(i)
      const count = type.shape[0] as number
      const slice = { start, count, ...structure(type) }
      start += count
      return g.wants(i) ? g.b.one('slice_rows', [dy], slice) : null
    })
  },
  slice_rows: (g) => {
    const type = g.type(0)
    const total = type.shape[0] as number
    return g.b.op('place_rows', [only(g)], { start: g.attrs.start, total, ...structure(type) })
  },
  place_rows: (g) => {
    const type = g.type(0)
    const count = type.shape[0] as number
    return g.b.op('slice_rows', [only(g)], { start: g.attrs.start, count, ...structure(type) })
  },
  select_tokens: (g) => {
    const segments = g.type(0).segments as readonly Group[]
    return g.b.op('place_tokens', [only(g)], { ...g.attrs, segments })
  },
  place_tokens: (g) => {
    const { group, start, tokens } = g.attrs
    return g.b.op('select_tokens', [only(g)], { group, start, tokens })
  },
  gather_rows: (g) => {
    const { shape, segments, rows } = g.type(0)
    if (rows !== undefined) return noGradient(g.op)
    const attrs = { total: shape[0] as number, ...(segments && { segments }) }
    return [g.b.one('scatter_add_rows', [only(g), g.operand(1), g.optional(2)], attrs), null, null]
  },
  scatter_add_rows: (g) => {
    const { rows } = g.type(0)
    const bound = g.optional(2)
    if ((bound === null) !== (rows === undefined)) return noGradient(g.op)
    const attrs = rows === undefined ? {} : { rows }
    return [g.b.one('gather_rows', [only(g), g.operand(1), bound], attrs), null, null]
  },
  gather_segments: (g) => {
    const segments = g.type(0).segments as readonly Group[]
    const scales = segments.map(() => 1)
    return [g.b.one('scatter_segments', [only(g), g.operand(1)], { segments, scales }), null]
  },
  scatter_segments: (g) => {
    const { scales } = g.attrs
    const segments = g.type(0).segments as readonly Group[]
    const operands = [only(g), null, null, g.operand(1)]
    return [g.b.one('residual_add_grad', operands, { scales, segments }), null]
  },
  residual_add: (g) => {
    const dy = only(g)
    const [gamma, kept, factors] = [g.optional(2), g.optional(3), g.optional(4)]
    const dx = g.wants(0) ? dy : null
    if (gamma === null && kept === null && factors === null) return [dx, dy, null, null, null]
    if (!g.wants(1) && !g.wants(2)) return [dx, null, null, null, null]
    const branch = gamma === null ? null : g.saved(1)
    const { segments } = g.type(1)
    const attrs = { scales: g.attrs.scales, ...(kept !== null && segments && { segments }) }
    const [dbranch, dgamma] = g.b.op('residual_add_grad', [dy, branch, gamma, kept, factors], attrs)
    return [dx, dbranch, dgamma ?? null, null, null]
  },
  residual_add_grad: null,

  sinkhorn: null,
  sharpen_center: null,
  make_targets: null,
  mean_rows: null,
  cross_entropy_rows: (g) => {
    if (!g.wants(0)) return [null, null, null, null]
    const operands = [only(g), g.saved(0), g.operand(1), g.result(1), g.optional(2), g.optional(3)]
    const dlogits = g.b.one('cross_entropy_rows_grad', operands, lossAttributes(g.attrs))
    return [dlogits, null, null, null]
  },
  cross_entropy_rows_grad: null,
  prototype_cross_entropy: (g) => {
    if (!g.wants(0) && !g.wants(1)) return g.op.operands.map(() => null)
    const given = [g.saved(0), g.operand(1), g.operand(2), g.operand(3), g.operand(4), g.operand(5)]
    const operands = [only(g), ...given, g.result(1), g.optional(6), g.optional(7)]
    const gradients = g.b.op('prototype_cross_entropy_grad', operands, lossAttributes(g.attrs))
    return [...gradients, null, null, null, null, null, null]
  },
  prototype_cross_entropy_grad: null,
  streamed_sinkhorn: null,
  streamed_sharpen_center: null,
  streamed_mean_rows: null,
  streamed_cross_entropy: (g) => {
    if (!g.wants(0) && !g.wants(1)) return g.op.operands.map(() => null)
    const given = [g.saved(0), ...[1, 2, 3, 4, 5, 6].map(g.operand)]
    const operands = [only(g), ...given, g.result(1), g.optional(7), g.optional(8)]
    const gradients = g.b.op('streamed_cross_entropy_grad', operands, lossAttributes(g.attrs))
    return [...gradients, null, null, null, null, null, null, null]
  },
  streamed_cross_entropy_grad: null,
  koleo: (g) => g.b.op('koleo_grad', [only(g), g.saved(0), g.result(1)], g.attrs),
  koleo_grad: null,
  weighted_sum: (g) => {
    const dy = only(g)
    return g.attrs.coefficients.map((factor, i) => {
      if (!g.wants(i)) return null
      return factor === 1 ? dy : g.b.one('scale', [dy], { factor })
    })
  },

  norm: null,
  finite: null,
  clip_factor: null,
  adamw: null,
  ema: null,
  adamw_ema: null,
  update_center: null,
  accumulate: null,

  // Every rank's loss depends on what every rank gave: their gradients add up.
  all_gather: (g) => [g.b.one('reduce_scatter', [only(g)], { ranks: g.attrs.ranks, shape: g.type(0).shape })],
  reduce_scatter: null,
  all_reduce: null,
  sinkhorn_columns: null,
  sinkhorn_rows: null,
  square_sum: null,
  sqrt: null,
} satisfies { readonly [K in OpKind]: Vjp<K> | null }

/** Kinds that a gradient passes through. */
export type DifferentiableKind = { [K in OpKind]: (typeof vjps)[K] extends null ? never : K }[OpKind]
