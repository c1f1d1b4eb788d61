import { isEvaluation, type MetricsLine } from '../../runtime/metrics-log.js'

/** `reference.json`: by experiment, over windows of steps `a-b` (a included, b not), mean and deviation over seeds. */
export type Reference = Readonly<Record<string, ReferenceRun>>
export interface ReferenceRun {
  readonly windows: Readonly<
    Record<string, Readonly<Record<string, { readonly mean: number; readonly sd: number }>>>
  >
  readonly knn_untrained?: readonly number[]
  readonly knn_trained?: readonly number[]
}

export interface Comparison {
  readonly window: string
  readonly column: string
  readonly expected: number
  readonly found: number
  readonly tolerance: number
  readonly passed: boolean
}

/** A line's value in the words of the reference. */
function columnOf(line: MetricsLine, column: string): number | undefined {
  if (isEvaluation(line)) return undefined
  if (column === 'masked_rows') return line.masked_rows
  if (column === 'koleo_total') return line.loss.koleo
  return column.startsWith('gn_') ? line.grad_norm[column.slice(3)] : line.loss[column]
}

/** 5 standard deviations or a share of the mean, whichever is larger (parity/README.md). */
export function toleranceOf(
  column: string,
  { mean, sd }: { readonly mean: number; readonly sd: number },
): number {
  const share = column.startsWith('koleo') ? 0.1 : column.startsWith('gn_') ? 0.2 : 0.01
  return Math.max(5 * sd, share * Math.abs(mean))
}

/** `seeds`: the lines of each seed's metrics.jsonl. A value that is missing anywhere fails. */
export function compareWindows(
  reference: ReferenceRun,
  seeds: readonly (readonly MetricsLine[])[],
): Comparison[] {
  return Object.entries(reference.windows).flatMap(([window, columns]) => {
    const [from, to] = window.split('-').map(Number) as [number, number]
    return Object.entries(columns).map(([column, expected]): Comparison => {
      const bySeed = seeds.map((lines) => {
        const values = lines
          .filter((line) => !isEvaluation(line) && line.step >= from && line.step < to)
          .map((line) => columnOf(line, column))
        return values.length === to - from ? mean(values.map((v) => v ?? Number.NaN)) : Number.NaN
      })
      const found = mean(bySeed)
      const tolerance = toleranceOf(column, expected)
      const passed = Math.abs(found - expected.mean) <= tolerance
      return { window, column, expected: expected.mean, found, tolerance, passed }
    })
  })
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
