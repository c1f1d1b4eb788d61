import type { OpAttrs, OpKind } from './types.js'

/** What one attribute may be; `describe` is the expectation of DINO0603. */
export interface AttributeCheck {
  readonly describe: string
  readonly ok: (value: unknown) => boolean
}

const check = (describe: string, ok: (value: unknown) => boolean): AttributeCheck => ({ describe, ok })
const isCount = (v: unknown) => Number.isSafeInteger(v) && (v as number) >= 1
const isIndex = (v: unknown) => Number.isSafeInteger(v) && (v as number) >= 0
const isRecord = (v: unknown): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && !Array.isArray(v)

const count = check('a whole number from 1', isCount)
const index = check('a whole number from 0', isIndex)
const number = check('a finite number', (v) => Number.isFinite(v))
const positive = check('a number above 0', (v) => Number.isFinite(v) && (v as number) > 0)
const notNegative = check('a number from 0', (v) => Number.isFinite(v) && (v as number) >= 0)
const share = check(
  'a number from 0 to below 1',
  (v) => Number.isFinite(v) && (v as number) >= 0 && (v as number) < 1,
)
const fraction = check(
  'a number from 0 to 1',
  (v) => Number.isFinite(v) && (v as number) >= 0 && (v as number) <= 1,
)
const flag = check('true or false', (v) => typeof v === 'boolean')
const text = check('a name', (v) => typeof v === 'string' && v.length > 0)
const oneOf = (...names: string[]) => check(names.join(' or '), (v) => names.includes(v as string))
const maybe = (c: AttributeCheck) => check(`${c.describe}, or nothing`, (v) => v === undefined || c.ok(v))
const orNull = (c: AttributeCheck) => check(`${c.describe}, or null`, (v) => v === null || c.ok(v))
const listOf = (c: AttributeCheck) =>
  check(`a list, each ${c.describe}`, (v) => Array.isArray(v) && v.every(c.ok))

const group = check(
  'a group with name, count and length',
  (v) => isRecord(v) && text.ok(v.name) && isCount(v.count) && isCount(v.length),
)
const groups = check('a list of groups', (v) => Array.isArray(v) && v.length > 0 && v.every(group.ok))
const dtype = oneOf('f32', 'bf16', 'i32')
const type = check(
  'a tensor type',
  (v) =>
    isRecord(v) &&
    dtype.ok(v.dtype) &&
    Array.isArray(v.shape) &&
    v.shape.every(isIndex) &&
    (v.segments === undefined || groups.ok(v.segments)) &&
    (v.rows === undefined || text.ok(v.rows)),
)
const pairing = check(
  'same, swap with images, or each with images and crops',
  (v) =>
    isRecord(v) &&
    (v.kind === 'same' ||
      (v.kind === 'swap' && isCount(v.images)) ||
      (v.kind === 'each' && isCount(v.images) && isCount(v.crops))),
)

const shape = check('a shape', (v) => Array.isArray(v) && v.every(isCount))

const none = {}
const stored = { storage: maybe(oneOf('bf16')) }
const eps = { eps: notNegative }
const interpolation = { grid: count, height: count, width: count, offset: notNegative, antialias: flag }
const assemble = { group: text, count, patches: count, registers: index }
const heads = { heads: count }
const composedHeads = { heads: count, count, length: count }
const crossEntropy = { pairing, studentTemp: positive, scale: number, stats: flag }
const koleo = { set: count, eps: notNegative, scale: number }
const adamw = {
  beta1: share,
  beta2: share,
  eps: notNegative,
  lrMultiplier: notNegative,
  wdMultiplier: notNegative,
}

