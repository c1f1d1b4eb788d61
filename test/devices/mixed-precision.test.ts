import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Device, HostTensor } from '../../runtime/devices/device.js'
import { openDevice } from '../../runtime/devices/registry.js'
import { initialState } from '../../runtime/initialize.js'
import { load } from '../golden/execute.js'
import { tinyBackbone, tinyExperiment } from '../golden/experiment.js'
import { madeUpInputs } from '../lower/inputs.js'
import { lowered } from '../passes/step.js'
import { nativeMissing, nativeSkipped } from '../support/native-missing.js'

/** Small, but with everything that a step of a real size has; odd numbers of rows among it. */
const experiment = tinyExperiment({
  batch: 5,
  backbone: {
    ...tinyBackbone,
    width: 48,
    depth: 4,
    heads: 3,
    dropPath: { shape: 'uniform', from: 0.3, to: 0.3, form: 'subset' },
  },
})
const module = lowered(experiment, 5)
const initial = new Map(
  initialState(
    module.state.map(({ name, role, init, storedShape, type: { dtype, shape } }) => ({
      name,
      role,
      dtype: dtype as 'f32',
      shape,
      init,
      storedShape,
    })),
    3,
  ),
)

interface Outcome {
  readonly losses: readonly Readonly<Record<string, HostTensor>>[]
  readonly gradients: ReadonlyMap<string, HostTensor>
  readonly state: ReadonlyMap<string, HostTensor>
}

/** Steps `from` to `to`, beginning with `state`; gradients are those of the last one. */
async function train(
  device: Device,
  precision: 'float32' | 'bf16',
  [from, to]: readonly [number, number],
  state: ReadonlyMap<string, HostTensor> = initial,
): Promise<Outcome> {
  const run = await load(device, module, (name) => state.get(name), { precision })
  const losses: Readonly<Record<string, HostTensor>>[] = []
  for (let i = from; i < to; i++) {
    await run.run({ ...madeUpInputs(run.inputs, i), adam_step: [i + 1] })
    losses.push(await run.metrics())
  }
  const read = async (names: readonly string[], of: (name: string) => Promise<HostTensor>) =>
    new Map(await Promise.all(names.map(async (name) => [name, await of(name)] as const)))
  const outcome = {
    losses,
    gradients: await read(
      run.outputs.filter((name) => name.startsWith('grad.')),
      run.output,
    ),
    state: await read(run.state.names, run.state.read),
  }
  await run.close()
  return outcome
}

/** Of all gradients as one vector. */
function cosine(a: ReadonlyMap<string, HostTensor>, b: ReadonlyMap<string, HostTensor>): number {
  let [ab, aa, bb] = [0, 0, 0]
  for (const [name, x] of a) {
    const y = b.get(name)!
    x.forEach((v, i) => {
      ab += v * y[i]!
      aa += v * v
      bb += y[i]! * y[i]!
    })
  }
  return ab / Math.sqrt(aa * bb)
}

/**
 * The largest relative difference of a loss at any step. KoLeo counts within the total only: among five images of
 * noise it is the logarithm of a distance near 1, about 0.
 */
function worstLoss(a: Outcome, b: Outcome): number {
  let worst = 0
  a.losses.forEach((losses, i) => {
    for (const name of Object.keys(losses))
      if (name.startsWith('loss.') && name !== 'loss.koleo')
        worst = Math.max(worst, Math.abs(b.losses[i]![name]![0]! / losses[name]![0]! - 1))
  })
  return worst
}

const bits = (values: HostTensor) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)
const sameBits = (a: ReadonlyMap<string, HostTensor>, b: ReadonlyMap<string, HostTensor>) =>
  [...a].filter(([name, values]) => bits(values).compare(bits(b.get(name)!)) !== 0).map(([name]) => name)

describe('bf16 on the oracle', () => {
  it('gives the gradients and losses of float32', async () => {
    const device = await openDevice('interpret', { threads: null })
    const [exact, half] = [await train(device, 'float32', [0, 2]), await train(device, 'bf16', [0, 2])]
    expect(cosine(exact.gradients, half.gradients)).toBeGreaterThan(0.999)
    expect(worstLoss(exact, half)).toBeLessThan(0.02)
    await device.close()
  })
})

describe.skipIf(nativeMissing !== null)(`bf16 on native${nativeSkipped}`, () => {
  let device: Device
  let others: readonly Device[]
  beforeAll(async () => {
    const open = (threads: number) => openDevice('native', { threads })
    ;[device, ...others] = [await open(1), await open(2), await open(3)]
  })
  afterAll(async () => {
    for (const each of [device, ...others]) await each.close()
  })

  it('trains as float32 does: the first gradients, and the losses of 50 steps', async () => {
    const [exact, half] = [await train(device, 'float32', [0, 1]), await train(device, 'bf16', [0, 1])]
    expect(cosine(exact.gradients, half.gradients)).toBeGreaterThan(0.999)
    const [long, other] = [await train(device, 'float32', [0, 50]), await train(device, 'bf16', [0, 50])]
    expect(worstLoss(long, other)).toBeLessThan(0.02)
  })

  it('gives the same bits for any number of threads', async () => {
    const one = await train(device, 'bf16', [0, 3])
    for (const other of others) {
      const found = await train(other, 'bf16', [0, 3])
      expect(sameBits(one.state, found.state)).toEqual([])
      expect(sameBits(one.gradients, found.gradients)).toEqual([])
    }
  })

  it('goes on bit for bit from its float32 state', async () => {
    const whole = await train(device, 'bf16', [0, 4])
    const half = await train(device, 'bf16', [0, 2])
    expect([...half.state.values()].every((values) => values instanceof Float32Array)).toBe(true)
    const rest = await train(device, 'bf16', [2, 4], half.state)
    expect(sameBits(whole.state, rest.state)).toEqual([])
  })
})
