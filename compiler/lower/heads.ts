import { FuncBuilder } from '../ir/builder.js'
import type { Func, TensorType, ValueId } from '../ir/types.js'
import { f32, headPart, type Weights } from './network.js'
import { bottleneckEps, headLayers, type MlpHead } from './parameters.js'

/**
 * A projection head (layers/dino_head.py) in two parts. The *projector* is a function of rows: an MLP down to the
 * bottleneck, then the l2 norm; calls of one head on several inputs are siblings that pass `pack` merges. The
 * *prototypes*, the weight-normalised last layer, are computed once a step for each network and stay outside, so
 * that the loss can take products with them tile by tile.
 *
 *   %b = call @dino_head(%cls, ...weights)     // [R, bottleneck]
 *   %w = weight_norm(%weight_v, %weight_g)     // [K, bottleneck]
 *   %z = linear(%b, %w)                        // [R, K] logits
 */
export interface Projector {
  readonly func: Func
  /** Names of the weights that a call passes, in order, within the head. */
  readonly weights: readonly string[]
}

/** `bias`: on in every recipe. `prenorm`: a second result, the bottleneck before its norm. */
export function projector(
  name: string,
  head: Pick<MlpHead, 'layers' | 'hidden' | 'bottleneck'>,
  input: TensorType,
  { bias = true, prenorm = false } = {},
): Projector {
  const width = input.shape[1]
  if (width === undefined) throw new Error(`${name} takes rows`)
  const b = new FuncBuilder(name)
  let x = b.param(input, { kind: 'operand' }, 'x')
  const layers = headLayers(head, width)
  const weights: string[] = []
  const take = (weight: string, ...shape: number[]) => {
    weights.push(weight)
    return b.param(f32(...shape), { kind: 'operand' }, weight)
  }
  for (const [i, layer] of layers.entries()) {
    b.module = layer.name
    const w = take(`${layer.name}.weight`, layer.out, layer.input)
    const added = bias ? take(`${layer.name}.bias`, layer.out) : null
    x = b.one('linear', [x, w, added], { activation: 'none' })
    b.module = 'mlp'
    if (i < layers.length - 1) x = b.one('gelu', [x], {})
  }
  b.module = 'normalize'
  const [y] = b.op('l2_normalize', [x], { eps: bottleneckEps })
  return { func: b.finish(prenorm ? [y, x] : [y]), weights }
}

/** -> [K, bottleneck] */
export function prototypes(b: FuncBuilder, head: string, weights: Weights): ValueId {
  const part = headPart(head)
  const [w] = b.op(
    'weight_norm',
    [weights(`${part}.last_layer.weight_v`), weights(`${part}.last_layer.weight_g`)],
    {},
  )
  return w
}
