import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Augment } from '../../compiler/plan/run-spec.js'
import { Augmenter, type Image, randomBox, type View } from '../../runtime/data/augment.js'
import { stream } from '../../runtime/philox.js'

const nothing: Augment = {
  aspect: { min: 1, max: 1 },
  flip: 0,
  jitter: { probability: 0, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
  grayscale: 0,
  blur: { probability: [0, 0, 0], kernel: 9, sigma: { min: 0.1, max: 2 } },
  solarize: { probability: [0, 0, 0], threshold: 128 },
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
}
const size = 8
const image: Image = {
  data: Uint8Array.from({ length: size * size * 3 }, (_, i) => (i * 37 + (i >> 4) * 11) % 256),
  width: size,
  height: size,
  channels: 3,
}
const whole: View = { kind: 0, size, scale: { min: 1, max: 1 } }
const render = (augment: Augment, view = whole, seed = 0, source = image) => {
  const out = new Float32Array(view.size * view.size * 3)
  new Augmenter(augment, 3).view(source, view, stream(seed, 0, 0, 'augment'), out, 0)
  return out
}
/** The bytes behind a view. */
const bytes = (values: Float32Array) =>
  Array.from(values, (v, i) => {
    const c = Math.floor(i / (values.length / 3))
    return Math.round((v * nothing.std[c]! + nothing.mean[c]!) * 255) + 0 // no -0
  })
const planar = (change: (v: number) => number, mirrored = false) =>
  [0, 1, 2].flatMap((c) =>
    Array.from({ length: size * size }, (_, i) => {
      const x = mirrored ? size - 1 - (i % size) : i % size
      return change(image.data[(Math.floor(i / size) * size + x) * 3 + c]!)
    }),
  )

describe('a view', () => {
  it('of everything, unchanged, is the normalised image', () => {
    const out = render(nothing)
    expect(bytes(out)).toEqual(planar((v) => v))
    expect(out[0]).toBe(
      Math.fround((Math.fround(image.data[0]! / 255) - Math.fround(0.485)) / Math.fround(0.229)),
    )
  })
  it('is mirrored with probability flip', () => {
    expect(bytes(render({ ...nothing, flip: 1 }))).toEqual(planar((v) => v, true))
  })
  it.each([0, 1, 2] as const)('takes blur and solarize of its kind (%i)', (kind) => {
    const only = [0, 0, 0].map((_, i) => (i === kind ? 1 : 0)) as [number, number, number]
    const solarized = { ...nothing, solarize: { probability: only, threshold: 100 } }
    const blurred = { ...nothing, blur: { ...nothing.blur, probability: only } }
    for (const other of [0, 1, 2] as const) {
      const view = { ...whole, kind: other }
      const same = other !== kind
      expect(bytes(render(solarized, view))).toEqual(planar((v) => (same || v < 100 ? v : 255 - v)))
      expect(bytes(render(blurred, view, 3))[5] === planar((v) => v)[5]).toBe(same)
    }
  })
  it('is grey with probability grayscale', () => {
    const out = bytes(render({ ...nothing, grayscale: 1 }))
    const pixels = size * size
    expect(out.slice(0, pixels)).toEqual(out.slice(pixels, 2 * pixels))
    expect(out.slice(0, pixels)).toEqual(out.slice(2 * pixels))
  })
  it('has its steps as often as their probabilities say', () => {
    const flat: Image = { ...image, data: new Uint8Array(size * size * 3).fill(200) }
    const dark = { ...nothing, solarize: { probability: [0.2, 0.2, 0.2] as const, threshold: 128 } }
    let inverted = 0
    for (let seed = 0; seed < 4000; seed++) if (bytes(render(dark, whole, seed, flat))[0] === 55) inverted++
    expect(Math.abs(inverted / 4000 - 0.2)).toBeLessThan(0.025)
  })
  it('jitters in every order', () => {
    const jittered = { ...nothing, jitter: { ...nothing.jitter, probability: 1 } }
    const seen = new Set(Array.from({ length: 50 }, (_, seed) => bytes(render(jittered, whole, seed)).join()))
    expect(seen.size).toBe(50)
    const still = { probability: 1, brightness: 0, contrast: 0, saturation: 0, hue: 0 }
    expect(bytes(render({ ...nothing, jitter: still }))).toEqual(planar((v) => v))
  })
})

describe('boxes', () => {
  it('lie inside the image, with area and aspect in range, or are the centred fallback', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 8, max: 300 }),
        fc.integer({ min: 8, max: 300 }),
        (seed, width, height) => {
          const scale = { min: 0.05, max: 1 }
          const aspect = { min: 3 / 4, max: 4 / 3 }
          const box = randomBox(width, height, scale, aspect, stream(seed, 0, 0, 'augment'))
          expect(box.left).toBeGreaterThanOrEqual(0)
          expect(box.top).toBeGreaterThanOrEqual(0)
          expect(box.left + box.width).toBeLessThanOrEqual(width)
          expect(box.top + box.height).toBeLessThanOrEqual(height)
          // Rounding moves a side by up to half a pixel.
          expect((box.width + 0.51) / (box.height - 0.51)).toBeGreaterThan(aspect.min)
          expect((box.width - 0.51) / (box.height + 0.51)).toBeLessThan(aspect.max)
        },
      ),
    )
  })
  it('fall back to the largest centred box', () => {
    const random = stream(0, 0, 0, 'augment')
    const [scale, aspect] = [
      { min: 1, max: 1 },
      { min: 3 / 4, max: 4 / 3 },
    ]
    expect(randomBox(100, 10, scale, aspect, random)).toEqual({ left: 43, top: 0, width: 13, height: 10 })
    expect(randomBox(10, 100, scale, aspect, random)).toEqual({ left: 0, top: 43, width: 10, height: 13 })
  })
  it('have areas uniform in scale', () => {
    let sum = 0
    for (let i = 0; i < 4000; i++) {
      const box = randomBox(640, 640, { min: 0.32, max: 1 }, { min: 1, max: 1 }, stream(1, 0, i, 'augment'))
      sum += (box.width * box.height) / 640 / 640 / 4000
    }
    expect(sum).toBeCloseTo(0.66, 1)
  })
})
