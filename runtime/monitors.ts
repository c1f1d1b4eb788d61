import type { Monitor } from '../compiler/plan/run-spec.js'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import type { EvaluationHealth } from './metrics-log.js'

/**
 * Health monitors: each watches one measure and acts when it is beyond its threshold for `patience` steps in a row,
 * once for each time it goes beyond. `counts` is all they remember, so a checkpoint keeps it.
 */
export interface MonitorCounts {
  readonly [monitor: string]: number
}

export interface MonitorVerdict {
  readonly counts: MonitorCounts
  readonly diagnostics: readonly Diagnostic[]
  /** A monitor with `action: stop` fired. */
  readonly stop: Diagnostic | null
}

/** `silentUntil` gives the first step at which a monitor speaks: its `from` in steps. */
export function watch(
  monitors: readonly Monitor[],
  silentUntil: (monitor: Monitor) => number,
  counts: MonitorCounts,
  step: number,
  measures: Readonly<Record<string, number>>,
): MonitorVerdict {
  const next: Record<string, number> = {}
  const diagnostics: Diagnostic[] = []
  let stop: Diagnostic | null = null
  for (const monitor of monitors) {
    const value = measures[monitor.metric]
    const beyond =
      value !== undefined &&
      step >= silentUntil(monitor) &&
      ((monitor.below !== null && value < monitor.below) || (monitor.above !== null && value > monitor.above))
    const count = beyond
      ? (counts[monitor.name] ?? 0) + 1
      : value === undefined
        ? (counts[monitor.name] ?? 0)
        : 0
    next[monitor.name] = count
    if (count !== monitor.patience || !beyond) continue
    const args = {
      monitor: monitor.name,
      metric: monitor.metric,
      value: value!,
      threshold: (monitor.below !== null && value! < monitor.below ? monitor.below : monitor.above)!,
      side: monitor.below !== null && value! < monitor.below ? ('below' as const) : ('above' as const),
      step,
      patience: monitor.patience,
    }
    const notes = [monitor.explanation]
    if (monitor.action === 'stop') {
      stop ??= diagnose('DINO1038', null, args, { notes })
    } else diagnostics.push(diagnose('DINO1037', null, args, { notes }))
  }
  return { counts: next, diagnostics, stop }
}

/** What the monitors watch of evaluations; where several were made at one step, the last one's. */
export function evaluationMeasures({ eval: seen }: EvaluationHealth): Record<string, number> {
  return Object.assign({}, ...Object.values(seen)) as Record<string, number>
}

/** Shannon entropy in nats of a distribution that sums to 1 (the mean of the targets over a batch). */
export function entropy(distribution: ArrayLike<number>): number {
  let sum = 0
  for (let k = 0; k < distribution.length; k++) {
    const p = distribution[k]!
    if (p > 0) sum -= p * Math.log(p)
  }
  return sum
}