/** Every attribute of every op: another one, or a missing one, is a fault. */
export const attributeChecks: {
  readonly [K in OpKind]: { readonly [A in keyof OpAttrs[K]]-?: AttributeCheck }
} = {
  call: { callee: text, data: index },
  residual: {
    branch: text,
    rate: fraction,
    form: oneOf('subset', 'masked'),
    site: text,
    draws: maybe(count),
  },
  grad: { seed: number, outputs: maybe(count) },
  patchify: { patch: count },
  replace_masked: none,
  replace_masked_grad: none,
  interpolate_pos: interpolation,
  interpolate_pos_grad: interpolation,
  assemble_tokens: assemble,
  assemble_tokens_grad: assemble,
  linear: { ...stored, activation: oneOf('none', 'gelu') },
  matmul: { ...stored, transA: flag, transB: flag, epilogue: oneOf('none', 'gelu_grad') },
  batch_matmul: { transA: flag, transB: flag, scale: number },
  sum_rows: none,
  layer_norm: { ...stored, ...eps },
  layer_norm_rebuild: stored,
  layer_norm_grad: none,
  gelu: stored,
  gelu_grad: stored,
  silu_gate: stored,
  silu_gate_grad: stored,
  layer_scale: none,
  layer_scale_grad: stored,
  l2_normalize: { ...stored, ...eps },
  l2_normalize_grad: eps,
  weight_norm: stored,
  weight_norm_grad: none,
  softmax: none,
  softmax_grad: none,
  add: none,
  scale: { factor: number },
  fill: { value: number, type },
  cast: { to: dtype },
  attention: { ...stored, ...heads },
  attention_grad: { ...stored, ...heads },
  split_heads: composedHeads,
  join_heads: composedHeads,
  merge_heads: composedHeads,
  unmerge_heads: composedHeads,
  concat_rows: none,
  slice_rows: { start: index, count, segments: maybe(groups), rows: maybe(text) },
  place_rows: { start: index, total: count, segments: maybe(groups), rows: maybe(text) },
  select_tokens: { group: text, start: index, tokens: count },
  place_tokens: { group: text, start: index, tokens: count, segments: groups },
  gather_rows: { rows: maybe(text) },
  scatter_add_rows: { total: count, segments: maybe(groups) },
  gather_segments: { kept: listOf(count) },
  scatter_segments: { segments: groups, scales: listOf(number) },
  residual_add: { scales: orNull(listOf(number)) },
  residual_add_grad: { ...stored, scales: orNull(listOf(number)), segments: maybe(groups) },
  sinkhorn: { iterations: index },
  sharpen_center: none,
  make_targets: none,
  mean_rows: none,
  cross_entropy_rows: crossEntropy,
  cross_entropy_rows_grad: crossEntropy,
  prototype_cross_entropy: crossEntropy,
  prototype_cross_entropy_grad: crossEntropy,
  streamed_sinkhorn: { iterations: index },
  streamed_sharpen_center: none,
  streamed_mean_rows: none,
  streamed_cross_entropy: crossEntropy,
  streamed_cross_entropy_grad: crossEntropy,
  koleo,
  koleo_grad: koleo,
  weighted_sum: { coefficients: listOf(number) },
  norm: none,
  finite: none,
  clip_factor: { max: positive },
  adamw,
  ema: none,
  adamw_ema: adamw,
  update_center: { momentum: fraction },
  accumulate: none,
  all_gather: { ranks: count, shapes: listOf(shape) },
  reduce_scatter: { ranks: count, shape },
  all_reduce: { ranks: count, how: oneOf('sum', 'mean', 'logsumexp'), weighted: flag },
  sinkhorn_columns: none,
  sinkhorn_rows: none,
  square_sum: none,
  sqrt: none,
}

/** The first attribute that is missing, unknown or wrong. */
export function badAttribute(
  kind: OpKind,
  attrs: unknown,
): { readonly attribute: string; readonly expected: string; readonly found: unknown } | null {
  if (!isRecord(attrs)) return { attribute: 'attributes', expected: 'an object', found: attrs }
  const checks: Readonly<Record<string, AttributeCheck>> = attributeChecks[kind]
  for (const attribute in checks) {
    const rule = checks[attribute]!
    if (!rule.ok(attrs[attribute])) return { attribute, expected: rule.describe, found: attrs[attribute] }
  }
  const extra = Object.keys(attrs).find((key) => !Object.hasOwn(checks, key))
  return extra === undefined ? null : { attribute: extra, expected: 'no such attribute', found: attrs[extra] }
}
