import type { Operands } from './operands.js'
import { elements, groupRows, like, sameGroups, sequences, tensor, tensorType } from './operands.js'
import { targetRules } from './shape-rules-targets.js'
import type { OpAttrs, OpKind, PosInterpolation, TensorType } from './types.js'

/** Types of the results from operands already known to be of the right number, and attributes known to be valid. */
type Rule<K extends OpKind> = (o: Operands, attrs: OpAttrs[K]) => readonly TensorType[]

const scalarF32 = tensor('f32')

/** The first operand as it is, without row structure it might not have. */
const asFirst = (o: Operands) => [o.any(0)]

function interpolated(o: Operands, { grid, height, width }: PosInterpolation, inverse: boolean) {
  const small = 1 + grid * grid
  const large = 1 + height * width
  const x = o.float(0, inverse ? large : small, 'd')
  return [tensor(x.dtype, inverse ? small : large, o.dim('d'))]
}

function assembled(attrs: OpAttrs['assemble_tokens']) {
  const length = 1 + attrs.registers + attrs.patches
  const segments = [{ name: attrs.group, count: attrs.count, length }]
  return { length, rows: attrs.count * length, segments }
}

/** op(a) [m, p] and op(b) [p, n] of a product; `from` is the axis of the row dimension. */
function product(o: Operands, transA: boolean, transB: boolean, batch: readonly string[]) {
  const a = o.float(0, ...batch, ...(transA ? ['p', 'm'] : ['m', 'p']))
  o.float(1, ...batch, ...(transB ? ['n', 'p'] : ['p', 'n']))
  return a
}

function headed(o: Operands, attrs: OpAttrs['split_heads'], d: number) {
  if (d % attrs.heads !== 0) o.badAttribute('heads', `a divisor of ${d}`, attrs.heads)
  return [attrs.count * attrs.heads, attrs.length, d / attrs.heads] as const
}

/** qkv [T, 3d] -> d */
function widthOfQkv(o: Operands, i: number, heads: number): number {
  const qkv = o.ragged(i, 'T', 'qkv')
  const d = o.dim('qkv') / 3
  if (!Number.isInteger(d / heads)) o.badAttribute('heads', `a divisor of ${qkv.shape[1]} / 3`, heads)
  return d
}

const size = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1)

function checkGroups(o: Operands, attribute: string, segments: TensorType['segments'], rows: number) {
  if (segments && groupRows(segments) !== rows)
    o.badAttribute(attribute, `groups of ${rows} rows in all`, segments)
}

function countSum(o: Operands, i: number, counts: readonly number[]) {
  o.int(
    i,
    counts.reduce((n, c) => n + c, 0),
  )
}

/** Checks that `branch` covers kept sequences of `whole`, group by group. */
function checkKept(
  o: Operands,
  i: number,
  whole: NonNullable<TensorType['segments']>,
  branch: TensorType['segments'],
) {
  const fits =
    branch &&
    branch.length === whole.length &&
    branch.every((g, j) => g.length === whole[j]?.length && g.count <= (whole[j]?.count ?? 0))
  if (!fits) o.fail(i, 'sequences kept of each group')
}

function checkScales(o: Operands, scales: readonly number[] | null, groups: number | null) {
  if ((scales === null) !== (groups === null))
    o.badAttribute('scales', groups === null ? 'null without kept' : 'one scale a group', scales)
  if (scales && scales.length !== groups) o.badAttribute('scales', `${groups} scales, one a group`, scales)
}

function adamwOperands(o: Operands, clip: number) {
  const p = o.float(0)
  for (const i of [1, 2, 3]) o.same(i, p)
  if (o.all[clip]) o.scalar(clip)
  o.scalar(clip + 1)
  return p
}

