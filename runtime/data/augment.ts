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

/** Steps between crop and normalisation, by their number in a list of drawn steps (`Step` in native/src/augment). */
export const steps = {
  brightness: 0,
  contrast: 1,
  saturation: 2,
  hue: 3,
  grey: 4,
  blur: 5,
  solarize: 6,
} as const

/** All that is random about a view, drawn. */
export interface DrawnView {
  box: Box
  mirrored: boolean
  /** (step, value) pairs in the order of doing; the value is a factor, the threshold of solarize, or 0. */
  readonly steps: number[]
  /** Of the blur's kernel, from its centre outwards, where the view is blurred. */
  readonly weights: Float64Array
}

/** Makes the view of `size * size` pixels that was drawn, and writes it normalised to planes of `out` from `offset` on. */
export type ViewRenderer = (
  source: Image,
  size: number,
  drawn: DrawnView,
  out: Float32Array,
  offset: number,
) => void

/**
 * One view of an image (dinov2/data/augmentations.py with the *effective* probabilities of the experiment): random
 * resized crop, flip, colour jitter, grayscale, blur, solarize, normalise. Every step works on 8 bits and clamps, as
 * the reference's PIL images do. All random numbers are drawn from `random`, in that order; what is drawn is made by
 * `native` where it is given, and else by the functions of this folder, to the same bits.
 *
 * Writes `channels` planes of `size * size` floats to `out` from `offset` on.
 */
export class Augmenter {
  private readonly blur: Blur
  private readonly make: ViewRenderer
  private readonly order = new Int32Array(4)
  private readonly drawn: DrawnView

  constructor(
    private readonly augment: Augment,
    channels: number,
    native: ViewRenderer | null = null,
  ) {
    this.blur = new Blur(augment.blur.kernel)
    this.make = native ?? viewRenderer(this.blur, channels, normalizationTables(augment, channels))
    this.drawn = {
      box: { left: 0, top: 0, width: 0, height: 0 },
      mirrored: false,
      steps: [],
      weights: this.blur.weights,
    }
  }

  view(source: Image, { kind, size, scale }: View, random: Random, out: Float32Array, offset: number): void {
    const { augment, drawn } = this
    drawn.steps.length = 0
    drawn.box = randomBox(source.width, source.height, scale, augment.aspect, random)
    drawn.mirrored = random.chance(augment.flip)
    if (random.chance(augment.jitter.probability)) this.drawJitter(random)
    if (random.chance(augment.grayscale)) drawn.steps.push(steps.grey, 0)
    if (random.chance(augment.blur.probability[kind])) {
      this.blur.setSigma(random.uniform(augment.blur.sigma.min, augment.blur.sigma.max))
      drawn.steps.push(steps.blur, 0)
    }
    if (random.chance(augment.solarize.probability[kind]))
      drawn.steps.push(steps.solarize, augment.solarize.threshold)
    this.make(source, size, drawn, out, offset)
  }

  /** Brightness, contrast, saturation and hue in random order, each by a random factor. */
  private drawJitter(random: Random) {
    const { order, drawn } = this
    const { brightness, contrast, saturation, hue } = this.augment.jitter
    for (let i = 0; i < 4; i++) order[i] = i
    random.shuffle(order)
    const factors = [
      random.uniform(Math.max(0, 1 - brightness), 1 + brightness),
      random.uniform(Math.max(0, 1 - contrast), 1 + contrast),
      random.uniform(Math.max(0, 1 - saturation), 1 + saturation),
      random.uniform(-hue, hue),
    ]
    const strengths = [brightness, contrast, saturation, hue]
    // A strength of 0 leaves its step out, as in torchvision.
    for (const step of order) if (strengths[step]! > 0) drawn.steps.push(step, factors[step]!)
  }
}

/** The reference, in TypeScript. */
function viewRenderer(blur: Blur, channels: number, normalized: readonly Float32Array[]): ViewRenderer {
  const resampler = new Resampler()
  let image = new Uint8Array(0)

  function apply(step: number, value: number, size: number) {
    const pixels = size * size
    if (step === steps.brightness) adjustBrightness(image, pixels, channels, value)
    else if (step === steps.contrast) adjustContrast(image, pixels, channels, value)
    else if (step === steps.saturation) adjustSaturation(image, pixels, channels, value)
    else if (step === steps.hue) adjustHue(image, pixels, channels, value)
    else if (step === steps.grey) toGrey(image, pixels, channels)
    else if (step === steps.blur) blur.apply(image, size, size, channels)
    else solarize(image, pixels, channels, value)
  }

  return (source, size, drawn, out, offset) => {
    if (image.length < size * size * channels) image = new Uint8Array(size * size * channels)
    resampler.resize(source.data, source.width, channels, drawn.box, size, size, image)
    for (let i = 0; i < drawn.steps.length; i += 2) apply(drawn.steps[i]!, drawn.steps[i + 1]!, size)
    writePlanes(image, size, size, channels, drawn.mirrored, normalized, out, offset)
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
