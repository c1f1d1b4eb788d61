import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { growth, memoryRow } from '../../bench/own/attention.js'
import { inPairs, markdown, page, ratioOf } from '../../bench/own/figures.js'
import { kernelSection } from '../../bench/own/kernels.js'
import { trunkRow } from '../../bench/own/packing.js'
import { writePhotographs } from '../../bench/own/photographs.js'
import { prototypesRow } from '../../bench/own/prototypes.js'
import { stateRow } from '../../bench/own/ranks.js'
import { stepOf } from '../../bench/own/step.js'

test('a ratio is the median of the ratios of pairs, held against what is wanted', () => {
  const pairs = [
    [2, 1],
    [30, 10],
    [4, 1],
  ] as const
  expect(ratioOf({ pairs, wanted: null })).toEqual({
    ...{ sides: [4, 1], median: 3, lowest: 2, highest: 4 },
    met: null,
  })
  const met = (wanted: { least: number } | { most: number }) => ratioOf({ pairs, wanted }).met
  expect([met({ least: 3 }), met({ least: 3.01 }), met({ most: 3 }), met({ most: 2.99 })]).toEqual([
    ...[true, false],
    ...[true, false],
  ])
})

test('each side comes first in every other pair', async () => {
  const order: string[] = []
  const side = (name: string) => () => {
    order.push(name)
    return `${name}${order.length}`
  }
  const told: unknown[] = []
  const pairs = await inPairs(3, [side('a'), side('b')], (...pair) => told.push(pair))
  expect(order.join('')).toBe('abbaab')
  expect(pairs).toEqual([
    ['a1', 'b2'],
    ['a4', 'b3'],
    ['a5', 'b6'],
  ])
  expect(told).toEqual(pairs.map((pair, i) => [i + 1, ...pair]))
})

test('a page names the machine and says what is met', () => {
  const table = markdown({
    sides: ['on', 'off'],
    rows: [
      ...[{ name: 'x', unit: 'images/s', pairs: [[4, 2]] as const, wanted: { least: 2.5 } }],
      {
        ...{ name: 'y', unit: 'MiB', wanted: { most: 0.25 } },
        pairs: [
          [1, 100],
          [1234.5, 123_450],
        ] as const,
      },
    ],
  })
  const text = page('A processor, 2 cores', [{ title: 'T', note: 'n', tables: [table] }])
  expect(text).toMatchInlineSnapshot(`
    "# Our ways of computing, beside one another

    A processor, 2 cores. Sides are measured in turn; a ratio is the median over pairs (lowest to highest).

    ## T

    n

    |  | pairs | on | off | unit | ratio | wanted | met |
    |---|---|---|---|---|---|---|---|
    | x | 1 | 4 | 2 | images/s | **2.000** | at least 2.500 | no |
    | y | 2 | 617.8 | 61,775 | MiB | **0.01** (0.01 to 0.01) | at most 0.250 | yes |
    "
  `)
})

test('printed kernels become a table', () => {
  const { note, tables } = kernelSection(
    'AVX2, one thread; percentages of what multiply-adds alone reach beside each kernel\n' +
      'linear+gelu 7424x96x384                                        1.234 ms   150.5 GFLOP/s  75.1 % of 200\n' +
      'layer_norm 7424x96                                             0.500 ms    12.3 GB/s\n',
  )
  expect(note).toContain('AVX2, one thread')
  expect(tables[0]!.split('\n').slice(2)).toEqual([
    '| linear+gelu 7424x96x384 | 1.234 | 150.5 | 75.1 % | 200 |  |',
    '| layer_norm 7424x96 | 0.500 |  |  |  | 12.3 |',
  ])
  expect(() => kernelSection('AVX2\nlinear is refused: shapes')).toThrow(/linear is refused/)
})

test('exact figures are what they should be', () => {
  const rows = [trunkRow(), prototypesRow(4), prototypesRow(16), growth(true)]
  expect(rows.filter((row) => ratioOf(row).met !== true)).toEqual([])
  expect(ratioOf(stateRow()).median).toBeCloseTo(0.5, 3)
  expect(ratioOf(growth(false)).median).toBeGreaterThan(5)
  expect(ratioOf(memoryRow(1370)).median).toBeLessThan(0.2)
})

test('the steps that are compared differ in what is compared alone', () => {
  const [full, unpacked, grouped] = ['full', 'unpacked', 'grouped'].map((v) => stepOf(`small_step.${v}`))
  expect(unpacked!.optimize).toEqual({ ...full!.optimize, pack: false })
  expect(grouped!.hardware).toMatchObject({ semantics: 'global', groups: 2, ranks: 1 })
  const [step, photographs] = ['step', 'photographs'].map((name) => stepOf(`vits14_${name}.full`))
  expect(photographs!.backbone).toEqual(step!.backbone)
  expect([photographs!.crops, photographs!.head, photographs!.loss]).toEqual([
    ...[step!.crops, step!.head, step!.loss],
  ])
  expect(photographs!.schedule.batch).toBe(step!.schedule.batch)
})

test('photographs are JPEGs of 500 px, as large as such files are', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dinoc-photographs-'))
  try {
    await writePhotographs(folder, 2)
    const files = await readdir(folder)
    expect(files).toEqual(['0000.jpg', '0001.jpg'])
    for (const file of files) {
      const { format, width, height } = await sharp(join(folder, file)).metadata()
      expect([format, width, height]).toEqual(['jpeg', 500, 500])
      const { size } = await stat(join(folder, file))
      expect(size).toBeGreaterThan(50_000)
      expect(size).toBeLessThan(150_000)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})
