import { describe, expect, it } from 'vitest'
import { type Change, diff } from '../../compiler/resolve/diff.js'
import { configIdentity, protocolIdentity, rankDependentTerms } from '../../compiler/resolve/identity.js'
import { resolveText, small, variantOf } from './resolve-text.js'

const sides = (text: string, entry = 'test.dino') =>
  resolveText(text, { entry }).experiments.map((e) => ({
    name: e.name,
    variants: e.variants.map((v) => v.resolved),
    namesVariant: entry.includes('#') && entry.split('#')[1]!.includes('.'),
  }))
const changes = (a: string, b: string): Change[] => [...diff(sides(a), sides(b)).changes]
const rows = (a: string, b: string) =>
  changes(a, b).map(
    (c) =>
      `${c.path}: ${c.beforeText} -> ${c.afterText} (${c.effect}) ${c.at.before?.startLine ?? '-'} ${c.at.after?.startLine ?? '-'}`,
  )

const base = small(
  'loss koleo { weight = 0.2 }\nschedule { batch = 32 img, phase pretrain { length = 2 epochs } }',
)

describe('diff', () => {
  it('is empty for another layout, other comments and another order', () => {
    const other = `// a comment\n${small('schedule {\n  phase pretrain {\n    length = 2 epochs\n  }\n  batch = 32 img // images\n}\nloss.koleo.weight = 20%').replace('20%', '0.2')}`
    expect(changes(base, other)).toEqual([])
  })
  it('gives each change with both texts, effect and places', () => {
    const b = small(
      'loss koleo { weight = 0.3 }\nschedule { batch = 64 img, phase pretrain { length = 2 epochs } }\noptimize.pack = off\nhardware.device = wasm\nablation.seeds = [0, 1]',
    )
    expect(rows(base, b)).toEqual([
      'small.loss.koleo.weight: 0.2 -> 0.3 (numerics) 3 3',
      'small.schedule.batch: 32 img -> 64 img (numerics) 4 4',
      'small.optimize.pack: on -> off (speed) - 5',
      'small.hardware.device: native -> wasm (placement) - 6',
      'small.ablation.seeds: [0] -> [0, 1] (report) - 7',
    ])
  })
  it('gives values as JSON, null where there is none', () => {
    const [change] = changes(base, base.replace('loss koleo { weight = 0.2 }', 'drop loss.koleo'))
    expect(change).toMatchObject({
      path: 'small.loss.koleo',
      before: { type: 'koleo', weight: 0.2, crops: 'both', scope: { type: 'rank' } },
      after: null,
      beforeText: 'weight 0.2',
      afterText: null,
      effect: 'numerics',
      at: {
        before: { startLine: 3, startColumn: 1 },
        after: { startLine: 3, startColumn: 1, endColumn: 16 },
      },
    })
    const added = changes(base, `${base.slice(0, -3)}\nkeep ema { }\n}\n`)
    expect(added.map((c) => [c.path, c.before, (c.after as { type: string }).type, c.at.before])).toEqual([
      ['small.keep', null, 'ema', null],
    ])
  })
  it('tells a phase that is gone, another order of phases, and another type of a block', () => {
    const two = small('schedule { phase a { length = 5 steps }, phase b { length = 6 steps } }')
    expect(
      rows(two, small('schedule { phase b { length = 6 steps }, phase a { length = 5 steps } }')),
    ).toEqual(['small.schedule: pretrain, then a, then b -> pretrain, then b, then a (numerics) 3 3'])
    expect(rows(two, small('schedule { phase b { length = 6 steps } }'))).toEqual([
      'small.schedule.a: length 5 steps, resolution 64px -> null (numerics) 3 -',
    ])
    expect(rows(small('masking block { }'), small('masking random { }'))).toEqual([
      'small.masking: block, probability 50% -> random, probability 50% (numerics) 3 3',
    ])
  })
  it('does not repeat what only follows from another change', () => {
    const a = small('schedule { phase hires { length = 10 steps } }')
    const b = small(
      'teacher.momentum = cosine(0.95 -> 1.0)\ncrops.global.size = 96px\nschedule { phase pretrain { lr = cosine(1e-3 -> 0) }, phase hires { length = 10 steps } }',
    )
    expect(changes(a, b).map((c) => c.path)).toEqual([
      'small.teacher.momentum',
      'small.crops.global.size',
      'small.schedule.pretrain.lr',
    ])
  })
  it('sees a changed preset through extends', () => {
    const host = (weight: number) => ({
      read: (path: string) => (path === 'test.dino' ? small('') : null),
      std: () =>
        `experiment vit_nano { backbone vit { size = small, patch = 16px }\nloss koleo { weight = ${weight} }\nschedule { batch = 2048 img, phase a { length = 5 steps, lr = 1e-3 } } }`,
    })
    const at = (weight: number) => {
      const { experiments } = resolveWith(host(weight))
      return experiments.map((e) => ({
        name: e.name,
        variants: e.variants.map((v) => v.resolved),
        namesVariant: false,
      }))
    }
    expect(diff(at(0.1), at(0.2)).changes.map((c) => [c.path, c.before, c.after, c.at.after?.file])).toEqual([
      ['small.loss.koleo.weight', 0.1, 0.2, 'std/dinov2.dino'],
    ])
  })
  it('compares sources, and what a curation does', () => {
    const text = (split: string, similarity: number) =>
      small(
        'data { train = c }',
        `source a: folder { path = "a", split = ${split} }\ncuration c { embed { weights = "w.safetensors" }, dedup u { pool = a, similarity = ${similarity} }, keep = [u] }\n`,
      )
    expect(rows(text('all(train)', 0.6), text('hash(train: 90%, test: 10%)', 0.5))).toEqual([
      'small.sources.a.split: all(train) -> hash(train: 90%, test: 10%) (data) 2 2',
      'small.curations.c.u.similarity: 0.6 -> 0.5 (data) 3 3',
    ])
  })
  it('pairs by name, or as they are where each side names one', () => {
    const many = small(
      'ablation { variant a { loss.koleo.weight = 0.3 }, variant b { loss.dino.weight = 0.5 } }',
    )
    const fewer = small('ablation { variant a { loss.koleo.weight = 0.4 } }')
    expect(changes(many, fewer).map((c) => c.path)).toEqual(['small.a.loss.koleo.weight', 'small.b'])
    const two = diff(sides(many, 'test.dino#small.full'), sides(many, 'test.dino#small.b'))
    expect(two.changes.map((c) => c.path)).toEqual(['small.loss.dino.weight'])
  })
  it('pairs a variant that one side names with the unedited experiment of the other', () => {
    const text = small(
      'ablation { variant a { loss.koleo.weight = 0.3 }, variant b { loss.dino.weight = 0.5 } }',
    )
    const other = text.replace('experiment small', 'experiment other')
    const pairs = (before: string, after: string, b = text) => {
      const { pairs, changes } = diff(sides(text, `test.dino${before}`), sides(b, `test.dino${after}`))
      return [
        pairs.map((p) => `${p.before.name}.${p.before.variant} ${p.after.name}.${p.after.variant}`),
        changes.map((c) => c.path),
      ]
    }
    // Names of variants on neither side: by name.
    expect(pairs('#small', '#small')[0]).toEqual([
      'small.full small.full',
      'small.a small.a',
      'small.b small.b',
    ])
    expect(pairs('', '')[0]).toEqual(pairs('#small', '#small')[0])
    // On one side.
    expect(pairs('#small', '#small.b')).toEqual([['small.full small.b'], ['small.loss.dino.weight']])
    expect(pairs('', '#small.b')).toEqual(pairs('#small', '#small.b'))
    expect(pairs('#small.b', '#small')).toEqual([['small.b small.full'], ['small.b.loss.dino.weight']])
    expect(pairs('#small', '#small.full')).toEqual([['small.full small.full'], []])
    expect(pairs('#small', '#other.b', other)[0]).toEqual(['small.full other.b'])
    // On both.
    expect(pairs('#small.a', '#small.b')[0]).toEqual(['small.a small.b'])
  })
  it('calls another number of ranks a change of numerics where a term sees one rank', () => {
    const ranks = (n: number, rest = '') => small(`hardware { ranks = ${n} }\n${rest}`)
    expect(changes(ranks(2), ranks(4)).map((c) => [c.path, c.effect])).toEqual([
      ['small.hardware.ranks', 'numerics'],
    ])
    const free = 'drop loss.koleo\ndrop loss.ibot\ndrop masking'
    expect(changes(ranks(2, free), ranks(4, free)).map((c) => [c.path, c.effect])).toEqual([
      ['small.hardware.ranks', 'placement'],
    ])
  })
})

