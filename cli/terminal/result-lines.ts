import type { ResultTable } from '../../runtime/eval/results.js'
import { describeMethod, type Estimate } from '../../runtime/eval/statistics.js'
import { aligned, bytes, difference, rate, score } from './figures.js'
import { shortened } from './screen.js'

/**
 * The table at the end of a run: metric with interval, paired difference to the base, speed, memory. What does not fit
 * into `width` columns is left out: speed and memory first, then the interval of the difference.
 */
export function resultLines(table: ResultTable, width = 100): string[] {
  const forms = [
    { costs: true, bracket: true, name: 48 },
    { costs: false, bracket: true, name: 24 },
    { costs: false, bracket: false, name: 24 },
    { costs: false, bracket: false, name: 12 },
  ]
  const all = forms.map((form) => tableLines(table, form))
  const lines = all.find((one) => one.every((line) => line.length <= width)) ?? all.at(-1)!
  const widest = Math.max(...lines.map((line) => line.length))
  const how = method(table)
  if (how === '') return lines
  // Beside the table where there is room.
  return widest + 3 + how.length <= width
    ? [...lines.slice(0, -1), `${lines.at(-1)!.padEnd(widest)}   ${how}`]
    : [...lines, `  ${how}`]
}

function tableLines(
  table: ResultTable,
  form: { readonly costs: boolean; readonly bracket: boolean; readonly name: number },
): string[] {
  const compared = table.rows.some((row) => row.against !== null)
  const head = [
    ...['', table.metric.replace(/^\w+\./, ''), ''],
    ...(compared ? [`against ${shortened(table.base, form.name)}`, ''] : []),
    ...(form.costs ? ['images/s', 'peak'] : []),
  ]
  const rows = table.rows.map((row) => [
    `  ${shortened(row.name, form.name)}`,
    ...[score(row.value.mean), halfWidth(row.value)],
    ...(compared ? [row.against ? difference(row.against.mean) : ''] : []),
    ...(compared ? [form.bracket ? bracket(row.against) : ''] : []),
    ...(form.costs ? [row.imagesPerSecond === null ? '' : rate(row.imagesPerSecond)] : []),
    ...(form.costs ? [row.peakRssBytes === null ? '' : bytes(row.peakRssBytes)] : []),
  ])
  const pair = [
    { align: 'right', gap: 3 },
    { align: 'left', gap: 1 },
  ] as const
  const costs = [
    { align: 'right', gap: 3 },
    { align: 'right', gap: 3 },
  ] as const
  return aligned(
    [head, ...rows],
    [{ align: 'left' }, ...pair, ...(compared ? pair : []), ...(form.costs ? costs : [])],
  )
}

function halfWidth({ interval }: Estimate): string {
  return interval === null ? '' : `± ${score((interval[1] - interval[0]) / 2)}`
}

function bracket(estimate: Estimate | null): string {
  const interval = estimate?.interval
  return interval ? `[${difference(interval[0])}, ${difference(interval[1])}]` : ''
}

/** Of the variants: the floor has one seed at most. */
function method(table: ResultTable): string {
  const row = table.rows.find((r) => r.kind === 'variant')
  return row === undefined ? '' : describeMethod(row.value)
}
