import type { Func, ValueId } from '../../../compiler/ir/types.js'
import { type Inputs, openEntry } from '../../../compiler/lower/entry.js'
import { projector, prototypes } from '../../../compiler/lower/heads.js'
import { f32, headPart } from '../../../compiler/lower/network.js'
import { headParameters } from '../../../compiler/lower/parameters.js'
import type { Device } from '../../../runtime/devices/device.js'
import { load } from '../execute.js'
import { type Fixture, get, number } from '../fixture.js'
import type { Report } from '../report.js'

/** 04: the projection head and the gradients of sum <cotangent, out>. */
export async function checkHead(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const { config } = fixture
  const shape = {
    type: 'mlp',
    prototypes: number(config.out_dim),
    hidden: number(config.hidden_dim),
    bottleneck: number(config.bottleneck_dim),
    layers: number(config.nlayers),
  } as const
  const x = get(fixture.tensors, 'x')
  const bias = config.mlp_bias !== false
  const part = headPart('dino')
  const parameters = headParameters(shape, number(config.in_dim)).filter(
    (p) => bias || !p.name.endsWith('.bias'),
  )
  const shapes = new Map(parameters.map((p) => [`${part}.${p.name}`, p.shape]))

  const inputs: Inputs = new Map()
  const functions: Record<string, Func> = {}
  const entry = openEntry('forward', inputs, functions)
  const { b } = entry
  const weights = (name: string) => entry.state(name, { dtype: 'f32', shape: shapes.get(name) ?? [] })
  const rows = entry.input('x', f32(...x.shape), { kind: 'images' })
  const head = projector('dino_head', shape, b.type(rows), { bias, prenorm: true })
  functions[head.func.name] = head.func
  const [bottleneck, prenorm] = b.op('call', [rows, ...head.weights.map((w) => weights(`${part}.${w}`))], {
    callee: head.func.name,
    data: 1,
  }) as [ValueId, ValueId]
  const out = b.one('linear', [bottleneck, prototypes(b, 'dino', weights)], { activation: 'none' })
  entry.sink('output', 'bottleneck_prenorm', prenorm)
  entry.sink('output', 'out', out)
  const cotangent = entry.input('cotangent', b.type(out), { kind: 'images' })
  const gradients = b.op(
    'grad',
    [out, cotangent, rows, ...parameters.map((p) => weights(`${part}.${p.name}`))],
    { seed: 1, outputs: 1 },
  )
  for (const [i, gradient] of gradients.entries())
    entry.sink('output', i === 0 ? 'grad.x' : `grad.${parameters[i - 1]?.name}`, gradient)
  entry.finish()

  const run = await load(
    device,
    {
      name: 'golden/head',
      functions,
      entries: ['forward'],
      state: parameters.map((p) => ({
        name: `${part}.${p.name}`,
        type: f32(...p.shape),
        storedShape: p.storedShape,
        role: 'student',
        init: { kind: 'zeros' },
      })),
      inputs: [...inputs.values()],
      microSteps: 1,
    },
    (name) => fixture.tensors.get(`weights.${name.slice(part.length + 1)}`)?.data,
  )
  await run.run({ x: x.data, cotangent: get(fixture.tensors, 'cotangent').data })
  for (const tensor of fixture.tensors.values())
    if (tensor.role === 'expected') report.tensor(tensor, await run.output(tensor.name))
  await run.close()
}
