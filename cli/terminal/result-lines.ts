import type { ResultTable } from '../../runtime/eval/results.js'
import { describeMethod, type Estimate } from '../../runtime/eval/statistics.js'
import { aligned, bytes, difference, rate, score } from './figures.js'

/** The table at the end of a run: metric with interval, paired difference to the base, speed, memory. */
export function resultLines(table: ResultTable): string[] {
  const compared = table.rows.some((row) => row.against !== null)
  const head = [
    ...['', table.metric.replace(/^\w+\./, ''), ''],
    ...(compared ? [`against ${table.base}`, ''] : []),
    ...['images/s', 'peak', ''],
  ]
  const last = table.rows.length - 1
  const rows = table.rows.map((row, index) => [
    `  ${row.name}`,
    score(row.value.mean),
    halfWidth(row.value),
    ...(compared ? [row.against ? difference(row.against.mean) : '', bracket(row.against)] : []),
    row.imagesPerSecond === null ? '' : rate(row.imagesPerSecond),
    row.peakRssBytes === null ? '' : bytes(row.peakRssBytes),
    index === last ? method(table) : '',
  ])
  return aligned(
    [head, ...rows],
    [
      { align: 'left' },
      { align: 'right', gap: 3 },
      { align: 'left', gap: 1 },
      ...(compared
        ? ([
            { align: 'right', gap: 3 },
            { align: 'left', gap: 1 },
          ] as const)
        : []),
      { align: 'right', gap: 3 },
      { align: 'right', gap: 3 },
      { align: 'left', gap: 3 },
    ],
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
