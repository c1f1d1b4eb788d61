import { describe, expect, it } from 'vitest'
import { logitBytes } from '../bench/own/prototypes.js'
import { stepOf } from '../bench/own/step.js'
import {
  type CompileTarget,
  compileVariant,
  embeddedTarget,
  lowerPhase,
  optimizePhase,
  planVariant,
} from '../compiler/compile.js'
import { verify } from '../compiler/ir/verify.js'
import { overBudget } from '../compiler/plan/findings.js'
import { nodeHost } from '../compiler/resolve/host.js'
import { type ResolvedFamily, resolve } from '../compiler/resolve/resolve.js'
import type { ResolvedExperiment } from '../compiler/resolve/resolved.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'
import { validatePlan } from '../runtime/devices/validate.js'
import { validateRunSpec } from '../runtime/devices/validate-run-spec.js'

function familiesOf(file: string, set: readonly string[] = []): readonly ResolvedFamily[] {
  const { diagnostics, experiments } = resolve(file, nodeHost(), { set, params: {}, env: {} })
  expect(diagnostics.filter((d) => d.severity === 'error')).toEqual([])
  return experiments
}

function variantOf(entry: string, set: readonly string[] = []): ResolvedExperiment {
  return familiesOf(entry, set)[0]!.variants[0]!.resolved
}

describe('the published runs', () => {
  /** RECIPE E4: parameters and kept sequences exactly, model FLOPs within 1 %. */
  const anchors = {
    vitl14: { parameters: [304_794_880, 98_050_688], teraflop: 1.369, kept: [38, 64, 153, 256], tokens: 914 },
    vitg14: {
      parameters: [1_136_480_768, 100_147_840],
      teraflop: 4.947,
      kept: [14, 24, 57, 96],
      tokens: 914,
    },
    vitl16: {
      parameters: [303_351_808, 23_662_848],
      teraflop: 1.151,
      kept: [89, 128, 358, 512],
      tokens: 690,
    },
  }
  for (const [name, anchor] of Object.entries(anchors))
    it(`cost what they cost: ${name}`, () => {
      const cost = planVariant(variantOf(`experiments/calibration/${name}.dino`), embeddedTarget, null)
      const phase = cost.phases[0]!
      expect([cost.parameters.backbone, cost.parameters.heads]).toEqual(anchor.parameters)
      expect(cost.tokensPerImage).toBe(anchor.tokens)
      expect(Math.abs(phase.modelFlopsPerImage / 1e12 / anchor.teraflop - 1)).toBeLessThan(0.01)
      const [global, local] = phase.perRank.keptSamples
      expect([global?.kept, global?.of, local?.kept, local?.of]).toEqual(anchor.kept)
      expect(global?.group).toBe('global')
    })

  it('exchange half of data parallelism, or a quarter less with a sharded teacher', () => {
    const cost = planVariant(variantOf('experiments/calibration/vitl14.dino'), embeddedTarget, null)
    const { communication: c } = cost.phases[0]!
    // What is reduced is not by the parameter: targets, norms and measures.
    const perParameter = (bytes: number) => (bytes - c.allReduceBytes) / cost.parameters.total
    // Biases, norms and embeddings travel in float32: half a percent more than 16 bits throughout.
    const near = (bytes: number) => [0.99 * bytes, bytes, 1.01 * bytes]
    for (const [bytes, expected] of [
      [c.bytesPerStep, 6],
      [c.wholeTeacherBytes, 4],
      [c.dataParallelBytes, 8],
    ] as const) {
      const [least, , most] = near(expected)
      expect(perParameter(bytes)).toBeGreaterThanOrEqual(least!)
      expect(perParameter(bytes)).toBeLessThanOrEqual(most!)
    }
    // Two losses, three iterations over 131,072 prototypes in float32, there and back.
    expect(c.targetBytes).toBe(2 * 3 * 131_072 * 4 * 2)
    // Beside them two clipped norms and the batch's measures, usage of prototypes among them.
    expect(c.allReduceBytes - c.targetBytes).toBeLessThan(2 * 2 * 131_072 * 4 + 200)
  })

  it('hold 16 bytes a parameter, shared by the ranks', () => {
    const whole = planVariant(
      variantOf('experiments/calibration/vitg14.dino', ['hardware.shard=none']),
      embeddedTarget,
      null,
    )
    const bytes = whole.phases[0]!.perRank.stateBytes
    expect(bytes).toBe(16 * whole.parameters.total)
    expect(Math.round(bytes / 1e8) / 10).toBe(19.8)
    const shared = planVariant(variantOf('experiments/calibration/vitg14.dino'), embeddedTarget, null)
    expect(shared.phases[0]!.perRank.stateBytes).toBeCloseTo(bytes / 256, -3)
  })
})

