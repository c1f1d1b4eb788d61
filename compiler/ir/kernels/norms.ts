import type { Data, Kernel } from './args.js'
import { dot, row } from './args.js'
import { geluSlope, gelu as geluValue } from './erf.js'

/** y = (x - mean) * rstd * w + b by rows; mean and rstd given. */
function affine(
  x: Float64Array,
  mean: Float64Array,
  rstd: Float64Array,
  w: Float64Array,
  b: Float64Array,
): Float64Array {
  const d = w.length
  const y = new Float64Array(x.length)
  for (let i = 0; i < mean.length; i++)
    for (let j = 0; j < d; j++)
      y[i * d + j] =
        ((x[i * d + j] as number) - (mean[i] as number)) * (rstd[i] as number) * (w[j] as number) +
        (b[j] as number)
  return y
}

export const layerNorm: Kernel<'layer_norm'> = (x, { eps }) => {
  const [rows, d] = [x.dim(0, 0), x.dim(0, 1)]
  const data = x.float(0)
  const mean = new Float64Array(rows)
  const rstd = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    let sum = 0
    for (let j = 0; j < d; j++) sum += data[i * d + j] as number
    const m = sum / d
    let squares = 0
    for (let j = 0; j < d; j++) squares += ((data[i * d + j] as number) - m) ** 2
    mean[i] = m
    rstd[i] = 1 / Math.sqrt(squares / d + eps)
  }
  return [affine(data, mean, rstd, x.float(1), x.float(2)), mean, rstd]
}

export const layerNormRebuild: Kernel<'layer_norm_rebuild'> = (x) => [
  affine(x.float(0), x.float(1), x.float(2), x.float(3), x.float(4)),
]

export const layerNormGrad: Kernel<'layer_norm_grad'> = (x) => {
  const [rows, d] = [x.dim(0, 0), x.dim(0, 1)]
  const [dy, data, mean, rstd, w] = [x.float(0), x.float(1), x.float(2), x.float(3), x.float(4)]
  const dx = new Float64Array(rows * d)
  const dw = new Float64Array(d)
  const db = new Float64Array(d)
  for (let i = 0; i < rows; i++) {
    const m = mean[i] as number
    const r = rstd[i] as number
    let sum = 0
    let withX = 0
    for (let j = 0; j < d; j++) {
      const g = dy[i * d + j] as number
      const normed = ((data[i * d + j] as number) - m) * r
      dw[j] = (dw[j] as number) + g * normed
      db[j] = (db[j] as number) + g
      sum += g * (w[j] as number)
      withX += g * (w[j] as number) * normed
    }
    for (let j = 0; j < d; j++) {
      const normed = ((data[i * d + j] as number) - m) * r
      dx[i * d + j] = r * ((dy[i * d + j] as number) * (w[j] as number) - sum / d - (normed * withX) / d)
    }
  }
  return [dx, dw, db]
}

export const gelu: Kernel<'gelu'> = (x) => {
  const y = x.float(0).slice()
  for (let i = 0; i < y.length; i++) y[i] = geluValue(y[i] as number)
  return [y]
}

export const geluGrad: Kernel<'gelu_grad'> = (x) => {
  const data = x.float(1)
  const dx = x.float(0).slice()
  for (let i = 0; i < dx.length; i++) dx[i] = (dx[i] as number) * geluSlope(data[i] as number)
  return [dx]
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

export const siluGate: Kernel<'silu_gate'> = (x) => {
  const [rows, h] = [x.dim(0, 0), x.dim(0, 1) / 2]
  const data = x.float(0)
  const y = new Float64Array(rows * h)
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < h; j++) {
      const a = data[2 * i * h + j] as number
      y[i * h + j] = a * sigmoid(a) * (data[(2 * i + 1) * h + j] as number)
    }
  return [y]
}

export const siluGateGrad: Kernel<'silu_gate_grad'> = (x) => {
  const [rows, h] = [x.dim(0, 0), x.dim(0, 1)]
  const [dy, data] = [x.float(0), x.float(1)]
  const dx = new Float64Array(2 * rows * h)
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < h; j++) {
      const a = data[2 * i * h + j] as number
      const s = sigmoid(a)
      const g = dy[i * h + j] as number
      dx[2 * i * h + j] = g * (data[(2 * i + 1) * h + j] as number) * s * (1 + a * (1 - s))
      dx[(2 * i + 1) * h + j] = g * a * s
    }
  return [dx]
}

export const layerScale: Kernel<'layer_scale'> = (x) => {
  const [data, gamma] = [x.float(0), x.float(1)]
  const d = gamma.length
  const y = new Float64Array(data.length)
  for (let i = 0; i < data.length; i += d)
    for (let j = 0; j < d; j++) y[i + j] = (data[i + j] as number) * (gamma[j] as number)
  return [y]
}

export const layerScaleGrad: Kernel<'layer_scale_grad'> = (x) => {
  const [dy, data, gamma] = [x.float(0), x.float(1), x.float(2)]
  const d = gamma.length
  const dx = new Float64Array(dy.length)
  const dgamma = new Float64Array(d)
  for (let i = 0; i < dy.length; i += d)
    for (let j = 0; j < d; j++) {
      const g = dy[i + j] as number
      dx[i + j] = g * (gamma[j] as number)
      dgamma[j] = (dgamma[j] as number) + g * (data[i + j] as number)
    }
  return [dx, dgamma]
}

