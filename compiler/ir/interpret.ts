import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { instantiate } from './instantiate.js'
import type { Data, Kernel } from './kernels/args.js'
import { args } from './kernels/args.js'
import * as attention from './kernels/attention.js'
import * as losses from './kernels/losses.js'
import * as norms from './kernels/norms.js'
import * as products from './kernels/products.js'
import type { Collective } from './kernels/ranks.js'
import * as ranks from './kernels/ranks.js'
import * as residual from './kernels/residual.js'
import * as tokens from './kernels/tokens.js'
import * as update from './kernels/update.js'
import { elements, showType } from './operands.js'
import { isCollective } from './ops.js'
import { roundToBf16 } from './precision.js'
import type {
  AnyOp,
  CollectiveKind,
  Func,
  KernelKind,
  LocalKind,
  Module,
  OpAttrs,
  ParamSource,
  TensorType,
  Value,
  ValueId,
} from './types.js'

export type { Data } from './kernels/args.js'

/**
 * The oracle: every kernel in plain float64, by the definitions in types.ts. Passes and devices are right where they
 * agree with it. What is stored as bf16 is rounded to it.
 */
export const kernels: { readonly [K in LocalKind]: Kernel<K> } = {
  patchify: tokens.patchify,
  replace_masked: tokens.replaceMasked,
  replace_masked_grad: tokens.replaceMaskedGrad,
  interpolate_pos: tokens.interpolatePos,
  interpolate_pos_grad: tokens.interpolatePosGrad,
  assemble_tokens: tokens.assembleTokens,
  assemble_tokens_grad: tokens.assembleTokensGrad,
  linear: products.linear,
  matmul: products.matmul,
  batch_matmul: products.batchMatmul,
  sum_rows: products.sumRows,
  layer_norm: norms.layerNorm,
  layer_norm_rebuild: norms.layerNormRebuild,
  layer_norm_grad: norms.layerNormGrad,
  gelu: norms.gelu,
  gelu_grad: norms.geluGrad,
  silu_gate: norms.siluGate,
  silu_gate_grad: norms.siluGateGrad,
  layer_scale: norms.layerScale,
  layer_scale_grad: norms.layerScaleGrad,
  l2_normalize: norms.l2Normalize,
  l2_normalize_grad: norms.l2NormalizeGrad,
  weight_norm: norms.weightNorm,
  weight_norm_grad: norms.weightNormGrad,
  softmax: norms.softmax,
  softmax_grad: norms.softmaxGrad,
  add: norms.add,
  scale: norms.scale,
  fill: norms.fill,
  cast: norms.cast,
  attention: attention.attention,
  attention_grad: attention.attentionGrad,
  split_heads: attention.splitHeads,
  join_heads: attention.joinHeads,
  merge_heads: attention.mergeHeads,
  unmerge_heads: attention.unmergeHeads,
  concat_rows: tokens.concatRows,
  slice_rows: tokens.sliceRows,
  place_rows: tokens.placeRows,
  select_tokens: tokens.selectTokens,
  place_tokens: tokens.placeTokens,
  gather_rows: tokens.gatherRows,
  scatter_add_rows: tokens.scatterAddRows,
  gather_segments: residual.gatherSegments,
  scatter_segments: residual.scatterSegments,
  residual_add: residual.residualAdd,
  residual_add_grad: residual.residualAddGrad,
  sinkhorn: losses.sinkhorn,
  sharpen_center: losses.sharpenCenter,
  make_targets: losses.makeTargets,
  mean_rows: losses.meanRows,
  cross_entropy_rows: losses.crossEntropyRows,
  cross_entropy_rows_grad: losses.crossEntropyRowsGrad,
  prototype_cross_entropy: losses.prototypeCrossEntropy,
  prototype_cross_entropy_grad: losses.prototypeCrossEntropyGrad,
  streamed_sinkhorn: losses.streamedSinkhorn,
  streamed_sharpen_center: losses.streamedSharpenCenter,
  streamed_mean_rows: losses.streamedMeanRows,
  streamed_cross_entropy: losses.streamedCrossEntropy,
  streamed_cross_entropy_grad: losses.streamedCrossEntropyGrad,
  koleo: losses.koleo,
  koleo_grad: losses.koleoGrad,
  weighted_sum: losses.weightedSum,
  norm: update.norm,
  finite: update.finite,
  clip_factor: update.clipFactor,
  adamw: update.adamw,
  ema: update.ema,
  adamw_ema: update.adamwEma,
  update_center: update.updateCenter,
  accumulate: update.accumulate,
  sinkhorn_columns: losses.sinkhornColumns,
  sinkhorn_rows: losses.sinkhornRows,
  square_sum: update.squareSum,
  sqrt: update.sqrt,
}

/** Of all ranks' operands, in the order of ranks -> each rank's results. */
export const collectives: { readonly [K in CollectiveKind]: Collective<K> } = ranks.collectives

/** Runs one kernel whose kind is only known at run time. Results are new arrays, or an operand itself. */
export function runKernel(
  kind: KernelKind,
  operands: readonly (Data | null)[],
  operandTypes: readonly (TensorType | null)[],
  attrs: OpAttrs[KernelKind],
  resultTypes: readonly TensorType[],
): readonly Data[] {
  if (isCollective(kind)) {
    const ranked = attrs as OpAttrs[CollectiveKind]
    return runCollective(kind, [operands as readonly Data[]], ranked, resultTypes)[0]!
  }
  const results = (kernels[kind] as Kernel<LocalKind>)(args(operands, operandTypes, resultTypes), attrs)
  return results.map((data, i) => (resultTypes[i]?.dtype === 'bf16' ? data.map(roundToBf16) : data))
}

