import { afterAll, describe, expect, it } from 'vitest'
import type { Head, Loss, ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { openDevice } from '../../runtime/devices/registry.js'
import { constant, tinyBackbone, tinyExperiment } from '../golden/experiment.js'
import { distance, type Numbers, stepNumbers } from './step-numbers.js'

const device = await openDevice('interpret', { threads: 1 })
const native = await openDevice('native', { threads: 1 }).catch((error: unknown) => {
  if (error instanceof DiagnosticError) return null
  throw error
})
afterAll(async () => {
  await device.close()
  await native?.close()
})

const lossesAndGradients = (name: string) => /^(loss|grad|entropy|usage)\./.test(name)

const softmax = { type: 'softmax', momentum: 0.9 } as const
const { loss, masking } = tinyExperiment()
const centered = Object.fromEntries(
  Object.entries(loss).map(([name, l]) => [name, l.type === 'koleo' ? l : { ...l, centering: softmax }]),
) as Record<string, Loss>
const tied = { dino: tinyExperiment().head.dino!, ibot: { type: 'tied', to: 'dino' } as Head }
const bigTeacher = tinyExperiment({
  name: 'big',
  backbone: { ...tinyBackbone, width: 24, depth: 3, heads: 3, ffn: 'swiglu', registers: 2 },
})
const [phase] = tinyExperiment().schedule.phases

const forms: Record<string, Partial<ResolvedExperiment> & { batch?: number }> = {
  'untied heads, Sinkhorn': {},
  'tied heads, centering': { head: tied, loss: centered },
  'SwiGLU, registers, no layer scale': {
    backbone: { ...tinyBackbone, ffn: 'swiglu', registers: 3, layerScale: null },
  },
  'stochastic depth on subsets': {
    batch: 5,
    backbone: { ...tinyBackbone, dropPath: { shape: 'linear', from: 0, to: 0.5, form: 'subset' } },
  },
  'stochastic depth by factors': {
    backbone: { ...tinyBackbone, dropPath: { shape: 'uniform', from: 0.4, to: 0.4, form: 'masked' } },
  },
  'no iBOT, crops still masked': { loss: { dino: loss.dino!, koleo: loss.koleo! } },
  'no masking': { masking: null, loss: { dino: loss.dino!, koleo: loss.koleo! } },
  'no local crops, KoLeo on the first crop': {
    crops: {
      global: { count: 2, size: 16, scale: { min: 0.3, max: 1 } },
      local: { count: 0, size: 8, scale: { min: 0.1, max: 0.3 } },
    },
    loss: { ...loss, koleo: { ...loss.koleo!, crops: 'first' } as Loss },
  },
  'distillation on all patches': {
    masking: null,
    keep: { type: 'ema', momentum: constant(0.99) },
    teacher: {
      type: 'frozen',
      from: { kind: 'run', experiment: 'big', variant: 'full', resolved: bigTeacher },
    },
    loss: { ...loss, ibot: { ...loss.ibot!, on: 'all_patches' } as Loss },
  },
  'masks that only select': { masking: { ...masking!, apply: false } },
  'frozen patch embedding and head': {
    schedule: {
      ...tinyExperiment().schedule,
      phases: [{ ...phase!, freeze: ['backbone.patch_embed', 'head.ibot'] }],
    },
  },
  'two micro-batches': {
    batch: 6,
    loss: centered,
    schedule: { ...tinyExperiment({ batch: 6 }).schedule, microBatch: 3 },
  },
}

describe('what the passes leave as it was', () => {
  for (const [name, overrides] of Object.entries(forms))
    it(`${name}: packed and fused as separate and composed`, async () => {
      const experiment = tinyExperiment(overrides)
      const plain = await stepNumbers(device, experiment, { pack: false, fuse: false })
      const packed = await stepNumbers(device, experiment, { pack: true, fuse: false })
      const fused = await stepNumbers(device, experiment, { pack: false, fuse: true })
      const both = await stepNumbers(device, experiment, { pack: true, fuse: true })
      expect(Object.keys(plain).filter(lossesAndGradients).length).toBeGreaterThan(20)
      for (const other of [packed, fused, both])
        expect(distance(other, plain, lossesAndGradients)).toBeLessThan(1e-9)
    })

  for (const [name, overrides] of Object.entries(forms))
    it.skipIf(native === null)(`${name}: the same on the native device`, async () => {
      const experiment = tinyExperiment(overrides)
      const plain = await stepNumbers(native!, experiment, { pack: false, fuse: false })
      const both = await stepNumbers(native!, experiment, { pack: true, fuse: true })
      expect(distance(both, plain, lossesAndGradients)).toBeLessThan(1e-4)
    })

  it('can tell two steps apart', async () => {
    const one = await stepNumbers(device, tinyExperiment())
    const other = await stepNumbers(device, tinyExperiment(), {}, [1])
    expect(distance(one, other, lossesAndGradients)).toBeGreaterThan(0.1)
  })
})

describe('micro-batches', () => {
  it('average gradients and losses of what each sees alone, and move centers by the mean', async () => {
    const together = await stepNumbers(device, tinyExperiment(forms['two micro-batches']))
    const one = tinyExperiment({ batch: 3, loss: centered })
    const alone = [await stepNumbers(device, one, {}, [0]), await stepNumbers(device, one, {}, [1])]
    for (const name of Object.keys(together)) {
      if (!/^(loss|entropy|usage|center)\./.test(name)) continue
      const mean = Array.from(alone[0]![name]!, (a, i) => (a + alone[1]![name]![i]!) / 2)
      expect(distance({ [name]: mean }, { [name]: together[name]! }, () => true)).toBeLessThan(1e-9)
    }
    const norm = (numbers: Numbers, part: string) => numbers[`grad_norm.${part}`]![0]!
    const gradient = Object.keys(alone[0]!).filter((n) => n.startsWith('grad.student.backbone.'))
    let squares = 0
    for (const name of gradient)
      for (let i = 0; i < alone[0]![name]!.length; i++)
        squares += ((alone[0]![name]![i]! + alone[1]![name]![i]!) / 2) ** 2
    expect(Math.abs(Math.sqrt(squares) / norm(together, 'backbone') - 1)).toBeLessThan(1e-9)
  })
})
