/**
 * Weighted k-nearest-neighbour classification (dinov2/eval/knn.py): similarities are dot products of L2-normalised
 * features, in float64 over float32 features; ties go to the lower index. The vote weighs the `max(k)` nearest by a
 * softmax of similarity / temperature, and each k takes the first k of these weights *without* normalising again.
 */
export interface Neighbours {
  /** How many of each row. */
  readonly k: number
  /** `[tests, k]`, nearest first: rows of the training features. */
  readonly indices: Int32Array
  /** `[tests, k]` */
  readonly similarities: Float64Array
}

/** Rows divided by max(their norm, 1e-12), in float64. */
export function normalizeRows(features: ArrayLike<number>, width: number): Float64Array {
  const out = new Float64Array(features)
  for (let start = 0; start + width <= out.length; start += width) {
    let squares = 0
    for (let i = start; i < start + width; i++) squares += out[i]! * out[i]!
    const norm = Math.max(Math.sqrt(squares), 1e-12)
    for (let i = start; i < start + width; i++) out[i]! /= norm
  }
  return out
}

/** The `k` training rows (all, where there are fewer) with the largest dot product with each test row. */
export function nearest(
  train: ArrayLike<number>,
  test: ArrayLike<number>,
  width: number,
  most: number,
): Neighbours {
  const doubles = (rows: ArrayLike<number>) => (rows instanceof Float64Array ? rows : new Float64Array(rows))
  const [a, b] = [doubles(train), doubles(test)]
  const trainRows = a.length / width
  const testRows = b.length / width
  const k = Math.min(most, trainRows)
  const indices = new Int32Array(testRows * k)
  const similarities = new Float64Array(testRows * k).fill(Number.NEGATIVE_INFINITY)
  if (k === 0) return { k, indices, similarities }
  // Training rows in blocks that stay in the cache while all tests pass over them, in ascending order of rows.
  const block = Math.max(1, Math.floor(16384 / width))
  for (let first = 0; first < trainRows; first += block) {
    const end = Math.min(trainRows, first + block)
    for (let row = 0; row < testRows; row++) {
      const at = row * width
      for (let candidate = first; candidate < end; candidate++) {
        const from = candidate * width
        let dot = 0
        for (let i = 0; i < width; i++) dot += a[from + i]! * b[at + i]!
        if (dot > similarities[row * k + k - 1]!) insert(indices, similarities, row * k, k, candidate, dot)
      }
    }
  }
  return { k, indices, similarities }
}

function insert(
  indices: Int32Array,
  similarities: Float64Array,
  start: number,
  k: number,
  index: number,
  dot: number,
) {
  let place = start + k - 1
  // Strictly greater: an equal one that came before has the lower index and stays ahead.
  while (place > start && dot > similarities[place - 1]!) {
    similarities[place] = similarities[place - 1]!
    indices[place] = indices[place - 1]!
    place--
  }
  similarities[place] = dot
  indices[place] = index
}

export interface Vote {
  /** `[tests, k]`: softmax of similarity / temperature over all k neighbours. */
  readonly weights: Float64Array
  readonly neighbours: Neighbours
}

export function vote(neighbours: Neighbours, temperature: number): Vote {
  const { k, similarities } = neighbours
  const weights = new Float64Array(similarities.length)
  for (let start = 0; start < similarities.length; start += k) {
    let sum = 0
    for (let i = start; i < start + k; i++) {
      const weight = Math.exp((similarities[i]! - similarities[start]!) / temperature)
      weights[i] = weight
      sum += weight
    }
    for (let i = start; i < start + k; i++) weights[i]! /= sum
  }
  return { weights, neighbours }
}

/** Class scores of one test row from its first `k` neighbours, added to `scores` (zeroed by the caller). */
export function classScores(
  { weights, neighbours }: Vote,
  row: number,
  k: number,
  trainLabels: ArrayLike<number>,
  scores: Float64Array,
): Float64Array {
  const start = row * neighbours.k
  for (let i = start; i < start + Math.min(k, neighbours.k); i++)
    scores[trainLabels[neighbours.indices[i]!]!]! += weights[i]!
  return scores
}

/**
 * The place of each test row's true class in the order of scores, from 0: it is right at top n if the place is
 * below n. Equal scores stand in order of classes.
 */
export function classRanks(
  votes: Vote,
  k: number,
  trainLabels: ArrayLike<number>,
  testLabels: ArrayLike<number>,
  classes: number,
): Int32Array {
  const ranks = new Int32Array(testLabels.length)
  const scores = new Float64Array(classes)
  for (let row = 0; row < ranks.length; row++) {
    classScores(votes, row, k, trainLabels, scores.fill(0))
    const label = testLabels[row]!
    let rank = 0
    for (let c = 0; c < classes; c++)
      if (scores[c]! > scores[label]! || (c < label && scores[c] === scores[label])) rank++
    ranks[row] = rank
  }
  return ranks
}

/** Share of rows whose true class is among the first `n`. */
export function topAccuracy(ranks: Int32Array, n: number): number {
  let right = 0
  for (const rank of ranks) if (rank < n) right++
  return ranks.length === 0 ? Number.NaN : right / ranks.length
}
