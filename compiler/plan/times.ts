import type { Schedule, Time } from '../resolve/resolved.js'
import type { ScheduleSpec } from './run-spec.js'

/**
 * Times in steps, as far as they are known without data on disk: a pass is ceil(training images / batch) steps, so a
 * plan without images says null.
 */
export interface StepClock {
  readonly epoch: Time | null
  readonly passSteps: number | null
}

export function timeInSteps(time: Time, clock: StepClock): number | null {
  if (time.unit === 'step') return time.value
  if (time.unit === 'pass') return clock.passSteps === null ? null : Math.floor(time.value * clock.passSteps)
  if (clock.epoch === null || clock.epoch.unit === 'epoch') return null
  const epoch = timeInSteps(clock.epoch, clock)
  return epoch === null ? null : Math.floor(time.value * epoch + 1e-9)
}

/** First, largest and last value of a schedule over its phase; `peakAt` in steps where they are known. */
export interface ScheduleSummary {
  readonly first: number
  readonly peak: number
  readonly peakAt: number | null
  readonly last: number
}

/**
 * A cosine counts with the end that it approaches: it would reach it one step after the phase. `length`: the phase's, at
 * whose end a longer piece is cut.
 */
export function summarize(
  spec: ScheduleSpec,
  clock: StepClock,
  length: number | null = null,
): ScheduleSummary {
  let at: number | null = 0
  let summary: ScheduleSummary | null = null
  for (const piece of spec.schedule.pieces) {
    const [from, written] = piece.kind === 'constant' ? [piece.value, piece.value] : [piece.from, piece.to]
    const over: number | null = piece.over === null ? null : pieceSteps(piece.over, spec, clock)
    const left: number | null = at === null || length === null ? null : length - at
    const isCut: boolean = over !== null && left !== null && over > left
    if (summary !== null && left !== null && left <= 0) break
    const to = isCut ? valueAt(piece.kind, from, written, over!, left!) : written
    summary ??= { first: from, peak: from, peakAt: 0, last: to }
    if (from > summary.peak) summary = { ...summary, peak: from, peakAt: at }
    const end: number | null = isCut ? length : at === null || over === null ? null : at + over
    if (to > summary.peak) summary = { ...summary, peak: to, peakAt: end }
    summary = { ...summary, last: to }
    at = end
  }
  if (summary === null) throw new Error('a schedule without pieces')
  return summary
}

/** After `steps` values of a piece of `over`: its last value where the phase ends before it (runtime/schedule.ts). */
function valueAt(
  kind: Schedule['pieces'][number]['kind'],
  from: number,
  to: number,
  over: number,
  steps: number,
): number {
  const i = steps - 1
  if (kind === 'cosine') return to + 0.5 * (from - to) * (1 + Math.cos((Math.PI * i) / over))
  return over === 1 ? from : from + i * ((to - from) / (over - 1))
}

function pieceSteps(over: Time, { compress }: ScheduleSpec, clock: StepClock): number | null {
  const written = timeInSteps(over, clock)
  if (compress === null || written === null) return written
  const from = timeInSteps(compress.from, clock)
  const to = timeInSteps(compress.to, clock)
  return from === null || to === null || from === 0 ? null : Math.max(1, Math.floor((written * to) / from))
}

/** The learning rate's warm-up, if it has one: until then a run is expected to look odd. */
export function warmup(schedule: Schedule): Time | null {
  const [first] = schedule.pieces
  return first?.kind === 'warmup' ? first.over : null
}
