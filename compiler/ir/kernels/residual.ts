import type { Group } from '../types.js'
import type { Args, Kernel } from './args.js'
import { addTo, keptSequences, sequencesOf } from './args.js'

/** Spans of rows that a branch covers: where in the trunk, where in the branch, how many, and the factor. */
interface Stretch {
  readonly x: number
  readonly branch: number
  readonly rows: number
  readonly factor: number
}

function stretches(
  x: Args,
  whole: readonly Group[] | undefined,
  branch: readonly Group[] | undefined,
  scales: readonly number[] | null,
): readonly Stretch[] {
  const kept = x.optionalInt(3)
  const factors = x.optionalFloat(4)
  if (kept && whole && branch)
    return keptSequences(whole, kept, branch).map(({ from, to }) => ({
      x: from.start,
      branch: to.start,
      rows: from.length,
      factor: scales?.[from.group] ?? 1,
    }))
  if (factors && whole)
    return sequencesOf(whole).map((s, i) => ({
      x: s.start,
      branch: s.start,
      rows: s.length,
      factor: factors[i] as number,
    }))
  return [{ x: 0, branch: 0, rows: x.dim(0, 0), factor: 1 }]
}

export const residualAdd: Kernel<'residual_add'> = (x, { scales }) => {
  const branch = x.float(1)
  const d = x.dim(0, 1)
  const gamma = x.optionalFloat(2) ?? new Float64Array(d).fill(1)
  const y = Float64Array.from(x.float(0))
  for (const s of stretches(x, x.type(0).segments, x.type(1).segments, scales))
    for (let i = 0; i < s.rows; i++) {
      const [to, from] = [(s.x + i) * d, (s.branch + i) * d]
      for (let j = 0; j < d; j++)
        y[to + j] = (y[to + j] as number) + s.factor * (gamma[j] as number) * (branch[from + j] as number)
    }
  return [y]
}

export const residualAddGrad: Kernel<'residual_add_grad'> = (x, { scales, segments }) => {
  const dy = x.float(0)
  const branch = x.optionalFloat(1)
  const given = x.optionalFloat(2)
  const d = x.dim(0, 1)
  const gamma = given ?? new Float64Array(d).fill(1)
  const rows = x.results[0]?.shape[0] as number
  const dbranch = new Float64Array(rows * d)
  const dgamma = new Float64Array(d)
  for (const s of stretches(x, x.type(0).segments, segments, scales))
    for (let i = 0; i < s.rows; i++) {
      const [from, to] = [(s.x + i) * d, (s.branch + i) * d]
      for (let j = 0; j < d; j++) {
        const g = s.factor * (dy[from + j] as number)
        dbranch[to + j] = g * (gamma[j] as number)
        if (branch) dgamma[j] = (dgamma[j] as number) + g * (branch[to + j] as number)
      }
    }
  return given ? [dbranch, dgamma] : [dbranch]
}

export const gatherSegments: Kernel<'gather_segments'> = (x) => {
  const d = x.dim(0, 1)
  const segments = x.results[0]?.segments as readonly Group[]
  const y = new Float64Array((x.results[0]?.shape[0] as number) * d)
  for (const { from, to } of keptSequences(x.segments(0), x.int(1), segments))
    y.set(x.float(0).subarray(from.start * d, (from.start + from.length) * d), to.start * d)
  return [y]
}

export const scatterSegments: Kernel<'scatter_segments'> = (x, { segments, scales }) => {
  const d = x.dim(0, 1)
  const y = new Float64Array((x.results[0]?.shape[0] as number) * d)
  for (const { from, to } of keptSequences(segments, x.int(1), x.segments(0)))
    addTo(
      y.subarray(from.start * d, (from.start + from.length) * d),
      x.float(0).subarray(to.start * d, (to.start + to.length) * d),
      scales[from.group] as number,
    )
  return [y]
}