/** The same of a collective, for all ranks at once; a single rank's is refused where the op wants more. */
export function runCollective(
  kind: CollectiveKind,
  operands: readonly (readonly Data[])[],
  attrs: OpAttrs[CollectiveKind],
  resultTypes: readonly TensorType[],
): readonly (readonly Data[])[] {
  if (operands.length !== attrs.ranks)
    throw new DiagnosticError([
      diagnose('DINO0614', null, {
        name: kind,
        expected: `operands of ${attrs.ranks} ranks`,
        found: String(operands.length),
      }),
    ])
  return (collectives[kind] as Collective<CollectiveKind>)(operands, attrs, resultTypes)
}

function missing(name: string, expected: string, found: string): never {
  throw new DiagnosticError([diagnose('DINO0614', null, { name, expected, found })])
}

function checkData(name: string, type: TensorType, data: Data | undefined): Data {
  const fits = data?.length === elements(type) && data instanceof Int32Array === (type.dtype === 'i32')
  if (!data || !fits)
    return missing(name, showType(type), data ? `${data.constructor.name} of ${data.length}` : 'nothing')
  return data
}

/**
 * Runs a function on its parameters in order. Calls are evaluated as if inlined; a `residual` adds its branch, and is
 * refused (DINO0612) while it has stochastic depth; `grad` is refused (DINO0609): autodiff expands it.
 */
export function interpret(
  func: Func,
  operands: readonly Data[],
  functions: Readonly<Record<string, Func>> = {},
): readonly Data[] {
  const values: (Data | undefined)[] = []
  const type = (id: ValueId) => (func.values[id] as Value).type
  func.params.forEach((p, i) => {
    const name = 'name' in p.source ? p.source.name : `${func.name} operand ${i}`
    values[p.value] = checkData(name, type(p.value), operands[i])
  })
  const at = (id: ValueId) => values[id] as Data
  for (const op of func.ops)
    evaluate(op, type, at, functions).forEach((data, i) => {
      values[op.results[i] as ValueId] = data
    })
  return func.results.map((r) => at(r.value))
}

function evaluate(
  op: AnyOp,
  type: (id: ValueId) => TensorType,
  at: (id: ValueId) => Data,
  functions: Readonly<Record<string, Func>>,
): readonly Data[] {
  const called = (name: string, data: readonly Data[]) => {
    const func = functions[name]
    if (!func) throw new DiagnosticError([diagnose('DINO0604', op.span, { callee: name })])
    const types = op.operands.map((v) => type(v as ValueId))
    return interpret(instantiate(func, types, functions, op.span), data, functions)
  }
  const data = op.operands.map((v) => (v === null ? null : at(v)))
  switch (op.kind) {
    case 'call':
      return called(op.attrs.callee, data as Data[])
    case 'residual': {
      const { branch, rate, site } = op.attrs
      if (rate > 0) throw new DiagnosticError([diagnose('DINO0612', op.span, { site, rate })])
      const y = called(branch, data as Data[])[0] as Float64Array
      return [(data[0] as Float64Array).map((x, i) => x + (y[i] as number))]
    }
    case 'grad':
      throw new DiagnosticError([diagnose('DINO0609', op.span, { func: op.module, kind: 'grad' })])
    default:
      return runKernel(
        op.kind,
        data,
        op.operands.map((v) => (v === null ? null : type(v))),
        op.attrs,
        op.results.map(type),
      )
  }
}

/** What an entry function reads and writes, by name. */
export interface Bindings {
  readonly state: Readonly<Record<string, Data>>
  readonly inputs: Readonly<Record<string, Data>>
  readonly carried: Readonly<Record<string, Data>>
}

export interface Outcome {
  /** Bindings for the next entry: state and carried tensors with what was written. */
  readonly state: Readonly<Record<string, Data>>
  readonly carried: Readonly<Record<string, Data>>
  readonly metrics: Readonly<Record<string, Data>>
  readonly outputs: Readonly<Record<string, Data>>
  readonly results: readonly Data[]
}

/**
 * Runs one entry of a module. A carried tensor that nothing has written yet is zeros. Nothing given is changed.
 */
export function interpretEntry(module: Module, entry: string, bindings: Bindings): Outcome {
  const func = module.functions[entry]
  if (!func) throw new DiagnosticError([diagnose('DINO0604', null, { callee: entry })])
  const read = (source: ParamSource, type: TensorType): Data => {
    switch (source.kind) {
      case 'state':
        return checkData(source.name, type, bindings.state[source.name])
      case 'input':
        return checkData(source.name, type, bindings.inputs[source.name])
      case 'carried':
        return bindings.carried[source.name] ?? zeros(type)
      case 'operand':
        return missing(`${entry}`, 'parameters from state, inputs or carried tensors', 'a plain operand')
      default:
        return source satisfies never
    }
  }
  const operands = func.params.map((p) => read(p.source, (func.values[p.value] as Value).type))
  const values = interpret(func, operands, module.functions)
  const state = { ...bindings.state }
  const carried = { ...bindings.carried }
  const metrics: Record<string, Data> = {}
  const outputs: Record<string, Data> = {}
  const results: Data[] = []
  func.results.forEach(({ sink }, i) => {
    const data = values[i] as Data
    if (sink.kind === 'state') state[sink.name] = data
    else if (sink.kind === 'carried') carried[sink.name] = data
    else if (sink.kind === 'metric') metrics[sink.name] = data
    else if (sink.kind === 'output') outputs[sink.name] = data
    else results.push(data)
  })
  return { state, carried, metrics, outputs, results }
}

export const zeros = (type: TensorType): Data =>
  type.dtype === 'i32' ? new Int32Array(elements(type)) : new Float64Array(elements(type))
