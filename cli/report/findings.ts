import type { MetricRow } from '../../compiler/codegen/report.js'
import type { ResultRow, ResultTable } from '../../runtime/eval/results.js'
import type { Estimate } from '../../runtime/eval/statistics.js'
import { difference, score } from '../terminal/figures.js'
import type { CollectedRun } from './collect.js'

/** Variants named in sentences; the table has them all. */
const mostNamed = 4

export function verdictOf(against: Estimate | null): MetricRow['verdict'] {
  if (against?.interval == null) return null
  if (against.interval[0] > 0) return 'better'
  return against.interval[1] < 0 ? 'worse' : 'unclear'
}

/** `0.101 to 0.237` */
export const range = ({ interval }: Estimate, format: (x: number) => string): string =>
  interval === null ? '' : `${format(interval[0])} to ${format(interval[1])}`

/** No line ends between the number and its sign. */
const ninetyFive = '95\u00a0%'

/** What the primary metric says, in sentences; where there is none, why. */
export function findingsOf(table: ResultTable | null, runs: readonly CollectedRun[]): string[] {
  if (table === null) return [withoutResult(runs)]
  const { metric, rows } = table
  const base = rows.find((row) => row.kind === 'variant' && row.against === null)
  if (base === undefined) return []
  return [
    ...trainedAgainstUntrained(metric, base, rows),
    ...floorAgainst(table.floorDifference, rows),
    ...variantsAgainst(
      base,
      rows.filter((row) => row.kind === 'variant' && row !== base),
    ),
  ]
}

function withoutResult(runs: readonly CollectedRun[]): string {
  const asked = runs.some((run) => (run.spec?.evaluations.length ?? 0) > 0)
  if (!asked)
    return 'Nothing was evaluated: the experiment has no eval block, so the loss is all there is to see.'
  return 'No run has been evaluated after its last step yet, so there is nothing to compare.'
}

function trainedAgainstUntrained(metric: string, base: ResultRow, rows: readonly ResultRow[]): string[] {
  const untrained = rows.find((row) => row.kind === 'untrained')
  const trained = `${base.name} reaches ${score(base.value.mean)} on ${metric}`
  if (untrained?.against == null) return [`Trained, ${trained}.`]
  const gain = -untrained.against.mean
  const [low, high] = (untrained.against.interval ?? [Number.NaN, Number.NaN]).map((x) => -x).reverse() as [
    number,
    number,
  ]
  const interval = Number.isNaN(low)
    ? ''
    : ` (${ninetyFive} interval ${difference(low)} to ${difference(high)})`
  const before = `its untrained backbone ${score(untrained.value.mean)}`
  if (low > 0) return [`Trained, ${trained}, ${before}: a gain of ${score(gain)}${interval}.`]
  if (high < 0)
    return [`Trained, ${trained}, ${before}: training made it worse by ${score(-gain)}${interval}.`]
  return [`Trained, ${trained}, ${before}: no difference can be told with these images and seeds${interval}.`]
}

/** `against`: raw pixels minus the trained features. */
function floorAgainst(against: Estimate | null, rows: readonly ResultRow[]): string[] {
  const floor = rows.find((row) => row.kind === 'floor')
  if (floor === undefined) return []
  const pixels = `Comparing small pictures pixel by pixel gives ${score(floor.value.mean)}`
  const verdict = verdictOf(against)
  if (against === null || verdict === null || verdict === 'unclear')
    return [`${pixels}, from which the features cannot be told apart with these images and seeds.`]
  const by = `by ${score(Math.abs(against.mean))} (${ninetyFive} interval ${range(absolute(against), score)})`
  return verdict === 'worse'
    ? [`${pixels}, which the features beat ${by}.`]
    : [`${pixels}, which the features do not reach: they miss it ${by}.`]
}

/** A difference told apart from none, without its sign. */
function absolute(estimate: Estimate): Estimate {
  const { mean, interval } = estimate
  if (mean >= 0 || interval === null) return estimate
  return { ...estimate, mean: -mean, interval: [-interval[1], -interval[0]] }
}

function variantsAgainst(base: ResultRow, rows: readonly ResultRow[]): string[] {
  const judged = rows.filter((row) => row.against?.interval)
  const unlike = rows.filter((row) => row.against === null).map((row) => row.name)
  const told = judged
    .filter((row) => verdictOf(row.against) !== 'unclear')
    .sort((a, b) => Math.abs(b.against!.mean) - Math.abs(a.against!.mean))
  const findings = told
    .slice(0, mostNamed)
    .map(
      (row) =>
        `${row.name} is ${verdictOf(row.against)} than ${base.name} by ${score(Math.abs(row.against!.mean))} ` +
        `(difference ${difference(row.against!.mean)}, ${ninetyFive} interval ${range(row.against!, difference)}).`,
    )
  const more = told.slice(mostNamed).map((row) => row.name)
  if (more.length > 0) findings.push(`Smaller, but also told apart from ${base.name}: ${listed(more)}.`)
  const unclear = judged.filter((row) => !told.includes(row)).map((row) => row.name)
  if (unclear.length > 0)
    findings.push(
      `With these seeds and images ${listed(unclear)} cannot be told apart from ${base.name}: either the change does ` +
        'not matter, or the run is too small to show it.',
    )
  if (judged.length >= 10)
    findings.push(
      `Of ${judged.length} variants about ${Math.max(1, Math.round(judged.length * 0.05))} would look different by ` +
        'chance alone: repeat a surprising one with more seeds.',
    )
  if (unlike.length > 0)
    findings.push(`${listed(unlike)} was evaluated by another protocol and is not compared.`)
  return findings
}

/** `a`, `a and b`, `a, b, c, d and 44 others` */
function listed(names: readonly string[]): string {
  if (names.length > mostNamed + 1)
    return `${names.slice(0, mostNamed).join(', ')} and ${names.length - mostNamed} others`
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}
