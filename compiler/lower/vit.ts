import { FuncBuilder } from '../ir/builder.js'
import type { Func, TensorType, ValueId } from '../ir/types.js'
import type { Backbone } from '../resolve/resolved.js'
import { f32, type Weights } from './network.js'
import { branchParameters, layerNormEps, normParameters, type Parameter } from './parameters.js'

/**
 * The vision transformer of the reference (models/vision_transformer.py), in two parts. The *embedding* turns the
 * crops of one size into tokens; the *trunk*, from block 0 to the final norm, holds only row-wise and segment-wise
 * operations, so one call may take crops of every size (pass `pack`).
 *
 *   %tokens = embed(%global, mask %mask)            // ragged [2B*(1+r+n), d], one group
 *   %y = call @student.trunk(%tokens, ...weights)   // blocks.0.attn, blocks.0.ffn, ..., norm
 */
export interface CropShape {
  /** The group's name in segments: `global`, `local`. */
  readonly group: string
  /** Sequences: crops times images. */
  readonly count: number
  readonly heightPx: number
  readonly widthPx: number
}

export const prefixTokens = (backbone: Pick<Backbone, 'registers'>): number => 1 + backbone.registers

export function patchesOf(crop: CropShape, backbone: Pick<Backbone, 'patch'>): number {
  return (crop.heightPx / backbone.patch) * (crop.widthPx / backbone.patch)
}

export function cropTokens(crop: CropShape, backbone: Backbone): number {
  return prefixTokens(backbone) + patchesOf(crop, backbone)
}

/** Patches [N*n, C*p*p] (and the mask i32 [N*n], where some are replaced) -> ragged tokens [N*(1+r+n), d]. */
export function embed(
  b: FuncBuilder,
  backbone: Backbone,
  weights: Weights,
  crop: CropShape,
  patches: ValueId,
  mask: ValueId | null,
): ValueId {
  const module = b.module
  const w = (name: string) => weights(`backbone.${name}`)
  b.module = `${module}.patch_embed`
  let [x] = b.op('linear', [patches, w('patch_embed.proj.weight'), w('patch_embed.proj.bias')], {
    activation: 'none',
  })
  b.module = `${module}.embed`
  // Before the position is added: a masked patch still knows where it is.
  if (mask !== null) [x] = b.op('replace_masked', [x, w('mask_token'), mask], {})
  const registers = backbone.registers > 0 ? w('register_tokens') : null
  const [tokens] = b.op(
    'assemble_tokens',
    [x, w('cls_token'), positions(b, backbone, w('pos_embed'), crop), registers],
    {
      group: crop.group,
      count: crop.count,
      patches: patchesOf(crop, backbone),
      registers: backbone.registers,
    },
  )
  b.module = module
  return tokens
}

/** pos_embed [1+M*M, d] -> [1+h*w, d]; as it is where the crop has the grid's own shape. */
export function positions(b: FuncBuilder, backbone: Backbone, pos: ValueId, crop: CropShape): ValueId {
  const height = crop.heightPx / backbone.patch
  const width = crop.widthPx / backbone.patch
  const grid = backbone.posGrid
  if (height * width === grid * grid && crop.heightPx === crop.widthPx) return pos
  const [resized] = b.op('interpolate_pos', [pos], { grid, height, width, ...backbone.posInterpolation })
  return resized
}

/** The stochastic depth of each block, linspace(from, to, depth) or the same everywhere. */
export function dropRates(backbone: Backbone): number[] {
  const { shape, from, to } = backbone.dropPath
  return Array.from({ length: backbone.depth }, (_, i) =>
    shape === 'uniform' ? to : from + ((to - from) * i) / Math.max(1, backbone.depth - 1),
  )
}

export interface Trunk {
  readonly name: string
  /** Names of the weights that a call passes, in order, within `backbone`. */
  readonly weights: readonly string[]
}

/**
 * Adds the functions `<name>.attn`, `<name>.ffn` and `<name>.trunk`. Results of the trunk: the tokens after the final
 * norm; then for each block of `taps` the tokens after that block, before any norm. `rates`: of stochastic depth, 0
 * for a network that only evaluates.
 */
