import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DataReference, Source } from '../../compiler/plan/run-spec.js'
import {
  allImages,
  type Dataset,
  imageCount,
  imageName,
  locate,
  openDataset,
  referenceText,
  type Selection,
  select,
} from '../../runtime/data/dataset.js'
import { contentsOf, evaluationIdentity, trainingIdentity } from '../../runtime/data/identity.js'
import { imageOrder } from '../../runtime/data/order.js'
import { folderSource, smallSpec } from './small-run.js'

const base = mkdtempSync(join(tmpdir(), 'dinoc-dataset-'))
afterAll(() => rmSync(base, { recursive: true }))
const write = (path: string, content: string) => {
  mkdirSync(join(base, path, '..'), { recursive: true })
  writeFileSync(join(base, path), content)
}
beforeAll(() => {
  for (let i = 0; i < 30; i++) write(`a/${i % 3}/${String(i).padStart(2, '0')}.png`, `a${i}`)
  for (let i = 0; i < 12; i++) write(`b/${i % 2}/${String(i).padStart(2, '0')}.png`, `b${i}`)
})

const of = (source: string, splits: string[] | null = null): DataReference => ({
  kind: 'source',
  source,
  splits,
})
const mix = (...parts: [DataReference, number][]): DataReference => ({
  kind: 'mix',
  parts: parts.map(([reference, share]) => ({ of: reference, share })),
})
const hashed: Partial<Source> = { split: { kind: 'hash', shares: { train: 0.5, test: 0.3 }, by: null } }
const open = (sources: Record<string, Partial<Source>>, ...references: DataReference[]): Dataset => {
  const spec = smallSpec()
  const full = Object.entries(sources).map(
    ([name, s]) => [name, folderSource(join(base, name[0]!), s)] as const,
  )
  return openDataset({ ...spec, data: { train: null, sources: Object.fromEntries(full) } }, references)
}

describe('selections', () => {
  it('number the images of the sources they reach through', () => {
    const dataset = open({ a: {}, b: {} }, of('b'), of('a'), of('b'))
    expect([dataset.count, dataset.sources.map((s) => s.source)]).toEqual([42, ['b', 'a']])
    expect(locate(dataset, 11)).toEqual({ source: 0, index: 11 })
    expect(locate(dataset, 12)).toEqual({ source: 1, index: 0 })
    expect(imageName(dataset, 12)).toBe('0/00.png')
    expect([...allImages(select(dataset, of('b')))]).toEqual([...Array(12).keys()])
  })
  it('take splits; a source alone means all of its splits', () => {
    const dataset = open({ a: hashed }, of('a'))
    const count = (splits: string[] | null) => imageCount(select(dataset, of('a', splits)))
    expect(count(['train']) + count(['test'])).toBe(count(null))
    expect(count(['train', 'test'])).toBe(count(null))
    expect(count(null)).toBeLessThan(30)
    const overlap = new Set([...allImages(select(dataset, of('a', ['train'])))])
    expect([...allImages(select(dataset, of('a', ['test'])))].some((image) => overlap.has(image))).toBe(false)
    expect(() => count(['val'])).toThrow("DINO1011: `a.val` holds none of the source's 30 images")
  })
  it('mix by shares, nested ones too', () => {
    const reference = mix([of('a'), 0.4], [mix([of('b'), 1], [of('a', ['train']), 3]), 0.6])
    const selection = select(open({ a: {}, b: {} }, reference), reference)
    expect(selection.parts.map((part) => part.share)).toEqual([0.4, 0.15, expect.closeTo(0.45, 9)])
    expect(imageCount(selection)).toBe(42)
    expect(selection.text).toBe('mix(a, mix(b, a.train))')
  })
  it('refuse what cannot be read', () => {
    const curated: DataReference = { kind: 'curation', curation: 'lvd', stage: 'clean' }
    expect(() => open({}, curated)).toThrow('DINO1006: `lvd.clean`: data of type `curation` cannot be read')
    expect(() => open({ a: { channels: 1 } }, of('a'))).toThrow(
      "DINO1020: source `a` has 1 channel, the run's backbone reads 3",
    )
    expect(() => open({ a: { channels: 4 } }, of('a'))).toThrow(
      'DINO1021: source `a`: cannot read `channels = 4`',
    )
    expect(referenceText(of('a', ['x', 'y']))).toBe('a.x + a.y')
  })
})