/** The shape rule of each op, as operands are matched: `o.float(0, 'R', 'in')` is x [R, in]. */
export const rules: { readonly [K in OpKind]: Rule<K> } = {
  call: (o, { callee }) =>
    o.context.callee(
      callee,
      o.all.map((_, i) => o.any(i)),
    ),
  residual: (o, { branch }) => {
    const x = o.float(0, 'R', 'd')
    const results = o.context.callee(
      branch,
      o.all.map((_, i) => o.any(i)),
    )
    const y = results[0]
    if (results.length !== 1 || y?.shape[0] !== x.shape[0] || y?.shape[1] !== x.shape[1])
      o.badAttribute('branch', 'a function that gives one tensor of the shape of x', branch)
    return [x]
  },
  grad: (o, { outputs }) => {
    if (outputs === undefined) {
      o.scalar(0)
      return o.all.slice(1).map((_, i) => o.float(i + 1))
    }
    if (o.count < 2 * outputs) o.badAttribute('outputs', `at most ${o.count} / 2`, outputs)
    for (let i = 0; i < outputs; i++) o.same(outputs + i, o.float(i))
    return o.all.slice(2 * outputs).map((_, i) => o.float(2 * outputs + i))
  },

  patchify: (o, { patch }) => {
    const x = o.float(0, 'N', 'C', 'H', 'W')
    const [n, c, h, w] = [o.dim('N'), o.dim('C'), o.dim('H'), o.dim('W')]
    if (h % patch !== 0 || w % patch !== 0) o.badAttribute('patch', `a divisor of ${h} and ${w}`, patch)
    return [tensor(x.dtype, n * (h / patch) * (w / patch), c * patch * patch)]
  },
  replace_masked: (o) => {
    const x = o.float(0, 'R', 'd')
    o.float(1, 'd')
    o.int(2, 'R')
    return [x]
  },
  replace_masked_grad: (o) => {
    const dy = o.float(0, 'R', 'd')
    o.int(1, 'R')
    return [dy, tensor(dy.dtype, o.dim('d'))]
  },
  interpolate_pos: (o, attrs) => interpolated(o, attrs, false),
  interpolate_pos_grad: (o, attrs) => interpolated(o, attrs, true),
  assemble_tokens: (o, attrs) => {
    const { rows, segments } = assembled(attrs)
    const x = o.float(0, attrs.count * attrs.patches, 'd')
    o.float(1, 'd')
    o.float(2, 1 + attrs.patches, 'd')
    const registers = o.optionalFloat(3, attrs.registers, 'd')
    if ((registers === null) !== (attrs.registers === 0)) o.fail(3, `${attrs.registers} registers`)
    return [tensorType(x.dtype, [rows, o.dim('d')], segments)]
  },
  assemble_tokens_grad: (o, attrs) => {
    const { rows } = assembled(attrs)
    const { dtype } = o.float(0, rows, 'd')
    const d = o.dim('d')
    const results = [
      tensor(dtype, attrs.count * attrs.patches, d),
      tensor(dtype, d),
      tensor(dtype, 1 + attrs.patches, d),
    ]
    return attrs.registers > 0 ? [...results, tensor(dtype, attrs.registers, d)] : results
  },

  linear: (o, { activation }) => {
    const x = o.float(0, 'R', 'in')
    o.float(1, 'out', 'in')
    o.optionalFloat(2, 'out')
    const y = like(x, o.dim('R'), o.dim('out'))
    return activation === 'gelu' ? [y, y] : [y]
  },
  matmul: (o, { transA, transB, epilogue }) => {
    const a = product(o, transA, transB, [])
    o.optionalFloat(2, 'm', 'n')
    const pre = o.optionalFloat(3, 'm', 'n')
    if ((pre !== null) !== (epilogue === 'gelu_grad')) o.fail(3, `pre exactly with epilogue gelu_grad`)
    const rows = o.optionalInt(4)
    if (rows && !transA) o.badAttribute('transA', 'true, since rows bound the contraction', transA)
    const shape = [o.dim('m'), o.dim('n')]
    return [transA ? tensor(a.dtype, ...shape) : like(a, ...shape)]
  },
  batch_matmul: (o, { transA, transB }) => {
    const a = product(o, transA, transB, ['batch'])
    return [tensor(a.dtype, o.dim('batch'), o.dim('m'), o.dim('n'))]
  },
  sum_rows: (o) => {
    const x = o.float(0, 'R', 'd')
    o.optionalInt(1)
    return [tensor(x.dtype, o.dim('d'))]
  },

  layer_norm: (o) => {
    const x = o.float(0, 'R', 'd')
    o.float(1, 'd')
    o.float(2, 'd')
    const perRow = tensorType('f32', [o.dim('R')], x.segments, x.rows)
    return [x, perRow, perRow]
  },
  layer_norm_rebuild: (o) => {
    const x = o.float(0, 'R', 'd')
    o.float(1, 'R')
    o.float(2, 'R')
    o.float(3, 'd')
    o.float(4, 'd')
    return [x]
  },
  layer_norm_grad: (o) => {
    const dy = o.float(0, 'R', 'd')
    o.float(1, 'R', 'd')
    o.float(2, 'R')
    o.float(3, 'R')
    o.float(4, 'd')
    const perColumn = tensor('f32', o.dim('d'))
    return [dy, perColumn, perColumn]
  },
  gelu: (o) => [o.float(0)],
  gelu_grad: (o) => [o.same(1, o.float(0)) && o.float(0)],
  silu_gate: (o) => {
    const x = o.float(0, 'R', '2h')
    const h = o.dim('2h') / 2
    if (!Number.isInteger(h)) o.fail(0, 'an even width')
    return [like(x, o.dim('R'), h)]
  },
  silu_gate_grad: (o) => {
    const dy = o.float(0, 'R', 'h')
    o.bind('2h', 2 * o.dim('h'))
    o.float(1, 'R', '2h')
    return [like(dy, o.dim('R'), o.dim('2h'))]
  },
  layer_scale: (o) => {
    const x = o.float(0, 'R', 'd')
    o.float(1, 'd')
    return [x]
  },
  layer_scale_grad: (o) => {
    const dy = o.float(0, 'R', 'd')
    o.float(1, 'R', 'd')
    o.float(2, 'd')
    return [dy, tensor('f32', o.dim('d'))]
  },
  l2_normalize: (o) => [o.float(0, 'R', 'd')],
  l2_normalize_grad: (o) => {
    const dy = o.float(0, 'R', 'd')
    o.float(1, 'R', 'd')
    return [dy]
  },
  weight_norm: (o) => {
    const v = o.float(0, 'K', 'd')
    o.float(1, 'K')
    return [v]
  },
  weight_norm_grad: (o) => {
    const dw = o.float(0, 'K', 'd')
    o.float(1, 'K', 'd')
    o.float(2, 'K')
    return [dw, tensor(dw.dtype, o.dim('K'))]
  },
  softmax: (o) => {
    if (o.float(0).shape.length === 0) o.fail(0, 'at least one dimension')
    return asFirst(o)
  },
  softmax_grad: (o) => {
    o.same(1, o.float(0))
    return asFirst(o)
  },
  add: (o) => {
    const y = o.same(1, o.any(0))
    if (y.rows !== undefined && y.rows !== o.any(0).rows) o.fail(1, 'no bounded rows beside unbounded ones')
    return asFirst(o)
  },
  scale: (o) => [o.float(0)],
  fill: (_, { type }) => [type],
  cast: (o, { to }) => [{ ...o.any(0), dtype: to }],

  attention: (o, { heads }) => {
    const d = widthOfQkv(o, 0, heads)
    const qkv = o.any(0)
    return [like(qkv, o.dim('T'), d), tensor('f32', o.dim('T') * heads)]
  },
  attention_grad: (o, { heads }) => {
    const d = widthOfQkv(o, 1, heads)
    o.float(0, 'T', d)
    o.float(2, 'T', d)
    o.float(3, o.dim('T') * heads)
    return [o.any(1)]
  },
  split_heads: (o, attrs) => {
    const x = o.float(0, attrs.count * attrs.length, 'qkv')
    const head = tensor(x.dtype, ...headed(o, attrs, o.dim('qkv') / 3))
    return [head, head, head]
  },
  join_heads: (o, attrs) => {
    for (const i of [0, 1, 2]) o.float(i, attrs.count * attrs.heads, attrs.length, 'dh')
    return [tensor(o.any(0).dtype, attrs.count * attrs.length, 3 * attrs.heads * o.dim('dh'))]
  },
  merge_heads: (o, attrs) => {
    const x = o.float(0, attrs.count * attrs.heads, attrs.length, 'dh')
    return [tensor(x.dtype, attrs.count * attrs.length, attrs.heads * o.dim('dh'))]
  },
  unmerge_heads: (o, attrs) => {
    const x = o.float(0, attrs.count * attrs.length, 'd')
    return [tensor(x.dtype, ...headed(o, attrs, o.dim('d')))]
  },

  concat_rows: (o) => {
    const first = o.any(0)
    if (first.shape.length === 0) o.fail(0, 'at least one dimension')
    const types = o.all.map((_, i) => o.any(i))
    types.forEach((type, i) => {
      const fits =
        type.dtype === first.dtype &&
        type.shape.length === first.shape.length &&
        type.shape.every((size, axis) => axis === 0 || size === first.shape[axis])
      if (!fits) o.fail(i, `the dtype and columns of operand 0`)
    })
    const rows = types.reduce((n, type) => n + (type.shape[0] as number), 0)
    const segments = types.every((type) => type.segments)
      ? types.flatMap((type) => type.segments ?? [])
      : undefined
    return [tensorType(first.dtype, [rows, ...first.shape.slice(1)], segments)]
  },
  slice_rows: (o, { start, count, segments, rows }) => {
    const x = o.any(0)
    const total = x.shape[0] ?? o.fail(0, 'at least one dimension')
    if (start + count > total) o.badAttribute('count', `rows within the ${total} of x`, start + count)
    checkGroups(o, 'segments', segments, count)
    return [tensorType(x.dtype, [count, ...x.shape.slice(1)], segments, rows)]
  },
  place_rows: (o, { start, total, segments, rows }) => {
    const x = o.any(0)
    const count = x.shape[0] ?? o.fail(0, 'at least one dimension')
    if (start + count > total) o.badAttribute('total', `at least ${start + count}`, total)
    checkGroups(o, 'segments', segments, total)
    return [tensorType(x.dtype, [total, ...x.shape.slice(1)], segments, rows)]
  },
  select_tokens: (o, { group, start, tokens }) => {
    const x = o.ragged(0, 'T', 'd')
    const found = x.segments.filter((g) => g.name === group)
    const only = found[0]
    if (found.length !== 1 || !only) return o.badAttribute('group', 'the name of one group of x', group)
    if (start + tokens > only.length) o.badAttribute('tokens', `within ${only.length} tokens`, start + tokens)
    return [tensor(x.dtype, only.count * tokens, o.dim('d'))]
  },
  place_tokens: (o, { group, start, tokens, segments }) => {
    const found = segments.filter((g) => g.name === group)
    const only = found[0]
    if (found.length !== 1 || !only) return o.badAttribute('group', 'the name of one group', group)
    if (start + tokens > only.length) o.badAttribute('tokens', `within ${only.length} tokens`, start + tokens)
    const dy = o.float(0, only.count * tokens, 'd')
    return [tensorType(dy.dtype, [groupRows(segments), o.dim('d')], segments)]
  },
  gather_rows: (o, { rows }) => {
    const x = o.float(0, 'R', 'd')
    o.int(1, 'n')
    const bound = o.optionalInt(2)
    if ((bound === null) !== (rows === undefined))
      o.badAttribute('rows', 'a name exactly when the operand is given', rows)
    return [tensorType(x.dtype, [o.dim('n'), o.dim('d')], undefined, rows)]
  },
  scatter_add_rows: (o, { total, segments }) => {
    const y = o.float(0, 'n', 'd')
    o.int(1, 'n')
    o.optionalInt(2)
    checkGroups(o, 'segments', segments, total)
    return [tensorType(y.dtype, [total, o.dim('d')], segments)]
  },
  gather_segments: (o, { kept }) => {
    const x = o.ragged(0, 'T', 'd')
    countSum(o, 1, kept)
    const segments = x.segments.map((g, i) => ({ ...g, count: kept[i] ?? 0 }))
    const fits =
      kept.length === segments.length && segments.every((g, i) => g.count <= (x.segments[i]?.count ?? 0))
    if (!fits) o.badAttribute('kept', 'a number a group, at most its count', kept)
    return [tensorType(x.dtype, [groupRows(segments), o.dim('d')], segments)]
  },
  scatter_segments: (o, { segments, scales }) => {
    const y = o.ragged(0, 'kept rows', 'd')
    checkKept(o, 0, segments, y.segments)
    o.int(1, sequences(y.segments))
    checkScales(o, scales, segments.length)
    return [tensorType(y.dtype, [groupRows(segments), o.dim('d')], segments)]
  },
  residual_add: (o, { scales }) => {
    const x = o.float(0, 'T', 'd')
    o.optionalFloat(2, 'd')
    const kept = o.all[3] ?? null
    const factors = o.all[4] ?? null
    if (kept) {
      const { segments } = o.ragged(0, 'T', 'd')
      const branch = o.ragged(1, 'kept rows', 'd')
      checkKept(o, 1, segments, branch.segments)
      o.int(3, sequences(branch.segments))
      checkScales(o, scales, segments.length)
      if (factors) o.fail(4, 'nothing beside kept')
      return [x]
    }
    checkScales(o, scales, null)
    o.float(1, 'T', 'd')
    if (factors) o.float(4, sequences(o.ragged(0, 'T', 'd').segments))
    return [x]
  },
  residual_add_grad: (o, { scales, segments }) => {
    const dy = o.float(0, 'T', 'd')
    const d = o.dim('d')
    const gamma = o.optionalFloat(2, 'd')
    const kept = o.all[3] ?? null
    const factors = o.all[4] ?? null
    if ((kept === null) !== (segments === undefined))
      o.badAttribute('segments', 'those of the branch exactly when kept is given', segments)
    let result = dy
    if (kept && segments) {
      checkKept(o, 0, o.ragged(0, 'T', 'd').segments, segments)
      o.int(3, sequences(segments))
      checkScales(o, scales, segments.length)
      if (factors) o.fail(4, 'nothing beside kept')
      result = tensorType(dy.dtype, [groupRows(segments), d], segments)
    } else {
      checkScales(o, scales, null)
      if (factors) o.float(4, sequences(o.ragged(0, 'T', 'd').segments))
    }
    const branch = o.optionalFloat(1, result.shape[0] as number, d)
    if ((branch === null) !== (gamma === null)) o.fail(1, 'branch exactly when gamma is given')
    return gamma ? [result, tensor('f32', d)] : [result]
  },

  ...targetRules,

  norm: (o) => {
    for (let i = 0; i < o.count; i++) o.float(i)
    return [scalarF32]
  },
  finite: (o) => {
    for (let i = 0; i < o.count; i++) o.scalar(i)
    return [scalarF32]
  },
  clip_factor: (o) => [o.scalar(0)],
  adamw: (o) => {
    const p = adamwOperands(o, 7)
    o.scalar(4)
    o.scalar(5)
    o.int(6)
    return [p, o.any(2), o.any(3)]
  },
  ema: (o) => {
    const t = o.float(0)
    o.same(1, t)
    o.scalar(2)
    o.scalar(3)
    return [t]
  },
  adamw_ema: (o) => {
    const p = adamwOperands(o, 9)
    o.same(4, p)
    for (const i of [5, 6, 8]) o.scalar(i)
    o.int(7)
    return [p, o.any(2), o.any(3), o.any(4)]
  },
  update_center: (o) => {
    const center = o.float(0, 'K')
    o.float(1, 'K')
    o.scalar(2)
    o.optionalInt(3)
    return [center]
  },
  accumulate: (o) => {
    const x = o.any(1)
    if (!sameGroups(o.same(0, x).segments, x.segments)) o.fail(0, 'the segments of x')
    o.scalar(2)
    return [x]
  },

  all_gather: (o, { ranks, shapes }) => {
    const x = o.any(0)
    const total = shapes.reduce((n, shape) => n + size(shape), 0)
    if (Math.ceil(total / ranks) !== elements(x))
      o.badAttribute('shapes', `shapes that ${ranks} times ${elements(x)} values fill`, shapes)
    return shapes.map((shape) => tensorType(x.dtype, shape))
  },
  reduce_scatter: (o, { ranks, shape }) => {
    const { dtype } = o.float(0)
    for (let i = 1; i < o.count; i++) if (o.float(i).dtype !== dtype) o.fail(i, dtype)
    const total = o.all.reduce((n, x) => n + (x ? elements(x) : 0), 0)
    if (Math.ceil(total / ranks) !== size(shape))
      o.badAttribute('shape', `${Math.ceil(total / ranks)} values, a part of ${total}`, shape)
    return [tensorType('f32', shape)]
  },
  all_reduce: (o, { how, weighted }) => {
    const values = o.all.slice(0, weighted ? -1 : undefined)
    if (weighted) o.int(o.count - 1)
    if (values.length === 0) o.fail(0, 'a value beside the weight')
    if (weighted && how !== 'mean') o.badAttribute('weighted', 'false unless a mean is taken', weighted)
    return values.map((_, i) => (how === 'sum' ? o.any(i) : o.float(i)))
  },
  square_sum: (o) => {
    for (let i = 0; i < o.count; i++) o.float(i)
    return [scalarF32]
  },
  sqrt: (o) => [o.float(0)],
}
