import { describe, expect, it } from 'vitest'
import { listed, resolveText, small, variantOf } from './resolve-text.js'

describe('extends', () => {
  it('merges a block of the same type field by field and replaces one of another type whole', () => {
    const child = variantOf(small('loss koleo { weight = 0.3 }\nmasking random { probability = 40% }'))
    expect(child.loss.koleo).toMatchObject({ weight: 0.3, crops: 'both' })
    expect(child.masking).toMatchObject({ type: 'random', probability: 0.4, ratio: { min: 0.1, max: 0.5 } })
    expect(child.backbone).toMatchObject({ width: 96, depth: 4, heads: 3, patch: 8 })
  })
  it('gives a block without a type the inherited one, else the default of its kind', () => {
    expect(variantOf(small('masking { probability = 40% }')).masking).toMatchObject({ type: 'block' })
    expect(variantOf(small('optimizer { eps = 1e-7 }')).optimizer).toMatchObject({ type: 'adamw', eps: 1e-7 })
    expect(variantOf(small('keep { momentum = 0.9 }')).keep).toMatchObject({ type: 'ema' })
    const again = `${small('drop masking, drop loss.ibot')}experiment again extends small { masking { } }`
    expect(resolveText(again).diagnostics.map((d) => d.code)).toContain('DINO0314')
  })
  it('drops a block, and returns a dropped field to its default', () => {
    const child = variantOf(small('drop loss.koleo\ndrop backbone.layer_scale'))
    expect(Object.keys(child.loss)).toEqual(['dino', 'ibot'])
    expect(child.backbone.layerScale).toBe(1e-5)
    expect(child.provenance['loss.koleo']).toMatchObject({ dropped: true, at: { startLine: 3 } })
    expect(child.provenance['backbone.layer_scale']).toMatchObject({ dropped: true })
  })
  it('blames the drop of what must be set', () => {
    const { diagnostics } = resolveText(small('drop schedule.pretrain.lr\ndrop schedule.pretrain.length'))
    expect(diagnostics.map((d) => [d.code, d.primary!.span.file, d.primary!.span.startLine])).toEqual([
      ['DINO0310', 'test.dino', 3],
      ['DINO0310', 'test.dino', 4],
    ])
  })
  it('lets one of a group of exclusive fields remove the others that were inherited', () => {
    const sized = variantOf(small('backbone vit { size = small, patch = 8px }'))
    expect(sized.backbone).toMatchObject({ width: 384, depth: 12, heads: 6 })
    const text = `${small('backbone.size = small')}experiment wide extends small { backbone { width = 512, depth = 2, heads = 8 } }`
    expect(listed(resolveText(text))).toEqual([])
    expect(variantOf(text).backbone).toMatchObject({ width: 512, depth: 2, heads: 8 })
    const part = `${small('backbone.size = small')}experiment wide extends small { backbone.width = 512 }`
    expect(listed(resolveText(part))).toEqual(['error DINO0310 5:50 `backbone vit` needs `depth`, `heads`'])
    const ranks = variantOf(
      `${small('hardware.ranks = 2')}experiment b extends small { hardware { nodes = 2, gpus = 4 } }`,
    )
    expect(ranks.hardware).toMatchObject({ ranks: 8, nodes: 2, gpus: 4, shard: 'fsdp' })
  })
  it('replaces a value by a block and a block by a value', () => {
    const text = `${small('head.ibot = tied(head.dino)')}experiment b extends small { head ibot { prototypes = 512 } }`
    expect(variantOf(text).head.ibot).toEqual({
      type: 'mlp',
      prototypes: 512,
      hidden: 2048,
      bottleneck: 256,
      layers: 3,
    })
  })
  it('inherits variants, replaces one of the same name whole, and drops one', () => {
    const base = small(
      'ablation { variant a { loss.koleo.weight = 0.3 }, variant b { loss.dino.weight = 0.5 } }',
    )
    const names = (body: string) =>
      resolveText(`${base}experiment child extends small { ${body} }`).experiments[1]?.variants.map(
        (v) => v.resolved.variant,
      )
    expect(names('')).toEqual(['full', 'a', 'b'])
    expect(names('drop ablation.a')).toEqual(['full', 'b'])
    expect(names('drop ablation')).toEqual(['full'])
    const child = variantOf(
      `${base}experiment child extends small { ablation { variant a { loss.ibot.weight = 2 } } }`,
      'a',
    )
    expect([child.loss.koleo!.weight, child.loss.ibot!.weight]).toEqual([0.1, 2])
  })
  it('does not hand a description on', () => {
    expect(variantOf(small('')).description).toBeNull()
  })
})

