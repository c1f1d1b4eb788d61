import type { Augment } from '../../compiler/plan/run-spec.js'
import type { Random } from '../philox.js'
import { Blur } from './blur.js'
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation, solarize, toGrey } from './colour.js'
import { roundHalfEven } from './masking.js'
import { type Box, Resampler } from './resample.js'

/** An 8-bit image, interleaved: `[height, width, channels]`. */
export interface Image {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels: number
}

export interface View {
  /** Which of the three settings of `Augment` holds: first global crop, other global crops, local crops. */
  readonly kind: 0 | 1 | 2
  /** Side of the square view, in pixels. */
  readonly size: number
  /** Share of the image's area that the crop may take. */
  readonly scale: { readonly min: number; readonly max: number }
}

/**
 * One view of an image (dinov2/data/augmentations.py with the *effective* probabilities of the experiment): random
 * resized crop, flip, colour jitter, grayscale, blur, solarize, normalise. Every step works on 8 bits and clamps, as
 * the reference's PIL images do. All random numbers are drawn from `random`, in that order.
 *
 * Writes `channels` planes of `size * size` floats to `out` from `offset` on.
 */
export class Augmenter {
  private readonly resampler = new Resampler()
  private readonly blur: Blur
  private readonly normalized: readonly Float32Array[]
  private readonly order = new Int32Array(4)
  private image = new Uint8Array(0)

  constructor(
    private readonly augment: Augment,
    private readonly channels: number,
  ) {
    this.blur = new Blur(augment.blur.kernel)
    this.normalized = normalizationTables(augment, channels)
  }

  view(source: Image, { kind, size, scale }: View, random: Random, out: Float32Array, offset: number): void {
    const { augment, channels, resampler } = this
    const pixels = size * size
    if (this.image.length < pixels * channels) this.image = new Uint8Array(pixels * channels)
    const image = this.image
    const box = randomBox(source.width, source.height, scale, augment.aspect, random)
    resampler.resize(source.data, source.width, channels, box, size, size, image)
    const flipped = random.chance(augment.flip)
    if (random.chance(augment.jitter.probability)) this.jitter(image, pixels, random)
    if (random.chance(augment.grayscale)) toGrey(image, pixels, channels)
    if (random.chance(augment.blur.probability[kind])) {
      const sigma = random.uniform(augment.blur.sigma.min, augment.blur.sigma.max)
      this.blur.apply(image, size, size, channels, sigma)
    }
    if (random.chance(augment.solarize.probability[kind]))
      solarize(image, pixels, channels, augment.solarize.threshold)
    writePlanes(image, size, size, channels, flipped, this.normalized, out, offset)
  }

  /** Brightness, contrast, saturation and hue in random order, each by a random factor. */
  private jitter(image: Uint8Array, pixels: number, random: Random) {
    const { channels, order } = this
    const { brightness, contrast, saturation, hue } = this.augment.jitter
    for (let i = 0; i < 4; i++) order[i] = i
    random.shuffle(order)
    const byBrightness = random.uniform(Math.max(0, 1 - brightness), 1 + brightness)
    const byContrast = random.uniform(Math.max(0, 1 - contrast), 1 + contrast)
    const bySaturation = random.uniform(Math.max(0, 1 - saturation), 1 + saturation)
    const byHue = random.uniform(-hue, hue)
    for (let i = 0; i < 4; i++) {
      // A strength of 0 leaves its step out, as in torchvision.
      if (order[i] === 0) {
        if (brightness > 0) adjustBrightness(image, pixels, channels, byBrightness)
      } else if (order[i] === 1) {
        if (contrast > 0) adjustContrast(image, pixels, channels, byContrast)
      } else if (order[i] === 2) {
        if (saturation > 0) adjustSaturation(image, pixels, channels, bySaturation)
      } else if (hue > 0) adjustHue(image, pixels, channels, byHue)
    }
  }
}

/**
 * The box of a random resized crop: ten attempts at an area share uniform in `scale` and an aspect (width over
 * height) whose logarithm is uniform; where none fits, the largest centred box of an allowed aspect.
 */
export function randomBox(
  width: number,
  height: number,
  scale: { readonly min: number; readonly max: number },
  aspect: { readonly min: number; readonly max: number },
  random: Random,
): Box {
  const [lowest, highest] = [Math.log(aspect.min), Math.log(aspect.max)]
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = width * height * random.uniform(scale.min, scale.max)
    const ratio = Math.exp(random.uniform(lowest, highest))
    const w = roundHalfEven(Math.sqrt(area * ratio))
    const h = roundHalfEven(Math.sqrt(area / ratio))
    if (w <= 0 || w > width || h <= 0 || h > height) continue
    const top = random.integer(0, height - h)
    const left = random.integer(0, width - w)
    return { left, top, width: w, height: h }
  }
  const ratio = width / height
  let [w, h] = [width, height]
  if (ratio < aspect.min) h = Math.max(1, roundHalfEven(width / aspect.min))
  else if (ratio > aspect.max) w = Math.max(1, roundHalfEven(height * aspect.max))
  return { left: Math.floor((width - w) / 2), top: Math.floor((height - h) / 2), width: w, height: h }
}

/** (v / 255 - mean) / std in float32, for each byte and channel. */
export function normalizationTables(
  { mean, std }: Pick<Augment, 'mean' | 'std'>,
  channels: number,
): readonly Float32Array[] {
  const { fround } = Math
  return Array.from({ length: channels }, (_, c) => {
    const [m, s] = [fround(mean[c] ?? mean.at(-1) ?? 0), fround(std[c] ?? std.at(-1) ?? 1)]
    return Float32Array.from({ length: 256 }, (__, v) => fround(fround(v / 255) - m) / s)
  })
}

/** Interleaved bytes to planes of floats, mirrored if asked. */
export function writePlanes(
  image: Uint8Array,
  width: number,
  height: number,
  channels: number,
  mirrored: boolean,
  tables: readonly Float32Array[],
  out: Float32Array,
  offset: number,
): void {
  const step = mirrored ? -channels : channels
  for (let c = 0; c < channels; c++) {
    const values = tables[c]!
    let to = offset + c * width * height
    for (let y = 0; y < height; y++) {
      let from = (y * width + (mirrored ? width - 1 : 0)) * channels + c
      for (let x = 0; x < width; x++) {
        out[to++] = values[image[from]!]!
        from += step
      }
    }
  }
}
