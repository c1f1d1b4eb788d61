import type { Initializer } from '../ir/types.js'
import type { Backbone, Head } from '../resolve/resolved.js'

/**
 * The tensors of a network, by the names of the reference's state_dict (facebookresearch/dinov2,
 * models/vision_transformer.py and layers/dino_head.py), with their shapes and initial values.
 *
 * `backboneParameters(small)[0]` is `cls_token`, read by ops as `[384]` and stored as `[1, 1, 384]`.
 */
export interface Parameter {
  /** Within its part: `blocks.0.attn.qkv.weight`, `last_layer.weight_g`. */
  readonly name: string
  /** As ops read it. */
  readonly shape: readonly number[]
  /** As the reference stores it. */
  readonly storedShape: readonly number[]
  /** `key` is the tensor's full logical name, so each tensor draws its own numbers. */
  readonly init: (key: string) => Initializer
}

export type MlpHead = Extract<Head, { type: 'mlp' }>

/** LayerNorm's eps in every ViT of the reference. */
export const layerNormEps = 1e-6
/** F.normalize's eps in the head, float32. */
export const bottleneckEps = 1e-12

const zeros = (): Initializer => ({ kind: 'zeros' })
const constant = (value: number) => (): Initializer => ({ kind: 'constant', value })
const normal = (std: number) => (key: string) => ({ kind: 'normal', std, key }) as const
const truncNormal = (key: string): Initializer => ({ kind: 'trunc_normal', std: 0.02, key })
/** torch's default for Linear and Conv2d, weight and bias: U(-1/sqrt(fan in), 1/sqrt(fan in)). */
const torchDefault = (fanIn: number) => (key: string) =>
  ({ kind: 'uniform', bound: 1 / Math.sqrt(fanIn), key }) as const

/** Width of the feed-forward hidden layer: the MLP's, or the gated width of SwiGLU (RECIPE: rounded up to 8). */
export function ffnHidden(backbone: Pick<Backbone, 'width' | 'ffn' | 'ffnRatio'>): number {
  const hidden = Math.trunc(backbone.width * backbone.ffnRatio)
  if (backbone.ffn === 'mlp') return hidden
  return Math.floor((Math.trunc((hidden * 2) / 3) + 7) / 8) * 8
}

export function backboneParameters(backbone: Backbone, channels = 3): Parameter[] {
  const { width: d, patch: p } = backbone
  const fanIn = channels * p * p
  const grid = backbone.posGrid * backbone.posGrid
  return [
    { name: 'cls_token', shape: [d], storedShape: [1, 1, d], init: normal(1e-6) },
    { name: 'pos_embed', shape: [1 + grid, d], storedShape: [1, 1 + grid, d], init: truncNormal },
    ...(backbone.registers > 0
      ? [
          {
            name: 'register_tokens',
            shape: [backbone.registers, d],
            storedShape: [1, backbone.registers, d],
            init: normal(1e-6),
          },
        ]
      : []),
    { name: 'mask_token', shape: [d], storedShape: [1, d], init: zeros },
    {
      name: 'patch_embed.proj.weight',
      shape: [d, fanIn],
      storedShape: [d, channels, p, p],
      init: torchDefault(fanIn),
    },
    { name: 'patch_embed.proj.bias', shape: [d], storedShape: [d], init: torchDefault(fanIn) },
    ...Array.from({ length: backbone.depth }, (_, i) => blockParameters(backbone, `blocks.${i}.`)).flat(),
    ...normParameters('norm', d),
  ]
}

/** One block's, in the order in which its two branches take them; `prefix` is `blocks.3.` or nothing. */
export function blockParameters(backbone: BlockShape, prefix: string): Parameter[] {
  const branches = branchParameters(backbone)
  return [...branches.attn, ...branches.ffn].map((p) => ({ ...p, name: prefix + p.name }))
}

export type BlockShape = Pick<Backbone, 'width' | 'heads' | 'ffn' | 'ffnRatio' | 'layerScale'>

/** The parameters of a block's two residual branches, named within the block. */
export function branchParameters(backbone: BlockShape): { attn: Parameter[]; ffn: Parameter[] } {
  const d = backbone.width
  const hidden = ffnHidden(backbone)
  const gamma = (name: string): Parameter[] =>
    backbone.layerScale === null
      ? []
      : [{ name, shape: [d], storedShape: [d], init: constant(backbone.layerScale) }]
  return {
    attn: [
      ...normParameters('norm1', d),
      ...linearParameters('attn.qkv', 3 * d, d),
      ...linearParameters('attn.proj', d, d),
      ...gamma('ls1.gamma'),
    ],
    ffn: [
      ...normParameters('norm2', d),
      ...(backbone.ffn === 'mlp'
        ? [...linearParameters('mlp.fc1', hidden, d), ...linearParameters('mlp.fc2', d, hidden)]
        : [...linearParameters('mlp.w12', 2 * hidden, d), ...linearParameters('mlp.w3', d, hidden)]),
      ...gamma('ls2.gamma'),
    ],
  }
}

/**
 * `mlp.0`, `mlp.2`, ... (`mlp` alone for one layer), then the weight-normalised last layer, whose direction keeps
 * torch's default initial values: the reference initialises the head before it adds that layer.
 */
export function headParameters(head: MlpHead, width: number): Parameter[] {
  const { prototypes, bottleneck } = head
  return [
    ...headLayers(head, width).flatMap(({ name, out, input }) => linearParameters(name, out, input)),
    {
      name: 'last_layer.weight_g',
      shape: [prototypes],
      storedShape: [prototypes, 1],
      init: constant(1),
    },
    {
      name: 'last_layer.weight_v',
      shape: [prototypes, bottleneck],
      storedShape: [prototypes, bottleneck],
      init: torchDefault(bottleneck),
    },
  ]
}

export function headLayers(
  head: Pick<MlpHead, 'layers' | 'hidden' | 'bottleneck'>,
  width: number,
): { name: string; out: number; input: number }[] {
  if (head.layers <= 1) return [{ name: 'mlp', out: head.bottleneck, input: width }]
  return Array.from({ length: head.layers }, (_, i) => ({
    name: `mlp.${2 * i}`,
    out: i === head.layers - 1 ? head.bottleneck : head.hidden,
    input: i === 0 ? width : head.hidden,
  }))
}

function linearParameters(name: string, out: number, input: number): Parameter[] {
  return [
    { name: `${name}.weight`, shape: [out, input], storedShape: [out, input], init: truncNormal },
    { name: `${name}.bias`, shape: [out], storedShape: [out], init: zeros },
  ]
}

export function normParameters(name: string, d: number): Parameter[] {
  return [
    { name: `${name}.weight`, shape: [d], storedShape: [d], init: constant(1) },
    { name: `${name}.bias`, shape: [d], storedShape: [d], init: zeros },
  ]
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1)
}
