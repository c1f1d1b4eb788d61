import type { Func, Module, ValueId } from '../../../compiler/ir/types.js'
import { type Entry, type Inputs, openEntry } from '../../../compiler/lower/entry.js'
import { boundWeights, f32, i32, type Network, networkState } from '../../../compiler/lower/network.js'
import { layerNormEps } from '../../../compiler/lower/parameters.js'
import { callTrunk } from '../../../compiler/lower/views.js'
import {
  type CropShape,
  cropTokens,
  embed,
  patchesOf,
  prefixTokens,
  trunk,
} from '../../../compiler/lower/vit.js'
import type { Backbone } from '../../../compiler/resolve/resolved.js'
import { tinyBackbone } from '../experiment.js'
import { type FixtureTensor, type Json, number, sizes } from '../fixture.js'

/** A ViT of the reference's options, in the names of the reference's own constructor. */
export function backboneOf(config: Json): Backbone {
  const registers = number(config.num_register_tokens, 0)
  const layerScale = config.init_values ?? config.layerscale ?? null
  return {
    ...tinyBackbone,
    width: number(config.embed_dim ?? config.dim),
    depth: number(config.depth, 1),
    heads: number(config.num_heads),
    patch: number(config.patch_size, 1),
    ffn: String(config.ffn_layer ?? config.ffn ?? 'mlp')
      .toLowerCase()
      .startsWith('swiglu')
      ? 'swiglu'
      : 'mlp',
    ffnRatio: number(config.mlp_ratio, 4),
    registers,
    layerScale:
      layerScale === null || layerScale === false ? null : number(layerScale === true ? 1 : layerScale),
    posGrid: number(config.img_size, 1) / number(config.patch_size, 1),
    posInterpolation: {
      offset: number(config.interpolate_offset, 0.1),
      antialias: config.interpolate_antialias === true,
    },
  }
}

/** Blocks in chunks change names only: `blocks.1.3.` is `blocks.3.`. */
export const plainName = (name: string): string => name.replace(/\bblocks\.\d+\.(\d+)\./, 'blocks.$1.')

/** Recorded weights by plain name, those that start with `prefix`. */
export function weightsOf(
  tensors: ReadonlyMap<string, FixtureTensor>,
  prefix: string,
): ReadonlyMap<string, FixtureTensor> {
  return new Map(
    [...tensors]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [plainName(name.slice(prefix.length)), tensor]),
  )
}

/** Tokens of one crop, and what a test may ask of them. */
export interface Forward {
  readonly crop: CropShape
  /** [N*n, C*p*p], before the patch embedding. */
  readonly patches: ValueId
  /** Before block 0. */
  readonly embedded: ValueId
  /** After the final norm. */
  readonly tokens: ValueId
  /** After each tapped block, before any norm. */
  readonly raw: readonly ValueId[]
  cls(of?: ValueId): ValueId
  registers(of?: ValueId): ValueId
  patchTokens(of?: ValueId): ValueId
  norm(of: ValueId): ValueId
}

/** A module of one program around a student backbone. */
export interface ForwardModule {
  readonly entry: Entry
  readonly weights: (name: string) => ValueId
  forward(images: FixtureTensor, group: string, masked: boolean, taps?: readonly number[]): Forward
  finish(): Module
}

export function openForward(backbone: Backbone, channels = 3): ForwardModule {
  const inputs: Inputs = new Map()
  const functions: Record<string, Func> = {}
  const entry = openEntry('forward', inputs, functions)
  const { b } = entry
  const network: Network = { role: 'student', backbone, channels, heads: {} }
  const weights = boundWeights(entry, network)
  const trunks = new Map<string, ReturnType<typeof trunk>>()
  return {
    entry,
    weights: (name) => weights(`backbone.${name}`),
    forward(images, group, masked, taps = []) {
      const [count, c, heightPx, widthPx] = sizes(images, 0, 1, 2, 3) as [number, number, number, number]
      const crop: CropShape = { group, count, heightPx, widthPx }
      const pixels = entry.input(group, f32(count, c, heightPx, widthPx), { kind: 'crops', group })
      const patches = b.one('patchify', [pixels], { patch: backbone.patch })
      const mask = masked
        ? entry.input('mask', i32(count * patchesOf(crop, backbone)), { kind: 'mask' })
        : null
      b.module = 'student.backbone'
      const embedded = embed(b, backbone, weights, crop, patches, mask)
      const key = taps.join()
      let called = trunks.get(key)
      if (called === undefined) {
        called = trunk('student', backbone, b.type(embedded), [], functions, taps)
        trunks.set(key, called)
      }
      const [tokens, ...raw] = callTrunk(entry, network, weights, called, embedded) as [ValueId, ...ValueId[]]
      const select = (start: number, count_: number, of = tokens) =>
        b.one('select_tokens', [of], { group, start, tokens: count_ })
      const prefix = prefixTokens(backbone)
      return {
        crop,
        patches,
        embedded,
        tokens,
        raw,
        cls: (of) => select(0, 1, of),
        registers: (of) => select(1, backbone.registers, of),
        patchTokens: (of) => select(prefix, cropTokens(crop, backbone) - prefix, of),
        norm: (of) =>
          b.op('layer_norm', [of, weights('backbone.norm.weight'), weights('backbone.norm.bias')], {
            eps: layerNormEps,
          })[0],
      }
    },
    finish() {
      entry.finish()
      return {
        name: 'golden/forward',
        functions,
        entries: ['forward'],
        state: networkState(network, (p) => p.init(p.path)),
        inputs: [...inputs.values()],
        microSteps: 1,
      }
    },
  }
}

/**
 * Adds outputs `grad.<name>` of a stored linear functional sum <cotangent, y>: for the backbone's parameters, and
 * `grad.patches` for what the patch embedding took.
 */
export function addGradients(
  module: ForwardModule,
  functional: readonly { readonly y: ValueId; readonly cotangent: string }[],
  parameters: readonly string[],
  patches: readonly ValueId[],
): void {
  const { entry } = module
  const { b } = entry
  const cotangents = functional.map(({ y, cotangent }) =>
    entry.input(cotangent, { dtype: 'f32', shape: b.type(y).shape }, { kind: 'images' }),
  )
  const gradients = b.op(
    'grad',
    [
      ...functional.map(({ y }) => y),
      ...cotangents,
      ...parameters.map((name) => module.weights(name)),
      ...patches,
    ],
    { seed: 1, outputs: functional.length },
  )
  for (const [i, gradient] of gradients.entries())
    entry.sink(
      'output',
      i < parameters.length ? `grad.${parameters[i]}` : `grad.patches.${i - parameters.length}`,
      gradient,
    )
}

/** Rows of patches [N*n, C*p*p] back to images [N, C, H, W]: the transpose of `patchify`, which only moves numbers. */
export function unpatchify(rows: ArrayLike<number>, images: FixtureTensor, patch: number): Float64Array {
  const [n, c, h, w] = sizes(images, 0, 1, 2, 3) as [number, number, number, number]
  const out = new Float64Array(n * c * h * w)
  let at = 0
  for (let i = 0; i < n; i++)
    for (let py = 0; py < h / patch; py++)
      for (let px = 0; px < w / patch; px++)
        for (let channel = 0; channel < c; channel++)
          for (let y = 0; y < patch; y++)
            for (let x = 0; x < patch; x++)
              out[((i * c + channel) * h + py * patch + y) * w + px * patch + x] = rows[at++] as number
  return out
}
