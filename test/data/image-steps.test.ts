import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Blur } from '../../runtime/data/blur.js'
import {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  solarize,
  toGrey,
} from '../../runtime/data/colour.js'
import { Resampler } from '../../runtime/data/resample.js'

function blurred(kernel: number, sigma: number): Blur {
  const blur = new Blur(kernel)
  blur.setSigma(sigma)
  return blur
}

interface Case {
  step: string
  args: { box: number[]; size: number[]; factor: number; threshold: number; kernel: number; sigma: number }
  expected: string
}
const fixture = JSON.parse(readFileSync(new URL('./pillow.json', import.meta.url), 'utf8')) as {
  width: number
  height: number
  image: string
  cases: Case[]
}
const { width, height } = fixture
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'))

function apply({ step, args }: Case, image: Uint8Array): Uint8Array {
  const pixels = width * height
  switch (step) {
    case 'resize': {
      const [left, top, w, h] = args.box as [number, number, number, number]
      const [outWidth, outHeight] = args.size as [number, number]
      const out = new Uint8Array(outWidth * outHeight * 3)
      new Resampler().resize(image, width, 3, { left, top, width: w, height: h }, outWidth, outHeight, out)
      return out
    }
    case 'brightness':
      adjustBrightness(image, pixels, 3, args.factor)
      break
    case 'contrast':
      adjustContrast(image, pixels, 3, args.factor)
      break
    case 'saturation':
      adjustSaturation(image, pixels, 3, args.factor)
      break
    case 'hue':
      adjustHue(image, pixels, 3, args.factor)
      break
    case 'grey':
      toGrey(image, pixels, 3)
      break
    case 'solarize':
      solarize(image, pixels, 3, args.threshold)
      break
    case 'blur':
      blurred(args.kernel, args.sigma).apply(image, width, height, 3)
      break
    default:
      throw new Error(`unknown step ${step}`)
  }
  return image
}

describe('image steps give Pillow’s bytes', () => {
  it.each(fixture.cases.map((c) => [`${c.step} ${JSON.stringify(c.args)}`, c] as const))('%s', (_, c) => {
    expect(Buffer.from(apply(c, bytes(fixture.image))).toString('hex')).toBe(
      bytes(c.expected).reduce((text, v) => text + v.toString(16).padStart(2, '0'), ''),
    )
  })
})

describe('grey images', () => {
  it('keep saturation, hue and grey; the other steps work on one channel', () => {
    const colour = bytes(fixture.image)
    const grey = Uint8Array.from({ length: width * height }, (_, i) => colour[i * 3]!)
    const same = Uint8Array.from(grey)
    adjustSaturation(same, grey.length, 1, 1.2)
    adjustHue(same, grey.length, 1, 0.1)
    toGrey(same, grey.length, 1)
    expect(same).toEqual(grey)
    // As three equal channels: luma of (v, v, v) is v.
    const three = Uint8Array.from({ length: grey.length * 3 }, (_, i) => grey[Math.floor(i / 3)]!)
    const one = Uint8Array.from(grey)
    adjustContrast(one, grey.length, 1, 1.3)
    adjustContrast(three, grey.length, 3, 1.3)
    expect(Uint8Array.from({ length: grey.length }, (_, i) => three[i * 3]!)).toEqual(one)
    const [small, small3] = [new Uint8Array(64), new Uint8Array(192)]
    const box = { left: 1, top: 2, width: 13, height: 9 }
    new Resampler().resize(one, width, 1, box, 8, 8, small)
    new Resampler().resize(three, width, 3, box, 8, 8, small3)
    expect(Uint8Array.from({ length: 64 }, (_, i) => small3[i * 3]!)).toEqual(small)
  })
})

it('blurs images that are smaller than the kernel', () => {
  const flat = new Uint8Array(3 * 2 * 3).fill(77)
  blurred(9, 1.5).apply(flat, 3, 2, 3)
  expect(flat).toEqual(new Uint8Array(18).fill(77))
  const one = Uint8Array.of(9)
  blurred(9, 1.5).apply(one, 1, 1, 1)
  expect(one[0]).toBe(9)
})
