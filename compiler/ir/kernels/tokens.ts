import { diagnose } from '../../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../../diagnostics/diagnostic.js'
import type { OpAttrs } from '../types.js'
import type { Args, Kernel } from './args.js'
import { addTo, row } from './args.js'

export const patchify: Kernel<'patchify'> = (x, { patch }) => {
  const [n, c, h, w] = x.type(0).shape as [number, number, number, number]
  const images = x.float(0)
  const y = new Float64Array(images.length)
  const across = w / patch
  const width = c * patch * patch
  for (let i = 0; i < n; i++)
    for (let ch = 0; ch < c; ch++)
      for (let py = 0; py < h; py++)
        for (let px = 0; px < w; px++) {
          const patchRow = (i * (h / patch) + Math.floor(py / patch)) * across + Math.floor(px / patch)
          const column = (ch * patch + (py % patch)) * patch + (px % patch)
          y[patchRow * width + column] = images[((i * c + ch) * h + py) * w + px] as number
        }
  return [y]
}

export const replaceMasked: Kernel<'replace_masked'> = (x) => {
  const [token, mask] = [x.float(1), x.int(2)]
  const y = Float64Array.from(x.float(0))
  for (let i = 0; i < mask.length; i++) if (mask[i]) y.set(token, i * token.length)
  return [y]
}

export const replaceMaskedGrad: Kernel<'replace_masked_grad'> = (x) => {
  const mask = x.int(1)
  const d = x.dim(0, 1)
  const dx = Float64Array.from(x.float(0))
  const dtoken = new Float64Array(d)
  for (let i = 0; i < mask.length; i++)
    if (mask[i]) {
      addTo(dtoken, row(dx, i, d), 1)
      row(dx, i, d).fill(0)
    }
  return [dx, dtoken]
}

export const assembleTokens: Kernel<'assemble_tokens'> = (x, { count, patches, registers }) => {
  const [data, cls, pos] = [x.float(0), x.float(1), x.float(2)]
  const d = cls.length
  const length = 1 + registers + patches
  const y = new Float64Array(count * length * d)
  for (let n = 0; n < count; n++) {
    const sequence = y.subarray(n * length * d, (n + 1) * length * d)
    sequence.set(cls)
    addTo(row(sequence, 0, d), row(pos, 0, d), 1)
    if (registers > 0) sequence.set(x.float(3), d)
    sequence.set(data.subarray(n * patches * d, (n + 1) * patches * d), (1 + registers) * d)
    addTo(sequence.subarray((1 + registers) * d), pos.subarray(d), 1)
  }
  return [y]
}

export const assembleTokensGrad: Kernel<'assemble_tokens_grad'> = (x, { count, patches, registers }) => {
  const d = x.dim(0, 1)
  const length = 1 + registers + patches
  const dpatches = new Float64Array(count * patches * d)
  const dcls = new Float64Array(d)
  const dpos = new Float64Array((1 + patches) * d)
  const dregisters = new Float64Array(registers * d)
  for (let n = 0; n < count; n++) {
    const sequence = x.float(0).subarray(n * length * d, (n + 1) * length * d)
    const own = sequence.subarray((1 + registers) * d)
    addTo(dcls, row(sequence, 0, d), 1)
    addTo(dpos.subarray(0, d), row(sequence, 0, d), 1)
    addTo(dregisters, sequence.subarray(d, (1 + registers) * d), 1)
    addTo(dpos.subarray(d), own, 1)
    dpatches.set(own, n * patches * d)
  }
  return registers > 0 ? [dpatches, dcls, dpos, dregisters] : [dpatches, dcls, dpos]
}

const width = (x: Args, i: number) =>
  x
    .type(i)
    .shape.slice(1)
    .reduce((n, s) => n * s, 1)
const like = (data: Float64Array | Int32Array, size: number) =>
  data instanceof Int32Array ? new Int32Array(size) : new Float64Array(size)

export const concatRows: Kernel<'concat_rows'> = (x) => {
  const y = like(
    x.all[0] as Float64Array,
    x.all.reduce((n, part) => n + part.length, 0),
  )
  let at = 0
  for (const part of x.all) {
    y.set(part, at)
    at += part.length
  }
  return [y]
}

export const sliceRows: Kernel<'slice_rows'> = (x, { start, count }) => {
  const d = width(x, 0)
  return [(x.all[0] as Float64Array).slice(start * d, (start + count) * d)]
}

export const placeRows: Kernel<'place_rows'> = (x, { start, total }) => {
  const d = width(x, 0)
  const y = like(x.all[0] as Float64Array, total * d)
  y.set(x.all[0] as Float64Array, start * d)
  return [y]
}

/** First row of a group. */
function groupStart(segments: readonly { name: string; count: number; length: number }[], group: string) {
  let start = 0
  for (const g of segments) {
    if (g.name === group) return { start, count: g.count, length: g.length }
    start += g.count * g.length
  }
  return { start, count: 0, length: 0 }
}