export const l2Normalize: Kernel<'l2_normalize'> = (x, { eps }) => {
  const d = x.dim(0, 1)
  const y = Float64Array.from(x.float(0))
  for (let i = 0; i < x.dim(0, 0); i++) {
    const own = row(y, i, d)
    const norm = Math.max(Math.sqrt(dot(own, own)), eps)
    for (let j = 0; j < d; j++) own[j] = (own[j] as number) / norm
  }
  return [y]
}

/** Gradient of x / max(||x||, eps) at one row, into dx. Below eps the divisor is a constant. */
export function l2NormalizeGradRow(dy: Float64Array, x: Float64Array, eps: number, dx: Float64Array): void {
  const norm = Math.sqrt(dot(x, x))
  const along = norm >= eps ? dot(dy, x) / (norm * norm) : 0
  const divisor = Math.max(norm, eps)
  for (let j = 0; j < x.length; j++) dx[j] = ((dy[j] as number) - along * (x[j] as number)) / divisor
}

export const l2NormalizeGrad: Kernel<'l2_normalize_grad'> = (x, { eps }) => {
  const d = x.dim(0, 1)
  const dx = new Float64Array(x.float(0).length)
  for (let i = 0; i < x.dim(0, 0); i++)
    l2NormalizeGradRow(row(x.float(0), i, d), row(x.float(1), i, d), eps, row(dx, i, d))
  return [dx]
}

export const weightNorm: Kernel<'weight_norm'> = (x) => {
  const d = x.dim(0, 1)
  const g = x.float(1)
  const w = Float64Array.from(x.float(0))
  for (let k = 0; k < g.length; k++) {
    const own = row(w, k, d)
    const factor = (g[k] as number) / Math.sqrt(dot(own, own))
    for (let j = 0; j < d; j++) own[j] = (own[j] as number) * factor
  }
  return [w]
}

export const weightNormGrad: Kernel<'weight_norm_grad'> = (x) => {
  const d = x.dim(0, 1)
  const g = x.float(2)
  const dv = new Float64Array(g.length * d)
  const dg = new Float64Array(g.length)
  for (let k = 0; k < g.length; k++) {
    const dw = row(x.float(0), k, d)
    const v = row(x.float(1), k, d)
    const norm = Math.sqrt(dot(v, v))
    const along = dot(dw, v) / norm
    dg[k] = along
    const own = row(dv, k, d)
    for (let j = 0; j < d; j++)
      own[j] = ((g[k] as number) / norm) * ((dw[j] as number) - (along / norm) * (v[j] as number))
  }
  return [dv, dg]
}

export const softmax: Kernel<'softmax'> = (x) => {
  const n = x.type(0).shape.at(-1) as number
  const y = Float64Array.from(x.float(0))
  for (let i = 0; i < y.length / n; i++) softmaxRow(row(y, i, n))
  return [y]
}

/** In place; returns the log of the sum of exponentials. */
export function softmaxRow(x: Float64Array): number {
  const lse = logSumExp(x)
  for (let j = 0; j < x.length; j++) x[j] = Math.exp((x[j] as number) - lse)
  return lse
}

export function logSumExp(x: Float64Array): number {
  let max = Number.NEGATIVE_INFINITY
  for (let j = 0; j < x.length; j++) if ((x[j] as number) > max) max = x[j] as number
  let sum = 0
  for (let j = 0; j < x.length; j++) sum += Math.exp((x[j] as number) - max)
  return max + Math.log(sum)
}

export const softmaxGrad: Kernel<'softmax_grad'> = (x) => {
  const n = x.type(0).shape.at(-1) as number
  const dx = new Float64Array(x.float(0).length)
  for (let i = 0; i < dx.length / n; i++) {
    const dy = row(x.float(0), i, n)
    const y = row(x.float(1), i, n)
    const sum = dot(dy, y)
    for (let j = 0; j < n; j++) dx[i * n + j] = (y[j] as number) * ((dy[j] as number) - sum)
  }
  return [dx]
}

export const add: Kernel<'add'> = (x) => {
  const [a, b] = [x.all[0] as Data, x.all[1] as Data]
  const y = a.slice()
  for (let i = 0; i < y.length; i++) y[i] = (y[i] as number) + (b[i] as number)
  return [y]
}

export const scale: Kernel<'scale'> = (x, { factor }) => {
  const y = x.float(0).slice()
  for (let i = 0; i < y.length; i++) y[i] = (y[i] as number) * factor
  return [y]
}

export const fill: Kernel<'fill'> = (_, { value, type }) => {
  const size = type.shape.reduce((n, s) => n * s, 1)
  return [type.dtype === 'i32' ? new Int32Array(size).fill(value) : new Float64Array(size).fill(value)]
}

export const cast: Kernel<'cast'> = (x, { to }) => {
  const data = x.all[0] as Float64Array | Int32Array
  return [to === 'i32' ? Int32Array.from(data) : Float64Array.from(data)]
}