describe('logits and targets', () => {
  const published = ['head.dino.prototypes=131072', 'head.ibot.prototypes=131072']

  const peakBytes = (set: readonly string[]) => logitBytes(stepOf('vits14_step.full', set))

  it.each([
    ['float32', '4 img'],
    ['bf16', '16 img'],
  ])('of 131,072 prototypes take less than a quarter fused, in %s', (precision, batch) => {
    const set = [...published, `schedule.batch=${batch}`, `optimize.precision=${precision}`]
    const fused = peakBytes(set)
    expect(fused).toBeGreaterThan(0)
    expect(fused).toBeLessThan(0.25 * peakBytes([...set, 'optimize.fuse=off']))
  })

  it('of fewer are stored once: those of the teacher', () => {
    const ratio = peakBytes([]) / peakBytes(['optimize.fuse=off'])
    expect(ratio).toBeGreaterThan(0.4)
    expect(ratio).toBeLessThan(0.5)
  })
})

describe('compileVariant', () => {
  it('gives plans and a run spec that every device accepts', () => {
    for (const { resolved } of familiesOf('experiments/emoji_ablation.dino')[0]!.variants) {
      const compiled = compileVariant(resolved, embeddedTarget)
      expect(Object.keys(compiled.plans)).toEqual([
        'plan-pretrain.json',
        'plan-hires.json',
        'plan-features-teacher-64px.json',
      ])
      for (const plan of Object.values(compiled.plans)) validatePlan(JSON.parse(JSON.stringify(plan)))
      const spec = compiled.runSpec(1)
      validateRunSpec(JSON.parse(JSON.stringify(spec)))
      expect(spec.seed).toBe(1)
      expect(spec.phases.map((p) => [p.plan, p.resetMoments])).toEqual([
        ['plan-pretrain.json', false],
        ['plan-hires.json', true],
      ])
      // What hires inherits is compressed to its length; what it sets is not.
      expect(spec.phases[1]?.schedules.weight_decay?.compress).toEqual({
        from: { value: 2, unit: 'epoch' },
        to: { value: 10, unit: 'step' },
      })
      // Every tensor that a plan binds is in the state of the run.
      const names = new Set(spec.state.map((tensor) => tensor.name))
      for (const plan of Object.values(compiled.plans))
        for (const tensor of plan.state) expect(names).toContain(tensor.name)
    }
  })

  it('writes what a device cannot do with what it has', () => {
    const resolved = variantOf('experiments/quickstart.dino')
    const target: CompileTarget = {
      ...embeddedTarget,
      capabilities: new Set([...embeddedTarget.capabilities].filter((op) => !/attention|adamw_ema/.test(op))),
    }
    const ops = compileVariant(resolved, target).plans['plan-pretrain.json']!.programs.flatMap((p) =>
      p.steps.map((step) => step.op),
    )
    expect(ops).not.toContain('attention')
    expect(ops).not.toContain('adamw_ema')
    expect(ops).toContain('softmax')
  })

  it('says when the targets of a loss would be uniform, and from which step on it looks', () => {
    const { monitors } = compileVariant(variantOf('experiments/quickstart.dino'), embeddedTarget).runSpec(0)
    const uniform = monitors.find((m) => m.metric === 'entropy.dino')!
    const spec = variantOf('experiments/quickstart.dino')
    const head = spec.head.dino!
    const prototypes = head.type === 'mlp' ? head.prototypes : 0
    expect(uniform.above).toBeCloseTo(0.99 * Math.log(prototypes), 10)
    expect(uniform.explanation).toContain(`for ${prototypes} prototypes`)
    expect(uniform.from).toEqual(spec.schedule.phases[0]!.lr.pieces[0]!.over)
  })
})

