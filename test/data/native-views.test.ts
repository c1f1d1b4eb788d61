import { describe, expect, it } from 'vitest'
import type { Augment } from '../../compiler/plan/run-spec.js'
import { Augmenter, type Image, normalizationTables, type View } from '../../runtime/data/augment.js'
import { openNativeViews } from '../../runtime/data/native-views.js'
import { loadAddon } from '../../runtime/devices/native/addon.js'
import { stream } from '../../runtime/philox.js'
import { nativeMissing, nativeSkipped } from '../support/native-missing.js'

/** Every step often, and each alone and with others. */
const augment: Augment = {
  aspect: { min: 3 / 4, max: 4 / 3 },
  flip: 0.5,
  jitter: { probability: 0.7, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
  grayscale: 0.2,
  blur: { probability: [0.5, 0.1, 0.5], kernel: 9, sigma: { min: 0.1, max: 2 } },
  solarize: { probability: [0, 0.5, 0.2], threshold: 128 },
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
}

/** Noise over waves: saturated, dark, grey and coloured pixels. In shared memory, as the cache's images are. */
function picture(width: number, height: number, channels: number, seed: number): Image {
  const random = stream(seed, 0, 0, 'augment')
  const data = new Uint8Array(new SharedArrayBuffer(width * height * channels))
  for (let i = 0; i < data.length; i++) {
    const wave = 128 + 160 * Math.sin(i / (40 + 30 * seed)) + random.uniform(-60, 60)
    data[i] = Math.max(0, Math.min(255, wave))
  }
  if (channels === 3) for (let i = 0; i < data.length; i += 21) data.fill(data[i]!, i, i + 3)
  return { data, width, height, channels }
}

const sets = (nativeMissing ? [] : loadAddon().instructionSets())
  .map(([name, , supported], index) => ({ name, supported, index }))
  .filter(({ supported }) => supported)

describe.each(sets)('native views ($name)', ({ index }) => {
  it.each([1, 3])('are those of the reference to the bit, %i channels', (channels) => {
    const settings = {
      ...augment,
      mean: augment.mean.slice(0, channels),
      std: augment.std.slice(0, channels),
    }
    const reference = new Augmenter(settings, channels)
    const tables = normalizationTables(settings, channels)
    const native = new Augmenter(settings, channels, openNativeViews(tables, index))
    const images = [picture(61, 47, channels, 0), picture(5, 9, channels, 1), picture(28, 28, channels, 2)]
    for (let slot = 0; slot < 90; slot++) {
      const size = [1, 3, 14, 28, 33, 98][slot % 6]!
      const view: View = { kind: (slot % 3) as 0 | 1 | 2, size, scale: { min: 0.05, max: 1 } }
      const [expected, actual] = [0, 1].map(
        () => new Float32Array(new SharedArrayBuffer(4 * (size * size * channels + 2))),
      ) as [Float32Array, Float32Array]
      const image = images[(slot >> 2) % images.length]!
      reference.view(image, view, stream(5, 0, slot, 'augment'), expected, 1)
      native.view(image, view, stream(5, 0, slot, 'augment'), actual, 1)
      expect(Buffer.compare(Buffer.from(actual.buffer), Buffer.from(expected.buffer)), `slot ${slot}`).toBe(0)
    }
  })
})

describe.skipIf(nativeMissing !== null)(`augmentView${nativeSkipped}`, () => {
  it('refuses boxes beyond the image and views beyond the output', () => {
    const addon = loadAddon()
    const image = picture(8, 8, 1, 0)
    const call = (numbers: number[], floats: number) => () =>
      addon.augmentView(
        sets[0]!.index,
        image.data,
        Float64Array.from(numbers),
        new Float64Array(1),
        new Float32Array(256),
        new Float32Array(floats),
      )
    expect(call([8, 8, 1, 0, 0, 8, 8, 4, 0, 0], 16)).not.toThrow()
    expect(call([8, 8, 1, 1, 0, 8, 8, 4, 0, 0], 16)).toThrow()
    expect(call([9, 8, 1, 0, 0, 8, 8, 4, 0, 0], 16)).toThrow()
    expect(call([8, 8, 1, 0, 0, 8, 8, 4, 0, 0], 15)).toThrow()
    expect(call([8, 8, 1, 0, 0, 8, 8, 4, 0, 1], 16)).toThrow()
    expect(call([8, 8, 1, 0, 0, 8, 8, 4, 0, 1, 7, 0], 16)).toThrow()
  })
})
