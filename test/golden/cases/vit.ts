import type { Func, Module, ValueId } from '../../../compiler/ir/types.js'
import { openEntry } from '../../../compiler/lower/entry.js'
import { f32 } from '../../../compiler/lower/network.js'
import { backboneParameters } from '../../../compiler/lower/parameters.js'
import { positions } from '../../../compiler/lower/vit.js'
import type { Backbone } from '../../../compiler/resolve/resolved.js'
import type { Device } from '../../../runtime/devices/device.js'
import { load } from '../execute.js'
import { type Fixture, type FixtureTensor, get, sizes } from '../fixture.js'
import type { Report } from '../report.js'
import {
  addGradients,
  backboneOf,
  type Forward,
  type ForwardModule,
  openForward,
  plainName,
  unpatchify,
  weightsOf,
} from './forward.js'

/** 01: the ViT forward at its own and other sizes, position embeddings, intermediate layers, gradients. */
export async function checkVit(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const backbone = backboneOf(fixture.config)
  const weights = weightsOf(fixture.tensors, 'weights.')
  const state = (name: string) => weights.get(name.replace('student.backbone.', ''))?.data
  const native = `images.${fixture.config.img_size}x${fixture.config.img_size}`
  const expected = [...fixture.tensors.values()].filter((t) => t.role === 'expected')

  await checkNative(fixture, device, report, backbone, state, get(fixture.tensors, native))

  for (const [variant, wanted] of groupBy(expected, /^(resized\.offset[\d.]+\.antialias[01]\.\d+x\d+)\./)) {
    const images = get(fixture.tensors, `images.${variant.split('.').at(-1)}`)
    const module = openForward({ ...backbone, posInterpolation: interpolation(variant) })
    const seen = module.forward(images, 'global', false)
    sinkAll(module, seen, backbone)
    const run = await load(device, module.finish(), state)
    await run.run({ global: images.data })
    for (const tensor of wanted)
      report.tensor(tensor, await run.output(tensor.name.slice(variant.length + 1)))
    await run.close()
  }

  for (const tensor of expected.filter((t) => t.name.startsWith('pos.'))) {
    const images = get(fixture.tensors, `images.${tensor.name.split('.').at(-1)}`)
    const module = positionModule({ ...backbone, posInterpolation: interpolation(tensor.name) }, images)
    const run = await load(device, module, (name) => state(`student.backbone.${name}`))
    await run.run({})
    report.tensor(tensor, await run.output('pos'))
    await run.close()
  }

  await checkIntermediate(fixture, device, report, backbone, state, get(fixture.tensors, native))
}

type State = (name: string) => ArrayLike<number> | undefined

/** Images of the grid's own size, with and without masks; gradients with masks. */
async function checkNative(
  fixture: Fixture,
  device: Device,
  report: Report,
  backbone: Backbone,
  state: State,
  images: FixtureTensor,
): Promise<void> {
  const last = backbone.depth - 1
  const plain = openForward(backbone)
  const seen = plain.forward(images, 'global', false, [last])
  sinkAll(plain, seen, backbone)
  plain.entry.sink('output', 'x_prenorm', seen.raw[0] as ValueId)
  const run = await load(device, plain.finish(), state)
  await run.run({ global: images.data })
  await compare(fixture, report, 'native.unmasked.', (name) => run.output(name))
  await run.close()

  const masked = openForward(backbone)
  const through = masked.forward(images, 'global', true)
  sinkAll(masked, through, backbone)
  const parts = [
    { y: through.cls(), cotangent: 'cotangent.cls' },
    { y: through.patchTokens(), cotangent: 'cotangent.patch' },
    ...(backbone.registers > 0 ? [{ y: through.registers(), cotangent: 'cotangent.reg' }] : []),
  ]
  const parameters = backboneParameters(backbone).map((p) => p.name)
  addGradients(masked, parts, parameters, [through.patches])
  const cotangents = Object.fromEntries(
    parts.map(({ cotangent }) => [cotangent, get(fixture.tensors, cotangent).data]),
  )
  const step = await load(device, masked.finish(), state)
  await step.run({ global: images.data, mask: get(fixture.tensors, 'masks').data, ...cotangents })
  await compare(fixture, report, 'native.masked.', (name) => step.output(name))
  for (const tensor of fixture.tensors.values()) {
    if (tensor.role !== 'expected' || !tensor.name.startsWith('grad.')) continue
    const name = plainName(tensor.name.slice('grad.'.length))
    const actual =
      name === 'images'
        ? unpatchify(await step.output('grad.patches.0'), images, backbone.patch)
        : await step.output(`grad.${name}`)
    report.tensor(tensor, actual)
  }
  const functional = fixture.tensors.get('grad_loss')
  if (functional !== undefined) {
    let sum = 0
    for (const { cotangent } of parts) {
      const part = { cls: 'x_norm_clstoken', patch: 'x_norm_patchtokens', reg: 'x_norm_regtokens' }[
        cotangent.slice('cotangent.'.length)
      ]
      const [y, dy] = [await step.output(part ?? ''), get(fixture.tensors, cotangent).data]
      for (let i = 0; i < dy.length; i++) sum += (y[i] as number) * (dy[i] as number)
    }
    report.tensor(functional, [sum])
  }
  await step.close()
}

