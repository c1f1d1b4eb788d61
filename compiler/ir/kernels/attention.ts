import type { OpAttrs } from '../types.js'
import type { Args, Kernel, Sequence } from './args.js'
import { dot, row, sequencesOf } from './args.js'
import { softmaxRow } from './norms.js'
import { product } from './products.js'

/** Columns `from` .. `from + width` of the rows of a sequence. */
function columns(x: Float64Array, stride: number, at: Sequence, from: number, width: number): Float64Array {
  const y = new Float64Array(at.length * width)
  for (let i = 0; i < at.length; i++) {
    const start = (at.start + i) * stride + from
    y.set(x.subarray(start, start + width), i * width)
  }
  return y
}

function setColumns(x: Float64Array, stride: number, at: Sequence, from: number, y: Float64Array): void {
  const width = y.length / at.length
  for (let i = 0; i < at.length; i++)
    x.set(y.subarray(i * width, (i + 1) * width), (at.start + i) * stride + from)
}

export const attention: Kernel<'attention'> = (x, { heads }) => {
  const qkv = x.float(0)
  const [rows, d] = [x.dim(0, 0), x.dim(0, 1) / 3]
  const dh = d / heads
  const o = new Float64Array(rows * d)
  const lse = new Float64Array(rows * heads)
  for (const at of sequencesOf(x.segments(0)))
    for (let h = 0; h < heads; h++) {
      const n = at.length
      const [q, k, v] = [0, d, 2 * d].map((from) => columns(qkv, 3 * d, at, from + h * dh, dh)) as [
        Float64Array,
        Float64Array,
        Float64Array,
      ]
      const p = product(q, k, [n, n, dh], false, true).map((s) => s / Math.sqrt(dh))
      for (let i = 0; i < n; i++) lse[(at.start + i) * heads + h] = softmaxRow(row(p, i, n))
      setColumns(o, d, at, h * dh, product(p, v, [n, dh, n], false, false))
    }
  return [o, lse]
}

export const attentionGrad: Kernel<'attention_grad'> = (x, { heads }) => {
  const [dout, qkv, o, lse] = [x.float(0), x.float(1), x.float(2), x.float(3)]
  const [rows, d] = [x.dim(0, 0), x.dim(0, 1)]
  const dh = d / heads
  const scale = 1 / Math.sqrt(dh)
  const dqkv = new Float64Array(rows * 3 * d)
  for (const at of sequencesOf(x.segments(1)))
    for (let h = 0; h < heads; h++) {
      const n = at.length
      const [q, k, v] = [0, d, 2 * d].map((from) => columns(qkv, 3 * d, at, from + h * dh, dh)) as [
        Float64Array,
        Float64Array,
        Float64Array,
      ]
      const dy = columns(dout, d, at, h * dh, dh)
      const y = columns(o, d, at, h * dh, dh)
      const p = product(q, k, [n, n, dh], false, true)
      const ds = product(dy, v, [n, n, dh], false, true)
      for (let i = 0; i < n; i++) {
        const l = lse[(at.start + i) * heads + h] as number
        const sum = dot(row(dy, i, dh), row(y, i, dh))
        for (let j = i * n; j < (i + 1) * n; j++) {
          p[j] = Math.exp((p[j] as number) * scale - l)
          ds[j] = (p[j] as number) * ((ds[j] as number) - sum) * scale
        }
      }
      const put = (from: number, g: Float64Array) => setColumns(dqkv, 3 * d, at, from + h * dh, g)
      put(0, product(ds, k, [n, dh, n], false, false))
      put(d, product(ds, q, [n, dh, n], true, false))
      put(2 * d, product(p, dy, [n, dh, n], true, false))
    }
  return [dqkv]
}

/** Copies between `[n*t, parts * d]` (a part at column part * d) and `[n*h, t, d/h]`. */
function moveHeads(
  { heads, count, length }: OpAttrs['split_heads'],
  rowsOf: Float64Array,
  headsOf: Float64Array,
  [part, parts]: readonly [number, number],
  toHeads: boolean,
): void {
  const dh = headsOf.length / (count * heads * length)
  const stride = parts * heads * dh
  for (let n = 0; n < count; n++)
    for (let h = 0; h < heads; h++)
      for (let t = 0; t < length; t++) {
        const a = (n * length + t) * stride + (part * heads + h) * dh
        const b = ((n * heads + h) * length + t) * dh
        if (toHeads) headsOf.set(rowsOf.subarray(a, a + dh), b)
        else rowsOf.set(headsOf.subarray(b, b + dh), a)
      }
}

const resultSize = (x: Args, i: number) => (x.results[i]?.shape ?? []).reduce((n, s) => n * s, 1)

export const splitHeads: Kernel<'split_heads'> = (x, attrs) =>
  [0, 1, 2].map((part) => {
    const y = new Float64Array(resultSize(x, part))
    moveHeads(attrs, x.float(0), y, [part, 3], true)
    return y
  })

export const joinHeads: Kernel<'join_heads'> = (x, attrs) => {
  const y = new Float64Array(resultSize(x, 0))
  for (const part of [0, 1, 2]) moveHeads(attrs, y, x.float(part), [part, 3], false)
  return [y]
}

export const mergeHeads: Kernel<'merge_heads'> = (x, attrs) => {
  const y = new Float64Array(resultSize(x, 0))
  moveHeads(attrs, y, x.float(0), [0, 1], false)
  return [y]
}

export const unmergeHeads: Kernel<'unmerge_heads'> = (x, attrs) => {
  const y = new Float64Array(resultSize(x, 0))
  moveHeads(attrs, x.float(0), y, [0, 1], true)
  return [y]
}