describe('phases', () => {
  const hires =
    'schedule { batch = 32 img, phase pretrain { length = 2 epochs, lr = warmup(0 -> 1e-3 over 1 epoch) |> cosine(to: 1e-5) }, phase hires { length = 10 steps, resolution = 96px } }'
  it('inherit each schedule they do not set, to be compressed to their own length', () => {
    const [pretrain, second] = variantOf(small(hires)).schedule.phases
    expect(second!.lr).toEqual({
      pieces: pretrain!.lr.pieces,
      compress: { from: { value: 2, unit: 'epoch' }, to: { value: 10, unit: 'step' } },
    })
    expect(second!.momentum).toEqual({ ...pretrain!.momentum, compress: second!.lr.compress })
    expect(pretrain).toMatchObject({ resolution: 64, localResolution: 32, optimizerState: 'keep' })
    expect(second).toMatchObject({ resolution: 96, localResolution: 32, optimizerState: 'reset' })
    expect('compress' in pretrain!.lr).toBe(false)
  })
  it('compress from the phase that set the schedule, also through another one', () => {
    const third = small(`${hires}\nschedule.third.resolution = 64px`).replace(
      'phase hires',
      'phase third { length = 4 steps }, phase hires',
    )
    const phases = variantOf(third).schedule.phases
    expect(phases.map((p) => p.name)).toEqual(['pretrain', 'third', 'hires'])
    expect(phases[2]!.lr.compress).toEqual({
      from: { value: 2, unit: 'epoch' },
      to: { value: 10, unit: 'step' },
    })
  })
  it('run in the order written, a new one of a child last, or after the one it names', () => {
    const base = `${small(hires)}experiment child extends small { schedule { phase extra { length = 5 steps } } }`
    expect(variantOf(base).schedule.phases.map((p) => p.name)).toEqual(['pretrain', 'hires', 'extra'])
    const placed = base.replace('length = 5 steps', 'length = 5 steps, after = pretrain')
    expect(variantOf(placed).schedule.phases.map((p) => p.name)).toEqual(['pretrain', 'extra', 'hires'])
  })
  it('need a learning rate only in the first', () => {
    const text =
      'experiment a { backbone vit { size = small, patch = 14px }, head dino { }, loss dino { }, schedule { batch = 1024 img, phase a { length = 5 steps } } }'
    expect(listed(resolveText(text))).toEqual(['error DINO0310 1:120 `phase a` needs `lr`'])
  })
})

