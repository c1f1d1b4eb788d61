import type { PosInterpolation } from '../../compiler/ir/types.js'

/**
 * Bicubic weights that take `size` positions to `out`, row-major [out, size] (golden/README "Position
 * interpolation"): half-pixel centres, a step of size / (out + offset). Without antialias the kernel has a = -0.75
 * and clamps its indices at the border; with it a = -0.5, widened by the step where that exceeds 1, cut at the
 * border and renormalised.
 */
export function interpolationWeights(
  size: number,
  out: number,
  offset: number,
  antialias: boolean,
): Float64Array {
  const weights = new Float64Array(out * size)
  const step = size / (out + offset)
  for (let i = 0; i < out; i++) {
    if (antialias) antialiased(weights, i, size, step)
    else clamped(weights, i, size, step)
  }
  return weights
}

function clamped(weights: Float64Array, i: number, size: number, step: number): void {
  const centre = (i + 0.5) * step - 0.5
  const base = Math.floor(centre)
  for (let tap = -1; tap <= 2; tap++) {
    const at = Math.min(Math.max(base + tap, 0), size - 1)
    const slot = i * size + at
    weights[slot] = weights[slot]! + cubic(centre - base - tap, -0.75)
  }
}

function antialiased(weights: Float64Array, i: number, size: number, step: number): void {
  const stretch = Math.max(step, 1)
  const centre = (i + 0.5) * step
  const from = Math.max(Math.trunc(centre - 2 * stretch + 0.5), 0)
  const to = Math.min(Math.trunc(centre + 2 * stretch + 0.5), size)
  let total = 0
  for (let j = from; j < to; j++) total += cubic((j + 0.5 - centre) / stretch, -0.5)
  for (let j = from; j < to; j++) weights[i * size + j] = cubic((j + 0.5 - centre) / stretch, -0.5) / total
}

/** Keys' cubic convolution kernel. */
function cubic(x: number, a: number): number {
  const t = Math.abs(x)
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1
  if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
  return 0
}

/** The whole map as a matrix [height*width, grid*grid]; the identity where the grid already fits. */
export function interpolationMatrix(a: PosInterpolation): Float64Array {
  const { grid, height, width } = a
  const cells = grid * grid
  const matrix = new Float64Array(height * width * cells)
  if (height === grid && width === grid) {
    for (let i = 0; i < cells; i++) matrix[i * cells + i] = 1
    return matrix
  }
  const rows = interpolationWeights(grid, height, a.offset, a.antialias)
  const columns = interpolationWeights(grid, width, a.offset, a.antialias)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let j = 0; j < grid; j++)
        for (let k = 0; k < grid; k++)
          matrix[(y * width + x) * cells + j * grid + k] = rows[y * grid + j]! * columns[x * grid + k]!
  return matrix
}
