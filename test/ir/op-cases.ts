import type { Data } from '../../compiler/ir/interpret.js'
import { elements, tensor, tensorType } from '../../compiler/ir/operands.js'
import type { Group, KernelKind, OpAttrs, TensorType } from '../../compiler/ir/types.js'

/** One small use of an op: types and numbers of its operands. What is not given is drawn at random. */
export interface OpCase<K extends KernelKind> {
  readonly name?: string
  readonly types: readonly (TensorType | null)[]
  readonly attrs: OpAttrs[K]
  /** Values of operands that must not be random: indices, scalars, positive numbers. */
  readonly values?: Readonly<Record<number, readonly number[]>>
  /** Operands whose gradients are compared with finite differences; empty where the op has none. */
  readonly wrt: readonly number[]
  /** Results that the loss reads; the first by default. */
  readonly through?: readonly number[]
}

const f = (...shape: number[]) => tensor('f32', ...shape)
const i = (...shape: number[]) => tensor('i32', ...shape)
const s = f()

export const groups: readonly Group[] = [
  { name: 'global', count: 2, length: 3 },
  { name: 'local', count: 3, length: 2 },
]
const keptGroups: readonly Group[] = [
  { name: 'global', count: 1, length: 3 },
  { name: 'local', count: 2, length: 2 },
]
/** The second global sequence, the third and first local ones. */
const kept = [1, 4, 2]
const ragged = (d: number) => tensorType('f32', [12, d], groups)
const raggedKept = (d: number) => tensorType('f32', [7, d], keptGroups)
const bounded = (rows: number, ...rest: number[]) => tensorType('f32', [rows, ...rest], undefined, 'rows')

const none = { transA: false, transB: false, epilogue: 'none' } as const
const same = { pairing: { kind: 'same' }, studentTemp: 0.4, scale: 0.7, stats: true } as const
const swap = { ...same, pairing: { kind: 'swap', images: 2 }, stats: false } as const
const each = { ...same, pairing: { kind: 'each', images: 2, crops: 2 }, stats: false } as const
const adamw = { beta1: 0.9, beta2: 0.99, eps: 1e-8, lrMultiplier: 0.5, wdMultiplier: 2 }
const koleo = { set: 3, eps: 1e-8, scale: 0.5 }
const upscale = { grid: 3, height: 5, width: 4, offset: 0.1, antialias: false }
const downscale = { grid: 5, height: 3, width: 4, offset: 0, antialias: true }
const assemble = { group: 'global', count: 2, patches: 4, registers: 2 }
const plainTokens = { ...assemble, registers: 0 }
const heads = { heads: 2, count: 2, length: 3 }

