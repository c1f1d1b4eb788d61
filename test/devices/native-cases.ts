import type { Group, KernelKind, OpAttrs, TensorType } from '../../compiler/ir/types.js'

/** One op to run: its attributes and operands. Values are drawn by `fill`. */
export interface Case<K extends KernelKind = KernelKind> {
  readonly attrs: OpAttrs[K]
  readonly operands: readonly (Operand | null)[]
  /** Times 1e-5 relative to the largest result, where float32 has more to add up. */
  readonly slack?: number
  /** Results are compared as if the largest were at least this; default 0.001. */
  readonly floor?: number
}

export interface Operand {
  readonly type: TensorType
  /** How its values are drawn; default `normal`. */
  readonly fill: 'normal' | 'positive' | 'mask' | readonly number[] | { readonly below: number }
}

export const f = (...shape: number[]): Operand => ({ type: { dtype: 'f32', shape }, fill: 'normal' })
export const positive = (...shape: number[]): Operand => ({
  type: { dtype: 'f32', shape },
  fill: 'positive',
})
export const scalar = (value: number): Operand => ({ type: { dtype: 'f32', shape: [] }, fill: [value] })
export const int = (value: number): Operand => ({ type: { dtype: 'i32', shape: [] }, fill: [value] })
export const ints = (values: readonly number[]): Operand => ({
  type: { dtype: 'i32', shape: [values.length] },
  fill: values,
})
export const index = (n: number, below: number): Operand => ({
  type: { dtype: 'i32', shape: [n] },
  fill: { below },
})
const mask = (n: number): Operand => ({ type: { dtype: 'i32', shape: [n] }, fill: 'mask' })

export const rowsOf = (groups: readonly Group[]) => groups.reduce((n, g) => n + g.count * g.length, 0)
const ragged = (groups: readonly Group[], d: number): Operand => ({
  type: { dtype: 'f32', shape: [rowsOf(groups), d], segments: groups },
  fill: 'normal',
})
const g = (name: string, count: number, length: number): Group => ({ name, count, length })

const crops = [g('global', 4, 17), g('local', 6, 5), g('single', 1, 1)]
const keptCrops = [g('global', 2, 17), g('local', 4, 5), g('single', 1, 1)]
const kept = ints([3, 0, 9, 4, 6, 5, 10])
const scales = [2, 1.5, 1]

const same = { kind: 'same' } as const
const pairings = [
  { pairing: same, students: 23, teachers: 23 },
  { pairing: { kind: 'swap', images: 7 } as const, students: 14, teachers: 14 },
  { pairing: { kind: 'each', images: 5, crops: 2 } as const, students: 20, teachers: 10 },
]
const loss = (
  pairing: OpAttrs['cross_entropy_rows']['pairing'],
  stats: boolean,
): OpAttrs['cross_entropy_rows'] => ({ pairing, studentTemp: 0.1, scale: 0.3, stats })

/** Targets that sum to about one a row: log factors of a softmax over logits of unit scale. */
const factors = (teachers: number, prototypes: number) => [
  f(teachers, prototypes),
  { ...f(teachers), fill: Array(teachers).fill(-2 - Math.log(prototypes)) as number[] },
  { ...f(prototypes) },
  scalar(0.7),
]
/** The same where logits are products of features of seven and prototypes. */
const featureFactors = (teachers: number, prototypes: number) => [
  f(teachers, 7),
  f(prototypes, 7),
  ...factors(teachers, prototypes).slice(1, 3),
  scalar(2),
]
/** The last: several ranges of prototypes. */
const streamedPairs = pairings.flatMap((pairs) =>
  [37, 2500].flatMap((prototypes) =>
    [null, ...(pairs.pairing === same ? [int(0), int(9)] : [])].map((rows) => ({
      ...pairs,
      prototypes,
      rows,
    })),
  ),
)
const targets = (rows: number, prototypes: number): Operand => ({
  type: { dtype: 'f32', shape: [rows, prototypes] },
  fill: 'positive',
})

