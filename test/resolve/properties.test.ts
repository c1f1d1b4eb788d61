import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { foldLines } from '../../compiler/resolve/fold.js'
import { stable, wholeForm } from '../../compiler/resolve/identity.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { writeExperiment } from '../../compiler/resolve/write.js'
import { schemaFaults } from '../../grammar/schema/validate.js'
import { listed, resolveText, small, variantOf } from './resolve-text.js'

/** Statements that each set something of their own. */
const statements = [
  'data { train = photos.train }',
  'backbone vit { width = 192, depth = 6 }',
  'backbone.registers = 4',
  'backbone.drop_path = linear(0 -> 0.2, form: masked)',
  'teacher ema { momentum = cosine(0.95 -> 1.0) }',
  'crops { local { count = 4, size = 40px } }',
  'crops.global.scale = 0.4..1.0',
  'augment { preset = byol, jitter { hue = 0.2 } }',
  'masking random { probability = 40%, ratio = 10%..30% }',
  'head.ibot = tied(head.dino)',
  'loss koleo { weight = 0.2, crops = first }',
  'loss.dino.centering = softmax(momentum: 0.95)',
  'optimizer adamw { layer_decay = 0.75, clip = off }',
  'schedule { batch = 48 img, phase hires { length = 10 steps, resolution = 96px } }',
  'schedule.pretrain.weight_decay = warmup(0 -> 0.1 over 1 epoch) |> linear(to: 0.2 over 2 epochs) |> constant(0.2)',
  'eval knn { train = photos.train, test = photos.test, k = [1, 5], every = 1 pass }',
  'optimize { pack = off, recompute = blocks, memory_budget = 1.5GiB }',
  'checkpoint.every = 50 steps',
  'ablation { seeds = [0, 1], variant a { loss.koleo.weight = 0.3 }, grid g { loss.ibot.weight = [0.5, 2] } }',
]
const photos =
  'source photos: folder { path = "photos", split = hash(train: 80%, test: 20%), background = white }\n'
const some = fc.shuffledSubarray(statements, { minLength: 1 })

/** Everything but places, which are of one text only. */
const meaning = (e: ResolvedExperiment) => stable({ ...e, provenance: null })
const whole = (text: string) =>
  resolveText(text).experiments.flatMap((e) => e.variants.map((v) => meaning(v.resolved)))

describe('an experiment', () => {
  it('means the same in any order of its statements', () => {
    fc.assert(
      fc.property(some, (chosen) => {
        const inOrder = statements.filter((s) => chosen.includes(s))
        expect(whole(small(chosen.join('\n'), photos))).toEqual(whole(small(inOrder.join('\n'), photos)))
      }),
      { numRuns: 40 },
    )
  })
  it('has the form that the schemas describe, whatever it says', () => {
    fc.assert(
      fc.property(some, (chosen) => {
        const { experiments } = resolveText(small(chosen.join('\n'), photos))
        for (const { resolved } of experiments.flatMap((e) => e.variants))
          expect(schemaFaults(resolved)).toEqual([])
      }),
      { numRuns: 20 },
    )
  })
  it('means the same when written out whole and read again', () => {
    fc.assert(
      fc.property(some, fc.boolean(), (chosen, folded) => {
        const resolved = variantOf(small(chosen.join('\n'), photos))
        const place = (path: string) => `at ${path} of some file`
        const text = foldLines(
          writeExperiment(resolved, { place: folded ? place : null }),
          folded ? 40 : 1000,
        )
        const again = resolveText(text)
        expect(listed(again).filter((line) => line.startsWith('error'))).toEqual([])
        const back = again.experiments[0]!.variants[0]!.resolved
        expect(JSON.parse(wholeForm(back))).toEqual(JSON.parse(wholeForm(resolved)))
      }),
      { numRuns: 40 },
    )
  })
  it('is frozen', () => {
    const resolved = variantOf(small(''))
    expect(() => {
      ;(resolved.backbone as { width: number }).width = 3
    }).toThrow(TypeError)
    expect(JSON.parse(JSON.stringify(resolved))).toEqual(resolved)
  })
})

describe('any text', () => {
  const words = [
    'experiment',
    'source',
    'constructor',
    '__proto__',
    'toString',
    'loss',
    'koleo',
    'vit_nano',
    'small',
    'extends',
    'drop',
    '{',
    '}',
    '(',
    ')',
    '[',
    ']',
    '=',
    '.',
    ',',
    '->',
    '|>',
    '..',
    'over',
    'where',
    '32',
    '30%',
    '64px',
    '0.1',
    '"x"',
    'sinkhorn',
    'schedule',
    'batch',
    'phase',
    'ablation',
    'variant',
    'grid',
    'param',
    'import',
    'from',
    'head',
    'tied',
    'run',
    'data',
    'train',
    '\n',
    ' ',
  ]
  it('is resolved without a crash, each diagnostic with a place inside its file', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words), { maxLength: 60 }), fc.nat(), (soup, seed) => {
        const base = small(
          'loss koleo { weight = 0.2 }\nschedule { batch = 32 img, phase hires { length = 10 steps } }\nablation { variant a { drop loss.koleo } }',
          photos,
        )
        const cut = seed % (base.length + 1)
        const text = `${base.slice(0, cut)} ${soup.join(' ')} ${base.slice(cut)}`
        const { diagnostics, files } = resolveText(text)
        for (const { primary, labels } of diagnostics)
          for (const label of [...(primary === null ? [] : [primary]), ...labels]) {
            const length = files.get(label.span.file)!.length
            expect(label.span.start).toBeGreaterThanOrEqual(0)
            expect(label.span.end).toBeLessThanOrEqual(length)
            expect(label.span.start).toBeLessThanOrEqual(label.span.end)
          }
      }),
      { numRuns: Number(process.env.DINO_RUNS ?? 300) },
    )
  }, 3_600_000)
})
