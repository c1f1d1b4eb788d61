import { describe, expect, it } from 'vitest'
import { expectedMaskedRows } from '../../compiler/lower/masking.js'
import { lowerTrainStep } from '../../compiler/lower/train-step.js'
import { modelFlops, totalFlops } from '../../compiler/plan/cost-flops.js'
import type { Backbone, Head } from '../../compiler/resolve/resolved.js'
import { tinyBackbone, tinyExperiment } from '../golden/experiment.js'

/** RECIPE.md E4. */
const anchors = [
  {
    name: 'vitg14',
    width: 1536,
    depth: 40,
    heads: 24,
    patch: 14,
    ffn: 'swiglu',
    rate: 0.4,
    images: 12,
    local: 98,
    grid: 37,
    dino: [131072, 384],
    ibot: [131072, 256],
    tflop: [3.72, 1.198, 0.029, 4.947],
    parameters: [1_136_480_768, 100_147_840],
  },
  {
    name: 'vitl14',
    width: 1024,
    depth: 24,
    heads: 16,
    patch: 14,
    ffn: 'swiglu',
    rate: 0.4,
    images: 32,
    local: 98,
    grid: 37,
    dino: [131072, 384],
    ibot: [131072, 256],
    tflop: [1.016, 0.324, 0.028, 1.369],
    parameters: [304_794_880, 98_050_688],
  },
  {
    name: 'vitl16',
    width: 1024,
    depth: 24,
    heads: 16,
    patch: 16,
    ffn: 'mlp',
    rate: 0.3,
    images: 64,
    local: 96,
    grid: 14,
    dino: [65536, 256],
    ibot: null,
    tflop: [0.892, 0.246, 0.013, 1.151],
    parameters: [303_351_808, 23_662_848],
  },
] as const

describe('modelFlops', () => {
  for (const a of anchors)
    it(`is within 1 % of the published runs: ${a.name}`, () => {
      const backbone: Backbone = {
        ...tinyBackbone,
        width: a.width,
        depth: a.depth,
        heads: a.heads,
        patch: a.patch,
        ffn: a.ffn,
        posGrid: a.grid,
        layerScale: 1e-5,
        dropPath: { shape: 'uniform', from: a.rate, to: a.rate, form: 'subset' },
      }
      const head = ([prototypes, bottleneck]: readonly [number, number]): Head => ({
        type: 'mlp',
        prototypes,
        bottleneck,
        hidden: 2048,
        layers: 3,
      })
      const experiment = tinyExperiment({
        batch: a.images,
        backbone,
        crops: {
          global: { count: 2, size: 224, scale: { min: 0.32, max: 1 } },
          local: { count: 8, size: a.local, scale: { min: 0.05, max: 0.32 } },
        },
        head: { dino: head(a.dino), ibot: a.ibot ? head(a.ibot) : { type: 'tied', to: 'dino' } },
      })
      const module = lowerTrainStep(experiment, experiment.schedule.phases[0]!, a.images)
      const rows = expectedMaskedRows(experiment.masking!, 2 * a.images, (224 / a.patch) ** 2)
      const flops = modelFlops(module, { masked_rows: rows })
      const per = (n: number) => n / a.images / 1e12
      const found = [per(flops.student), per(flops.teacher), per(flops.heads), per(totalFlops(flops))]
      // Printed to a GFLOP.
      for (const [i, expected] of a.tflop.entries())
        expect(Math.abs(found[i]! - expected)).toBeLessThan(0.01 * expected + 0.0005)
      const count = (prefix: string) =>
        module.state
          .filter((t) => t.name.startsWith(prefix))
          .reduce((n, t) => n + t.type.shape.reduce((x, y) => x * y, 1), 0)
      expect(count('student.backbone.')).toBe(a.parameters[0])
      expect(count('student.') - count('student.backbone.')).toBe(a.parameters[1])
    })

  it('counts no backward of what a phase freezes', () => {
    const experiment = tinyExperiment()
    const phase = experiment.schedule.phases[0]!
    const of = (freeze: readonly string[]) =>
      modelFlops(lowerTrainStep(experiment, { ...phase, freeze }, 3), { masked_rows: 5 })
    const [all, backbone, head] = [of([]), of(['backbone']), of(['head.dino'])]
    // The patch embedding, which has no input gradient, is the small difference to a third.
    expect(all.student / backbone.student).toBeGreaterThan(2.8)
    expect(all.student / backbone.student).toBeLessThan(3)
    expect(backbone.teacher).toBe(all.teacher)
    // Heads of both networks: a frozen one still hands its gradient on; above a frozen backbone none does.
    expect(head.heads).toBeLessThan(all.heads)
    expect(backbone.heads).toBeLessThan(all.heads)
    expect(head.student).toBe(all.student)
  })
})
