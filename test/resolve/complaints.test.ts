import { describe, expect, it } from 'vitest'
import { nodeHost } from '../../compiler/resolve/host.js'
import { resolve } from '../../compiler/resolve/resolve.js'
import { listed, resolveText, small, variantOf } from './resolve-text.js'

/** What users of the reference code ran into, and what is said of it before anything runs. */
describe('a compiler answers before the run', () => {
  it('KoLeo that would be infinite: one image on a rank or in a micro-batch', () => {
    expect(listed(resolveText(small('schedule.batch = 4 img\nhardware { nodes = 2, gpus = 2 }')))).toEqual([
      'error DINO0507 4:30 KoLeo needs at least 2 images on each rank, found 1',
    ])
    expect(
      listed(resolveText(small('schedule { batch = 4 img, micro_batch = 1 img }'))).map((l) =>
        l.slice(0, 14),
      ),
    ).toEqual(['error DINO0507'])
    expect(listed(resolveText(small('schedule { batch = 1 img }'))).map((l) => l.slice(0, 14))).toEqual([
      'error DINO0507',
    ])
  })
  it('numbers that move with the number of GPUs are listed', () => {
    expect(listed(resolveText(small('backbone.drop_path = 0.1\nhardware.ranks = 8')))).toContain(
      'note DINO2004 4:18 with 8 ranks these see one rank only: loss.koleo, masking, backbone.drop_path',
    )
  })
  it('what an epoch is, the file says or it is an error', () => {
    const text =
      'experiment a { backbone vit { size = small, patch = 14px }, head dino { }, loss dino { }, schedule { batch = 1024 img, phase a { length = 5 epochs, lr = 1e-3 } } }'
    expect(listed(resolveText(text))).toEqual([
      'error DINO0513 1:139 `epochs` is used, but `schedule.epoch` does not say what an epoch is',
    ])
    expect(listed(resolveText(text.replace('batch =', 'epoch = 1 pass, batch =')))).toEqual([])
  })
  it('recipes for small and base models, with their provenance', () => {
    const { experiments } = resolve('std/dinov2.dino', nodeHost(), { set: [], params: {}, env: {} })
    const of = (name: string) => experiments.find((e) => e.name === name)!.variants[0]!.resolved
    for (const [name, width] of [
      ['vits14', 384],
      ['vitb14', 768],
    ] as const)
      expect(of(name)).toMatchObject({
        backbone: { width, ffn: 'mlp' },
        description: expect.stringContaining('untested'),
      })
  })
  it('augmentation as it takes effect, not as it is named', () => {
    expect(variantOf(small('')).augment.blur.probability).toEqual([0, 0.9, 0.5])
    expect(
      listed(
        resolveText(small('augment { blur { first_global = 100%, second_global = 10%, local = 50% } }')),
      ),
    ).toEqual([
      "warning DINO2014 3:68 blur 100%, 10%, 50% are the nominal chances of the reference's code, not those that it applies",
    ])
  })
  it('crops that do not fit the patch: all crops, phases and evaluations at once', () => {
    const photos = 'source p: folder { path = "p", split = hash(train: 80%, test: 20%) }\n'
    const body =
      'crops { global { size = 60px }, local { size = 30px } }\nschedule { phase hires { length = 5 steps, resolution = 90px, local_resolution = 50px } }\neval knn { train = p.train, test = p.test, resolution = 100px }'
    expect(listed(resolveText(small(body, photos)))).toEqual([
      'error DINO0502 4:25 crop size 60 px is not a multiple of patch size 8 px',
      'error DINO0502 4:48 crop size 30 px is not a multiple of patch size 8 px',
      'error DINO0502 5:57 crop size 90 px is not a multiple of patch size 8 px',
      'error DINO0502 5:82 crop size 50 px is not a multiple of patch size 8 px',
      'error DINO0502 6:57 image size 100 px is not a multiple of patch size 8 px',
    ])
  })
  it('a seed that nothing would read', () => {
    const { diagnostics } = resolveText(small('seed = 3\noptimizer.seed = 3'))
    expect(diagnostics.map((d) => [d.code, d.help])).toEqual([
      ['DINO0302', ["the reference code's `seed` is `ablation.seeds` here"]],
      ['DINO0302', ["the reference code's `seed` is `ablation.seeds` here"]],
    ])
  })
})

describe('a long file', () => {
  const lines = [
    'import { vit_nano } from "std/dinov2.dino"',
    'source photos: folder { path = "p", split = hash(train: 80%, test: 20%) }',
  ]
  for (let i = 0; i < 42; i++)
    lines.push(
      `experiment e${i} extends vit_nano {`,
      '  data { train = photos.train }',
      '  backbone vit {',
      `    width = ${96 + 12 * i}`,
      '    depth = 6',
      '    heads = 3',
      '    patch = 8px',
      '  }',
      '  crops {',
      '    global { count = 2, size = 64px, scale = 0.32..1.0 }',
      '    local { count = 6, size = 32px, scale = 0.05..0.32 }',
      '  }',
      '  loss koleo { weight = 0.2 }',
      '  schedule {',
      '    batch = 32 img',
      '    phase pretrain { length = 2 epochs, lr = warmup(0 -> 1e-3 over 1 epoch) |> cosine(to: 1e-5) }',
      '    phase hires { length = 10 steps, resolution = 96px }',
      '  }',
      '  eval knn { train = photos.train, test = photos.test, k = [1, 10, 20], every = 1 epoch }',
      '  ablation {',
      '    seeds = [0, 1]',
      '    variant no_koleo { drop loss.koleo }',
      '  }',
      '}',
    )
  it('of a thousand lines is checked in a fraction of a second', () => {
    const text = lines.join('\n')
    expect(lines.length).toBeGreaterThan(1000)
    resolveText(text)
    const before = process.cpuUsage()
    const resolution = resolveText(text)
    const { user, system } = process.cpuUsage(before)
    expect(listed(resolution)).toEqual([])
    expect(resolution.experiments).toHaveLength(42)
    // Processor time on a machine that may be busy: the figure for an idle one is 0.3 s with everything cold.
    expect((user + system) / 1000).toBeLessThan(900)
  })
})

describe('the renderer', () => {
  it('can show every place: each file that a span names was read', () => {
    const { diagnostics, files } = resolveText(small('backbone.patch = 7px\nloss.koleo.weight = x'), {
      set: ['schedule.batch=x'],
    })
    for (const { primary, labels } of diagnostics)
      for (const { span } of [...(primary ? [primary] : []), ...labels])
        expect(files.has(span.file)).toBe(true)
    expect(diagnostics.length).toBeGreaterThan(2)
  })
})