/** Every kernel, so that a new op without a case does not compile. */
export const opCases: { readonly [K in KernelKind]: readonly [OpCase<K>, ...OpCase<K>[]] } = {
  patchify: [{ types: [f(2, 3, 4, 6)], attrs: { patch: 2 }, wrt: [] }],
  replace_masked: [{ types: [f(4, 3), f(3), i(4)], attrs: {}, values: { 2: [0, 1, 1, 0] }, wrt: [0, 1] }],
  replace_masked_grad: [{ types: [f(4, 3), i(4)], attrs: {}, values: { 1: [0, 1, 1, 0] }, wrt: [] }],
  interpolate_pos: [
    { types: [f(10, 2)], attrs: upscale, wrt: [0] },
    { name: 'antialiased', types: [f(26, 2)], attrs: downscale, wrt: [0] },
    { name: 'identity', types: [f(10, 2)], attrs: { ...upscale, height: 3, width: 3 }, wrt: [0] },
  ],
  interpolate_pos_grad: [{ types: [f(21, 2)], attrs: upscale, wrt: [] }],
  assemble_tokens: [
    { types: [f(8, 3), f(3), f(5, 3), f(2, 3)], attrs: assemble, wrt: [0, 1, 2, 3] },
    { name: 'no registers', types: [f(8, 3), f(3), f(5, 3), null], attrs: plainTokens, wrt: [0, 1, 2] },
  ],
  assemble_tokens_grad: [{ types: [f(14, 3)], attrs: assemble, wrt: [] }],
  linear: [
    { types: [f(4, 3), f(5, 3), f(5)], attrs: { activation: 'none' }, wrt: [0, 1, 2] },
    { name: 'no bias', types: [ragged(3), f(2, 3), null], attrs: { activation: 'none' }, wrt: [0, 1] },
    { name: 'gelu', types: [f(4, 3), f(5, 3), f(5)], attrs: { activation: 'gelu' }, wrt: [0, 1, 2] },
    {
      name: 'gelu and pre',
      types: [f(4, 3), f(5, 3), f(5)],
      attrs: { activation: 'gelu' },
      wrt: [0, 1, 2],
      through: [0, 1],
    },
    {
      name: 'pre alone',
      types: [f(4, 3), f(5, 3), f(5)],
      attrs: { activation: 'gelu' },
      wrt: [0, 1, 2],
      through: [1],
    },
  ],
  matmul: [
    { types: [f(4, 3), f(3, 5), f(4, 5), null, null], attrs: none, wrt: [0, 1, 2] },
    {
      name: 'aᵀ',
      types: [f(3, 4), f(3, 5), null, null, null],
      attrs: { ...none, transA: true },
      wrt: [0, 1],
    },
    {
      name: 'bᵀ',
      types: [f(4, 3), f(5, 3), null, null, null],
      attrs: { ...none, transB: true },
      wrt: [0, 1],
    },
    {
      name: 'aᵀ bᵀ',
      types: [f(3, 4), f(5, 3), null, null, null],
      attrs: { ...none, transA: true, transB: true },
      wrt: [0, 1],
    },
    {
      name: 'rows',
      types: [bounded(6, 4), bounded(6, 5), null, null, i()],
      attrs: { ...none, transA: true },
      values: { 4: [3] },
      wrt: [],
    },
    {
      name: 'gelu_grad',
      types: [f(4, 3), f(3, 5), null, f(4, 5), null],
      attrs: { ...none, epilogue: 'gelu_grad' },
      wrt: [],
    },
    {
      name: 'c and gelu_grad',
      types: [f(4, 3), f(3, 5), f(4, 5), f(4, 5), null],
      attrs: { ...none, epilogue: 'gelu_grad' },
      wrt: [],
    },
  ],
  batch_matmul: [
    { types: [f(2, 4, 3), f(2, 3, 5)], attrs: { transA: false, transB: false, scale: 0.5 }, wrt: [0, 1] },
    {
      name: 'aᵀ',
      types: [f(2, 3, 4), f(2, 3, 5)],
      attrs: { transA: true, transB: false, scale: 1 },
      wrt: [0, 1],
    },
    {
      name: 'bᵀ',
      types: [f(2, 4, 3), f(2, 5, 3)],
      attrs: { transA: false, transB: true, scale: 2 },
      wrt: [0, 1],
    },
    {
      name: 'aᵀ bᵀ',
      types: [f(2, 3, 4), f(2, 5, 3)],
      attrs: { transA: true, transB: true, scale: 1 },
      wrt: [0, 1],
    },
  ],
  sum_rows: [
    { types: [f(4, 3), null], attrs: {}, wrt: [] },
    { name: 'rows', types: [bounded(4, 3), i()], attrs: {}, values: { 1: [2] }, wrt: [] },
  ],
  layer_norm: [{ types: [f(4, 5), f(5), f(5)], attrs: { eps: 1e-6 }, wrt: [0, 1, 2] }],
  layer_norm_rebuild: [{ types: [f(4, 5), f(4), f(4), f(5), f(5)], attrs: {}, wrt: [] }],
  layer_norm_grad: [{ types: [f(4, 5), f(4, 5), f(4), f(4), f(5)], attrs: {}, wrt: [] }],
  gelu: [{ types: [f(4, 5)], attrs: {}, wrt: [0] }],
  gelu_grad: [{ types: [f(4, 5), f(4, 5)], attrs: {}, wrt: [] }],
  silu_gate: [{ types: [f(4, 6)], attrs: {}, wrt: [0] }],
  silu_gate_grad: [{ types: [f(4, 3), f(4, 6)], attrs: {}, wrt: [] }],
  layer_scale: [{ types: [f(4, 3), f(3)], attrs: {}, wrt: [0, 1] }],
  layer_scale_grad: [{ types: [f(4, 3), f(4, 3), f(3)], attrs: {}, wrt: [] }],
  l2_normalize: [
    { types: [f(4, 3)], attrs: { eps: 1e-12 }, wrt: [0] },
    { name: 'below eps', types: [f(2, 3)], attrs: { eps: 10 }, wrt: [0] },
  ],
  l2_normalize_grad: [{ types: [f(4, 3), f(4, 3)], attrs: { eps: 1e-12 }, wrt: [] }],
  weight_norm: [{ types: [f(4, 3), f(4)], attrs: {}, wrt: [0, 1] }],
  weight_norm_grad: [{ types: [f(4, 3), f(4, 3), f(4)], attrs: {}, wrt: [] }],
  softmax: [{ types: [f(2, 3, 4)], attrs: {}, wrt: [0] }],
  softmax_grad: [{ types: [f(2, 4), f(2, 4)], attrs: {}, wrt: [] }],
  add: [{ types: [f(4, 3), f(4, 3)], attrs: {}, wrt: [0, 1] }],
  scale: [{ types: [f(4, 3)], attrs: { factor: -0.5 }, wrt: [0] }],
  fill: [{ types: [], attrs: { value: 0.25, type: f(2, 3) }, wrt: [] }],
  cast: [
    { types: [f(4, 3)], attrs: { to: 'f32' }, wrt: [0] },
    // Rounding has steps, which no difference quotient sees through.
    { name: 'to bf16', types: [f(4, 3)], attrs: { to: 'bf16' }, wrt: [] },
  ],
  attention: [{ types: [ragged(12)], attrs: { heads: 2 }, wrt: [0] }],
  attention_grad: [{ types: [ragged(4), ragged(12), ragged(4), f(24)], attrs: { heads: 2 }, wrt: [] }],
  split_heads: [
    { types: [f(6, 12)], attrs: heads, wrt: [0], through: [0, 1, 2] },
    { name: 'k alone', types: [f(6, 12)], attrs: heads, wrt: [0], through: [1] },
  ],
  join_heads: [{ types: [f(4, 3, 2), f(4, 3, 2), f(4, 3, 2)], attrs: heads, wrt: [0, 1, 2] }],
  merge_heads: [{ types: [f(4, 3, 2)], attrs: heads, wrt: [0] }],
  unmerge_heads: [{ types: [f(6, 4)], attrs: heads, wrt: [0] }],
  concat_rows: [
    { types: [f(2, 3), f(4, 3)], attrs: {}, wrt: [0, 1] },
    { name: 'ragged', types: [ragged(2), raggedKept(2)], attrs: {}, wrt: [0, 1] },
    { name: 'one dimension', types: [f(2), f(3)], attrs: {}, wrt: [0, 1] },
  ],
  slice_rows: [
    { types: [f(6, 3)], attrs: { start: 2, count: 3 }, wrt: [0] },
    {
      name: 'ragged',
      types: [ragged(2)],
      attrs: { start: 6, count: 6, segments: groups.slice(1) },
      wrt: [0],
    },
  ],
  place_rows: [
    { types: [f(3, 2)], attrs: { start: 2, total: 6 }, wrt: [0] },
    { name: 'ragged', types: [f(6, 2)], attrs: { start: 6, total: 12, segments: groups }, wrt: [0] },
  ],
  select_tokens: [{ types: [ragged(3)], attrs: { group: 'local', start: 1, tokens: 1 }, wrt: [0] }],
  place_tokens: [
    { types: [f(4, 3)], attrs: { group: 'global', start: 1, tokens: 2, segments: groups }, wrt: [0] },
  ],
  gather_rows: [
    { types: [ragged(3), i(4), null], attrs: {}, values: { 1: [5, 0, 5, 11] }, wrt: [0] },
    {
      name: 'rows',
      types: [f(6, 3), i(4), i()],
      attrs: { rows: 'rows' },
      values: { 1: [5, 0, 77, -1], 2: [2] },
      wrt: [0],
    },
  ],
  scatter_add_rows: [
    { types: [f(4, 3), i(4), null], attrs: { total: 6 }, values: { 1: [5, 0, 5, 1] }, wrt: [0] },
    {
      name: 'rows',
      types: [bounded(4, 3), i(4), i()],
      attrs: { total: 12, segments: groups },
      values: { 1: [5, 0, 77, -1], 2: [2] },
      wrt: [0],
    },
  ],
  gather_segments: [{ types: [ragged(2), i(3)], attrs: { kept: [1, 2] }, values: { 1: kept }, wrt: [0] }],
  scatter_segments: [
    {
      types: [raggedKept(2), i(3)],
      attrs: { segments: groups, scales: [2, 1.5] },
      values: { 1: kept },
      wrt: [0],
    },
  ],
  residual_add: [
    { types: [f(4, 3), f(4, 3), null, null, null], attrs: { scales: null }, wrt: [0, 1] },
    { name: 'gamma', types: [f(4, 3), f(4, 3), f(3), null, null], attrs: { scales: null }, wrt: [0, 1, 2] },
    {
      name: 'kept',
      types: [ragged(3), raggedKept(3), null, i(3), null],
      attrs: { scales: [2, 1.5] },
      values: { 3: kept },
      wrt: [0, 1],
    },
    {
      name: 'gamma and kept',
      types: [ragged(3), raggedKept(3), f(3), i(3), null],
      attrs: { scales: [2, 1.5] },
      values: { 3: kept },
      wrt: [0, 1, 2],
    },
    {
      name: 'gamma and factors',
      types: [ragged(3), ragged(3), f(3), null, f(5)],
      attrs: { scales: null },
      values: { 4: [0, 1.25, 1.25, 0, 1.25] },
      wrt: [0, 1, 2],
    },
    {
      name: 'factors',
      types: [ragged(3), ragged(3), null, null, f(5)],
      attrs: { scales: null },
      values: { 4: [0, 1.25, 1.25, 0, 1.25] },
      wrt: [0, 1],
    },
  ],
  residual_add_grad: [
    { types: [f(4, 3), f(4, 3), f(3), null, null], attrs: { scales: null }, wrt: [] },
    {
      name: 'plain',
      types: [f(4, 3), null, null, null, null],
      attrs: { scales: null },
      wrt: [],
    },
    {
      name: 'gamma and kept',
      types: [ragged(3), raggedKept(3), f(3), i(3), null],
      attrs: { scales: [2, 1.5], segments: keptGroups },
      values: { 3: kept },
      wrt: [],
    },
    {
      name: 'kept, one scale',
      types: [ragged(3), null, null, i(3), null],
      attrs: { scales: [2, 2], segments: keptGroups },
      values: { 3: kept },
      wrt: [],
    },
  ],
  sinkhorn: [
    { types: [f(4, 5), s, null], attrs: { iterations: 3 }, values: { 1: [0.3] }, wrt: [] },
    {
      name: 'rows',
      types: [bounded(6, 5), s, i()],
      attrs: { iterations: 2 },
      values: { 1: [0.3], 2: [4] },
      wrt: [],
    },
    {
      name: 'no rows',
      types: [bounded(6, 5), s, i()],
      attrs: { iterations: 3 },
      values: { 1: [0.3], 2: [0] },
      wrt: [],
    },
  ],
  sharpen_center: [{ types: [f(4, 5), f(5), s], attrs: {}, values: { 2: [0.3] }, wrt: [] }],
  make_targets: [{ types: [f(4, 5), f(4), f(5), s], attrs: {}, values: { 3: [0.3] }, wrt: [] }],
  mean_rows: [
    { types: [f(4, 5), null], attrs: {}, wrt: [] },
    { name: 'no rows', types: [bounded(4, 5), i()], attrs: {}, values: { 1: [0] }, wrt: [] },
  ],
  cross_entropy_rows: [
    { types: [f(4, 5), f(4, 5), null, null], attrs: same, wrt: [0] },
    { name: 'swap', types: [f(4, 5), f(4, 5), null, null], attrs: swap, wrt: [0] },
    { name: 'each', types: [f(6, 5), f(4, 5), null, null], attrs: each, wrt: [0] },
    {
      name: 'weights and rows',
      types: [bounded(6, 5), bounded(6, 5), bounded(6), i()],
      attrs: same,
      values: { 3: [4] },
      wrt: [0],
    },
    {
      name: 'no rows',
      types: [bounded(6, 5), bounded(6, 5), bounded(6), i()],
      attrs: same,
      values: { 3: [0] },
      wrt: [0],
    },
  ],
  cross_entropy_rows_grad: [
    { types: [s, f(4, 5), f(4, 5), f(4), null, null], attrs: same, wrt: [] },
    {
      name: 'rows',
      types: [s, bounded(6, 5), bounded(6, 5), bounded(6), bounded(6), i()],
      attrs: same,
      values: { 5: [4] },
      wrt: [],
    },
  ],
  prototype_cross_entropy: [
    {
      types: [f(4, 3), f(5, 3), f(4, 5), f(4), f(5), s, null, null],
      attrs: same,
      values: { 5: [0.3] },
      wrt: [0, 1],
    },
    {
      name: 'swap',
      types: [f(4, 3), f(5, 3), f(4, 5), f(4), f(5), s, null, null],
      attrs: swap,
      values: { 5: [0.3] },
      wrt: [0, 1],
    },
    {
      name: 'each',
      types: [f(6, 3), f(5, 3), f(4, 5), f(4), f(5), s, null, null],
      attrs: each,
      values: { 5: [0.3] },
      wrt: [0, 1],
    },
    {
      name: 'weights and rows',
      types: [bounded(6, 3), f(5, 3), bounded(6, 5), bounded(6), f(5), s, bounded(6), i()],
      attrs: same,
      values: { 5: [0.3], 7: [4] },
      wrt: [0, 1],
    },
    {
      name: 'no rows',
      types: [bounded(6, 3), f(5, 3), bounded(6, 5), bounded(6), f(5), s, bounded(6), i()],
      attrs: same,
      values: { 5: [0.3], 7: [0] },
      wrt: [0, 1],
    },
  ],
  prototype_cross_entropy_grad: [
    {
      types: [s, f(4, 3), f(5, 3), f(4, 5), f(4), f(5), s, f(4), null, null],
      attrs: { ...same, stats: false },
      values: { 6: [0.3] },
      wrt: [],
    },
    {
      name: 'weights and rows',
      types: [s, bounded(6, 3), f(5, 3), bounded(6, 5), bounded(6), f(5), s, bounded(6), bounded(6), i()],
      attrs: { ...same, stats: false },
      values: { 6: [0.3], 9: [4] },
      wrt: [],
    },
  ],
  streamed_sinkhorn: [
    { types: [f(4, 3), f(5, 3), s, null], attrs: { iterations: 3 }, values: { 2: [0.3] }, wrt: [] },
    {
      name: 'rows',
      types: [bounded(6, 3), f(5, 3), s, i()],
      attrs: { iterations: 2 },
      values: { 2: [0.3], 3: [4] },
      wrt: [],
    },
    {
      name: 'no rows',
      types: [bounded(6, 3), f(5, 3), s, i()],
      attrs: { iterations: 3 },
      values: { 2: [0.3], 3: [0] },
      wrt: [],
    },
  ],
  streamed_sharpen_center: [{ types: [f(4, 3), f(5, 3), f(5), s], attrs: {}, values: { 3: [0.3] }, wrt: [] }],
  streamed_mean_rows: [
    { types: [f(4, 3), f(5, 3), null], attrs: {}, wrt: [] },
    { name: 'no rows', types: [bounded(4, 3), f(5, 3), i()], attrs: {}, values: { 2: [0] }, wrt: [] },
  ],
  streamed_cross_entropy: [
    {
      types: [f(4, 3), f(5, 3), f(4, 2), f(5, 2), f(4), f(5), s, null, null],
      attrs: same,
      values: { 6: [0.3] },
      wrt: [0, 1],
    },
    {
      name: 'swap',
      types: [f(4, 3), f(5, 3), f(4, 3), f(5, 3), f(4), f(5), s, null, null],
      attrs: swap,
      values: { 6: [0.3] },
      wrt: [0, 1],
    },
    {
      name: 'each',
      types: [f(6, 3), f(5, 3), f(4, 2), f(5, 2), f(4), f(5), s, null, null],
      attrs: each,
      values: { 6: [0.3] },
      wrt: [0, 1],
    },
    {
      name: 'weights and rows',
      types: [bounded(6, 3), f(5, 3), bounded(6, 2), f(5, 2), bounded(6), f(5), s, bounded(6), i()],
      attrs: same,
      values: { 6: [0.3], 8: [4] },
      wrt: [0, 1],
    },
    {
      name: 'no rows',
      types: [bounded(6, 3), f(5, 3), bounded(6, 2), f(5, 2), bounded(6), f(5), s, bounded(6), i()],
      attrs: same,
      values: { 6: [0.3], 8: [0] },
      wrt: [0, 1],
    },
  ],
  streamed_cross_entropy_grad: [
    {
      types: [s, f(4, 3), f(5, 3), f(4, 2), f(5, 2), f(4), f(5), s, f(4), null, null],
      attrs: { ...same, stats: false },
      values: { 7: [0.3] },
      wrt: [],
    },
    {
      name: 'weights and rows',
      types: [
        s,
        bounded(6, 3),
        f(5, 3),
        bounded(6, 2),
        f(5, 2),
        bounded(6),
        f(5),
        s,
        bounded(6),
        bounded(6),
        i(),
      ],
      attrs: { ...same, stats: false },
      values: { 7: [0.3], 10: [4] },
      wrt: [],
    },
  ],
  koleo: [
    { types: [f(6, 4)], attrs: koleo, wrt: [0] },
    { name: 'one set', types: [f(6, 4)], attrs: { ...koleo, set: 6 }, wrt: [0] },
  ],
  koleo_grad: [{ types: [s, f(6, 4), i(6)], attrs: koleo, values: { 2: [1, 2, 0, 4, 5, 3] }, wrt: [] }],
  weighted_sum: [{ types: [s, s, s], attrs: { coefficients: [1, -2, 0.5] }, wrt: [0, 1, 2] }],
  norm: [{ types: [f(4, 3), f(2)], attrs: {}, wrt: [] }],
  square_sum: [{ types: [f(4, 3), f(2)], attrs: {}, wrt: [] }],
  sqrt: [{ types: [f(4)], attrs: {}, values: { 0: [0, 1, 2, 3] }, wrt: [] }],
  sinkhorn_columns: [
    { types: [f(4, 5), null, s, null], attrs: {}, values: { 2: [0.3] }, wrt: [] },
    {
      name: 'rows',
      types: [bounded(6, 5), f(6), s, i()],
      attrs: {},
      values: { 2: [0.3], 3: [4] },
      wrt: [],
    },
  ],
  sinkhorn_rows: [
    { types: [f(4, 5), f(5), s, null], attrs: {}, values: { 2: [0.3] }, wrt: [] },
    { name: 'rows', types: [bounded(6, 5), f(5), s, i()], attrs: {}, values: { 2: [0.3], 3: [4] }, wrt: [] },
  ],
  all_gather: [{ types: [f(6)], attrs: { ranks: 1, shapes: [[6]] }, wrt: [0] }],
  reduce_scatter: [{ types: [f(2, 2), f(2)], attrs: { ranks: 1, shape: [6] }, wrt: [] }],
  all_reduce: [
    { types: [f(4), f(2)], attrs: { ranks: 1, how: 'sum', weighted: false }, wrt: [] },
    {
      name: 'weighted',
      types: [f(4), i()],
      attrs: { ranks: 1, how: 'mean', weighted: true },
      values: { 1: [3] },
      wrt: [],
    },
  ],
  finite: [{ types: [s, s], attrs: {}, wrt: [] }],
  clip_factor: [{ types: [s], attrs: { max: 0.1 }, values: { 0: [0.5] }, wrt: [] }],
  adamw: [
    {
      types: [f(4), f(4), f(4), f(4), s, s, i(), s, s],
      attrs: adamw,
      values: { 3: [0.1, 0.2, 0.3, 0.4], 4: [0.01], 5: [0.04], 6: [3], 7: [0.5], 8: [1] },
      wrt: [],
    },
    {
      name: 'not finite',
      types: [f(4), f(4), f(4), f(4), s, s, i(), null, s],
      attrs: adamw,
      values: { 1: [1, Number.NaN, 1, 1], 3: [0.1, 0.2, 0.3, 0.4], 4: [0.01], 5: [0.04], 6: [3], 8: [0] },
      wrt: [],
    },
  ],
  ema: [{ types: [f(4), f(4), s, s], attrs: {}, values: { 2: [0.9], 3: [1] }, wrt: [] }],
  adamw_ema: [
    {
      types: [f(4), f(4), f(4), f(4), f(4), s, s, i(), s, s, s],
      attrs: adamw,
      values: { 3: [0.1, 0.2, 0.3, 0.4], 5: [0.01], 6: [0.04], 7: [3], 8: [0.9], 9: [0.5], 10: [1] },
      wrt: [],
    },
  ],
  update_center: [
    { types: [f(4), f(4), s, null], attrs: { momentum: 0.9 }, values: { 2: [1] }, wrt: [] },
    {
      name: 'no rows',
      types: [f(4), f(4), s, i()],
      attrs: { momentum: 0.9 },
      values: { 2: [1], 3: [0] },
      wrt: [],
    },
  ],
  accumulate: [
    { types: [f(4), f(4), s], attrs: {}, values: { 2: [0] }, wrt: [] },
    { name: 'first', types: [f(4), f(4), s], attrs: {}, values: { 2: [1] }, wrt: [] },
  ],
}

/** Numbers in [-1, 1) from a seed. */
export function noise(seed: number): () => number {
  let state = Math.imul(seed + 1, 2654435761) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
}

/** Numbers for the operands of a case; null for absent ones. */
export function operandData<K extends KernelKind>(c: OpCase<K>, seed = 0): readonly (Data | null)[] {
  const next = noise(seed)
  return c.types.map((type, k) => {
    if (!type) return null
    const given = c.values?.[k]
    if (type.dtype === 'i32') return Int32Array.from(given ?? new Array(elements(type)).fill(0))
    return given ? Float64Array.from(given) : Float64Array.from({ length: elements(type) }, next)
  })
}
