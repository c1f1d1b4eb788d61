import type { Func, Module, TensorType, ValueId } from '../ir/types.js'
import type { ResolvedExperiment } from '../resolve/resolved.js'
import { type Inputs, openEntry } from './entry.js'
import { boundWeights, type Network, networkState } from './network.js'
import { layerNormEps } from './parameters.js'
import { imageChannels, spanOf, teacherOf } from './step.js'
import { callTrunk, embedCrops } from './views.js'
import { type CropShape, cropTokens, prefixTokens, trunk } from './vit.js'

/**
 * The forward pass of one network's backbone over whole images. Outputs: `cls` [batch, d] and `patches` [batch*n, d]
 * after the final norm; for each of `blocks` (from 0) the same of the tokens after that block, through the same final
 * norm, as get_intermediate_layers of the reference has them: `cls.3`, `patches.3`.
 */
export function lowerFeatures(
  experiment: ResolvedExperiment,
  of: 'teacher' | 'student' | 'keep',
  resolutionPx: number,
  batch: number,
  blocks: readonly number[] = [],
): Module {
  const { backbone } = of === 'teacher' ? teacherOf(experiment) : experiment
  const network: Network = { role: of, backbone, channels: imageChannels(experiment), heads: {} }
  const image: CropShape = { group: 'images', count: batch, heightPx: resolutionPx, widthPx: resolutionPx }
  const inputs: Inputs = new Map()
  const functions: Record<string, Func> = {}
  const entry = openEntry('forward', inputs, functions)
  entry.b.span = spanOf(experiment, 'backbone')

  const weights = boundWeights(entry, network)
  const tokens = embedCrops(entry, network, weights, image, { kind: 'images' }, null)
  const type: TensorType = entry.b.type(tokens)
  const called = trunk(of, backbone, type, [], functions, blocks)
  const [last, ...raw] = callTrunk(entry, network, weights, called, tokens) as [ValueId, ...ValueId[]]
  const prefix = prefixTokens(backbone)
  const handOut = (suffix: string, y: ValueId) => {
    const rows = (start: number, count: number) =>
      entry.b.one('select_tokens', [y], { group: image.group, start, tokens: count })
    entry.sink('output', `cls${suffix}`, rows(0, 1))
    entry.sink('output', `patches${suffix}`, rows(prefix, cropTokens(image, backbone) - prefix))
  }
  handOut('', last)
  entry.b.module = `${of}.backbone.norm`
  // Taps come in the order of blocks, whatever order they were asked in.
  const asked = [...blocks].sort((a, b) => a - b)
  for (const [i, x] of raw.entries())
    handOut(
      `.${asked[i]}`,
      entry.b.op('layer_norm', [x, weights('backbone.norm.weight'), weights('backbone.norm.bias')], {
        eps: layerNormEps,
      })[0],
    )
  entry.finish()
  return {
    name: `${experiment.name}.${experiment.variant}/features-${of}-${resolutionPx}px`,
    functions,
    entries: ['forward'],
    state: networkState(network, (p) => p.init(p.path)),
    inputs: [...inputs.values()],
    microSteps: 1,
  }
}
