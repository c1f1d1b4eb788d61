import type { CrossEntropy } from '../types.js'
import type { Args, Kernel } from './args.js'
import { addTo, dot, row } from './args.js'
import { l2NormalizeGradRow, logSumExp } from './norms.js'
import { timesTransposed } from './products.js'

export const sinkhorn: Kernel<'sinkhorn'> = (x, { iterations }) =>
  balanced(x.float(0), x.dim(0, 1), x.rows(2, x.dim(0, 0)), x.scalar(1), iterations)

export const streamedSinkhorn: Kernel<'streamed_sinkhorn'> = (x, { iterations }) =>
  balanced(products(x, 0), x.dim(1, 0), x.rows(3, x.dim(0, 0)), x.scalar(2), iterations)

/** Logits of rows over prototypes, operands `first` and the next. */
const products = (x: Args, first: number): Float64Array =>
  timesTransposed(x.float(first), x.float(first + 1), x.dim(first, 0), x.dim(first + 1, 0), x.dim(first, 1))

function balanced(
  z: Float64Array,
  K: number,
  rows: number,
  temp: number,
  iterations: number,
): readonly Float64Array[] {
  const bound = z.length / K
  const u = new Float64Array(bound)
  const v = new Float64Array(K)
  if (rows === 0) return [u, v]
  const scores = z.subarray(0, rows * K).map((logit) => logit / temp)
  for (let n = 0; n < iterations; n++) {
    const column = new Float64Array(rows)
    for (let k = 0; k < K; k++) {
      for (let b = 0; b < rows; b++) column[b] = (scores[b * K + k] as number) + (u[b] as number)
      v[k] = -Math.log(K) - logSumExp(column)
    }
    for (let b = 0; b < rows; b++) u[b] = -Math.log(rows) - rowLogSum(row(scores, b, K), v)
  }
  if (iterations === 0) u.fill(-logSumExp(scores), 0, rows)
  for (let b = 0; b < rows; b++) u[b] = (u[b] as number) + Math.log(rows)
  return [u, v]
}

export const sinkhornColumns: Kernel<'sinkhorn_columns'> = (x) => {
  const [bound, K] = [x.dim(0, 0), x.dim(0, 1)]
  const rows = x.rows(3, bound)
  const [z, u, temp] = [x.float(0), x.optionalFloat(1), x.scalar(2)]
  const column = new Float64Array(rows)
  return [
    Float64Array.from({ length: K }, (_, k) => {
      if (rows === 0) return Number.NEGATIVE_INFINITY
      for (let b = 0; b < rows; b++) column[b] = (z[b * K + k] as number) / temp + (u?.[b] ?? 0)
      return logSumExp(column)
    }),
  ]
}

export const sinkhornRows: Kernel<'sinkhorn_rows'> = (x) => {
  const [bound, K] = [x.dim(0, 0), x.dim(0, 1)]
  const [rows, temp] = [x.rows(3, bound), x.scalar(2)]
  const u = new Float64Array(bound)
  for (let b = 0; b < rows; b++)
    u[b] = -rowLogSum(
      row(x.float(0), b, K).map((z) => z / temp),
      x.float(1),
    )
  return [u]
}

/** Log of the sum of exp(scores + v). */
function rowLogSum(scores: Float64Array, v: Float64Array): number {
  return logSumExp(scores.map((s, k) => s + (v[k] as number)))
}

export const sharpenCenter: Kernel<'sharpen_center'> = (x) => sharpened(x.float(0), x.float(1), x.scalar(2))

export const streamedSharpenCenter: Kernel<'streamed_sharpen_center'> = (x) =>
  sharpened(products(x, 0), x.float(2), x.scalar(3))

function sharpened(z: Float64Array, center: Float64Array, temp: number): readonly Float64Array[] {
  const K = center.length
  const v = center.map((c) => -c / temp)
  const u = new Float64Array(z.length / K)
  for (let b = 0; b < u.length; b++)
    u[b] = -rowLogSum(
      row(z, b, K).map((logit) => logit / temp),
      v,
    )
  return [u, v]
}

