import pc from 'picocolors'
import type { RunEvent, RunStatus } from '../../runtime/events.js'
import { aligned, countdown, duration, rate } from './figures.js'
import { shortened, visibleLength } from './screen.js'

/** One run as the live table shows it: folded from its events, drawn by `progressLines`. */
export interface Row {
  readonly variant: string
  readonly seed: number
  readonly state: 'waiting' | 'preparing' | 'evaluating' | 'training' | RunStatus
  readonly step: number
  readonly steps: number
  readonly losses: Readonly<Record<string, number>>
  readonly imagesPerSecond: number | null
  readonly secondsLeft: number | null
  readonly seconds: number | null
  /** `knn 512/3786`, or the code of a failure. */
  readonly detail: string
}

export function waitingRow(variant: string, seed: number): Row {
  return {
    ...{ variant, seed, state: 'waiting', step: 0, steps: 0, losses: {}, imagesPerSecond: null },
    ...{ secondsLeft: null, seconds: null, detail: '' },
  }
}

/** `batch` images a step turn images/s into time left. */
export function foldEvent(row: Row, event: RunEvent, batch: number): Row {
  switch (event.type) {
    case 'started':
      return { ...row, state: 'preparing', step: event.fromStep, steps: event.steps }
    case 'step': {
      const done = event.line.step + 1
      const secondsLeft = ((event.steps - done) * batch) / event.imagesPerSecond
      const { imagesPerSecond, steps } = event
      const losses = event.line.loss
      return {
        ...row,
        state: 'training',
        step: done,
        steps,
        losses,
        imagesPerSecond,
        secondsLeft,
        detail: '',
      }
    }
    case 'evaluating':
      return { ...row, state: 'evaluating', detail: `${event.name} ${event.done}/${event.of}` }
    case 'evaluation':
    case 'checkpoint':
    case 'diagnostic':
      return row
    case 'done': {
      const { status, step, steps, seconds, imagesPerSecond, failure } = event.outcome
      const detail = failure?.code ?? ''
      return { ...row, state: status, step, steps, seconds, imagesPerSecond, secondsLeft: null, detail }
    }
    default:
      throw event satisfies never
  }
}

const words: { readonly [S in Row['state']]: string } = {
  waiting: 'waiting',
  preparing: 'preparing',
  evaluating: 'evaluating',
  training: 'training',
  finished: 'done',
  reused: 'done before',
  interrupted: 'interrupted',
  failed: 'failed',
}

/** DINO's two terms are one number here: they move together. */
function lossCells(losses: Readonly<Record<string, number>>, terms: boolean): string {
  if (!terms) return losses.total === undefined ? '' : `loss ${losses.total.toFixed(2)}`
  const dino = (losses.dino_local ?? 0) + (losses.dino_global ?? 0)
  const cells = 'dino_local' in losses || 'dino_global' in losses ? [`dino ${dino.toFixed(2)}`] : []
  for (const [name, value] of Object.entries(losses))
    if (!/^(dino_|total$)/.test(name)) cells.push(`${name} ${value.toFixed(2)}`)
  return cells.join('  ')
}

export type Colors = ReturnType<typeof pc.createColors>

/** What a narrow terminal does without, from one step to the next. */
interface Narrowing {
  /** `83/200` for `step  83/200`. */
  readonly step: boolean
  /** `0` for `seed 0`. */
  readonly seed: boolean
  readonly speed: boolean
  /** Each term of the loss, or only their sum. */
  readonly terms: boolean
  /** Characters of a variant's name. */
  readonly name: number
}

const everything: Narrowing = {
  ...{ step: true, seed: true, speed: true, terms: true },
  name: Number.POSITIVE_INFINITY,
}
const bare = { step: false, seed: false, speed: false }
const narrowings: readonly Narrowing[] = [
  everything,
  { ...everything, step: false },
  { ...everything, step: false, name: 32 },
  { ...everything, step: false, seed: false, name: 24 },
  { ...bare, terms: true, name: 24 },
  { ...bare, terms: false, name: 20 },
  { ...bare, terms: false, name: 12 },
]

function cells(row: Row, colors: Colors, show: Narrowing): string[] {
  const paint = (text: string): string =>
    row.state === 'failed'
      ? colors.red(text)
      : row.state === 'interrupted'
        ? colors.yellow(text)
        : row.state === 'finished' || row.state === 'reused'
          ? colors.green(text)
          : row.state === 'waiting'
            ? colors.dim(text)
            : text
  const seed = `${show.seed ? 'seed ' : ''}${row.seed}`
  const variant = shortened(row.variant, show.name)
  const name = row.state === 'waiting' ? colors.dim(variant) : variant
  const steps = `${String(row.step).padStart(String(row.steps).length)}/${row.steps}`
  const count = row.steps === 0 ? '' : `${show.step ? 'step ' : ''}${steps}`
  const losses =
    row.state === 'evaluating' || row.state === 'failed' ? row.detail : lossCells(row.losses, show.terms)
  const speed = row.imagesPerSecond === null || !show.speed ? '' : `${rate(row.imagesPerSecond)} img/s`
  const time =
    row.seconds !== null && row.state !== 'reused'
      ? duration(row.seconds)
      : row.secondsLeft !== null
        ? `${countdown(row.secondsLeft)} left`
        : ''
  return [`  ${name}`, seed, paint(words[row.state]), count, losses, speed, time]
}

const columns = [
  ...[{ align: 'left' }, { align: 'left' }, { align: 'left' }, { align: 'left' }],
  ...[
    { align: 'left', gap: 3 },
    { align: 'right', gap: 3 },
    { align: 'right', gap: 3 },
  ],
] as const

/**
 * The table, at most `rows` lines: where there are more runs than lines, those that are over are counted and those
 * that wait are cut off. What does not fit into `width` columns is left out, least telling first.
 */
export function progressLines(
  title: string,
  rows: readonly Row[],
  most: number,
  colors: Colors,
  width = 100,
): readonly string[] {
  const room = Math.max(1, most - 4)
  let shown = rows
  const notes: string[] = []
  if (rows.length > room) {
    const over = rows.filter((r) => r.state === 'finished' || r.state === 'reused').length
    const rest = rows.filter((r) => r.state !== 'finished' && r.state !== 'reused')
    shown = rest.slice(0, room)
    if (over > 0) notes.push(colors.dim(`  ${over} done`))
    if (rest.length > shown.length) notes.push(colors.dim(`  ${rest.length - shown.length} more waiting`))
  }
  const tables = narrowings.map((narrowing) =>
    aligned(
      shown.map((row) => cells(row, colors, narrowing)),
      columns,
      visibleLength,
    ),
  )
  const table = tables.find((lines) => lines.every((line) => visibleLength(line) <= width)) ?? tables.at(-1)!
  const over: readonly Row['state'][] = ['finished', 'reused', 'failed', 'interrupted']
  const hint = rows.every((row) => over.includes(row.state))
    ? []
    : [colors.dim('^C once: checkpoint and stop · twice: stop now')]
  return [title, ...table, ...notes, ...hint]
}

/** One line for a log file: no colours, no cursor. */
export function plainLine(row: Row): string {
  return cells(row, pc.createColors(false), everything)
    .filter((cell) => cell !== '')
    .join('  ')
    .trim()
}
