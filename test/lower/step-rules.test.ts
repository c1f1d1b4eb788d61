import { afterAll, describe, expect, it } from 'vitest'
import type { Loss } from '../../compiler/resolve/resolved.js'
import { openDevice } from '../../runtime/devices/registry.js'
import { tinyExperiment } from '../golden/experiment.js'
import { type Numbers, stepNumbers } from './step-numbers.js'

const device = await openDevice('interpret', { threads: 1 })
afterAll(() => device.close())

const softmax = { type: 'softmax', momentum: 0.9 } as const
const { loss, schedule, masking } = tinyExperiment()
const centered = Object.fromEntries(
  Object.entries(loss).map(([name, l]) => [name, l.type === 'koleo' ? l : { ...l, centering: softmax }]),
) as Record<string, Loss>

const same = (numbers: Numbers, name: string) =>
  expect(Array.from(numbers[name]!)).toEqual(Array.from(numbers[`before.${name}`]!))
const differs = (numbers: Numbers, name: string) =>
  expect(Array.from(numbers[name]!)).not.toEqual(Array.from(numbers[`before.${name}`]!))

describe('a step without any masked patch', () => {
  for (const [name, losses] of Object.entries({ centering: centered, sinkhorn: loss }))
    it(`has no iBOT loss, no gradient of it, and leaves its center: ${name}`, async () => {
      const numbers = await stepNumbers(device, tinyExperiment({ loss: losses }), {}, [0], (inputs) => ({
        ...inputs,
        masked_rows: [0],
        mask: Array.from(inputs.mask!, () => 0),
        mask_weights: Array.from(inputs.mask_weights!, () => 0),
      }))
      expect(numbers['loss.ibot']![0]).toBe(0)
      expect(numbers['grad_norm.ibot_head']![0]).toBe(0)
      expect(numbers['loss.total']![0]).toBeGreaterThan(0)
      if (name === 'centering') {
        same(numbers, 'center.ibot')
        differs(numbers, 'center.dino')
      }
    })
})

describe('a step that is not finite', () => {
  it('leaves every tensor of the state as it was', async () => {
    const numbers = await stepNumbers(device, tinyExperiment({ loss: centered }), {}, [0], (inputs) => ({
      ...inputs,
      local: Array.from(inputs.local!, (v, i) => (i === 5 ? Number.NaN : v)),
    }))
    expect(numbers.finite![0]).toBe(0)
    expect(numbers['loss.dino_local']![0]).toBeNaN()
    for (const name of Object.keys(numbers))
      if (name.startsWith('before.')) same(numbers, name.slice('before.'.length))
    for (const name of Object.keys(numbers))
      if (/^[mv]\./.test(name)) expect(Math.max(...Array.from(numbers[name]!, Math.abs))).toBe(0)
  })
})

describe('what trains', () => {
  it('the last layer not, while its own rate is 0', async () => {
    const numbers = await stepNumbers(device, tinyExperiment(), {}, [0], (inputs) => ({
      ...inputs,
      last_layer_lr: [0],
    }))
    same(numbers, 'student.dino_head.last_layer.weight_v')
    differs(numbers, 'student.dino_head.mlp.0.weight')
    differs(numbers, 'teacher.dino_head.last_layer.weight_v')
    expect(
      Math.max(...Array.from(numbers['m.student.dino_head.last_layer.weight_v']!, Math.abs)),
    ).toBeGreaterThan(0)
  })

  it('the mask token only where crops are masked', async () => {
    differs(await stepNumbers(device, tinyExperiment()), 'student.backbone.mask_token')
    const whole = tinyExperiment({ masking: { ...masking!, apply: false } })
    same(await stepNumbers(device, whole), 'student.backbone.mask_token')
  })

  it('not what a phase freezes, which neither decays nor counts in the norm; its average still moves', async () => {
    const phases = [{ ...schedule.phases[0]!, freeze: ['backbone', 'head.ibot'] }]
    const numbers = await stepNumbers(device, tinyExperiment({ schedule: { ...schedule, phases } }))
    same(numbers, 'student.backbone.blocks.0.attn.qkv.weight')
    same(numbers, 'student.ibot_head.mlp.0.weight')
    differs(numbers, 'student.dino_head.mlp.0.weight')
    differs(numbers, 'teacher.backbone.blocks.0.attn.qkv.weight')
    expect(numbers['grad_norm.backbone']).toBeUndefined()
    expect(numbers['grad_norm.dino_head']![0]).toBeGreaterThan(0)
  })
})