describe('values', () => {
  it('are canonical: pixels, images, bytes, ratios, times as written', () => {
    const e = variantOf(
      small(
        'optimize.memory_budget = 1.5GiB\nmasking.probability = 0.3\noptimizer.freeze_last_layer = 2 passes\nschedule.batch = 1M img / 10k',
      ),
    )
    expect(e.optimize.memoryBudget).toBe(1.5 * 2 ** 30)
    expect(e.masking!.probability).toBe(0.3)
    expect(e.optimizer.freezeLastLayer).toEqual({ value: 2, unit: 'pass' })
    expect(e.schedule.batch).toBe(100)
  })
  it('may use `batch` in schedules, as the experiment that results has it', () => {
    const lr = (body: string) =>
      variantOf(small(`schedule.pretrain.lr = 4e-3 * sqrt(batch / 1024 img)\n${body}`)).schedule.phases[0]!.lr
    expect(lr('schedule.batch = 256 img').pieces).toEqual([{ kind: 'constant', value: 0.002, over: null }])
    expect(lr('schedule.batch = 64 img').pieces).toEqual([{ kind: 'constant', value: 0.001, over: null }])
  })
  it('of schedules begin where the piece before ended, and stay where the last one ends', () => {
    const temperature = variantOf(
      small('schedule.pretrain.teacher_temp = linear(0.04 -> 0.07 over 5 epochs)'),
    ).schedule.phases[0]!.teacherTemp
    expect(temperature.pieces).toEqual([
      { kind: 'linear', from: 0.04, to: 0.07, over: { value: 5, unit: 'epoch' } },
      { kind: 'constant', value: 0.07, over: null },
    ])
    const three = variantOf(
      small(
        'schedule.pretrain.lr = warmup(0 -> 1 over 5 steps) |> linear(to: 2 over 5 steps) |> cosine(to: 0)',
      ),
    ).schedule.phases[0]!.lr
    expect(three.pieces.map((p) => (p.kind === 'constant' ? p.value : [p.from, p.to]))).toEqual([
      [0, 1],
      [1, 2],
      [2, 0],
    ])
  })
  it('of params are those of the file, unless --param says otherwise', () => {
    const text = small('loss.koleo.weight = w', 'param w: number = 0.2\n')
    expect(variantOf(text).loss.koleo!.weight).toBe(0.2)
    expect(variantOf(text, 'full', { params: { w: '0.4' } }).loss.koleo!.weight).toBe(0.4)
  })
  it('of texts take params in, and the environment through them', () => {
    const text = small(
      'data { train = a }',
      `param root: path = env("ROOT", "data")\nsource a: folder { path = "\${root}/a" }\n`,
    )
    expect(variantOf(text).sources.a!.path).toBe('data/a')
    expect(variantOf(text, 'full', { env: { ROOT: '/disk' } }).sources.a!.path).toBe('/disk/a')
    expect(variantOf(text, 'full', { params: { root: '/other' } }).sources.a!.path).toBe('/other/a')
  })
  it('keep a single value for a list of one', () => {
    expect(variantOf(small('ablation.seeds = 7')).seeds).toEqual([7])
    const range = resolveText(small('ablation.seeds = 0..2'))
    expect(listed(range)).toEqual([
      'error DINO0401 3:18 `ablation.seeds`: expected a list of whole numbers, found 0..2',
    ])
    expect(range.diagnostics[0]!.help).toEqual(['write for example `[12]`'])
  })
  it('of augmentation are effective chances, from a preset or one by one', () => {
    const blur = (body: string) => variantOf(small(body)).augment.blur.probability
    expect(blur('')).toEqual([0, 0.9, 0.5])
    expect(blur('augment { preset = byol }')).toEqual([1, 0.1, 0.5])
    expect(blur('augment { preset = byol, blur { local = 20% } }')).toEqual([1, 0.1, 0.2])
  })
})

describe('variants and grids', () => {
  const grid = (body: string) => resolveText(small(`ablation {\n${body}\n}`))
  const names = (body: string) => grid(body).experiments[0]!.variants.map((v) => v.resolved.variant)
  it('multiply lists, filtered by a condition on the experiment that results', () => {
    expect(
      names(
        'grid m where masking.probability < 70% or masking.ratio.max <= 50% { masking.probability = [30%, 70%], masking.ratio = [10%..50%, 30%..60%] }',
      ),
    ).toEqual([
      'full',
      'm[probability=30%,ratio=10%..50%]',
      'm[probability=30%,ratio=30%..60%]',
      'm[probability=70%,ratio=10%..50%]',
    ])
    expect(
      names(
        'grid m where not (backbone.ffn == swiglu) and loss.koleo.weight >= 0.2 { loss.koleo.weight = [0.1, 0.2], backbone.ffn = [mlp, swiglu] }',
      ),
    ).toEqual(['full', 'm[weight=0.2,ffn=mlp]'])
  })
  it('use the shortest ends of paths that tell them apart', () => {
    expect(names('grid w { loss.koleo.weight = [0.2], loss.dino.weight = [0.5] }')).toEqual([
      'full',
      'w[koleo.weight=0.2,dino.weight=0.5]',
    ])
  })
  it('stand over a variant', () => {
    const { experiments } = grid(
      'variant tied { head.ibot = tied(head.dino) }\ngrid g over tied { loss.koleo.weight = [0.2] }',
    )
    const point = experiments[0]!.variants[2]!.resolved
    expect(point.head.ibot).toEqual({ type: 'tied', to: 'dino' })
    expect(point.loss.koleo!.weight).toBe(0.2)
    expect(point.grid).toEqual({ name: 'g', point: { 'loss.koleo.weight': '0.2' } })
  })
  it('are nothing where no point fulfils the condition, which is told', () => {
    const grid = 'grid g where loss.koleo.weight > 2 { loss.koleo.weight = [0.1, 0.2] }'
    const { diagnostics, experiments } = resolveText(small(`ablation { ${grid} }`))
    expect(diagnostics.map((d) => `${d.severity} ${d.code} ${d.message}`)).toEqual([
      'warning DINO2001 `ablation.g` has no effect: no point of the grid fulfils its condition',
    ])
    expect(experiments[0]!.variants).toHaveLength(1)
  })
  it('are aliases where they equal an earlier one', () => {
    const { experiments } = grid(
      'variant same { loss.koleo.weight = 0.1 }\nvariant other { loss.koleo.weight = 0.2 }\nvariant again { loss.koleo.weight = 20 / 100 }',
    )
    expect(experiments[0]!.variants.map((v) => v.aliasOf)).toEqual([null, 'full', null, 'other'])
  })
  it('are aliases though only they are asked for', () => {
    const text = small(
      'ablation { variant same { loss.koleo.weight = 0.1 } variant other { loss.koleo.weight = 0.2 } }',
    )
    const named = (variant: string) => {
      const { experiments, diagnostics } = resolveText(text, { entry: `test.dino#small.${variant}` })
      const [found] = experiments[0]!.variants
      return [found!.resolved.variant, found!.aliasOf, ...diagnostics.map((d) => d.code)]
    }
    expect(named('same')).toEqual(['same', 'full', 'DINO2008'])
    expect(named('other')).toEqual(['other', null])
  })
  it('are not there where the condition of their grid leaves them out', () => {
    const text = small('ablation { grid w where loss.koleo.weight < 0.3 { loss.koleo.weight = [0.2, 0.5] } }')
    for (const name of ['w[weight=0.5]', 'w[weight=0.6]']) {
      const resolution = resolveText(text, { entry: `test.dino#small.${name}` })
      expect(resolution.experiments).toEqual([])
      expect(listed(resolution)).toEqual([`error DINO0216 - test.dino has no \`small.${name}\``])
      expect(resolution.diagnostics[0]!.notes).toEqual(['variants of `small`: full, w[weight=0.2]'])
    }
  })
})