export function trunk(
  name: string,
  backbone: Backbone,
  tokens: TensorType,
  rates: readonly number[],
  functions: Record<string, Func>,
  taps: readonly number[] = [],
  draws = 1,
): Trunk {
  const attn = attentionBranch(`${name}.attn`, backbone, tokens)
  const ffn = ffnBranch(`${name}.ffn`, backbone, tokens)
  functions[attn.name] = attn
  functions[ffn.name] = ffn
  const b = new FuncBuilder(`${name}.trunk`, functions)
  let x = b.param(tokens, { kind: 'operand' }, 'x')
  const branches = branchParameters(backbone)
  const weights: string[] = []
  const tapped: ValueId[] = []
  const take = (prefix: string, list: readonly Parameter[]) =>
    list.map((p) => {
      weights.push(prefix + p.name)
      return b.param(f32(...p.shape), { kind: 'operand' }, prefix + p.name)
    })
  for (let i = 0; i < backbone.depth; i++) {
    const block = `blocks.${i}`
    const rate = rates[i] ?? 0
    const drop = { rate, form: backbone.dropPath.form, ...(draws > 1 && { draws }) }
    b.module = block
    const toAttn = take(`${block}.`, branches.attn)
    ;[x] = b.op('residual', [x, ...toAttn], { branch: attn.name, ...drop, site: `${block}.attn` })
    const toFfn = take(`${block}.`, branches.ffn)
    ;[x] = b.op('residual', [x, ...toFfn], { branch: ffn.name, ...drop, site: `${block}.ffn` })
    if (taps.includes(i)) tapped.push(x)
  }
  b.module = 'norm'
  const norm = take('', normParameters('norm', backbone.width))
  const [y] = b.op('layer_norm', [x, ...norm], { eps: layerNormEps })
  functions[b.name] = b.finish([y, ...tapped])
  return { name: b.name, weights }
}

/** ls1 * proj(attention(qkv(norm1(x)))) */
function attentionBranch(name: string, backbone: Backbone, tokens: TensorType): Func {
  const b = new FuncBuilder(name)
  const x = b.param(tokens, { kind: 'operand' }, 'x')
  const w = operands(b, branchParameters(backbone).attn)
  b.module = 'norm1'
  const [normed] = b.op('layer_norm', [x, w('norm1.weight'), w('norm1.bias')], { eps: layerNormEps })
  b.module = 'attn.qkv'
  const [qkv] = b.op('linear', [normed, w('attn.qkv.weight'), w('attn.qkv.bias')], { activation: 'none' })
  b.module = 'attn'
  const [o] = b.op('attention', [qkv], { heads: backbone.heads })
  b.module = 'attn.proj'
  const [y] = b.op('linear', [o, w('attn.proj.weight'), w('attn.proj.bias')], { activation: 'none' })
  return finishBranch(b, backbone, y, w, 'ls1')
}

/** ls2 * fc2(gelu(fc1(norm2(x)))), or ls2 * w3(silu(a) * b) with [a, b] = w12(norm2(x)) */
function ffnBranch(name: string, backbone: Backbone, tokens: TensorType): Func {
  const b = new FuncBuilder(name)
  const x = b.param(tokens, { kind: 'operand' }, 'x')
  const w = operands(b, branchParameters(backbone).ffn)
  const up = backbone.ffn === 'mlp' ? 'mlp.fc1' : 'mlp.w12'
  const down = backbone.ffn === 'mlp' ? 'mlp.fc2' : 'mlp.w3'
  b.module = 'norm2'
  const [normed] = b.op('layer_norm', [x, w('norm2.weight'), w('norm2.bias')], { eps: layerNormEps })
  b.module = up
  const [h] = b.op('linear', [normed, w(`${up}.weight`), w(`${up}.bias`)], { activation: 'none' })
  b.module = 'mlp'
  const a = b.one(backbone.ffn === 'mlp' ? 'gelu' : 'silu_gate', [h], {})
  b.module = down
  const [y] = b.op('linear', [a, w(`${down}.weight`), w(`${down}.bias`)], { activation: 'none' })
  return finishBranch(b, backbone, y, w, 'ls2')
}

function finishBranch(b: FuncBuilder, backbone: Backbone, y: ValueId, w: Weights, scale: string): Func {
  b.module = scale
  const scaled = backbone.layerScale === null ? y : b.one('layer_scale', [y, w(`${scale}.gamma`)], {})
  return b.finish([scaled])
}

function operands(b: FuncBuilder, parameters: readonly Parameter[]): Weights {
  const ids = new Map(parameters.map((p) => [p.name, b.param(f32(...p.shape), { kind: 'operand' }, p.name)]))
  return (name) => {
    const id = ids.get(name)
    if (id === undefined) throw new Error(`no parameter ${name} in ${b.name}`)
    return id
  }
}