const adamw = { beta1: 0.9, beta2: 0.999, eps: 1e-8, lrMultiplier: 0.5, wdMultiplier: 2 }
const adamwOperands = (shape: number[], finite: number, clip: boolean, ema: boolean) => [
  f(...shape),
  f(...shape),
  f(...shape),
  positive(...shape),
  ...(ema ? [f(...shape)] : []),
  scalar(1e-3),
  scalar(0.04),
  int(7),
  ...(ema ? [scalar(0.994)] : []),
  clip ? scalar(0.3) : null,
  scalar(finite),
]

const interpolations = [
  { grid: 4, height: 4, width: 4, offset: 0, antialias: false },
  { grid: 5, height: 3, width: 7, offset: 0.1, antialias: false },
  { grid: 6, height: 3, width: 4, offset: 0, antialias: true },
]
const assembled = [
  { group: 'crops', count: 3, patches: 4, registers: 0 },
  { group: 'crops', count: 5, patches: 6, registers: 2 },
]
const heads = { heads: 3, count: 2, length: 5 }

/** At least one case of every kernel; a kind without cases does not compile. */
export const cases: { readonly [K in KernelKind]: readonly Case<K>[] } = {
  patchify: [
    { attrs: { patch: 4 }, operands: [f(3, 3, 8, 12)] },
    { attrs: { patch: 7 }, operands: [f(2, 1, 14, 7)] },
  ],
  replace_masked: [{ attrs: {}, operands: [f(37, 19), f(19), mask(37)] }],
  replace_masked_grad: [{ attrs: {}, operands: [f(137, 19), mask(137)] }],
  interpolate_pos: interpolations.map((attrs) => ({ attrs, operands: [f(1 + attrs.grid ** 2, 9)] })),
  interpolate_pos_grad: interpolations.map((attrs) => ({
    attrs,
    operands: [f(1 + attrs.height * attrs.width, 9)],
  })),
  assemble_tokens: assembled.map((attrs) => ({
    attrs,
    operands: [
      f(attrs.count * attrs.patches, 11),
      f(11),
      f(1 + attrs.patches, 11),
      attrs.registers > 0 ? f(attrs.registers, 11) : null,
    ],
  })),
  assemble_tokens_grad: assembled.map((attrs) => ({
    attrs,
    operands: [f(attrs.count * (1 + attrs.registers + attrs.patches), 11)],
  })),
  linear: [
    { attrs: { activation: 'none' }, operands: [f(29, 35), f(67, 35), null] },
    { attrs: { activation: 'gelu' }, operands: [f(300, 96), f(40, 96), f(40)] },
    { attrs: { activation: 'none' }, operands: [f(13, 900), f(330, 900), f(330)], slack: 4 },
    { attrs: { activation: 'gelu' }, operands: [f(1, 1), f(1, 1), f(1)] },
  ],
  matmul: [
    ...[false, true].flatMap((transA) =>
      [false, true].map((transB) => ({
        attrs: { transA, transB, epilogue: 'none' } as const,
        operands: [
          transA ? f(43, 31) : f(31, 43),
          transB ? f(57, 43) : f(43, 57),
          f(31, 57),
          null,
          transA ? int(29) : null,
        ],
      })),
    ),
    {
      attrs: { transA: false, transB: false, epilogue: 'gelu_grad' },
      operands: [f(100, 48), f(48, 96), null, f(100, 96), null],
    },
    // Long contracted dimensions, with none, some and all of their rows.
    ...[null, int(0), int(1), int(3001), int(4000)].map((rows) => ({
      attrs: { transA: true, transB: false, epilogue: 'none' } as const,
      operands: [f(4000, 20), f(4000, 33), rows ? null : f(20, 33), null, rows],
      slack: 8,
    })),
    {
      attrs: { transA: false, transB: true, epilogue: 'gelu_grad' },
      operands: [f(30, 1700), f(70, 1700), f(30, 70), f(30, 70), null],
      slack: 8,
    },
  ],
  batch_matmul: [false, true].flatMap((transA) =>
    [false, true].map((transB) => ({
      attrs: { transA, transB, scale: 0.25 },
      operands: [transA ? f(3, 17, 5) : f(3, 5, 17), transB ? f(3, 37, 17) : f(3, 17, 37)],
    })),
  ),
  sum_rows: [
    { attrs: {}, operands: [f(301, 18), null] },
    { attrs: {}, operands: [f(301, 18), int(77)] },
    { attrs: {}, operands: [f(301, 18), int(0)] },
  ],
  layer_norm: [
    { attrs: { eps: 1e-6 }, operands: [f(41, 96), f(96), f(96)] },
    { attrs: { eps: 1e-6 }, operands: [f(3, 7), f(7), f(7)] },
  ],
  layer_norm_rebuild: [{ attrs: {}, operands: [f(41, 23), f(41), positive(41), f(23), f(23)] }],
  layer_norm_grad: [
    { attrs: {}, operands: [f(141, 23), f(141, 23), f(141), positive(141), f(23)] },
    { attrs: {}, operands: [f(3, 96), f(3, 96), f(3), positive(3), f(96)] },
  ],
  gelu: [{ attrs: {}, operands: [f(50, 37)] }],
  gelu_grad: [{ attrs: {}, operands: [f(50, 37), f(50, 37)] }],
  silu_gate: [{ attrs: {}, operands: [f(31, 42)] }],
  silu_gate_grad: [{ attrs: {}, operands: [f(31, 21), f(31, 42)] }],
  layer_scale: [{ attrs: {}, operands: [f(31, 21), f(21)] }],
  layer_scale_grad: [{ attrs: {}, operands: [f(131, 21), f(131, 21), f(21)] }],
  l2_normalize: [
    { attrs: { eps: 1e-12 }, operands: [f(31, 21)] },
    { attrs: { eps: 5 }, operands: [f(31, 21)] },
  ],
  l2_normalize_grad: [
    { attrs: { eps: 1e-12 }, operands: [f(31, 21), f(31, 21)] },
    { attrs: { eps: 5 }, operands: [f(31, 21), f(31, 21)] },
  ],
  weight_norm: [{ attrs: {}, operands: [f(51, 21), f(51)] }],
  weight_norm_grad: [{ attrs: {}, operands: [f(51, 21), f(51, 21), f(51)] }],
  softmax: [
    { attrs: {}, operands: [f(31, 21)] },
    { attrs: {}, operands: [f(2, 3, 17)] },
  ],
  softmax_grad: [{ attrs: {}, operands: [f(31, 21), f(31, 21)] }],
  add: [{ attrs: {}, operands: [f(300, 71), f(300, 71)] }],
  scale: [{ attrs: { factor: -0.37 }, operands: [f(30, 71)] }],
  fill: [
    { attrs: { value: 0.5, type: { dtype: 'f32', shape: [3, 40] } }, operands: [] },
    { attrs: { value: 3, type: { dtype: 'i32', shape: [] } }, operands: [] },
  ],
  cast: [
    { attrs: { to: 'f32' }, operands: [index(40, 90)] },
    { attrs: { to: 'f32' }, operands: [f(40)] },
    { attrs: { to: 'bf16' }, operands: [f(13, 7)] },
    { attrs: { to: 'bf16' }, operands: [index(40, 90)] },
    { attrs: { to: 'f32' }, operands: [{ ...f(40), type: { dtype: 'bf16', shape: [40] } }] },
  ],
  attention: [
    { attrs: { heads: 3 }, operands: [ragged(crops, 96 * 3)] },
    { attrs: { heads: 2 }, operands: [ragged([g('a', 2, 261), g('b', 1, 70)], 26 * 3)] },
    { attrs: { heads: 1 }, operands: [ragged([g('a', 3, 9)], 5 * 3)] },
    { attrs: { heads: 1 }, operands: [ragged([g('long', 1, 800)], 64 * 3)] },
  ],
  attention_grad: [
    { heads: 3, groups: crops, d: 96 },
    { heads: 2, groups: [g('a', 2, 261), g('b', 1, 70)], d: 26 },
    { heads: 1, groups: [g('a', 3, 9)], d: 5 },
  ].map(({ heads, groups, d }) => ({
    attrs: { heads },
    operands: [
      ragged(groups, d),
      ragged(groups, 3 * d),
      ragged(groups, d),
      { ...positive(rowsOf(groups) * heads) },
    ],
  })),
  split_heads: [{ attrs: heads, operands: [f(10, 27)] }],
  join_heads: [{ attrs: heads, operands: [f(6, 5, 3), f(6, 5, 3), f(6, 5, 3)] }],
  merge_heads: [{ attrs: heads, operands: [f(6, 5, 3)] }],
  unmerge_heads: [{ attrs: heads, operands: [f(10, 9)] }],
  concat_rows: [
    { attrs: {}, operands: [f(10, 9), f(1, 9), f(7, 9)] },
    { attrs: {}, operands: [index(3, 9), index(5, 9)] },
  ],
  slice_rows: [
    { attrs: { start: 3, count: 5 }, operands: [f(10, 9)] },
    { attrs: { start: 3, count: 5 }, operands: [f(10)] },
  ],
  place_rows: [{ attrs: { start: 3, total: 10 }, operands: [f(5, 9)] }],
  select_tokens: [
    { attrs: { group: 'local', start: 1, tokens: 4 }, operands: [ragged(crops, 13)] },
    { attrs: { group: 'single', start: 0, tokens: 1 }, operands: [ragged(crops, 13)] },
  ],
  place_tokens: [
    { attrs: { group: 'local', start: 1, tokens: 3, segments: crops }, operands: [f(18, 13)] },
    { attrs: { group: 'global', start: 0, tokens: 1, segments: crops }, operands: [f(4, 13)] },
  ],
  gather_rows: [
    { attrs: {}, operands: [f(30, 13), index(50, 30), null] },
    { attrs: { rows: 'operand2' }, operands: [f(30, 13), index(50, 30), int(17)] },
    { attrs: { rows: 'operand2' }, operands: [f(30, 13), index(50, 30), int(0)] },
  ],
  scatter_add_rows: [
    { attrs: { total: 30 }, operands: [f(50, 13), index(50, 30), null] },
    { attrs: { total: 30 }, operands: [f(50, 13), index(50, 30), int(17)] },
    { attrs: { total: 30 }, operands: [f(50, 13), index(50, 30), int(0)] },
  ],
  gather_segments: [{ attrs: { kept: keptCrops.map((k) => k.count) }, operands: [ragged(crops, 13), kept] }],
  scatter_segments: [{ attrs: { segments: crops, scales }, operands: [ragged(keptCrops, 13), kept] }],
  residual_add: [
    { attrs: { scales }, operands: [ragged(crops, 13), ragged(keptCrops, 13), f(13), kept, null] },
    { attrs: { scales }, operands: [ragged(crops, 13), ragged(keptCrops, 13), null, kept, null] },
    { attrs: { scales: null }, operands: [ragged(crops, 13), ragged(crops, 13), f(13), null, f(11)] },
    { attrs: { scales: null }, operands: [f(40, 13), f(40, 13), null, null, null] },
    { attrs: { scales: null }, operands: [f(40, 13), f(40, 13), f(13), null, null] },
  ],
  residual_add_grad: [
    {
      attrs: { scales, segments: keptCrops },
      operands: [ragged(crops, 13), ragged(keptCrops, 13), f(13), kept, null],
    },
    { attrs: { scales, segments: keptCrops }, operands: [ragged(crops, 13), null, null, kept, null] },
    { attrs: { scales: null }, operands: [ragged(crops, 13), ragged(crops, 13), f(13), null, f(11)] },
    { attrs: { scales: null }, operands: [ragged(crops, 13), null, null, null, f(11)] },
    { attrs: { scales: null }, operands: [f(140, 13), f(140, 13), f(13), null, null] },
  ],
  sinkhorn: [null, int(0), int(1), int(13)].flatMap((rows) =>
    [3, 0].map((iterations) => ({
      attrs: { iterations },
      operands: [f(23, 37), scalar(0.3), rows],
      // Logarithms
      floor: 1,
    })),
  ),
  sharpen_center: [{ attrs: {}, operands: [f(23, 37), f(37), scalar(0.3)] }],
  make_targets: [{ attrs: {}, operands: factors(23, 37) }],
  mean_rows: [null, int(0), int(5)].map((rows) => ({ attrs: {}, operands: [f(123, 37), rows] })),
  cross_entropy_rows: pairings.flatMap(({ pairing, students, teachers }) =>
    [null, ...(pairing === same ? [int(0), int(9)] : [])].map((rows, i) => ({
      attrs: loss(pairing, i % 2 === 0),
      operands: [f(students, 37), targets(teachers, 37), rows ? positive(students) : null, rows],
    })),
  ),
  cross_entropy_rows_grad: pairings.flatMap(({ pairing, students, teachers }) =>
    [null, ...(pairing === same ? [int(0), int(9)] : [])].map((rows) => ({
      attrs: loss(pairing, false),
      operands: [
        scalar(0.7),
        f(students, 37),
        targets(teachers, 37),
        { ...f(students), fill: Array(students).fill(20) as number[] },
        rows ? positive(students) : null,
        rows,
      ],
    })),
  ),
  prototype_cross_entropy: pairings.flatMap(({ pairing, students, teachers }) =>
    [37, 300].flatMap((prototypes) =>
      [null, ...(pairing === same ? [int(0), int(9)] : [])].map((rows, i) => ({
        attrs: loss(pairing, i !== 2),
        operands: [
          f(students, 12),
          f(prototypes, 12),
          ...factors(teachers, prototypes),
          rows ? positive(students) : null,
          rows,
        ],
      })),
    ),
  ),
  prototype_cross_entropy_grad: pairings.flatMap(({ pairing, students, teachers }) =>
    [37, 300].flatMap((prototypes) =>
      [null, ...(pairing === same ? [int(0), int(9)] : [])].map((rows) => ({
        attrs: loss(pairing, false),
        operands: [
          scalar(0.7),
          f(students, 12),
          f(prototypes, 12),
          ...factors(teachers, prototypes),
          { ...f(students), fill: Array(students).fill(130) as number[] },
          rows ? positive(students) : null,
          rows,
        ],
        slack: 4,
      })),
    ),
  ),
  streamed_sinkhorn: [
    ...[null, int(0), int(1), int(13)].flatMap((rows) =>
      [3, 0].map((iterations) => ({
        attrs: { iterations },
        operands: [f(23, 12), f(37, 12), scalar(0.9), rows],
        floor: 1,
      })),
    ),
    // Many rows and several ranges of prototypes.
    {
      attrs: { iterations: 2 },
      operands: [f(150, 9), f(2500, 9), scalar(0.9), int(137)],
      floor: 1,
      slack: 2,
    },
  ],
  streamed_sharpen_center: [
    { attrs: {}, operands: [f(23, 12), f(37, 12), f(37), scalar(0.9)] },
    { attrs: {}, operands: [f(150, 9), f(2500, 9), f(2500), scalar(0.9)] },
  ],
  streamed_mean_rows: [null, int(0), int(5)].map((rows) => ({
    attrs: {},
    operands: [f(123, 12), f(37, 12), rows],
  })),
  streamed_cross_entropy: streamedPairs.map(({ pairing, students, teachers, prototypes, rows }) => ({
    attrs: loss(pairing, prototypes === 37),
    operands: [
      f(students, 12),
      f(prototypes, 12),
      ...featureFactors(teachers, prototypes),
      rows ? positive(students) : null,
      rows,
    ],
    slack: 2,
  })),
  streamed_cross_entropy_grad: streamedPairs.map(({ pairing, students, teachers, prototypes, rows }) => ({
    attrs: loss(pairing, false),
    operands: [
      scalar(0.7),
      f(students, 12),
      f(prototypes, 12),
      ...featureFactors(teachers, prototypes),
      { ...f(students), fill: Array(students).fill(130) as number[] },
      rows ? positive(students) : null,
      rows,
    ],
    slack: 4,
  })),
  koleo: [
    { attrs: { set: 12, eps: 1e-8, scale: 0.1 }, operands: [f(24, 17)] },
    { attrs: { set: 70, eps: 1e-8, scale: 0.1 }, operands: [f(70, 5)] },
    { attrs: { set: 2, eps: 1e-8, scale: 0.1 }, operands: [f(4, 5)] },
  ],
  koleo_grad: [
    {
      attrs: { set: 12, eps: 1e-8, scale: 0.1 },
      operands: [
        scalar(1.3),
        f(24, 37),
        ints(Array.from({ length: 24 }, (_, i) => (i < 12 ? (i * 5 + 1) % 12 : 12 + ((i * i + 1) % 12)))),
      ],
    },
  ],
  weighted_sum: [{ attrs: { coefficients: [1, -2, 0.5] }, operands: [scalar(3), scalar(4), scalar(0.2)] }],
  norm: [{ attrs: {}, operands: [f(300, 131), f(7), f(3, 3)] }],
  square_sum: [{ attrs: {}, operands: [f(300, 131), f(7), f(3, 3)] }],
  sqrt: [{ attrs: {}, operands: [positive(41)] }],
  sinkhorn_columns: [null, int(1), int(13)].map((rows, i) => ({
    attrs: {},
    operands: [f(23, 37), i === 0 ? null : f(23), scalar(0.3), rows],
    floor: 1,
  })),
  sinkhorn_rows: [null, int(0), int(13)].map((rows) => ({
    attrs: {},
    operands: [f(23, 37), f(37), scalar(0.3), rows],
    floor: 1,
  })),
  all_gather: [{ attrs: { ranks: 1, shapes: [[3, 7], [5]] }, operands: [f(26)] }],
  reduce_scatter: [{ attrs: { ranks: 1, shape: [26] }, operands: [f(3, 7), f(5)] }],
  all_reduce: [
    { attrs: { ranks: 1, how: 'sum', weighted: false }, operands: [f(3, 7), f(5)] },
    { attrs: { ranks: 1, how: 'mean', weighted: true }, operands: [f(3, 7), int(4)] },
    { attrs: { ranks: 1, how: 'logsumexp', weighted: false }, operands: [f(3, 7)] },
  ],
  finite: [
    { attrs: {}, operands: [scalar(3), scalar(0)] },
    { attrs: {}, operands: [scalar(3), scalar(Number.POSITIVE_INFINITY)] },
    { attrs: {}, operands: [scalar(Number.NaN), scalar(1)] },
  ],
  clip_factor: [
    { attrs: { max: 3 }, operands: [scalar(10)] },
    { attrs: { max: 3 }, operands: [scalar(1)] },
  ],
  adamw: [
    { attrs: adamw, operands: adamwOperands([200, 131], 1, true, false) },
    { attrs: adamw, operands: adamwOperands([13], 0, false, false) },
  ],
  ema: [1, 0].map((finite) => ({
    attrs: {},
    operands: [f(20, 13), f(20, 13), scalar(0.992), scalar(finite)],
  })),
  adamw_ema: [
    { attrs: adamw, operands: adamwOperands([200, 131], 1, true, true) },
    { attrs: adamw, operands: adamwOperands([13], 1, false, true) },
    { attrs: adamw, operands: adamwOperands([13], 0, false, true) },
  ],
  update_center: [
    { attrs: { momentum: 0.9 }, operands: [f(37), f(37), scalar(1), null] },
    { attrs: { momentum: 0.9 }, operands: [f(37), f(37), scalar(0), null] },
    { attrs: { momentum: 0.9 }, operands: [f(37), f(37), scalar(1), int(0)] },
    { attrs: { momentum: 0.9 }, operands: [f(37), f(37), scalar(1), int(4)] },
  ],
  accumulate: [
    { attrs: {}, operands: [f(37, 3), f(37, 3), scalar(0)] },
    { attrs: {}, operands: [f(37, 3), f(37, 3), scalar(1)] },
    { attrs: {}, operands: [index(5, 9), index(5, 9), scalar(0)] },
  ],
}
