import { EigenvalueDecomposition, Matrix } from 'ml-matrix'

/** A principal subspace: rows of `basis` [components, width] are unit vectors, by falling variance. */
export interface Basis {
  readonly width: number
  readonly components: number
  readonly mean: Float64Array
  readonly basis: Float64Array
}

/**
 * Principal components of n rows of `width` numbers. The sign of a component is free; here the element of largest
 * magnitude is positive (ties: the first), so that the same features always give the same picture.
 */
export function principalBasis(rows: Float32Array, width: number, components: number): Basis {
  const n = rows.length / width
  const mean = new Float64Array(width)
  for (let i = 0; i < rows.length; i++) mean[i % width]! += rows[i]! / n
  const covariance = Matrix.zeros(width, width)
  const centred = new Float64Array(width)
  for (let r = 0; r < n; r++) {
    for (let j = 0; j < width; j++) centred[j] = rows[r * width + j]! - mean[j]!
    for (let j = 0; j < width; j++) {
      const own = centred[j]! / n
      for (let k = j; k < width; k++) covariance.set(j, k, covariance.get(j, k) + own * centred[k]!)
    }
  }
  for (let j = 0; j < width; j++) for (let k = 0; k < j; k++) covariance.set(j, k, covariance.get(k, j))
  const vectors = new EigenvalueDecomposition(covariance, { assumeSymmetric: true }).eigenvectorMatrix
  const kept = Math.min(components, width)
  const basis = new Float64Array(kept * width)
  for (let c = 0; c < kept; c++) {
    const column = vectors.getColumn(width - 1 - c) // eigenvalues rise
    let largest = 0
    for (const [j, x] of column.entries()) if (Math.abs(x) > Math.abs(column[largest]!)) largest = j
    const sign = column[largest]! < 0 ? -1 : 1
    for (let j = 0; j < width; j++) basis[c * width + j] = sign * column[j]!
  }
  return { width, components: kept, mean, basis }
}

/** [n, width] -> [n, components] */
export function project(rows: Float32Array, b: Basis): Float64Array {
  const n = rows.length / b.width
  const out = new Float64Array(n * b.components)
  for (let r = 0; r < n; r++)
    for (let c = 0; c < b.components; c++) {
      let sum = 0
      for (let j = 0; j < b.width; j++)
        sum += (rows[r * b.width + j]! - b.mean[j]!) * b.basis[c * b.width + j]!
      out[r * b.components + c] = sum
    }
  return out
}

/**
 * The first three components of patch features as colours, [n, 3] bytes: each component stretched from its 2nd to
 * its 98th percentile over all patches given, so that images beside each other share one scale.
 */
export function componentColours(patches: Float32Array, width: number): Uint8Array {
  const projected = project(patches, principalBasis(patches, width, 3))
  const n = patches.length / width
  const components = projected.length / n
  const colours = new Uint8Array(n * 3)
  for (let c = 0; c < 3; c++) {
    const values = Float64Array.from({ length: n }, (_, r) =>
      c < components ? projected[r * components + c]! : 0,
    )
    const sorted = Float64Array.from(values).sort()
    const low = sorted[Math.floor(0.02 * (n - 1))]!
    const high = sorted[Math.ceil(0.98 * (n - 1))]!
    for (let r = 0; r < n; r++) {
      const share = high > low ? (values[r]! - low) / (high - low) : 0.5
      colours[r * 3 + c] = Math.round(255 * Math.min(Math.max(share, 0), 1))
    }
  }
  return colours
}
