import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Diagnostic, DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { EvaluationImages } from '../../runtime/data/evaluation-images.js'
import { type OpenData, openRunData } from '../../runtime/data/run-data.js'
import { openVerdicts } from '../../runtime/data/verdicts.js'
import type { RunData } from '../../runtime/job.js'
import { smallPlan, withFolder } from './small-run.js'

const root = mkdtempSync(join(tmpdir(), 'dinoc-evaluation-'))
const log: Diagnostic[] = []
let data: OpenData
let set: EvaluationImages
const reference = { kind: 'source', source: 'pictures', splits: null } as const
beforeAll(async () => {
  const flat = (r: number, width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: { r, g: 0, b: 255 } } })
  await flat(10, 30, 20).toFile(join(root, 'a.png'))
  await flat(200, 8, 8).toFile(join(root, 'b.png'))
  writeFileSync(join(root, 'c.png'), 'no image')
  // Left half dark, right half bright.
  const halves = Uint8Array.from({ length: 32 * 16 * 3 }, (_, i) => (Math.floor(i / 3) % 32 < 16 ? 0 : 255))
  await sharp(halves, { raw: { width: 32, height: 16, channels: 3 } }).toFile(join(root, 'd.png'))
  writeFileSync(join(root, 'labels.csv'), 'image,kind\na.png,x\nb.png,y\nc.png,z\n')
  const spec = withFolder(root)
  const pictures = {
    ...spec.data.sources.pictures!,
    labels: { table: join(root, 'labels.csv'), nested: null, file: 'image', label: 'kind' },
  }
  data = await openRunData({
    spec: { ...spec, data: { ...spec.data, sources: { pictures } } },
    plan: () => smallPlan(),
    log: (d) => log.push(d),
    threads: 1,
    cacheDirectory: null,
  })
  set = await data.images(reference)
})
afterAll(async () => {
  await data.close()
  rmSync(root, { recursive: true })
})

describe('images of an evaluation', () => {
  it('are what the run asks for', () => {
    const run: RunData = data
    const images: EvaluationImages = set
    expect([run.trainingImages, images.groups]).toEqual([4, null])
    expect(data.images(reference)).toBe(data.images({ ...reference }))
  })

  it('leave out what cannot be read and count what has no label', () => {
    expect(set.names).toEqual(['a.png', 'b.png', 'd.png'])
    expect([...set.labels]).toEqual([0, 1, -1])
    expect(set.classes).toEqual(['x', 'y'])
    expect(log.map((d) => [d.code, d.message])).toEqual([
      [
        'DINO1022',
        expect.stringMatching(/^cannot read image .*c\.png: .*; it is left out of the evaluation$/),
      ],
      ['DINO1015', expect.stringContaining('`pictures`: 1 of 3 images have no label')],
    ])
    expect(data.corruptImages()).toBe(1)
  })

  it('are resized, cut and normalised', async () => {
    const px = 14
    const pixels = await set.read([2, 0, 1], px)
    expect(pixels).toHaveLength(3 * 3 * px * px)
    const plane = (image: number, c: number) =>
      pixels.subarray((image * 3 + c) * px * px, (image * 3 + c + 1) * px * px)
    const red = (v: number) => expect.closeTo((v / 255 - 0.485) / 0.229, 5)
    expect([...new Set(plane(1, 0))]).toEqual([red(10)])
    expect([...new Set(plane(2, 0))]).toEqual([red(200)])
    // 32 x 16 becomes 32 x 16 (shorter side 16 = 14 * 256 / 224), of which columns 9 .. 22 and rows 1 .. 14 stay.
    const row = [...plane(0, 0).subarray(0, px)]
    expect(row).toEqual([...Array(7).fill(red(0)), ...Array(7).fill(red(255))])
    expect([...plane(0, 0).subarray(px * 13)]).toEqual(row)
  })

  it('as thumbnails are whole, whatever their aspect', async () => {
    const pixels = await set.thumbnails([2], 4)
    const expected = Array.from({ length: 16 }, (_, i) => (i % 4 < 2 ? 0 : 1)).flatMap((v) => [v, v, v])
    for (const [i, v] of expected.entries()) expect(Math.abs(pixels[i]! - v)).toBeLessThan(0.1)
  })

  it('come in any number of tasks', async () => {
    const many = Array.from({ length: 50 }, (_, i) => i % 3)
    const pixels = await set.read(many, 7)
    const three = await set.read([0, 1, 2], 7)
    for (const [i, image] of many.entries())
      expect(pixels.subarray(i * 147, (i + 1) * 147)).toEqual(three.subarray(image * 147, (image + 1) * 147))
  })
})

describe('images of an evaluation that cannot be read', () => {
  const bad = mkdtempSync(join(tmpdir(), 'dinoc-evaluation-bad-'))
  const write = async (count: number, broken: number) => {
    const good = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .png()
      .toBuffer()
    for (let i = 0; i < count; i++)
      writeFileSync(join(bad, `${String(i).padStart(2, '0')}.png`), i < broken ? `no image ${i}` : good)
  }
  const openBad = async (told: Diagnostic[]) => {
    const spec = withFolder(bad, { provenance: { 'sources.pictures.path': 'a.dino:2:9-15' } })
    const log = (d: Diagnostic) => void told.push(d)
    return openRunData({
      spec,
      plan: () => smallPlan(),
      log,
      threads: 1,
      cacheDirectory: null,
      imageCacheBytes: 0,
    })
  }
  afterAll(() => rmSync(bad, { recursive: true }))

  it('stop the run where they are more than a tenth, each of them named', async () => {
    await write(30, 4)
    const told: Diagnostic[] = []
    const data = await openBad(told)
    const failed = await data.images(reference).catch((error: unknown) => error)
    const [fault] = (failed as DiagnosticError).diagnostics
    expect(fault).toMatchObject({
      code: 'DINO1007',
      message: '4 of 30 images of `pictures` could not be read: more than 10 %',
      primary: { span: { file: 'a.dino', startLine: 2, startColumn: 9, endColumn: 15 } },
    })
    expect(fault!.notes).toHaveLength(4)
    expect(told.map((d) => d.code)).toEqual(['DINO1022', 'DINO1022', 'DINO1022', 'DINO1022'])
    await data.close()
  })

  it('are no training images: those are counted for themselves', async () => {
    await write(30, 3)
    const data = await openBad([])
    expect((await data.images(reference)).names).toHaveLength(27)
    // One that goes away later has been measured before.
    rmSync(join(bad, '29.png'))
    const set = await data.images(reference)
    await expect(set.read([26], 7)).rejects.toThrow(
      `DINO1023: ${bad}/29.png could be read when the run began`,
    )
    await data.close()
  })
})

it('verdicts on contents are kept between runs', () => {
  const directory = join(root, 'cache')
  const first = openVerdicts(directory)
  first.set('a1', null)
  first.set('b2', 'cut\tshort\nhere')
  first.save()
  first.set('c3', null)
  const second = openVerdicts(directory)
  expect(['a1', 'b2', 'c3'].map((hash) => second.get(hash))).toEqual([null, 'cut short here', undefined])
  expect(openVerdicts(null).get('a1')).toBeUndefined()
})
