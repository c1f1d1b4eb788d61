import { writeQuantity } from '../dyn.js'
import type { ResolvedExperiment, Time } from '../resolved.js'

/** A time in steps or passes; null where epochs have no meaning. */
export function inBaseUnit(time: Time, e: ResolvedExperiment): Time | null {
  if (time.unit !== 'epoch') return time
  const { epoch } = e.schedule
  return epoch === null || epoch.unit === 'epoch'
    ? null
    : { value: time.value * epoch.value, unit: epoch.unit }
}

/** Below 0 where `a` is shorter; null where only the data on disk can tell (steps against passes). */
export function compareTimes(a: Time, b: Time, e: ResolvedExperiment): number | null {
  if (a.unit === b.unit) return a.value - b.value
  const [x, y] = [inBaseUnit(a, e), inBaseUnit(b, e)]
  return x === null || y === null || x.unit !== y.unit ? null : x.value - y.value
}

export function writeTime(time: Time): string {
  return writeQuantity(time.value, time.unit)
}
