/**
 * Gaussian blur as torchvision's GaussianBlur: a `kernel` of odd length per direction, normalised, reflected at the
 * borders without repeating the edge, the sum rounded to 8 bits once (halves to even). The two directions are applied
 * one after the other in floating point, which is the same product of kernels.
 */
export class Blur {
  private row = new Float64Array(0)
  private scratch = new Float64Array(0)
  /** From the centre outwards, of the sigma that was last set. */
  readonly weights: Float64Array

  constructor(private readonly kernel: number) {
    this.weights = new Float64Array((kernel + 1) / 2)
  }

  setSigma(sigma: number): void {
    const { weights } = this
    let sum = 0
    for (let i = 0; i < weights.length; i++) {
      weights[i] = Math.exp(-0.5 * (i / sigma) ** 2)
      sum += weights[i]! * (i === 0 ? 1 : 2)
    }
    for (let i = 0; i < weights.length; i++) weights[i]! /= sum
  }

  /** In place on an interleaved image of `width x height` pixels. */
  apply(image: Uint8Array, width: number, height: number, channels: number): void {
    const radius = (this.kernel - 1) / 2
    const rowLength = width * channels
    if (this.scratch.length < rowLength * height) this.scratch = new Float64Array(rowLength * height)
    if (this.row.length < (width + 2 * radius) * channels)
      this.row = new Float64Array((width + 2 * radius) * channels)
    this.across(image, width, height, channels, radius)
    this.down(image, rowLength, height, radius)
  }

  private across(image: Uint8Array, width: number, height: number, channels: number, radius: number) {
    const { weights, row, scratch } = this
    const rowLength = width * channels
    const border = radius * channels
    const center = weights[0]!
    for (let y = 0; y < height; y++) {
      const start = y * rowLength
      for (let i = 0; i < rowLength; i++) row[border + i] = image[start + i]!
      for (let x = 1; x <= radius; x++) {
        const left = reflect(-x, width) * channels
        const right = reflect(width - 1 + x, width) * channels
        for (let c = 0; c < channels; c++) {
          row[border - x * channels + c] = image[start + left + c]!
          row[border + (width - 1 + x) * channels + c] = image[start + right + c]!
        }
      }
      for (let i = 0; i < rowLength; i++) {
        const at = border + i
        let sum = center * row[at]!
        for (let k = 1, step = channels; k <= radius; k++, step += channels)
          sum += weights[k]! * (row[at - step]! + row[at + step]!)
        scratch[start + i] = sum
      }
    }
  }

  private down(image: Uint8Array, rowLength: number, height: number, radius: number) {
    const { weights, scratch, row } = this
    const center = weights[0]!
    for (let y = 0; y < height; y++) {
      const start = y * rowLength
      for (let i = 0; i < rowLength; i++) row[i] = center * scratch[start + i]!
      for (let k = 1; k <= radius; k++) {
        const weight = weights[k]!
        const above = reflect(y - k, height) * rowLength
        const below = reflect(y + k, height) * rowLength
        for (let i = 0; i < rowLength; i++) row[i]! += weight * (scratch[above + i]! + scratch[below + i]!)
      }
      for (let i = 0; i < rowLength; i++) image[start + i] = roundToByte(row[i]!)
    }
  }
}

/** -1 -> 1, size -> size - 2; bounces as often as needed in images smaller than the kernel. */
function reflect(i: number, size: number): number {
  if (size === 1) return 0
  const period = 2 * (size - 1)
  const inside = ((i % period) + period) % period
  return inside < size ? inside : period - inside
}

function roundToByte(x: number): number {
  const rounded = (x + 0.5) | 0
  return rounded - x === 0.5 && (rounded & 1) === 1 ? rounded - 1 : Math.min(rounded, 255)
}