describe('every recipe', () => {
  const recipes = familiesOf('experiments/std/dinov2.dino').flatMap((family) => family.variants)
  it('there are several', () => expect(recipes.length).toBeGreaterThan(10))
  for (const { resolved } of recipes)
    it(`lowers to valid IR, and stays so after each pass: ${resolved.name}`, () => {
      // Two blocks hold every kind of operation, and where blocks meet.
      const small = { ...resolved, backbone: { ...resolved.backbone, depth: 2 } }
      for (const phase of small.schedule.phases) {
        const lowered = lowerPhase(small, phase)
        verify(lowered)
        optimizePhase(small, lowered, embeddedTarget, { verifyEach: true })
      }
    })
})

describe('the shared examples', () => {
  it('plan: frozen teachers, kept averages, all patches, curations', () => {
    const distilled = familiesOf('experiments/dinov2_vitl14.dino#vits14_distilled')[0]!.variants[0]!
    const cost = planVariant(distilled.resolved, embeddedTarget, null)
    expect(cost.parameters.frozenTeacher).toBe(1_236_628_608)
    expect(cost.phases.map((p) => p.name)).toEqual(['pretrain', 'hires'])
    expect(cost.phases[0]?.maskedRows).toBeNull()
    expect(cost.phases[0]?.epochs).toBeNull()
    expect(cost.phases[0]?.imagesSeen).toBe(625_000 * 2048)
  })

  it('plan at 518 px as RECIPE E4 says', () => {
    const large = familiesOf('experiments/dinov2_vitl14.dino#dinov2_vitl14.full')[0]!.variants[0]!
    const hires = planVariant(large.resolved, embeddedTarget, null).phases[1]!
    expect(Math.abs(hires.modelFlopsPerImage / 1e12 / 6.219 - 1)).toBeLessThan(0.01)
    expect(hires.schedules.lr).toEqual({ first: 0, peak: 5e-5, peakAt: 1000, last: 1e-6 })
    expect(hires.schedules.teacher_temp).toMatchObject({ peak: 0.07, peakAt: 600 })
  })
})

describe('recompute = auto', () => {
  const planned = (set: readonly string[], memoryBytes: number | null = null, recompute = 'auto') => {
    const experiment = variantOf('bench/models.dino', [`optimize.recompute=${recompute}`, ...set])
    const cost = planVariant(experiment, { ...embeddedTarget, memoryBytes }, null)
    const { perRank, executedFlopsPerStep } = cost.phases[0]!
    const told = overBudget(experiment, cost, memoryBytes).map(({ code, notes }) => ({ code, notes }))
    return { peak: perRank.peakBytes, flops: executedFlopsPerStep, told }
  }
  const whole = planned([])
  const MiB = 2 ** 20

  it('repeats nothing where everything fits, or nobody says what it must fit in', () => {
    expect(planned(['optimize.memory_budget=4GiB'])).toEqual(whole)
    expect(planned([], 4096 * MiB)).toEqual(whole)
    expect(planned([], null, 'off')).toEqual(whole)
    expect(whole.told).toEqual([])
  })

  it('fits the budget of the file, else the memory of the hardware, else that of the device', () => {
    const [budget, hardware, device] = [
      planned(['optimize.memory_budget=1.1GiB', 'hardware.memory=1GiB'], 1000 * MiB),
      planned(['hardware.memory=1.1GiB'], 1000 * MiB),
      planned([], 1.1 * 1024 * MiB),
    ]
    expect(budget.peak).toBeLessThanOrEqual(1.1 * 1024 * MiB)
    expect(budget.peak).toBeGreaterThan(1.05 * 1024 * MiB)
    expect(hardware).toEqual(budget)
    expect(device).toEqual(budget)
  })

  it('repeats less than whole blocks do, at no larger a peak', () => {
    const blocks = planned([], null, 'blocks')
    const steps = [1400, 1200, 1000].map((budget) => planned([`optimize.memory_budget=${budget}MiB`]))
    for (const [i, step] of steps.entries()) {
      expect(step.flops).toBeGreaterThan((steps[i - 1] ?? whole).flops)
      expect(step.flops).toBeLessThan(blocks.flops)
      expect(step.told).toEqual([])
    }
    expect(steps[2]!.flops).toBeLessThan(1.17 * whole.flops)
    const tight = planned([`optimize.memory_budget=${Math.ceil(blocks.peak / MiB)}MiB`])
    expect(tight.peak).toBeLessThanOrEqual(blocks.peak + MiB)
    expect(tight.flops).toBeLessThan(blocks.flops)
  })

  it('comes as low as it can where the budget cannot be met, and says so', () => {
    const least = planned(['optimize.memory_budget=700MiB'])
    expect(least.peak).toBeLessThanOrEqual(planned([], null, 'blocks').peak)
    expect(least.told.map(({ code }) => code)).toEqual(['DINO0801'])
    expect(least.told[0]!.notes.at(-1)).toBe('`recompute = auto` comes no lower: all that helps is given up')
    expect(planned(['optimize.memory_budget=500MiB']).flops).toBe(least.flops)
  })

  it('leaves features as they are', () => {
    const of = (recompute: string) =>
      compileVariant(
        variantOf('experiments/emoji_ablation.dino', [
          `optimize.recompute=${recompute}`,
          'hardware.memory=1MiB',
        ]),
        embeddedTarget,
      ).plans
    const [off, auto] = [of('off'), of('auto')]
    const features = Object.keys(off).filter((name) => name.includes('features'))
    expect(features.length).toBeGreaterThan(0)
    for (const name of features) expect(auto[name]).toEqual(off[name])
    const trained = Object.keys(off).find((name) => name.includes('pretrain'))!
    expect(auto[trained]).not.toEqual(off[trained])
  })
})

