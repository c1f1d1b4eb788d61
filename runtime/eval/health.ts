import { EigenvalueDecomposition, Matrix } from 'ml-matrix'
import { normalizeRows } from './knn.js'

/**
 * RankMe (Garrido et al., "RankMe: assessing the downstream performance of pretrained self-supervised representations
 * by their rank", ICML 2023): exp of the entropy of the singular values of `[rows, width]` divided by their sum. From 1
 * (every image has the same direction) to min(rows, width). Singular values are the roots of the eigenvalues of the
 * Gram matrix of columns.
 */
export function featureRank(features: Float32Array, width: number): number {
  const rows = features.length / width
  const gram = Array.from({ length: width }, () => new Float64Array(width))
  for (let row = 0; row < rows; row++) {
    const at = row * width
    for (let i = 0; i < width; i++) {
      const value = features[at + i]!
      const sums = gram[i]!
      for (let j = i; j < width; j++) sums[j]! += value * features[at + j]!
    }
  }
  const matrix = new Matrix(width, width)
  for (let i = 0; i < width; i++)
    for (let j = i; j < width; j++) {
      matrix.set(i, j, gram[i]![j]!)
      matrix.set(j, i, gram[i]![j]!)
    }
  const { realEigenvalues } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true })
  const singular = realEigenvalues.map((value) => Math.sqrt(Math.max(0, value)))
  const sum = singular.reduce((a, b) => a + b, 0)
  if (sum === 0) return 0
  let entropy = 0
  for (const value of singular) if (value > 0) entropy -= (value / sum) * Math.log(value / sum)
  return Math.exp(entropy)
}

/**
 * sqrt(width) times the mean over dims of the standard deviation of L2-normalised features: 0 where all images look
 * alike, near 1 where they fill the sphere.
 */
export function featureSpread(features: Float32Array, width: number): number {
  const rows = features.length / width
  const unit = normalizeRows(features, width)
  let total = 0
  for (let dim = 0; dim < width; dim++) {
    let sum = 0
    let squares = 0
    for (let at = dim; at < unit.length; at += width) {
      sum += unit[at]!
      squares += unit[at]! * unit[at]!
    }
    total += Math.sqrt(Math.max(0, squares / rows - (sum / rows) ** 2))
  }
  return (total / width) * Math.sqrt(width)
}