export const selectTokens: Kernel<'select_tokens'> = (x, { group, start, tokens }) => {
  const at = groupStart(x.segments(0), group)
  const d = x.dim(0, 1)
  const y = new Float64Array(at.count * tokens * d)
  for (let n = 0; n < at.count; n++) {
    const from = (at.start + n * at.length + start) * d
    y.set(x.float(0).subarray(from, from + tokens * d), n * tokens * d)
  }
  return [y]
}

export const placeTokens: Kernel<'place_tokens'> = (x, { group, start, tokens, segments }) => {
  const at = groupStart(segments, group)
  const d = x.dim(0, 1)
  const y = new Float64Array(d * segments.reduce((n, g) => n + g.count * g.length, 0))
  for (let n = 0; n < at.count; n++)
    y.set(x.float(0).subarray(n * tokens * d, (n + 1) * tokens * d), (at.start + n * at.length + start) * d)
  return [y]
}

function within(index: Int32Array, i: number, rows: number): number {
  const at = index[i] as number
  if (at >= 0 && at < rows) return at
  const [name, expected] = [`index[${i}]`, `a row below ${rows}`]
  throw new DiagnosticError([diagnose('DINO0614', null, { name, expected, found: String(at) })])
}

export const gatherRows: Kernel<'gather_rows'> = (x) => {
  const index = x.int(1)
  const d = x.dim(0, 1)
  const rows = x.rows(2, index.length)
  const y = new Float64Array(index.length * d)
  for (let i = 0; i < rows; i++) y.set(row(x.float(0), within(index, i, x.dim(0, 0)), d), i * d)
  return [y]
}

export const scatterAddRows: Kernel<'scatter_add_rows'> = (x, { total }) => {
  const index = x.int(1)
  const d = x.dim(0, 1)
  const rows = x.rows(2, index.length)
  const y = new Float64Array(total * d)
  for (let i = 0; i < rows; i++) addTo(row(y, within(index, i, total), d), row(x.float(0), i, d), 1)
  return [y]
}

/** Row weights of the interpolation from `from` to `to` positions: [to, from]. */
function cubicWeights(from: number, to: number, offset: number, antialias: boolean): Float64Array {
  const weights = new Float64Array(to * from)
  const step = from / (to + offset)
  const a = antialias ? -0.5 : -0.75
  const kernel = (t: number) => {
    const s = Math.abs(t)
    if (s < 1) return ((a + 2) * s - (a + 3)) * s * s + 1
    return s < 2 ? ((s - 5) * s + 8) * s * a - 4 * a : 0
  }
  for (let i = 0; i < to; i++) {
    const own = row(weights, i, from)
    const centre = step * (i + 0.5)
    if (antialias) {
      const stretch = Math.max(step, 1)
      const low = Math.max(Math.trunc(centre - 2 * stretch + 0.5), 0)
      const high = Math.min(Math.trunc(centre + 2 * stretch + 0.5), from)
      let sum = 0
      for (let j = low; j < high; j++) {
        own[j] = kernel((j - centre + 0.5) / stretch)
        sum += own[j] as number
      }
      for (let j = low; j < high; j++) own[j] = (own[j] as number) / sum
    } else {
      const base = Math.floor(centre - 0.5)
      for (let tap = -1; tap <= 2; tap++) {
        const j = Math.min(Math.max(base + tap, 0), from - 1)
        own[j] = (own[j] as number) + kernel(centre - 0.5 - base - tap)
      }
    }
  }
  return weights
}

/** The linear map of golden/README "Position interpolation", or its transpose. */
function interpolate(x: Float64Array, attrs: OpAttrs['interpolate_pos'], transpose: boolean): Float64Array {
  const { grid, height, width, offset, antialias } = attrs
  if (height === grid && width === grid) return x
  const down = cubicWeights(grid, height, offset, antialias)
  const across = cubicWeights(grid, width, offset, antialias)
  const d = x.length / (1 + (transpose ? height * width : grid * grid))
  const y = new Float64Array((1 + (transpose ? grid * grid : height * width)) * d)
  y.set(x.subarray(0, d))
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++)
      for (let a = 0; a < grid; a++) {
        const wy = down[i * grid + a] as number
        if (wy === 0) continue
        for (let b = 0; b < grid; b++) {
          const weight = wy * (across[j * grid + b] as number)
          if (weight === 0) continue
          const small = 1 + a * grid + b
          const large = 1 + i * width + j
          if (transpose) addTo(row(y, small, d), row(x, large, d), weight)
          else addTo(row(y, large, d), row(x, small, d), weight)
        }
      }
  return y
}

export const interpolatePos: Kernel<'interpolate_pos'> = (x, attrs) => [interpolate(x.float(0), attrs, false)]
export const interpolatePosGrad: Kernel<'interpolate_pos_grad'> = (x, attrs) => [
  interpolate(x.float(0), attrs, true),
]
