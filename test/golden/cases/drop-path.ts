import type { Func, Module, ValueId } from '../../../compiler/ir/types.js'
import { type Inputs, openEntry } from '../../../compiler/lower/entry.js'
import { boundWeights, type Network, networkState } from '../../../compiler/lower/network.js'
import { blockParameters } from '../../../compiler/lower/parameters.js'
import { callTrunk } from '../../../compiler/lower/views.js'
import { trunk } from '../../../compiler/lower/vit.js'
import type { Backbone } from '../../../compiler/resolve/resolved.js'
import type { Device } from '../../../runtime/devices/device.js'
import { type Loaded, load } from '../execute.js'
import { type Fixture, type FixtureTensor, get, number, sizes } from '../fixture.js'
import type { Report } from '../report.js'
import { backboneOf, weightsOf } from './forward.js'

/** 03: one block with stochastic depth, on a stored subset of each list element, or with stored factors. */
export async function checkDropPath(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const file = String(fixture.config.weights_file ?? '')
  const own = file === '' ? fixture.tensors : fixture.other(file)
  const config = { ...(file === '' ? {} : (fixture.otherJson(file).config as object)), ...fixture.config }
  const weights = weightsOf(own, String(fixture.config.weights_prefix ?? 'weights.'))
  const masked = fixture.tensors.has('keep.attn')
  const rate = number(config.drop_path as unknown)
  const backbone: Backbone = {
    ...backboneOf({
      ...config,
      embed_dim: (config as { dim?: unknown }).dim,
      init_values: (config as { layerscale?: unknown }).layerscale === true ? 1 : null,
    }),
    depth: 1,
    dropPath: { shape: 'uniform', from: rate, to: rate, form: masked ? 'masked' : 'subset' },
  }
  const state = (name: string) => weights.get(name.replace('student.backbone.blocks.0.', ''))?.data
  const names = [...fixture.tensors.keys()]
  const inputsOf = (prefix: string) =>
    names.filter((name) => new RegExp(`^${prefix}\\d*$`).test(name)).map((name) => get(fixture.tensors, name))
  const xs = inputsOf('x')
  const cases = masked
    ? [{ form: '', xs }]
    : [
        { form: 'tensor.', xs: xs.slice(0, 1) },
        { form: 'list.', xs },
      ]
  for (const { form, xs: given } of cases) {
    const expected = [...fixture.tensors.values()].filter(
      (t) => t.role === 'expected' && t.name.startsWith(form),
    )
    const cotangents = inputsOf('cotangent').slice(0, given.length)
    const run = await load(device, blockModule(backbone, rate, given, cotangents), state)
    await run.run({
      ...Object.fromEntries(given.map((x, i) => [`x${i}`, x.data])),
      ...Object.fromEntries(cotangents.map((dy, i) => [`cotangent${i}`, dy.data])),
      ...chosenSequences(run, fixture, rate),
    })
    for (const tensor of expected) {
      const name = tensor.name.slice(form.length)
      report.tensor(tensor, await run.output(name === 'out' ? 'out0' : name))
    }
    await run.close()
  }
}

/** The draws that the fixture stores, for each site: positions within all sequences, or factors. */
function chosenSequences(run: Loaded, fixture: Fixture, rate: number): Record<string, ArrayLike<number>> {
  const inputs: Record<string, ArrayLike<number>> = {}
  for (const { name, generator } of run.inputs) {
    if (generator.kind !== 'kept_subset' && generator.kind !== 'keep_factors') continue
    const branch = generator.site.split('.').at(-1)
    if (generator.kind === 'keep_factors') {
      inputs[name] = Array.from(get(fixture.tensors, `keep.${branch}`).data, (keep) => keep / (1 - rate))
      continue
    }
    let before = 0
    inputs[name] = generator.groups.flatMap((group) => {
      const kept = get(fixture.tensors, `brange.${branch}.${group.name.slice(1)}`)
      const first = before
      before += group.count
      return Array.from(kept.data, (position) => first + position)
    })
  }
  return inputs
}

/** Tokens in, tokens out: `out0`, ...; `grad.x0`, ... and `grad.<parameter>`. */
function blockModule(
  backbone: Backbone,
  rate: number,
  xs: readonly FixtureTensor[],
  cotangents: readonly FixtureTensor[],
): Module {
  const inputs: Inputs = new Map()
  const functions: Record<string, Func> = {}
  const entry = openEntry('forward', inputs, functions)
  const { b } = entry
  const network: Network = { role: 'student', backbone, channels: 1, heads: {} }
  const weights = boundWeights(entry, network)
  const tokens = xs.map((x, i) => {
    const [count, length, d] = sizes(x, 0, 1, 2) as [number, number, number]
    const segments = [{ name: `x${i}`, count, length }]
    return entry.input(`x${i}`, { dtype: 'f32', shape: [count * length, d], segments }, { kind: 'images' })
  })
  const called = trunk('student', backbone, b.type(tokens[0] as ValueId), [rate], functions, [0])
  // The trunk's second result: after the block, before the final norm that a block alone does not have.
  const outs = tokens.map((x) => callTrunk(entry, network, weights, called, x)[1] as ValueId)
  for (const [i, out] of outs.entries()) entry.sink('output', `out${i}`, out)
  const parameters = blockParameters(backbone, '').map((p) => p.name)
  if (cotangents.length > 0) {
    const dys = outs.map((out, i) => entry.input(`cotangent${i}`, b.type(out), { kind: 'images' }))
    const gradients = b.op(
      'grad',
      [...outs, ...dys, ...tokens, ...parameters.map((name) => weights(`backbone.blocks.0.${name}`))],
      { seed: 1, outputs: outs.length },
    )
    for (const [i, gradient] of gradients.entries())
      entry.sink(
        'output',
        i < tokens.length ? `grad.x${i}` : `grad.${parameters[i - tokens.length]}`,
        gradient,
      )
  }
  entry.finish()
  return {
    name: 'golden/block',
    functions,
    entries: ['forward'],
    state: networkState(network, () => ({ kind: 'zeros' })),
    inputs: [...inputs.values()],
    microSteps: 1,
  }
}
