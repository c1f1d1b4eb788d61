import type { AdamW } from '../types.js'
import type { Data, Kernel } from './args.js'
import { dot } from './args.js'

export const norm: Kernel<'norm'> = (x) => [
  Float64Array.of(Math.sqrt(x.all.reduce((sum, g) => sum + dot(g as Float64Array, g as Float64Array), 0))),
]

export const squareSum: Kernel<'square_sum'> = (x) => [
  Float64Array.of(x.all.reduce((sum, g) => sum + dot(g as Float64Array, g as Float64Array), 0)),
]

export const sqrt: Kernel<'sqrt'> = (x) => [x.float(0).map(Math.sqrt)]

export const finite: Kernel<'finite'> = (x) => [
  Float64Array.of(x.all.every((s) => Number.isFinite(s[0])) ? 1 : 0),
]

export const clipFactor: Kernel<'clip_factor'> = (x, { max }) => [
  Float64Array.of(Math.min(1, max / (x.scalar(0) + 1e-6))),
]

interface Rates {
  readonly lr: number
  readonly wd: number
  readonly step: number
  readonly clip: number
}

/** New p, m, v of one parameter (golden/README "Step"; Loshchilov & Hutter 2019). */
function adamwStep(
  [p, g, m, v]: readonly [Float64Array, Float64Array, Float64Array, Float64Array],
  { beta1, beta2, eps, lrMultiplier, wdMultiplier }: AdamW,
  { lr, wd, step, clip }: Rates,
): readonly [Float64Array, Float64Array, Float64Array] {
  const rate = lr * lrMultiplier
  const keep = 1 - rate * wd * wdMultiplier
  const bias1 = 1 - beta1 ** step
  const bias2 = 1 - beta2 ** step
  const [np, nm, nv] = [new Float64Array(p.length), new Float64Array(p.length), new Float64Array(p.length)]
  for (let i = 0; i < p.length; i++) {
    const gi = (g[i] as number) * clip
    const mi = beta1 * (m[i] as number) + (1 - beta1) * gi
    const vi = beta2 * (v[i] as number) + (1 - beta2) * gi * gi
    nm[i] = mi
    nv[i] = vi
    np[i] = (p[i] as number) * keep - (rate * (mi / bias1)) / (Math.sqrt(vi / bias2) + eps)
  }
  return [np, nm, nv]
}

const average = (t: Float64Array, s: Float64Array, momentum: number) =>
  t.map((old, i) => momentum * old + (1 - momentum) * (s[i] as number))

export const adamw: Kernel<'adamw'> = (x, attrs) => {
  const [p, g, m, v] = [x.float(0), x.float(1), x.float(2), x.float(3)]
  if (x.scalar(8) === 0) return [p, m, v]
  const clip = x.optionalFloat(7)?.[0] ?? 1
  return adamwStep([p, g, m, v], attrs, { lr: x.scalar(4), wd: x.scalar(5), step: x.scalar(6), clip })
}

export const ema: Kernel<'ema'> = (x) =>
  x.scalar(3) === 0 ? [x.float(0)] : [average(x.float(0), x.float(1), x.scalar(2))]

export const adamwEma: Kernel<'adamw_ema'> = (x, attrs) => {
  const [p, g, m, v, t] = [x.float(0), x.float(1), x.float(2), x.float(3), x.float(4)]
  if (x.scalar(10) === 0) return [p, m, v, t]
  const clip = x.optionalFloat(9)?.[0] ?? 1
  const rates = { lr: x.scalar(5), wd: x.scalar(6), step: x.scalar(7), clip }
  const [np, nm, nv] = adamwStep([p, g, m, v], attrs, rates)
  return [np, nm, nv, average(t, np, x.scalar(8))]
}

export const updateCenter: Kernel<'update_center'> = (x, { momentum }) =>
  x.scalar(2) === 0 || x.optionalInt(3)?.[0] === 0
    ? [x.float(0)]
    : [average(x.float(0), x.float(1), momentum)]

export const accumulate: Kernel<'accumulate'> = (x) => {
  const [acc, value] = x.all as readonly [Data, Data]
  if (x.scalar(2) === 1) return [value]
  const sum = value.slice()
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (acc[i] as number)
  return [sum]
}
