import type {
  DType,
  Group,
  KernelKind,
  OpAttrs,
  Pairing,
  PosInterpolation,
} from '../../../compiler/ir/types.js'
import type { Plan, PlanTensor, Step } from '../../../compiler/plan/plan.js'
import { interpolationWeights } from '../position-weights.js'

/**
 * Flattens a plan into one array of doubles, as src/plan.h reads it: magic, encoding; arenas; tensors (dtype, shape,
 * groups, place); programs of steps (kind, operands, results, attributes). All but attributes are whole numbers.
 */
export function encodePlan(
  plan: Plan,
  kinds: ReadonlyMap<string, number>,
  stateIndex: (name: string) => number,
): Float64Array {
  const words: number[] = [0x64696e6f, 1, plan.arenas.length, ...plan.arenas.map((a) => a.bytes)]
  words.push(plan.tensors.length)
  for (const tensor of plan.tensors) words.push(...encodeTensor(tensor, stateIndex))
  words.push(plan.programs.length)
  for (const program of plan.programs) {
    words.push(program.steps.length)
    for (const step of program.steps) {
      const attributes = encodeAttributes(
        step,
        step.operands.map((id) => (id < 0 ? null : plan.tensors[id]!)),
      )
      words.push(kinds.get(step.op)!)
      for (const list of [step.operands, step.results, attributes]) {
        words.push(list.length)
        for (const word of list) words.push(word)
      }
    }
  }
  return Float64Array.from(words)
}

const dtypes: { readonly [D in DType]: number } = { f32: 0, bf16: 1, i32: 2 }

function encodeTensor(tensor: PlanTensor, stateIndex: (name: string) => number): number[] {
  const { place } = tensor
  const groups = tensor.segments ?? []
  const words = [dtypes[tensor.dtype], tensor.shape.length, ...tensor.shape, groups.length]
  for (const g of groups) words.push(g.count, g.length)
  switch (place.kind) {
    case 'arena':
      return [...words, 0, place.arena, place.offset]
    case 'state':
      return [...words, 1, stateIndex(place.name), 0]
    case 'device':
      throw new Error('a tensor without a place in a plan with arenas')
    default:
      return place satisfies never
  }
}

type Encode<K extends KernelKind> = (
  attrs: OpAttrs[K],
  operands: readonly (PlanTensor | null)[],
) => readonly number[]

const none = () => []
const flag = (value: boolean) => (value ? 1 : 0)
const heads = (a: OpAttrs['split_heads']) => [a.heads, a.count, a.length]
const assembled = (a: OpAttrs['assemble_tokens']) => [a.count, a.patches, a.registers]
const adamw = (a: OpAttrs['adamw']) => [a.beta1, a.beta2, a.eps, a.lrMultiplier, a.wdMultiplier]
const koleo = (a: OpAttrs['koleo']) => [a.set, a.eps, a.scale]

/** The map of the position grid as weights of its two axes; the identity where the grid already fits. */
function interpolation(a: PosInterpolation): number[] {
  const fits = a.height === a.grid && a.width === a.grid
  const axis = (out: number) =>
    fits
      ? Array.from({ length: out * a.grid }, (_, i) => (i % (a.grid + 1) === 0 ? 1 : 0))
      : interpolationWeights(a.grid, out, a.offset, a.antialias)
  return [a.grid, a.height, a.width, ...axis(a.height), ...axis(a.width)]
}

function paired(pairing: Pairing): readonly [number, number, number] {
  switch (pairing.kind) {
    case 'same':
      return [0, 0, 0]
    case 'swap':
      return [1, pairing.images, 2]
    case 'each':
      return [2, pairing.images, pairing.crops]
    default:
      return pairing satisfies never
  }
}
const crossEntropy = (a: OpAttrs['cross_entropy_rows']) => [
  ...paired(a.pairing),
  a.studentTemp,
  a.scale,
  flag(a.stats),
]

const groupIndex = (groups: readonly Group[] | undefined, name: string) =>
  groups?.findIndex((g) => g.name === name) ?? -1

/** What each kernel reads of its attributes, in the order in which it reads them. */
export const attributeEncoders: { readonly [K in KernelKind]: Encode<K> } = {
  patchify: (a) => [a.patch],
  replace_masked: none,
  replace_masked_grad: none,
  interpolate_pos: interpolation,
  interpolate_pos_grad: interpolation,
  assemble_tokens: assembled,
  assemble_tokens_grad: assembled,
  linear: (a) => [flag(a.activation === 'gelu')],
  matmul: (a) => [flag(a.transA), flag(a.transB), flag(a.epilogue === 'gelu_grad')],
  batch_matmul: (a) => [flag(a.transA), flag(a.transB), a.scale],
  sum_rows: none,
  layer_norm: (a) => [a.eps],
  layer_norm_rebuild: none,
  layer_norm_grad: none,
  gelu: none,
  gelu_grad: none,
  silu_gate: none,
  silu_gate_grad: none,
  layer_scale: none,
  layer_scale_grad: none,
  l2_normalize: (a) => [a.eps],
  l2_normalize_grad: (a) => [a.eps],
  weight_norm: none,
  weight_norm_grad: none,
  softmax: none,
  softmax_grad: none,
  add: none,
  scale: (a) => [a.factor],
  fill: (a) => [a.value],
  cast: none,
  attention: (a) => [a.heads],
  attention_grad: (a) => [a.heads],
  split_heads: heads,
  join_heads: heads,
  merge_heads: heads,
  unmerge_heads: heads,
  concat_rows: none,
  slice_rows: (a) => [a.start],
  place_rows: (a) => [a.start],
  select_tokens: (a, [x]) => [groupIndex(x?.segments, a.group), a.start, a.tokens],
  place_tokens: (a) => [groupIndex(a.segments, a.group), a.start, a.tokens],
  gather_rows: none,
  scatter_add_rows: none,
  gather_segments: none,
  scatter_segments: (a) => a.scales,
  residual_add: (a) => a.scales ?? [],
  residual_add_grad: (a) => a.scales ?? [],
  sinkhorn: (a) => [a.iterations],
  sharpen_center: none,
  make_targets: none,
  mean_rows: none,
  cross_entropy_rows: crossEntropy,
  cross_entropy_rows_grad: crossEntropy,
  prototype_cross_entropy: crossEntropy,
  prototype_cross_entropy_grad: crossEntropy,
  streamed_sinkhorn: (a) => [a.iterations],
  streamed_sharpen_center: none,
  streamed_mean_rows: none,
  streamed_cross_entropy: crossEntropy,
  streamed_cross_entropy_grad: crossEntropy,
  koleo,
  koleo_grad: koleo,
  weighted_sum: (a) => a.coefficients,
  norm: none,
  finite: none,
  clip_factor: (a) => [a.max],
  adamw,
  ema: none,
  adamw_ema: adamw,
  update_center: (a) => [a.momentum],
  accumulate: none,
  all_gather: (a) => [a.ranks],
  reduce_scatter: (a) => [a.ranks],
  all_reduce: (a) => [a.ranks, ['sum', 'mean', 'logsumexp'].indexOf(a.how), flag(a.weighted)],
  sinkhorn_columns: none,
  sinkhorn_rows: none,
  square_sum: none,
  sqrt: none,
}

function encodeAttributes(step: Step, operands: readonly (PlanTensor | null)[]): readonly number[] {
  return (attributeEncoders[step.op] as Encode<KernelKind>)(step.attrs, operands)
}
