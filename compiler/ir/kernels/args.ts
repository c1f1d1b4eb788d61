import { diagnose } from '../../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../../diagnostics/diagnostic.js'
import type { Group, OpAttrs, OpKind, TensorType } from '../types.js'

/** A tensor of the oracle: float64 for f32 and bf16, Int32Array for i32; row-major. */
export type Data = Float64Array | Int32Array

/** What a kernel computes from: operands and types of one op. Results are new arrays, or an operand itself. */
export interface Args {
  float(i: number): Float64Array
  int(i: number): Int32Array
  optionalFloat(i: number): Float64Array | null
  optionalInt(i: number): Int32Array | null
  /** The number in a scalar operand of either dtype. */
  scalar(i: number): number
  /** All operands of a variadic op. */
  readonly all: readonly Data[]
  type(i: number): TensorType
  /** One dimension of an operand. */
  dim(i: number, axis: number): number
  segments(i: number): readonly Group[]
  /** How many of `bound` rows are real, by the optional scalar operand i. */
  rows(i: number, bound: number): number
  readonly results: readonly TensorType[]
}

export type Kernel<K extends OpKind> = (args: Args, attrs: OpAttrs[K]) => readonly Data[]

export function args(
  data: readonly (Data | null)[],
  types: readonly (TensorType | null)[],
  results: readonly TensorType[],
): Args {
  const type = (i: number) => types[i] as TensorType
  return {
    float: (i) => data[i] as Float64Array,
    int: (i) => data[i] as Int32Array,
    optionalFloat: (i) => (data[i] ?? null) as Float64Array | null,
    optionalInt: (i) => (data[i] ?? null) as Int32Array | null,
    scalar: (i) => (data[i] as Data)[0] as number,
    all: data as readonly Data[],
    type,
    dim: (i, axis) => type(i).shape[axis] as number,
    segments: (i) => type(i).segments as readonly Group[],
    rows: (i, bound) => {
      const rows = data[i]?.[0]
      if (rows === undefined) return bound
      if (rows < 0 || rows > bound)
        throw new DiagnosticError([
          diagnose('DINO0614', null, { name: 'rows', expected: `0 to ${bound}`, found: String(rows) }),
        ])
      return rows
    },
    results,
  }
}

/** A row as a view. */
export const row = (x: Float64Array, i: number, width: number) => x.subarray(i * width, (i + 1) * width)

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number)
  return sum
}

/** y += factor * x */
export function addTo(y: Float64Array, x: Float64Array, factor: number): void {
  for (let i = 0; i < x.length; i++) y[i] = (y[i] as number) + factor * (x[i] as number)
}

/** First row and number of sequences of each group, and of each of its sequences. */
export interface Sequence {
  readonly group: number
  readonly start: number
  readonly length: number
}

export function sequencesOf(groups: readonly Group[]): readonly Sequence[] {
  const list: Sequence[] = []
  let start = 0
  groups.forEach(({ count, length }, group) => {
    for (let i = 0; i < count; i++) {
      list.push({ group, start, length })
      start += length
    }
  })
  return list
}

/** Where each of the kept sequences lies in the whole tensor, and where in the tensor of kept ones. */
export function keptSequences(
  whole: readonly Group[],
  kept: Int32Array,
  branch: readonly Group[],
): readonly { readonly from: Sequence; readonly to: Sequence }[] {
  const all = sequencesOf(whole)
  return sequencesOf(branch).map((to, i) => {
    const from = all[kept[i] as number]
    if (!from || from.group !== to.group)
      throw new DiagnosticError([
        diagnose('DINO0614', null, {
          name: `kept[${i}]`,
          expected: `a sequence of group ${whole[to.group]?.name}`,
          found: String(kept[i]),
        }),
      ])
    return { from, to }
  })
}