describe('the order of training', () => {
  const parts = (...sizes: number[]): Selection => {
    let start = 0
    return {
      text: '',
      parts: sizes.map((size, i) => {
        const images = Uint32Array.from({ length: size }, (_, k) => start + k)
        start += size
        return { share: [0.3, 0.7, 0][i]! + (sizes.length === 1 ? 0.7 : 0), images }
      }),
    }
  }
  it('is an endless chain of permutations, keyed by seed, found from any place', () => {
    const order = imageOrder(4, parts(10))
    const at = (from: number, make = order) => Array.from({ length: 10 }, (_, i) => make(from + i).image)
    const passes = [0, 10, 20].map((from) => at(from))
    for (const pass of passes) expect([...pass].sort((x, y) => x - y)).toEqual([...Array(10).keys()])
    expect(new Set(passes.map(String)).size).toBe(3)
    const late = imageOrder(4, parts(10))
    expect(at(20, late)).toEqual(passes[2])
    expect(at(0, late)).toEqual(passes[0])
    expect(at(0, imageOrder(5, parts(10)))).not.toEqual(passes[0])
  })
  it('deals a mix by its shares, each part through its own chain', () => {
    const order = imageOrder(1, parts(7, 50))
    const dealt = Array.from({ length: 10_000 }, (_, i) => order(i))
    expect(dealt.filter(({ part }) => part === 0)).toHaveLength(3000)
    const first = dealt.filter(({ part }) => part === 0).map(({ image }) => image)
    for (let at = 0; at + 7 <= first.length; at += 7)
      expect(first.slice(at, at + 7).sort()).toEqual([0, 1, 2, 3, 4, 5, 6])
    // The next block goes on where this one ended: 3000 = 428 passes of 7 and 4 images.
    const next: number[] = []
    for (let i = 10_000; next.length < 3; i++) if (order(i).part === 0) next.push(order(i).image)
    expect([...first.slice(-4), ...next].sort()).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(imageOrder(1, parts(7, 50))(9_999)).toEqual(dealt[9_999])
  })
})

describe('identity', () => {
  const cache = join(base, 'cache')
  const identity = async (
    reference = of('a'),
    sources: Record<string, Partial<Source>> = { a: {}, b: {} },
  ) => {
    const dataset = open(sources, reference)
    return trainingIdentity(dataset, select(dataset, reference), cache)
  }

  it('counts names and contents, not places, labels or other images', async () => {
    const before = await identity()
    expect(await identity()).toBe(before)
    expect(await identity(mix([of('a'), 1], [of('b'), 1]))).not.toBe(before)
    expect(await identity(mix([of('a'), 1], [of('b'), 2]))).not.toBe(
      await identity(mix([of('a'), 1], [of('b'), 1])),
    )
    expect(await identity(of('ab'), { ab: {} })).toBe(before)
    write('a/0/00.png', 'A0')
    utimesSync(join(base, 'a/0/00.png'), 1, 1)
    const changed = await identity()
    expect(changed).not.toBe(before)
    write('a/0/00.png', 'a0')
    expect(await identity()).toBe(before)
    write('a/0/zz.png', 'a0')
    expect(await identity()).not.toBe(before)
    rmSync(join(base, 'a/0/zz.png'))
  })

  it('does not read again what has its size and time of before', async () => {
    const path = join(base, 'b/0/00.png')
    utimesSync(path, 1000, 1000)
    const dataset = open({ b: {} }, of('b'))
    const images = allImages(select(dataset, of('b')))
    const first = await contentsOf(dataset, images, cache)
    expect(first.hashes[0]).toMatch(/^[0-9a-f]{32}$/)
    writeFileSync(path, 'B0')
    utimesSync(path, 1000, 1000)
    expect((await contentsOf(dataset, images, cache)).hashes[0]).toBe(first.hashes[0])
    expect((await contentsOf(dataset, images, null)).hashes[0]).not.toBe(first.hashes[0])
    utimesSync(path, 2000, 2000)
    expect((await contentsOf(dataset, images, cache)).hashes[0]).not.toBe(first.hashes[0])
    rmSync(path)
    expect((await contentsOf(dataset, images, cache)).hashes[0]).toBe('unreadable')
    write('b/0/00.png', 'b0')
  })

  it('of an evaluation counts labels', async () => {
    const labels = (kind: string) => {
      write('labels.json', JSON.stringify([{ image: '00.png', kind }]))
      return { labels: { table: join(base, 'labels.json'), nested: null, file: 'image', label: 'kind' } }
    }
    const identities: string[] = []
    for (const kind of ['x', 'y', 'x']) {
      const dataset = open({ a: labels(kind) }, of('a'))
      const images = allImages(select(dataset, of('a')))
      identities.push(evaluationIdentity(dataset, images, await contentsOf(dataset, images, null)))
    }
    expect(identities[0]).toBe(identities[2])
    expect(identities[1]).not.toBe(identities[0])
  })
})
