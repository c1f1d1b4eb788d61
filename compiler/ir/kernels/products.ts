import type { Kernel } from './args.js'
import { geluSlope, gelu as geluValue } from './erf.js'

/** c [m, n] = a [m, k] times the transpose of b [n, k]: 4 x 4 sums at a time. */
export function timesTransposed(
  a: Float64Array,
  b: Float64Array,
  m: number,
  n: number,
  k: number,
): Float64Array {
  const c = new Float64Array(m * n)
  const m4 = m - (m % 4)
  const n4 = n - (n % 4)
  for (let i = 0; i < m4; i += 4) {
    const a0 = i * k
    const a1 = a0 + k
    const a2 = a1 + k
    const a3 = a2 + k
    for (let j = 0; j < n4; j += 4) {
      const b0 = j * k
      const b1 = b0 + k
      const b2 = b1 + k
      const b3 = b2 + k
      let s00 = 0,
        s01 = 0,
        s02 = 0,
        s03 = 0
      let s10 = 0,
        s11 = 0,
        s12 = 0,
        s13 = 0
      let s20 = 0,
        s21 = 0,
        s22 = 0,
        s23 = 0
      let s30 = 0,
        s31 = 0,
        s32 = 0,
        s33 = 0
      for (let p = 0; p < k; p++) {
        const x0 = a[a0 + p] as number
        const x1 = a[a1 + p] as number
        const x2 = a[a2 + p] as number
        const x3 = a[a3 + p] as number
        const y0 = b[b0 + p] as number
        const y1 = b[b1 + p] as number
        const y2 = b[b2 + p] as number
        const y3 = b[b3 + p] as number
        s00 += x0 * y0
        s01 += x0 * y1
        s02 += x0 * y2
        s03 += x0 * y3
        s10 += x1 * y0
        s11 += x1 * y1
        s12 += x1 * y2
        s13 += x1 * y3
        s20 += x2 * y0
        s21 += x2 * y1
        s22 += x2 * y2
        s23 += x2 * y3
        s30 += x3 * y0
        s31 += x3 * y1
        s32 += x3 * y2
        s33 += x3 * y3
      }
      let o = i * n + j
      c[o] = s00
      c[o + 1] = s01
      c[o + 2] = s02
      c[o + 3] = s03
      o += n
      c[o] = s10
      c[o + 1] = s11
      c[o + 2] = s12
      c[o + 3] = s13
      o += n
      c[o] = s20
      c[o + 1] = s21
      c[o + 2] = s22
      c[o + 3] = s23
      o += n
      c[o] = s30
      c[o + 1] = s31
      c[o + 2] = s32
      c[o + 3] = s33
    }
  }
  for (let i = 0; i < m; i++)
    for (let j = i < m4 ? n4 : 0; j < n; j++) {
      let sum = 0
      for (let p = 0; p < k; p++) sum += (a[i * k + p] as number) * (b[j * k + p] as number)
      c[i * n + j] = sum
    }
  return c
}

/** [rows, columns] -> [columns, rows] */
export function transposed(x: Float64Array, rows: number, columns: number): Float64Array {
  const y = new Float64Array(rows * columns)
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) y[j * rows + i] = x[i * columns + j] as number
  return y
}

/** op(a) op(b), [m, n], contracted over p. */
export function product(
  a: Float64Array,
  b: Float64Array,
  [m, n, p]: readonly [number, number, number],
  transA: boolean,
  transB: boolean,
): Float64Array {
  return timesTransposed(transA ? transposed(a, p, m) : a, transB ? b : transposed(b, p, n), m, n, p)
}

export const linear: Kernel<'linear'> = (x, { activation }) => {
  const [rows, inner] = [x.dim(0, 0), x.dim(0, 1)]
  const out = x.dim(1, 0)
  const y = timesTransposed(x.float(0), x.float(1), rows, out, inner)
  const bias = x.optionalFloat(2)
  if (bias)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < out; j++) y[i * out + j] = (y[i * out + j] as number) + (bias[j] as number)
  return activation === 'gelu' ? [y.map(geluValue), y] : [y]
}

export const matmul: Kernel<'matmul'> = (x, { transA, transB, epilogue }) => {
  const [bound, m] = transA ? [x.dim(0, 0), x.dim(0, 1)] : [x.dim(0, 1), x.dim(0, 0)]
  const n = transB ? x.dim(1, 0) : x.dim(1, 1)
  const p = x.rows(4, bound)
  const a = transA ? x.float(0).subarray(0, p * m) : x.float(0)
  const b = transB || p === bound ? x.float(1) : x.float(1).subarray(0, p * n)
  const y = product(a, transB && p < bound ? firstColumns(b, n, bound, p) : b, [m, n, p], transA, transB)
  const c = x.optionalFloat(2)
  if (c) for (let i = 0; i < y.length; i++) y[i] = (y[i] as number) + (c[i] as number)
  const pre = epilogue === 'gelu_grad' ? x.float(3) : null
  if (pre) for (let i = 0; i < y.length; i++) y[i] = (y[i] as number) * geluSlope(pre[i] as number)
  return [y]
}

function firstColumns(x: Float64Array, rows: number, columns: number, kept: number): Float64Array {
  const y = new Float64Array(rows * kept)
  for (let i = 0; i < rows; i++) y.set(x.subarray(i * columns, i * columns + kept), i * kept)
  return y
}

export const batchMatmul: Kernel<'batch_matmul'> = (x, { transA, transB, scale }) => {
  const [batch, m, n] = (x.results[0] as { shape: readonly number[] }).shape as [number, number, number]
  const p = x.dim(0, transA ? 1 : 2)
  const y = new Float64Array(batch * m * n)
  for (let i = 0; i < batch; i++) {
    const a = x.float(0).subarray(i * m * p, (i + 1) * m * p)
    const b = x.float(1).subarray(i * n * p, (i + 1) * n * p)
    y.set(product(a, b, [m, n, p], transA, transB), i * m * n)
  }
  return [scale === 1 ? y : y.map((v) => v * scale)]
}

export const sumRows: Kernel<'sum_rows'> = (x) => {
  const d = x.dim(0, 1)
  const rows = x.rows(1, x.dim(0, 0))
  const data = x.float(0)
  const sum = new Float64Array(d)
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < d; j++) sum[j] = (sum[j] as number) + (data[i * d + j] as number)
  return [sum]
}
