import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import { parseColour } from '../../runtime/data/background.js'
import { decodeFile, toChannels } from '../../runtime/data/decode.js'
import { allocateImageCache, openImageCache } from '../../runtime/data/image-cache.js'

const dir = mkdtempSync(join(tmpdir(), 'dinoc-decode-'))
afterAll(() => rmSync(dir, { recursive: true }))
const raw = (values: number[], width: number, height: number, channels: 1 | 2 | 3 | 4) =>
  sharp(Uint8Array.from(values), { raw: { width, height, channels } })
const white = { channels: 3, background: [255, 255, 255] } as const
const file = async (image: Sharp, name = 'x.png') => {
  const path = join(dir, name)
  await image.toFile(path)
  return path
}

describe('decoding', () => {
  it('gives the bytes of a file without loss', async () => {
    const values = [1, 2, 3, 40, 50, 60, 255, 0, 128, 9, 8, 7]
    const image = await decodeFile(await file(raw(values, 2, 2, 3)), white)
    expect([image.width, image.height, image.channels, ...image.data]).toEqual([2, 2, 3, ...values])
  })
  it('lays transparent pixels on the background, rounded', async () => {
    const path = await file(raw([10, 20, 30, 0, 10, 20, 30, 255, 10, 20, 30, 128], 3, 1, 4))
    const { data } = await decodeFile(path, white)
    expect([...data]).toEqual([255, 255, 255, 10, 20, 30, 132, 137, 142])
    const black = await decodeFile(path, { channels: 3, background: [0, 0, 0] })
    expect([...black.data]).toEqual([0, 0, 0, 10, 20, 30, 5, 10, 15])
  })
  it('makes three channels of grey, and one of colour by its luma', async () => {
    const grey = await decodeFile(await file(raw([7, 200], 2, 1, 1)), white)
    expect([...grey.data]).toEqual([7, 7, 7, 200, 200, 200])
    const one = await decodeFile(await file(raw([255, 0, 0, 0, 255, 0], 2, 1, 3)), { ...white, channels: 1 })
    expect([one.channels, ...one.data]).toEqual([1, 76, 150])
    expect([...toChannels(Uint8Array.of(100, 0, 100, 255), 2, { ...white, channels: 1 })]).toEqual([255, 100])
  })
  it('brings 16 bits to 8, and takes the first frame', async () => {
    const deep = sharp(Uint16Array.of(0, 65535, 257 * 77), {
      raw: { width: 1, height: 1, channels: 3 },
    }).toColourspace('rgb16')
    expect([...(await decodeFile(await file(deep), white)).data]).toEqual([0, 255, 77])
  })
  it('turns images upright', async () => {
    const path = await file(raw([1, 1, 1, 2, 2, 2], 2, 1, 3).withMetadata({ orientation: 6 }), 'turned.png')
    const { width, height, data } = await decodeFile(path, white)
    expect([width, height, ...data]).toEqual([1, 2, 1, 1, 1, 2, 2, 2])
  })
  it('rejects files that are cut short', async () => {
    const noise = Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 31) % 256)
    for (const [name, whole] of [
      ['a.png', await raw(noise, 64, 64, 3).png().toBuffer()],
      ['a.jpg', await raw(noise, 64, 64, 3).jpeg().toBuffer()],
    ] as const) {
      writeFileSync(join(dir, name), whole.subarray(0, whole.length / 2))
      await expect(decodeFile(join(dir, name), white)).rejects.toThrow()
    }
  })
  it('knows its colours', () => {
    expect(['white', null, 'black', '#10aBff'].map(parseColour)).toEqual([
      [255, 255, 255],
      [0, 0, 0],
      [0, 0, 0],
      [16, 171, 255],
    ])
    expect(['#fff', 'mauve', ''].map(parseColour)).toEqual([undefined, undefined, undefined])
  })
})

it('the shared cache keeps images until it is full', () => {
  const memory = allocateImageCache(4, 40)
  const [one, other] = [openImageCache(memory), openImageCache(memory)]
  const image = (value: number) => ({
    data: new Uint8Array(12).fill(value),
    width: 2,
    height: 2,
    channels: 3,
  })
  expect(one.get(0, 3)).toBeNull()
  one.put(0, image(5))
  other.put(2, image(6))
  other.put(0, image(9))
  one.put(3, image(7))
  expect(other.get(0, 3)).toEqual(image(5))
  expect(one.get(2, 3)).toEqual(image(6))
  expect(one.get(3, 3)).toBeNull()
  expect(one.get(1, 3)).toBeNull()
})
