import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { nodeHost } from '../../compiler/resolve/host.js'
import { resolve } from '../../compiler/resolve/resolve.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { schemaFaults } from '../../grammar/schema/validate.js'

const root = new URL('../../', import.meta.url).pathname
const options = { set: [], params: {}, env: {} }
const at = (file: string) => resolve(file, nodeHost(root), options)
const preset = (name: string): ResolvedExperiment =>
  at(`experiments/std/dinov2.dino#${name}`).experiments[0]!.variants[0]!.resolved

function dinoFiles(folder: string): string[] {
  return readdirSync(new URL(folder, new URL('../../', import.meta.url)), { withFileTypes: true }).flatMap(
    (entry) =>
      entry.isDirectory()
        ? dinoFiles(`${folder}${entry.name}/`)
        : entry.name.endsWith('.dino')
          ? [`${folder}${entry.name}`]
          : [],
  )
}

describe.each(dinoFiles('experiments/'))('%s', (file) => {
  it('checks without errors, and every variant has the form that the schemas describe', () => {
    const { diagnostics, experiments } = at(file)
    expect(diagnostics.filter((d) => d.severity === 'error')).toEqual([])
    for (const { resolved } of experiments.flatMap((e) => e.variants))
      expect(schemaFaults(resolved)).toEqual([])
  })
})

describe('the recipe', () => {
  it('has every preset, none of which says what or where to train', () => {
    const { experiments, diagnostics } = at('experiments/std/dinov2.dino')
    expect(diagnostics).toEqual([])
    const sizes = ['vitl14', 'vitg14', 'vitb14', 'vits14']
    expect(experiments.map((e) => e.name).sort()).toEqual(
      [
        ...sizes.flatMap((s) => [s, `${s}_released_code`, `${s}_released_weights`]),
        'vitl16_short',
        'vit_nano',
      ].sort(),
    )
    for (const { variants } of experiments) {
      const e = variants[0]!.resolved
      expect(variants).toHaveLength(1)
      expect([e.data, e.eval, e.visualize, e.seeds]).toEqual([null, {}, {}, [0]])
      expect(Object.keys(e.loss)).toEqual(['dino', 'ibot', 'koleo'])
      expect(Object.keys(e.head)).toEqual(['dino', 'ibot'])
      expect(e.schedule.phases.map((p) => p.name)).toEqual(['pretrain'])
      expect(e.masking).toMatchObject({ type: 'block', probability: 0.5, ratio: { min: 0.1, max: 0.5 } })
      expect(e.description).not.toBeNull()
      for (const block of [
        'data',
        'eval',
        'visualize',
        'hardware',
        'optimize',
        'checkpoint',
        'report',
        'ablation',
      ])
        expect(e.provenance[block]).toBeUndefined()
    }
  })
  it('tells the paper from the released code and the released weights', () => {
    const [paper, code, weights] = ['vitl14', 'vitl14_released_code', 'vitl14_released_weights'].map(preset)
    expect(paper!.backbone).toMatchObject({
      width: 1024,
      depth: 24,
      heads: 16,
      patch: 14,
      ffn: 'swiglu',
      posGrid: 16,
    })
    expect([paper, code].map((e) => e!.augment.blur.probability)).toEqual([
      [1, 0.1, 0.5],
      [0, 0.9, 0.5],
    ])
    expect([paper, code].map((e) => (e!.loss.koleo as { crops: string }).crops)).toEqual(['first', 'both'])
    const peaks = [paper, code].map((e) => (e!.schedule.phases[0]!.lr.pieces[0] as { to: number }).to)
    expect(peaks[0]).toBe(3.5e-4)
    expect(peaks[1]).toBeCloseTo(2e-4 * Math.sqrt(3), 12)
    expect(weights!.backbone).toMatchObject({ ffn: 'mlp', posGrid: 37 })
    expect(paper!.schedule).toMatchObject({ batch: 3072, epoch: { value: 1250, unit: 'step' } })
    expect(paper!.schedule.phases[0]!.length).toEqual({ value: 500, unit: 'epoch' })
  })
  it('says of the sizes that the paper only distils that they are untested', () => {
    for (const name of ['vits14', 'vitb14']) {
      const e = preset(name)
      expect(e.description).toContain('untested')
      expect(e.teacher.type).toBe('ema')
      expect(e.backbone.ffn).toBe('mlp')
    }
  })
  it('has the default configuration of the released code', () => {
    const e = preset('vitl16_short')
    expect(e.backbone).toMatchObject({ patch: 16, ffn: 'mlp', dropPath: { shape: 'uniform', to: 0.3 } })
    expect(e.head).toMatchObject({
      dino: { prototypes: 65536, bottleneck: 256 },
      ibot: { type: 'tied', to: 'dino' },
    })
    expect(e.loss.dino).toMatchObject({ centering: { type: 'softmax', momentum: 0.9 } })
    expect(e.optimizer.layerDecay).toBe(0.9)
    expect((e.schedule.phases[0]!.lr.pieces[0] as { to: number }).to).toBeCloseTo(4e-3 * Math.SQRT2, 12)
    expect(e.crops.local.size).toBe(96)
  })
})

it('resolves the full-scale example with its three experiments in well under a second', () => {
  at('experiments/dinov2_vitl14.dino')
  const before = process.cpuUsage()
  const { experiments } = at('experiments/dinov2_vitl14.dino')
  const { user, system } = process.cpuUsage(before)
  expect(experiments.map((e) => e.variants.length)).toEqual([10, 1, 1])
  expect((user + system) / 1000).toBeLessThan(700)
})

it('keeps the grammar of the examples that users read', () => {
  expect(readFileSync(new URL('../../experiments/std/dinov2.dino', import.meta.url), 'utf8')).not.toContain(
    '\t',
  )
})
