/**
 * Bicubic resampling of 8-bit images as Pillow does it (libImaging/Resample.c): a = -0.5, the kernel widened by the
 * scale when shrinking (antialias), coefficients in fixed point with 22 fraction bits, a horizontal and then a
 * vertical pass, each rounded and clamped to 8 bits.
 *
 * Images are interleaved: `[height, width, channels]`.
 */
export interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/** For each output position: the first input position, how many, and their weights at `position * stride`. */
interface Coefficients {
  readonly first: Int32Array
  readonly count: Int32Array
  readonly weights: Int32Array
  readonly stride: number
}

const fractionBits = 22
const half = 1 << (fractionBits - 1)

function cubic(x: number): number {
  const a = -0.5
  const d = Math.abs(x)
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a
  return 0
}

function coefficients(inSize: number, outSize: number): Coefficients {
  const scale = inSize / outSize
  const filterScale = Math.max(scale, 1)
  const support = 2 * filterScale
  const stride = Math.ceil(support) * 2 + 1
  const first = new Int32Array(outSize)
  const count = new Int32Array(outSize)
  const weights = new Int32Array(outSize * stride)
  const real = new Float64Array(stride)
  for (let position = 0; position < outSize; position++) {
    const center = (position + 0.5) * scale
    const start = Math.max(0, Math.trunc(center - support + 0.5))
    const n = Math.min(inSize, Math.trunc(center + support + 0.5)) - start
    let sum = 0
    for (let i = 0; i < n; i++) {
      real[i] = cubic((i + start - center + 0.5) * (1 / filterScale))
      sum += real[i]!
    }
    for (let i = 0; i < n; i++) {
      const fixed = (sum === 0 ? real[i]! : real[i]! / sum) * (1 << fractionBits)
      weights[position * stride + i] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5)
    }
    first[position] = start
    count[position] = n
  }
  return { first, count, weights, stride }
}

/** Resizes boxes of images; keeps its coefficients and its scratch image, so that a call allocates nothing. */
export class Resampler {
  private readonly known = new Map<number, Coefficients>()
  private scratch = new Uint8Array(0)

  private coefficients(inSize: number, outSize: number): Coefficients {
    const key = inSize * 65536 + outSize
    const found = this.known.get(key)
    if (found) return found
    if (this.known.size >= 4096) this.known.clear()
    const made = coefficients(inSize, outSize)
    this.known.set(key, made)
    return made
  }

  /** The box of `source` (rows of `sourceWidth` pixels) as `width x height` pixels in `out`. */
  resize(
    source: Uint8Array,
    sourceWidth: number,
    channels: number,
    box: Box,
    width: number,
    height: number,
    out: Uint8Array,
  ): void {
    const across = width !== box.width
    const down = height !== box.height
    const start = (box.top * sourceWidth + box.left) * channels
    const sourceStride = sourceWidth * channels
    if (!down) {
      if (across)
        horizontal(
          source,
          start,
          sourceStride,
          box.height,
          channels,
          this.coefficients(box.width, width),
          out,
        )
      else copy(source, start, sourceStride, box.height, width * channels, out)
      return
    }
    const rowBytes = width * channels
    const bytes = rowBytes * box.height
    if (this.scratch.length < bytes) this.scratch = new Uint8Array(bytes)
    const scratch = this.scratch
    if (across)
      horizontal(
        source,
        start,
        sourceStride,
        box.height,
        channels,
        this.coefficients(box.width, width),
        scratch,
      )
    else copy(source, start, sourceStride, box.height, rowBytes, scratch)
    vertical(scratch, rowBytes, this.coefficients(box.height, height), out)
  }
}

function copy(
  source: Uint8Array,
  start: number,
  stride: number,
  rows: number,
  rowBytes: number,
  out: Uint8Array,
) {
  for (let y = 0; y < rows; y++) {
    const from = start + y * stride
    for (let i = 0; i < rowBytes; i++) out[y * rowBytes + i] = source[from + i]!
  }
}

function horizontal(
  source: Uint8Array,
  start: number,
  sourceStride: number,
  rows: number,
  channels: number,
  { first, count, weights, stride }: Coefficients,
  out: Uint8Array,
) {
  const width = first.length
  let to = 0
  for (let y = 0; y < rows; y++) {
    const row = start + y * sourceStride
    if (channels === 3) {
      for (let x = 0; x < width; x++) {
        let from = row + first[x]! * 3
        const k = x * stride
        const end = k + count[x]!
        let r = half
        let g = half
        let b = half
        for (let i = k; i < end; i++) {
          const weight = weights[i]!
          r = (r + Math.imul(weight, source[from]!)) | 0
          g = (g + Math.imul(weight, source[from + 1]!)) | 0
          b = (b + Math.imul(weight, source[from + 2]!)) | 0
          from += 3
        }
        out[to] = clamp(r >> fractionBits)
        out[to + 1] = clamp(g >> fractionBits)
        out[to + 2] = clamp(b >> fractionBits)
        to += 3
      }
      continue
    }
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        const from = row + first[x]! * channels + c
        let sum = half
        for (let i = 0; i < count[x]!; i++)
          sum = (sum + Math.imul(weights[x * stride + i]!, source[from + i * channels]!)) | 0
        out[to++] = clamp(sum >> fractionBits)
      }
    }
  }
}

function vertical(
  source: Uint8Array,
  rowBytes: number,
  { first, count, weights, stride }: Coefficients,
  out: Uint8Array,
) {
  const height = first.length
  for (let y = 0; y < height; y++) {
    const k = y * stride
    const n = count[y]!
    const top = first[y]! * rowBytes
    const to = y * rowBytes
    for (let x = 0; x < rowBytes; x++) {
      let sum = half
      let from = top + x
      for (let i = k; i < k + n; i++) {
        sum = (sum + Math.imul(weights[i]!, source[from]!)) | 0
        from += rowBytes
      }
      out[to + x] = clamp(sum >> fractionBits)
    }
  }
}

function clamp(x: number): number {
  return x < 0 ? 0 : Math.min(x, 255)
}