/** One row of targets into `t`; returns the log targets beside. */
function targetRow(z: Float64Array, u: number, v: Float64Array, temp: number, t: Float64Array): void {
  for (let k = 0; k < z.length; k++) t[k] = Math.exp((z[k] as number) / temp + u + (v[k] as number))
}

export const makeTargets: Kernel<'make_targets'> = (x) => {
  const [rows, K] = [x.dim(0, 0), x.dim(0, 1)]
  const t = new Float64Array(rows * K)
  for (let b = 0; b < rows; b++)
    targetRow(row(x.float(0), b, K), x.float(1)[b] as number, x.float(2), x.scalar(3), row(t, b, K))
  return [t]
}

export const meanRows: Kernel<'mean_rows'> = (x) => [meanOf(x.float(0), x.dim(0, 1), x.rows(1, x.dim(0, 0)))]

/** The mean of products is the product of the mean. */
export const streamedMeanRows: Kernel<'streamed_mean_rows'> = (x) => {
  const [K, b] = [x.dim(1, 0), x.dim(1, 1)]
  return [timesTransposed(meanOf(x.float(0), b, x.rows(2, x.dim(0, 0))), x.float(1), 1, K, b)]
}

function meanOf(x: Float64Array, width: number, rows: number): Float64Array {
  const mean = new Float64Array(width)
  for (let r = 0; r < rows; r++) addTo(mean, row(x, r, width), 1 / rows)
  return mean
}

/** Teacher rows of a student row. */
function teacherRows(attrs: CrossEntropy, s: number): readonly number[] {
  const { pairing } = attrs
  switch (pairing.kind) {
    case 'same':
      return [s]
    case 'swap':
      return [s < pairing.images ? s + pairing.images : s - pairing.images]
    case 'each':
      return Array.from({ length: pairing.crops }, (_, t) => t * pairing.images + (s % pairing.images))
    default:
      return pairing satisfies never
  }
}

/** Where the student's logits and the teacher's targets come from, a row at a time into a buffer. */
interface Rows {
  readonly students: number
  readonly teachers: number
  readonly prototypes: number
  readonly logits: (s: number, into: Float64Array) => void
  readonly targets: (r: number, into: Float64Array) => void
}

/** Sum of the targets of a student row, into `into`; returns their mass (their number, for targets that sum to 1). */
function summedTargets(
  rows: Rows,
  attrs: CrossEntropy,
  s: number,
  t: Float64Array,
  into: Float64Array,
): number {
  into.fill(0)
  for (const r of teacherRows(attrs, s)) {
    rows.targets(r, t)
    addTo(into, t, 1)
  }
  let mass = 0
  for (let k = 0; k < into.length; k++) mass += into[k] as number
  return mass
}

function crossEntropy(rows: Rows, attrs: CrossEntropy, weights: Float64Array | null, bound: number) {
  const K = rows.prototypes
  const [x, t, sum] = [new Float64Array(K), new Float64Array(K), new Float64Array(K)]
  const lse = new Float64Array(bound)
  let loss = 0
  for (let s = 0; s < rows.students; s++) {
    rows.logits(s, x)
    for (let k = 0; k < K; k++) x[k] = (x[k] as number) / attrs.studentTemp
    const l = logSumExp(x)
    lse[s] = l
    const mass = summedTargets(rows, attrs, s, t, sum)
    loss += (weights?.[s] ?? 1) * (mass * l - dot(sum, x))
  }
  const results = [Float64Array.of(loss * attrs.scale), lse]
  if (!attrs.stats) return results
  const usage = new Float64Array(K)
  let entropy = 0
  for (let r = 0; r < rows.teachers; r++) {
    rows.targets(r, t)
    addTo(usage, t, 1 / rows.teachers)
    for (let k = 0; k < K; k++) {
      const p = t[k] as number
      if (p > 0) entropy -= (p * Math.log(p)) / rows.teachers
    }
  }
  return [...results, Float64Array.of(entropy), usage]
}