/** Tokens after chosen blocks, through the final norm. */
async function checkIntermediate(
  fixture: Fixture,
  device: Device,
  report: Report,
  backbone: Backbone,
  state: State,
  images: FixtureTensor,
): Promise<void> {
  const wanted = [...fixture.tensors.values()].filter((t) => t.name.startsWith('intermediate.'))
  if (wanted.length === 0) return
  const all = Array.from({ length: backbone.depth }, (_, i) => i)
  const outputs = async (of: FixtureTensor) => {
    const module = openForward(backbone)
    const seen = module.forward(of, 'global', false, all)
    for (const i of all) {
      const y = seen.norm(seen.raw[i] as ValueId)
      module.entry.sink('output', `${i}.cls`, seen.cls(y))
      module.entry.sink('output', `${i}.patch`, seen.patchTokens(y))
      module.entry.sink('output', `${i}.raw`, seen.patchTokens(seen.raw[i]))
    }
    const run = await load(device, module.finish(), state)
    await run.run({ global: of.data })
    const found = new Map<string, ArrayLike<number>>()
    for (const i of all)
      for (const part of ['cls', 'patch', 'raw']) found.set(`${i}.${part}`, await run.output(`${i}.${part}`))
    await run.close()
    return found
  }
  const native = await outputs(images)
  const counted = wanted.filter((t) => /^intermediate\.\d+\.cls$/.test(t.name)).length
  for (const tensor of wanted) {
    const name = tensor.name.slice('intermediate.'.length)
    const listed = /^list\.(\d+(?:_\d+)*)$/.exec(name)
    if (listed !== null) {
      // Recorded before the norm.
      const blocks = (listed[1] as string).split('_')
      report.tensor(
        tensor,
        blocks.flatMap((i) => Array.from(native.get(`${i}.raw`) ?? [])),
      )
    } else if (name === 'last.reshaped') {
      // The one crop whose patches have that shape, as [N, d, h, w].
      const [n, d, h, w] = sizes(tensor, 0, 1, 2, 3) as [number, number, number, number]
      const size = `images.${h * backbone.patch}x${w * backbone.patch}`
      const rows = (await outputs(get(fixture.tensors, size))).get(`${backbone.depth - 1}.patch`) ?? []
      report.tensor(tensor, channelsFirst(rows, n, d, h * w))
    } else {
      // Counted within the last n blocks, of which there are as many as have class tokens.
      const [, i = '', part = ''] = /^(\d+)\.(\w+)$/.exec(name) ?? []
      report.tensor(tensor, native.get(`${backbone.depth - counted + Number(i)}.${part}`) ?? [])
    }
  }
}

function channelsFirst(rows: ArrayLike<number>, n: number, d: number, patches: number): Float64Array {
  const out = new Float64Array(n * d * patches)
  for (let i = 0; i < n; i++)
    for (let p = 0; p < patches; p++)
      for (let k = 0; k < d; k++) out[(i * d + k) * patches + p] = rows[(i * patches + p) * d + k] as number
  return out
}

/** Outputs by the names of the reference's forward_features. */
function sinkAll({ entry }: ForwardModule, seen: Forward, backbone: Backbone): void {
  entry.sink('output', 'tokens', seen.embedded)
  entry.sink('output', 'x_norm_clstoken', seen.cls())
  entry.sink('output', 'x_norm_patchtokens', seen.patchTokens())
  if (backbone.registers > 0) entry.sink('output', 'x_norm_regtokens', seen.registers())
}

async function compare(
  fixture: Fixture,
  report: Report,
  prefix: string,
  output: (name: string) => Promise<ArrayLike<number>>,
): Promise<void> {
  for (const tensor of fixture.tensors.values())
    if (tensor.role === 'expected' && tensor.name.startsWith(prefix))
      report.tensor(tensor, await output(tensor.name.slice(prefix.length)))
}

function positionModule(backbone: Backbone, images: FixtureTensor): Module {
  const functions: Record<string, Func> = {}
  const entry = openEntry('forward', new Map(), functions)
  const shape = [1 + backbone.posGrid ** 2, backbone.width]
  const pos = entry.state('pos_embed', f32(...shape))
  const [heightPx, widthPx] = sizes(images, 2, 3) as [number, number]
  entry.sink(
    'output',
    'pos',
    positions(entry.b, backbone, pos, { group: 'global', count: 1, heightPx, widthPx }),
  )
  entry.finish()
  return {
    name: 'golden/positions',
    functions,
    entries: ['forward'],
    state: [
      {
        name: 'pos_embed',
        type: f32(...shape),
        storedShape: shape,
        role: 'student',
        init: { kind: 'zeros' },
      },
    ],
    inputs: [],
    microSteps: 1,
  }
}

/** `...offset0.1.antialias0...` */
function interpolation(name: string): Backbone['posInterpolation'] {
  const found = /offset([\d.]+)\.antialias([01])/.exec(name)
  if (found === null) throw new Error(`${name} names no interpolation`)
  return { offset: Number(found[1]), antialias: found[2] === '1' }
}

export function groupBy(tensors: readonly FixtureTensor[], key: RegExp): Map<string, FixtureTensor[]> {
  const groups = new Map<string, FixtureTensor[]>()
  for (const tensor of tensors) {
    const found = key.exec(tensor.name)?.[1]
    if (found !== undefined) groups.set(found, [...(groups.get(found) ?? []), tensor])
  }
  return groups
}
