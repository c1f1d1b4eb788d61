import type { Schedule, ScheduleSpec, Time } from '../compiler/plan/run-spec.js'
import { diagnose } from '../diagnostics/catalogue.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'

/** What turns times into steps: what an epoch is, and how many steps a pass over the training images takes. */
export interface Clock {
  readonly epoch: Time | null
  /** ceil(training images / batch); null where there is no data. */
  readonly passSteps: number | null
}

/** `2 epochs` -> 2500. Fractions of a step are cut off. DINO1016 where the clock does not know the unit. */
export function toSteps(time: Time, clock: Clock): number {
  return Math.floor(time.value * unitSteps(time.unit, clock) + 1e-9)
}

function unitSteps(unit: Time['unit'], clock: Clock): number {
  if (unit === 'step') return 1
  if (unit === 'pass') {
    if (clock.passSteps !== null) return clock.passSteps
  } else if (clock.epoch !== null && clock.epoch.unit !== 'epoch') {
    return clock.epoch.value * unitSteps(clock.epoch.unit, clock)
  }
  throw new DiagnosticError([
    diagnose(
      'DINO1016',
      null,
      { unit },
      { help: [unit === 'epoch' ? 'epoch = 1 pass' : 'data { train = ... }'] },
    ),
  ])
}

/**
 * A schedule's value at each step of its phase (from 0), as golden fixture 09 has them:
 * `warmup` and `linear` over n steps take n values, both ends included (numpy's linspace); a cosine over n steps is
 * `to + (from - to) / 2 * (1 + cos(pi i / n))` for i < n, so it starts at the peak again and reaches its end one step
 * after; behind the last piece stands its final value.
 */
export type Curve = (step: number) => number

interface Stretch {
  readonly kind: Schedule['pieces'][number]['kind']
  readonly start: number
  readonly count: number
  readonly from: number
  readonly to: number
}

/** `length` is the phase's, in steps. A schedule inherited from an earlier phase is compressed first. */
export function curve(spec: ScheduleSpec, length: number, clock: Clock): Curve {
  const { schedule, compress } = spec
  const old = compress ? toSteps(compress.from, clock) : 1
  const now = compress ? toSteps(compress.to, clock) : 1
  const stretches: Stretch[] = []
  let start = 0
  for (const piece of schedule.pieces) {
    const written = piece.over === null ? null : toSteps(piece.over, clock)
    const over =
      written !== null && compress && old > 0 ? Math.max(1, Math.floor((written * now) / old)) : written
    const count = over ?? Math.max(0, length - start)
    const [from, to] = piece.kind === 'constant' ? [piece.value, piece.value] : [piece.from, piece.to]
    stretches.push({ kind: piece.kind, start, count, from, to })
    start += count
  }
  const last = stretches.at(-1)
  if (!last) throw new RangeError('a schedule without pieces')
  return (step) => {
    for (const stretch of stretches)
      if (step < stretch.start + stretch.count) return valueIn(stretch, step - stretch.start)
    return last.to
  }
}

function valueIn({ kind, count, from, to }: Stretch, i: number): number {
  switch (kind) {
    case 'constant':
      return from
    case 'warmup':
    case 'linear':
      if (count === 1) return from
      return i === count - 1 ? to : from + i * ((to - from) / (count - 1))
    case 'cosine':
      return to + 0.5 * (from - to) * (1 + Math.cos((Math.PI * i) / count))
    default:
      throw kind satisfies never
  }
}