/** Gradients of the logits, one student row at a time. */
function logitGradients(
  rows: Rows,
  attrs: CrossEntropy,
  weights: Float64Array | null,
  dloss: number,
  lse: Float64Array,
  take: (s: number, g: Float64Array) => void,
): void {
  const K = rows.prototypes
  const [x, t, sum] = [new Float64Array(K), new Float64Array(K), new Float64Array(K)]
  for (let s = 0; s < rows.students; s++) {
    rows.logits(s, x)
    const mass = summedTargets(rows, attrs, s, t, sum)
    const factor = (dloss * attrs.scale * (weights?.[s] ?? 1)) / attrs.studentTemp
    const l = lse[s] as number
    for (let k = 0; k < K; k++)
      x[k] = factor * (mass * Math.exp((x[k] as number) / attrs.studentTemp - l) - (sum[k] as number))
    take(s, x)
  }
}

function storedRows(x: Args, logits: number, targets: number, rows: number): Rows {
  const K = x.dim(logits, 1)
  const [S, R] = [x.dim(logits, 0), x.dim(targets, 0)]
  return {
    students: x.rows(rows, S),
    teachers: x.rows(rows, R),
    prototypes: K,
    logits: (s, into) => into.set(row(x.float(logits), s, K)),
    targets: (r, into) => into.set(row(x.float(targets), r, K)),
  }
}

/** Operands x, w, z, u, v, temp from `first` on; with the teacher's features and prototypes in place of z, one more. */
function streamedRows(x: Args, first: number, teacher: 'logits' | 'features', rows: number): Rows {
  const [students, w] = [x.float(first), x.float(first + 1)]
  const z = teacher === 'logits' ? x.float(first + 2) : products(x, first + 2)
  const factors = first + (teacher === 'logits' ? 3 : 4)
  const [u, v, temp] = [x.float(factors), x.float(factors + 1), x.scalar(factors + 2)]
  const [S, b] = [x.dim(first, 0), x.dim(first, 1)]
  const [R, K] = [x.dim(first + 2, 0), x.dim(first + 1, 0)]
  return {
    students: x.rows(rows, S),
    teachers: x.rows(rows, R),
    prototypes: K,
    logits: (s, into) => into.set(timesTransposed(row(students, s, b), w, 1, K, b)),
    targets: (r, into) => targetRow(row(z, r, K), u[r] as number, v, temp, into),
  }
}

export const crossEntropyRows: Kernel<'cross_entropy_rows'> = (x, attrs) =>
  crossEntropy(storedRows(x, 0, 1, 3), attrs, x.optionalFloat(2), x.dim(0, 0))

export const crossEntropyRowsGrad: Kernel<'cross_entropy_rows_grad'> = (x, attrs) => {
  const K = x.dim(1, 1)
  const dlogits = new Float64Array(x.float(1).length)
  logitGradients(storedRows(x, 1, 2, 5), attrs, x.optionalFloat(4), x.scalar(0), x.float(3), (s, g) => {
    dlogits.set(g, s * K)
  })
  return [dlogits]
}

export const prototypeCrossEntropy: Kernel<'prototype_cross_entropy'> = (x, attrs) =>
  crossEntropy(streamedRows(x, 0, 'logits', 7), attrs, x.optionalFloat(6), x.dim(0, 0))

export const prototypeCrossEntropyGrad: Kernel<'prototype_cross_entropy_grad'> = (x, attrs) =>
  prototypeGradients(x, streamedRows(x, 1, 'logits', 9), attrs, x.optionalFloat(8), x.float(7))

export const streamedCrossEntropy: Kernel<'streamed_cross_entropy'> = (x, attrs) => {
  const rows = streamedRows(x, 0, 'features', 8)
  const results = crossEntropy(rows, attrs, x.optionalFloat(7), x.dim(0, 0))
  return results.map((result, i) => (i === 1 ? shiftOf(rows, attrs, result) : result))
}

export const streamedCrossEntropyGrad: Kernel<'streamed_cross_entropy_grad'> = (x, attrs) => {
  const rows = streamedRows(x, 1, 'features', 10)
  // What the gradient of the other form takes: lse = shift + log mass.
  const lse = shiftOf(rows, attrs, x.float(8), 1)
  return prototypeGradients(x, rows, attrs, x.optionalFloat(9), lse)
}

