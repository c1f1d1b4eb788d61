import type { RunPhase, RunSpec } from '../compiler/plan/run-spec.js'
import { type Clock, type Curve, curve, toSteps } from './schedule.js'

/** The phases of a run laid out over its steps, with everything that depends on the step alone. */
export interface PhaseSpan {
  readonly phase: RunPhase
  /** First step of the phase, counted from the start of the run; `end` is the first one after it. */
  readonly start: number
  readonly end: number
  /** The step at which the moments were last zero. */
  readonly momentsStart: number
  /** `lr`, `last_layer_lr`, `weight_decay`, `teacher_temp`, `momentum`, `keep_momentum` at a step of the run. */
  values(step: number): Readonly<Record<string, number>>
}

export function timeline(spec: RunSpec, clock: Clock): PhaseSpan[] {
  const spans: PhaseSpan[] = []
  let start = 0
  let momentsStart = 0
  for (const phase of spec.phases) {
    const length = toSteps(phase.length, clock)
    if (phase.resetMoments) momentsStart = start
    const curves = Object.entries(phase.schedules).map(([name, schedule]): [string, Curve] => [
      name,
      curve(schedule, length, clock),
    ])
    // A freeze is counted from the start of the first phase and cut at its end.
    const frozenUntil = Math.min(toSteps(phase.freezeLastLayer, clock), spans[0]?.end ?? length)
    const first = start
    spans.push({
      phase,
      start,
      end: start + length,
      momentsStart,
      values(step) {
        const values = Object.fromEntries(curves.map(([name, at]) => [name, at(step - first)]))
        return { ...values, last_layer_lr: step < frozenUntil ? 0 : (values.lr ?? 0) }
      },
    })
    start += length
  }
  return spans
}

export function totalSteps(spans: readonly PhaseSpan[]): number {
  return spans.at(-1)?.end ?? 0
}

/** The phase that made the state after `step` updates: the one of the update before; the first at step 0. */
export function phaseBefore(spans: readonly PhaseSpan[], step: number): PhaseSpan {
  return spans.findLast((span) => span.start < step) ?? spans[0]!
}