describe('--set', () => {
  it('is one more body above the experiment and below its variants', () => {
    const text = small('ablation { variant a { loss.koleo.weight = 0.5 } }')
    const set = ['loss.koleo.weight=0.3', 'schedule.epoch=10 steps']
    expect(variantOf(text, 'full', { set }).loss.koleo!.weight).toBe(0.3)
    expect(variantOf(text, 'a', { set }).loss.koleo!.weight).toBe(0.5)
    expect(variantOf(text, 'a', { set }).schedule.epoch).toEqual({ value: 10, unit: 'step' })
  })
  it('leaves runs that others depend on as they are', () => {
    const text = `${small('')}experiment student extends small { teacher frozen { from = run(small) }\ndrop masking\nloss.ibot.on = all_patches }`
    const student = variantOf(text, 'full', { set: ['backbone.depth=2'] })
    expect(student.backbone.depth).toBe(2)
    expect(
      student.teacher.type === 'frozen' &&
        student.teacher.from.kind === 'run' &&
        student.teacher.from.resolved.backbone.depth,
    ).toBe(4)
  })
})

describe('names', () => {
  it('pick an experiment and a variant behind #', () => {
    const text = `${small('ablation { variant a { loss.koleo.weight = 0.5 } }')}experiment other extends small { }`
    const picked = (entry: string) =>
      resolveText(text, { entry }).experiments.map((e) => [e.name, e.variants.map((v) => v.resolved.variant)])
    expect(picked('test.dino#other')).toEqual([['other', ['full', 'a']]])
    expect(picked('test.dino#small.a')).toEqual([['small', ['a']]])
  })
  it('belong to their file, also when another one has the same', () => {
    const text = `import { other } from "./other.dino"\nparam w: number = 0.2\nsource photos: folder { path = "mine" }\nexperiment small extends other { loss.koleo.weight = w\ndata { train = mix(photos: 100%) } }\n// --- other.dino\nimport { vit_nano } from "std/dinov2.dino"\nparam w: number = 0.7\nsource photos: folder { path = "theirs" }\nexperiment other extends vit_nano { loss.dino.weight = w\neval knn { train = photos, test = photos } }`
    const e = variantOf(text)
    expect([e.loss.koleo!.weight, e.loss.dino!.weight]).toEqual([0.2, 0.7])
    expect(
      Object.values(e.sources)
        .map((s) => s.path)
        .sort(),
    ).toEqual(['mine', 'theirs'])
  })
  it('know where each value was set and what it overrode', () => {
    const e = variantOf(small('backbone.width = 192\nablation { variant a { backbone.width = 384 } }'), 'a')
    const width = e.provenance['backbone.width']!
    expect([width.at?.startLine, width.overrode.map((s) => `${s.file}:${s.startLine}`)]).toEqual([
      4,
      ['test.dino:3', expect.stringMatching(/^std\/dinov2\.dino:/)],
    ])
    expect(e.provenance['backbone.ffn']).toEqual({ at: null, overrode: [] })
  })
})