describe('bf16', () => {
  const bench = (variant: string): ResolvedExperiment =>
    familiesOf('bench/models.dino')
      .flatMap(({ variants }) => variants)
      .map(({ resolved }) => resolved)
      .find((resolved) => resolved.name === 'small_step' && resolved.variant === variant)!

  it('is for training: features are float32, and so is all state', () => {
    const { plans, runSpec, cost } = compileVariant(bench('bf16'), embeddedTarget)
    const needing = Object.entries(plans).filter(([, plan]) => plan.target.requires.includes('bf16'))
    expect(needing.map(([name]) => name)).toEqual(runSpec(0).phases.map(({ plan }) => plan))
    for (const plan of Object.values(plans)) {
      validatePlan(plan)
      expect(plan.state.every(({ dtype }) => dtype === 'f32')).toBe(true)
    }
    const exact = planVariant(bench('full'), embeddedTarget, null)
    const [half, whole] = [cost.phases[0]!, exact.phases[0]!]
    expect(half.modelFlopsPerImage).toBe(whole.modelFlopsPerImage)
    expect(half.perRank.peakBytes).toBeLessThan(0.85 * whole.perRank.peakBytes)
  })

  it('is refused where the device has none, with the line that asks for it', () => {
    const without = new Set([...embeddedTarget.capabilities].filter((has) => has !== 'bf16'))
    try {
      compileVariant(bench('bf16'), { ...embeddedTarget, capabilities: without })
      expect.fail('compiled')
    } catch (error) {
      if (!(error instanceof DiagnosticError)) throw error
      const [found] = error.diagnostics
      expect([found?.code, found?.primary?.span.file]).toEqual(['DINO0811', 'bench/models.dino'])
      expect(found?.help[0]).toContain('native')
    }
  })
})

describe('phases that plan alike are planned once', () => {
  it('and have the figures that each would have alone', () => {
    const text = (body: string) =>
      `import { vit_nano } from "std/dinov2.dino"\nexperiment e extends vit_nano {\nschedule.epoch = 5 steps\nschedule.batch = 16 img\n${body}\n}\n`
    const bodies = [
      '',
      'schedule.pretrain.lr = 1e-4\nteacher.momentum = 0.99\nloss.dino.student_temp = 0.2',
      'masking.probability = 0.2',
      'schedule.micro_batch = 8 img',
      'optimize.fuse = off',
      'crops.local.count = 2',
      'head.ibot = tied(head.dino)',
      'backbone.drop_path = 0.3',
      'hardware.ranks = 2',
      'schedule.pretrain.freeze = [backbone.patch_embed]',
      'schedule { phase hires { length = 2 epochs, resolution = 96px } }',
      'keep ema { momentum = 0.9 }',
    ]
    for (const body of bodies) {
      const read = () => text(body)
      const { experiments, diagnostics } = resolve('a.dino', { read }, { set: [], params: {}, env: {} })
      expect(diagnostics.filter((d) => d.severity === 'error')).toEqual([])
      const { resolved } = experiments[0]!.variants[0]!
      expect(planVariant(resolved, embeddedTarget, null)).toEqual(
        compileVariant(resolved, embeddedTarget).cost,
      )
    }
  })
})
