import { memoryText } from '../../compiler/plan/figures.js'
import { elidedNames } from '../../diagnostics/render/elided.js'
import { chunks } from '../../diagnostics/render/wrapped.js'
import type { ResultTable } from '../../runtime/eval/results.js'
import { describeMethod, type Estimate } from '../../runtime/eval/statistics.js'
import { aligned, difference, rate, score } from './figures.js'

/**
 * The table at the end of a run: metric with interval, paired difference to the base, speed, memory. What does not fit
 * into `width` columns is left out: speed and memory first, then the interval of the difference. Long names give way
 * before, by what they have in common: rows can always be told apart.
 */
export function resultLines(table: ResultTable, width = 100): string[] {
  const all = forms.map((form) => tableLines(table, form, width))
  const lines = all.find((one) => one.every((line) => line.length <= width)) ?? all.at(-1)!
  const widest = Math.max(...lines.map((line) => line.length))
  const how = method(table)
  if (how === '') return lines
  // Beside the table where there is room.
  return widest + 3 + how.length <= width
    ? [...lines.slice(0, -1), `${lines.at(-1)!.padEnd(widest)}   ${how}`]
    : [...lines, `  ${how}`]
}

interface Form {
  readonly costs: boolean
  readonly bracket: boolean
  /** Characters of a name; null: each stands in a line of its own. */
  readonly name: number | null
}

const forms: readonly Form[] = [
  ...[48, 40, 32, 24, 20, 16].map((name) => ({ costs: true, bracket: true, name })),
  ...[32, 24, 16].map((name) => ({ costs: false, bracket: true, name })),
  ...[24, 12].map((name) => ({ costs: false, bracket: false, name })),
  { costs: false, bracket: false, name: null },
]

function tableLines(table: ResultTable, form: Form, width: number): string[] {
  const compared = table.rows.some((row) => row.against !== null)
  const names = namesOf(table, form.name ?? 12)
  const head = [
    ...['', table.metric.replace(/^\w+\./, ''), ''],
    ...(compared
      ? [`against ${form.name === null && names.base.length > 12 ? 'the base' : names.base}`, '']
      : []),
    ...(form.costs ? ['images/s', 'peak'] : []),
  ]
  const rows = table.rows.map((row, i) => [
    form.name === null ? '    ' : `  ${names.rows[i]!}`,
    ...[score(row.value.mean), halfWidth(row.value)],
    ...(compared ? [row.against ? difference(row.against.mean) : ''] : []),
    ...(compared ? [form.bracket ? bracket(row.against) : ''] : []),
    ...(form.costs ? [row.imagesPerSecond === null ? '' : rate(row.imagesPerSecond)] : []),
    ...(form.costs ? [row.peakRssBytes === null ? '' : memoryText(row.peakRssBytes)] : []),
  ])
  const pair = [
    { align: 'right', gap: 3 },
    { align: 'left', gap: 1 },
  ] as const
  const costs = [
    { align: 'right', gap: 3 },
    { align: 'right', gap: 3 },
  ] as const
  const [first = '', ...lines] = aligned(
    [head, ...rows],
    [{ align: 'left' }, ...pair, ...(compared ? pair : []), ...(form.costs ? costs : [])],
  )
  if (form.name !== null) return [first, ...lines]
  return [
    first,
    ...lines.flatMap((line, i) => [
      ...chunks(table.rows[i]!.name, width - 2).map((part) => `  ${part}`),
      line,
    ]),
  ]
}

/** The names of the rows and of what they are compared with, of at most `most` characters where they can be. */
function namesOf({ rows, base }: ResultTable, most: number): { rows: string[]; base: string } {
  const all = elidedNames([...rows.map((row) => row.name), base], most)
  return { rows: all.slice(0, -1), base: all.at(-1)! }
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
