import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it, test } from 'vitest'
import { checkFile } from '../../compiler/compile.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import { inOrder } from '../../diagnostics/order.js'

function check(text: string): Diagnostic[] {
  const host = { read: (path: string) => (path === 'f.dino' ? text : null) }
  return inOrder(checkFile('f.dino', host, { set: [], params: {}, env: {} }).diagnostics)
}

const placed = (diagnostics: readonly Diagnostic[]) =>
  diagnostics.map((d) => `${d.primary?.span.startLine} ${d.code}`).sort()

/**
 * Files with ten faults and more, of all stages: a comment `//! DINO0402` says what the line below it gives. Nothing
 * is given besides.
 */
const folder = new URL('../cases/many-faults/', import.meta.url)
describe('a file of many faults', () => {
  test.each(readdirSync(folder))('%s', (name) => {
    const text = readFileSync(new URL(name, folder), 'utf8')
    const expected = text.split('\n').flatMap((line, i) => {
      const codes = /^\s*\/\/! (.*)$/.exec(line)?.[1]?.split(' ') ?? []
      return codes.map((code) => `${i + 2} ${code}`)
    })
    expect(expected.length).toBeGreaterThanOrEqual(10)
    expect(placed(check(text))).toEqual(expected.sort())
  })
})

/** Statements of an experiment with one fault each, by what they are about: any of them may stand beside any other. */
const faulty: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'backbone.depth': {
    'backbone.depth = 2.5': 'DINO0413',
    'backbone.depth =': 'DINO0103',
    'backbone.depth = 4 €': 'DINO0001',
    'backbone.depth = 4；': 'DINO0001',
  },
  'backbone.width': { 'backbone.width = 9_6_': 'DINO0004', 'backbone.widht = 96': 'DINO0302' },
  'backbone.ffn': { 'backbone.ffn = swiglue': 'DINO0405' },
  'crops.local': {
    'crops { local { cuont = 3 } }': 'DINO0302',
    'crops.local.count = 3 crops.local.size = 16px': 'DINO0104',
    'crops.local.scale = 0.5..0.1': 'DINO0411',
  },
  masking: {
    'masking.probability = 150%': 'DINO0410',
    'masking.ratio = 0.1..0.2..0.3': 'DINO0107',
    'masking block { probability = 50%, ratio 10%..50% }': 'DINO0115',
  },
  'head.dino': { 'head dino { prototpyes = 256 }': 'DINO0302', 'head.dino.prototypes = 256]': 'DINO0114' },
  'loss.dino': {
    'loss.dino.centering = sinkhorn(iteration: 3)': 'DINO0407',
    'loss dino extends ibot { weight = 2 }': 'DINO0313',
  },
  'loss.ibot': { 'loss ibot { weigth = 2 }': 'DINO0302', 'loss.ibot.weight = 1 == 2': 'DINO0116' },
  'loss.koleo': {
    'loss koleo { weight = 0.2, student_temp = 0.1 }': 'DINO0303',
    'loss.koleo.weight = 3px + 2': 'DINO0412',
    'drop loss.kolea': 'DINO0211',
  },
  'loss.extra': { 'loss extra: dyno { weight = 1 }': 'DINO0304' },
  'optimizer.betas': { 'optimizer.betas = [0.9]': 'DINO0418' },
  'optimizer.clip': { 'optimizer.clip = batch / 1 img': 'DINO0419' },
  'optimizer.eps': { 'optimizer.eps = 1e999': 'DINO0007', 'optimizer.eps = 1 / 0': 'DINO0416' },
  'schedule.epoch': { 'schedule.epoch = 20 stepz': 'DINO0404' },
  'schedule.pretrain': { 'schedule.pretrain.lr = linear(0 -> 1e-3) |> cosine(to: 0)': 'DINO0414' },
  data: { 'data { train = fotos.train }': 'DINO0206', 'data { train = photos.trian }': 'DINO0207' },
  'eval.knn': {
    'eval knn { train = photos.train, test = photos.test, k = [1,, 10] }': 'DINO0108',
    'eval knn { train = photos.train, test = photos.test, every = 1 epoc }': 'DINO0404',
  },
  'eval.three': { 'eval three: knn { train = photos.train, test = photos.test, of = keep }': 'DINO0519' },
  'eval.four': { 'eval four: knn { train = photos.train }': 'DINO0310' },
  visualise: { 'visualise pca { }': 'DINO0301' },
  lonely: { lonely: 'DINO0105' },
  'phase hires': { 'phase hires { length = 3 steps }': 'DINO0312' },
  'report.title': { 'report.title = "open': 'DINO0002' },
  description: { 'description = "a\\q"': 'DINO0005' },
  comment: { '# a comment': 'DINO0001' },
  hardware: { 'hardware.device = cudaa': 'DINO0405' },
  optimize: { 'optimize now { pack = on }': 'DINO0315', 'optimize.pack = yes': 'DINO0405' },
  ablation: {
    'ablation { variant one { drop loss.kolea } }': 'DINO0211',
    'ablation { grid g where 3 { loss.koleo.weight = [0.1, 0.2] } }': 'DINO0113',
    'ablation { variant two { loss.koleo.wieght = 2 } }': 'DINO0302',
    'ablation { variant x { lonely } }': 'DINO0105',
    'ablation { seeds = [0, 1] variant y { } }': 'DINO0104',
  },
  teacher: { 'teacher ema { from = run(a) }': 'DINO0303', 'teacher.momentum = "fast"': 'DINO0401' },
  keep: { 'keep.momentum = 0.9': 'DINO0219' },
  head: { 'backbone width 96': 'DINO0115' },
}
const header = [
  'import { vit_nano } from "std/dinov2.dino"',
  'source photos: folder { path = "photos", split = hash(train: 80%, test: 20%) }',
  'experiment a extends vit_nano {',
]
const errorsOf = (statements: readonly string[]) =>
  placed(check([...header, ...statements, '}', ''].join('\n')).filter((d) => d.severity === 'error'))

describe('faulty statements of one experiment', () => {
  const all = Object.values(faulty).flatMap((group) => Object.entries(group))
  it('give each its own fault', () => {
    for (const [statement, code] of all) expect(errorsOf([statement])).toEqual([`4 ${code}`])
  })
  it('hide none of each other and give nothing twice, whichever ten stand together', () => {
    const groups = Object.values(faulty).map((group) => Object.entries(group))
    // Ten groups a file, in another order and at other distances in each.
    for (let file = 0; file < 60; file++) {
      const step = 1 + (file % (groups.length - 1))
      const chosen = Array.from({ length: 10 }, (_, i) => groups[(file + i * step) % groups.length]!)
      const distinct = [...new Set(chosen)].map((group, i) => group[(file + i) % group.length]!)
      expect(errorsOf(distinct.map(([statement]) => statement))).toEqual(
        distinct.map(([, code], i) => `${i + 4} ${code}`).sort(),
      )
    }
  })
})