import { resolve, type SourceHost } from '../../compiler/resolve/resolve.js'

function resolveWith(host: SourceHost) {
  return resolve('test.dino', host, { set: [], params: {}, env: {} })
}

describe('identity', () => {
  const id = (body: string, before = '', seed = 0) => configIdentity(variantOf(small(body, before)), seed)
  const photos = (name: string, path: string, rest = '') =>
    `source ${name}: folder { path = "${path}"${rest} }\n`
  it('ignores names, reports, places and evaluations', () => {
    const plain = id('data { train = a }', photos('a', 'a'))
    expect(id('data { train = b }', photos('b', 'elsewhere'))).toBe(plain)
    expect(
      id(
        'data { train = a }\neval knn { train = a, test = a }\nablation.seeds = [0, 1]\nreport.title = "x"\ncheckpoint.keep = 5\nhardware { device = wasm, threads = 2, memory = 8GiB }\ndescription = "y"',
        photos('a', 'a'),
      ),
    ).toBe(plain)
  })
  it('changes with what changes the training', () => {
    const plain = id('data { train = a }', photos('a', 'a'))
    const others = [
      id('data { train = a }', photos('a', 'a'), 1),
      id('data { train = a }', photos('a', 'a', ', background = white')),
      id('data { train = a }\noptimize.fuse = off', photos('a', 'a')),
      id('data { train = a }\nloss.koleo.weight = 0.2', photos('a', 'a')),
      id('data { train = a }\nhardware.semantics = global', photos('a', 'a')),
      id('data { train = a }\nhardware.ranks = 2', photos('a', 'a')),
    ]
    expect(new Set([plain, ...others]).size).toBe(others.length + 1)
  })
  it('takes the number of ranks in only where a term depends on it', () => {
    const free = 'drop loss.koleo\ndrop loss.ibot\ndrop masking\n'
    expect(id(`${free}hardware.ranks = 2`)).toBe(id(`${free}hardware.ranks = 4`))
    expect(rankDependentTerms(variantOf(small('hardware.ranks = 4'))).map((t) => t.term)).toEqual([
      'loss.koleo',
      'masking',
    ])
    expect(rankDependentTerms(variantOf(small('hardware { ranks = 4, semantics = global }')))).toEqual([])
  })
  it('replaces a run by what it is', () => {
    const student = (depth: number, name: string) =>
      `${small(`backbone.depth = ${depth}`).replace('experiment small', `experiment ${name}`)}experiment student extends ${name} { backbone.depth = 2\nteacher frozen { from = run(${name}) }\ndrop masking\nloss.ibot.on = all_patches }`
    const of = (text: string) => configIdentity(variantOf(text), 0)
    expect(of(student(4, 'big'))).toBe(of(student(4, 'large')))
    expect(of(student(4, 'big'))).not.toBe(of(student(6, 'big')))
  })
  it('of an evaluation is its protocol', () => {
    const protocol = (fields: string) =>
      protocolIdentity(
        variantOf(
          small(
            `eval knn { train = a.train, test = a.test${fields} }`,
            photos('a', 'a', ', split = hash(train: 80%, test: 20%)'),
          ),
        ),
        'knn',
      )
    expect(protocol(', every = 5 steps')).toBe(protocol(''))
    expect(protocol(', k = [5]')).not.toBe(protocol(''))
    expect(protocol(', resolution = 96px')).not.toBe(protocol(''))
  })
})
