import type { Notice } from '../../compiler/codegen/report.js'
import type { Monitor } from '../../compiler/plan/run-spec.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import { isEvaluation } from '../../runtime/metrics-log.js'
import { evaluationMeasures, watch } from '../../runtime/monitors.js'
import { type Clock, toSteps } from '../../runtime/schedule.js'
import type { CollectedRun } from './collect.js'

/** What a reader must know before believing the numbers: monitors that spoke, runs that failed or are not finished. */
export function noticesOf(runs: readonly CollectedRun[]): Notice[] {
  return runs.flatMap((run) => {
    const who = `${run.variant} seed ${run.seed}`
    const { status, failure, step, steps } = run.record
    const spoken = alarmsOf(run).map((d): Notice => ({ level: 'warning', who, text: sentence(d) }))
    if (failure)
      return [
        ...spoken,
        { level: 'error', who, text: `${sentence(failure)}. Stopped at step ${step} of ${steps}.` },
      ]
    if (status === 'finished') return spoken
    const text =
      status === 'failed'
        ? `failed at step ${step} of ${steps}.`
        : `is not finished: step ${step} of ${steps}. The command at the end of this page goes on from there.`
    return [...spoken, { level: 'warning', who, text }]
  })
}

const sentence = ({ code, message, notes }: Diagnostic): string =>
  `${code}: ${message}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`

/** Warnings that the monitors gave, found again in what they saw. */
function alarmsOf({ spec, health, record }: CollectedRun): Diagnostic[] {
  if (spec === null) return []
  const clock = clockOf(spec, record.steps)
  const from = (monitor: Monitor): number => toSteps(monitor.from, clock)
  const warning = spec.monitors.filter((m) => m.action === 'warn')
  const spoken: Diagnostic[] = []
  let counts = {}
  for (const line of health) {
    // Of the untrained network nothing is expected yet.
    if (isEvaluation(line) && line.step === 0) continue
    const measures = isEvaluation(line) ? evaluationMeasures(line) : line.measures
    const verdict = watch(warning, from, counts, line.step, measures)
    counts = verdict.counts
    spoken.push(...verdict.diagnostics)
  }
  return spoken
}

/** A pass has the steps that make the phases as long as the run was. */
function clockOf({ epoch, phases }: NonNullable<CollectedRun['spec']>, steps: number): Clock {
  const lengthOf = (passSteps: number) =>
    phases.reduce((sum, { length }) => sum + toSteps(length, { epoch, passSteps }), 0)
  const [none, some] = [lengthOf(0), lengthOf(1e6)]
  return {
    epoch,
    passSteps: some === none ? 1 : Math.max(1, Math.round(((steps - none) / (some - none)) * 1e6)),
  }
}
