import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import type { RunEvent } from '../../runtime/events.js'
import type { Job } from '../../runtime/job.js'
import { duration } from './figures.js'
import { type Colors, foldEvent, plainLine, progressLines, type Row, waitingRow } from './progress.js'
import { cut, openScreen, type Terminal } from './screen.js'

/** Where a run's events go: a live table, plain lines, or JSON objects. */
export interface RunView {
  event(job: number, event: RunEvent): void
  /** Something to be read while or after the table stands. */
  diagnostic(diagnostic: Diagnostic, who: string | null): void
  note(text: string): void
  close(): void
}

export interface ViewContext {
  readonly jobs: readonly Job[]
  /** `quickstart   2 variants x 2 seeds, 400 images, native (AVX-512) on 2 threads` */
  readonly title: string
  readonly colors: Colors
  /** Runs side by side. */
  readonly atOnce: number
  /** A diagnostic as text of several lines. */
  readonly render: (diagnostic: Diagnostic) => string
}

const who = ({ spec }: Job): string => `${spec.variant} seed ${spec.seed}`

/** Drawn at most ten times a second; events in between only change what is drawn next. */
export function openLiveView(context: ViewContext, terminal: Terminal): RunView {
  const { jobs, colors } = context
  const rows: Row[] = jobs.map(({ spec }) => waitingRow(spec.variant, spec.seed))
  const screen = openScreen(terminal)
  let timer: NodeJS.Timeout | null = null
  const draw = (): void => {
    if (timer !== null) clearTimeout(timer)
    timer = null
    screen.draw((columns, height) =>
      progressLines(titleLine(context, rows, columns), rows, height, colors, columns),
    )
  }
  const soon = (): void => {
    timer ??= setTimeout(draw, 100)
    timer.unref()
  }
  draw()
  return {
    event(job, event) {
      rows[job] = foldEvent(rows[job]!, event, jobs[job]!.spec.batch.images)
      if (event.type === 'done') draw()
      else soon()
    },
    diagnostic(diagnostic, of) {
      screen.print(`${of === null ? '' : colors.dim(`${of}: `)}${context.render(diagnostic)}`)
    },
    note: (text) => screen.print(text),
    close() {
      draw()
      screen.close()
    },
  }
}

/** The estimate of all runs stands at the right edge once one of them has a speed. */
function titleLine(context: ViewContext, rows: readonly Row[], columns: number): string {
  const seconds = secondsLeft(rows, context.atOnce)
  const estimate = seconds === null || seconds < 1 ? '' : `~${duration(seconds)}`
  const width = Math.min(columns, 100)
  const title = cut(context.title, Math.max(20, width - (estimate === '' ? 0 : estimate.length + 3)))
  const gap = Math.max(3, width - title.length - estimate.length)
  return context.colors.bold(title) + (estimate === '' ? '' : ' '.repeat(gap) + estimate)
}

const openStates: readonly Row['state'][] = ['waiting', 'preparing', 'training', 'evaluating']

/** Runs that have no speed of their own take as long as those that have. */
export function secondsLeft(rows: readonly Row[], atOnce = 1): number | null {
  const stepSeconds: number[] = []
  for (const row of rows) {
    if (row.state === 'training' && row.secondsLeft !== null && row.steps > row.step)
      stepSeconds.push(row.secondsLeft / (row.steps - row.step))
    if (row.state === 'finished' && row.seconds !== null && row.steps > 0)
      stepSeconds.push(row.seconds / row.steps)
  }
  if (stepSeconds.length === 0) return null
  const typical = stepSeconds.reduce((a, b) => a + b, 0) / stepSeconds.length
  const steps = Math.max(...rows.map((row) => row.steps))
  let left = 0
  for (const row of rows) {
    if (row.state === 'training' || row.state === 'evaluating' || row.state === 'preparing')
      left += row.secondsLeft ?? (row.steps - row.step) * typical
    if (row.state === 'waiting') left += steps * typical
  }
  const open = rows.filter((row) => openStates.includes(row.state)).length
  return left / Math.max(1, Math.min(atOnce, open))
}

/** For logs: a line at each change of state, each evaluation, and every `everySeconds` of training. */
export function openPlainView(
  context: ViewContext,
  write: (text: string) => void,
  everySeconds = 10,
): RunView {
  const { jobs } = context
  const rows: Row[] = jobs.map(({ spec }) => waitingRow(spec.variant, spec.seed))
  const spoke = jobs.map(() => 0)
  write(`${context.title}\n`)
  return {
    event(job, event) {
      const before = rows[job]!
      const row = foldEvent(before, event, jobs[job]!.spec.batch.images)
      rows[job] = row
      const now = Date.now()
      if (event.type === 'evaluation') {
        const metrics = Object.entries(event.line.eval)
          .flatMap(([name, values]) => Object.entries(values).map(([m, v]) => `${name}.${m} ${v.toFixed(3)}`))
          .join('  ')
        write(`${who(jobs[job]!)}  step ${event.line.step}  ${metrics}\n`)
      } else if (
        event.type === 'done' ||
        (event.type === 'step' && now - spoke[job]! >= everySeconds * 1000)
      ) {
        spoke[job] = now
        write(`${plainLine(row)}\n`)
      }
    },
    diagnostic: (diagnostic, of) => write(`${of === null ? '' : `${of}: `}${context.render(diagnostic)}\n`),
    note: (text) => write(`${text}\n`),
    close: () => {},
  }
}

/** `--json`: every event as one object a line, with the run that it belongs to. */
export function openJsonView(context: ViewContext, write: (text: string) => void): RunView {
  const print = (value: object): void => write(`${JSON.stringify(value)}\n`)
  return {
    event(job, event) {
      if (event.type === 'evaluating') return
      const { experiment, variant, seed } = context.jobs[job]!.spec
      print({ formatVersion: 1, experiment, variant, seed, ...event })
    },
    diagnostic: (diagnostic) => print({ formatVersion: 1, type: 'diagnostic', diagnostic }),
    note: () => {},
    close: () => {},
  }
}