/** lse - log mass of every student row; with `sign` 1, lse + log mass. */
function shiftOf(rows: Rows, attrs: CrossEntropy, lse: Float64Array, sign = -1): Float64Array {
  const [t, sum] = [new Float64Array(rows.prototypes), new Float64Array(rows.prototypes)]
  return lse.map((l, s) =>
    s < rows.students ? l + sign * Math.log(summedTargets(rows, attrs, s, t, sum)) : 0,
  )
}

/** Gradients of x and w, operands 1 and 2, after dloss. */
function prototypeGradients(
  x: Args,
  rows: Rows,
  attrs: CrossEntropy,
  weights: Float64Array | null,
  lse: Float64Array,
): readonly Float64Array[] {
  const b = x.dim(1, 1)
  const [students, w] = [x.float(1), x.float(2)]
  const dx = new Float64Array(students.length)
  const dw = new Float64Array(w.length)
  logitGradients(rows, attrs, weights, x.scalar(0), lse, (s, g) => {
    for (let k = 0; k < g.length; k++) {
      addTo(row(dx, s, b), row(w, k, b), g[k] as number)
      addTo(row(dw, k, b), row(students, s, b), g[k] as number)
    }
  })
  return [dx, dw]
}

/** Rows divided by max(||x||, eps). */
function normalized(x: Float64Array, d: number, eps: number): Float64Array {
  const y = Float64Array.from(x)
  for (let i = 0; i < x.length / d; i++) {
    const own = row(y, i, d)
    const norm = Math.max(Math.sqrt(dot(own, own)), eps)
    for (let j = 0; j < d; j++) own[j] = (own[j] as number) / norm
  }
  return y
}

export const koleo: Kernel<'koleo'> = (x, { set, eps, scale }) => {
  const [rows, d] = [x.dim(0, 0), x.dim(0, 1)]
  const y = normalized(x.float(0), d, eps)
  const neighbour = new Int32Array(rows)
  let loss = 0
  for (let i = 0; i < rows; i++) {
    const first = i - (i % set)
    let best = Number.NEGATIVE_INFINITY
    for (let j = first; j < first + set; j++) {
      const near = i === j ? -1 : dot(row(y, i, d), row(y, j, d))
      if (near > best) {
        best = near
        neighbour[i] = j
      }
    }
    loss -= scale * Math.log(distance(y, i, neighbour[i] as number, d, eps) + eps)
  }
  return [Float64Array.of(loss), neighbour]
}

function distance(y: Float64Array, i: number, j: number, d: number, eps: number): number {
  let squares = 0
  for (let k = 0; k < d; k++) squares += ((y[i * d + k] as number) - (y[j * d + k] as number) + eps) ** 2
  return Math.sqrt(squares)
}

export const koleoGrad: Kernel<'koleo_grad'> = (x, { eps, scale }) => {
  const [rows, d] = [x.dim(1, 0), x.dim(1, 1)]
  const neighbour = x.int(2)
  const y = normalized(x.float(1), d, eps)
  const dy = new Float64Array(rows * d)
  for (let i = 0; i < rows; i++) {
    const j = neighbour[i] as number
    const far = distance(y, i, j, d, eps)
    if (far === 0) continue
    const factor = (-x.scalar(0) * scale) / ((far + eps) * far)
    for (let k = 0; k < d; k++) {
      const g = factor * ((y[i * d + k] as number) - (y[j * d + k] as number) + eps)
      dy[i * d + k] = (dy[i * d + k] as number) + g
      dy[j * d + k] = (dy[j * d + k] as number) - g
    }
  }
  const dx = new Float64Array(rows * d)
  for (let i = 0; i < rows; i++) l2NormalizeGradRow(row(dy, i, d), row(x.float(1), i, d), eps, row(dx, i, d))
  return [dx]
}

export const weightedSum: Kernel<'weighted_sum'> = (x, { coefficients }) => [
  Float64Array.of(coefficients.reduce((sum, c, i) => sum + c * x.scalar(i), 0)),
]
