import { type LineChart, lineChart, quietColour, type Series } from '../../compiler/codegen/charts.js'
import type { Figure, Training } from '../../compiler/codegen/report.js'
import { significant } from '../terminal/figures.js'
import type { CollectedRun } from './collect.js'
import type { Colours } from './colours.js'

/** Loss terms in the order in which they are shown; others follow. */
const terms = ['total', 'dino_global', 'dino_local', 'ibot', 'koleo']
const mostPoints = 240

type Points = readonly (readonly [number, number | null | undefined])[]

interface Curve extends LineChart {
  readonly title: string
}

/**
 * Curves over training steps: every loss term, what the monitors watch, and the primary metric where it was measured on
 * the way; a line a variant, averaged over seeds. Null where no run took a step.
 */
export async function trainingOf(
  runs: readonly CollectedRun[],
  primary: { readonly evaluation: string; readonly metric: string } | null,
  colours: Colours,
): Promise<Training | null> {
  const curves: Curve[] = []
  const add = (title: string, points: (run: CollectedRun) => Points, more: Partial<LineChart> = {}): void => {
    const series = seriesOf(runs, points, colours)
    if (series.some((s) => s.points.length > 1)) curves.push({ title, x: 'step', series, ...more })
  }
  const present = new Set(runs.flatMap((run) => Object.keys(run.training[0]?.loss ?? {})))
  const ordered = [...new Set([...terms.filter((t) => present.has(t)), ...present])]
  for (const term of ordered)
    add(`loss: ${term.replaceAll('_', ' ')}`, (run) => run.training.map((l) => [l.step, l.loss[term]]))
  const measures = new Set(runs.flatMap((run) => Object.keys(run.health[0]?.measures ?? {})))
  for (const measure of [...measures].filter((m) => m.startsWith('entropy.'))) {
    const loss = measure.slice('entropy.'.length)
    const reference = uniformEntropy(runs, loss)
    add(
      `entropy of the ${loss} targets, nats`,
      (run) => run.health.map((l) => [l.step, l.measures[measure]]),
      reference === null ? {} : { reference },
    )
  }
  if (primary !== null && runs.some((run) => run.evaluations.length > 2))
    add(`${primary.evaluation}.${primary.metric}`, (run) =>
      run.evaluations.map((l) => [l.step, l.eval[primary.evaluation]?.[primary.metric]]),
    )
  if (curves.length === 0) return null
  const seeds = new Set(runs.map((run) => run.seed)).size
  return {
    caption:
      `Each loss term as it enters the total, its weight applied${seeds > 1 ? '; means over the seeds' : ''}. ` +
      'Totals of variants that drop or reweigh a term are not on one scale.',
    legend: colours.legend,
    curves: await Promise.all(curves.map(figure)),
  }
}

async function figure({ title, ...chart }: Curve): Promise<Figure> {
  const named = chart.series.filter((s) => s.colour !== quietColour)
  const rest = chart.series.length - named.length
  const ends = [...named.map(endsOf), ...(rest > 0 ? [`${rest} others in grey`] : [])]
  // The quiet ones below, `full` on top.
  const series = [...chart.series].sort((a, b) => layerOf(a) - layerOf(b)).reverse()
  return { title, svg: await lineChart({ ...chart, series }), alt: `${title}, by step. ${ends.join('; ')}` }
}

const layerOf = ({ colour }: Series): number => (colour === quietColour ? 1 : 0)

function endsOf({ name, points }: Series): string {
  const [first, last] = [points[0], points.at(-1)]
  return first && last ? `${name}: from ${significant(first.y, 4)} to ${significant(last.y, 4)}` : name
}

/** ln K: where targets stand when all prototypes are alike. */
function uniformEntropy(
  runs: readonly CollectedRun[],
  loss: string,
): { readonly y: number; readonly label: string } | null {
  for (const { resolved } of runs) {
    const found = resolved?.loss[loss]
    if (resolved === null || found === undefined || !('head' in found)) continue
    const head = resolved.head[found.head]
    const own = head?.type === 'tied' ? resolved.head[head.to] : head
    if (own?.type === 'mlp')
      return {
        y: Math.log(own.prototypes),
        label: `ln ${own.prototypes} = ${Math.log(own.prototypes).toFixed(2)}: all prototypes alike`,
      }
  }
  return null
}

function seriesOf(
  runs: readonly CollectedRun[],
  points: (run: CollectedRun) => Points,
  colours: Colours,
): Series[] {
  const byVariant = new Map<string, Map<number, number[]>>()
  for (const run of runs) {
    const steps = byVariant.get(run.variant) ?? new Map<number, number[]>()
    for (const [step, value] of points(run))
      if (typeof value === 'number' && Number.isFinite(value))
        steps.set(step, [...(steps.get(step) ?? []), value])
    if (steps.size > 0) byVariant.set(run.variant, steps)
  }
  return [...byVariant].map(([name, steps]) => ({ name, colour: colours.of(name), points: thinned(steps) }))
}

/** Means over seeds, then over stretches of steps, so that a page stays small however long the run. */
function thinned(steps: ReadonlyMap<number, readonly number[]>): Series['points'] {
  const all = [...steps].sort(([a], [b]) => a - b)
  const stretch = Math.ceil(all.length / mostPoints)
  const points: { x: number; y: number }[] = []
  for (let from = 0; from < all.length; from += stretch) {
    const part = all.slice(from, from + stretch)
    const values = part.flatMap(([, v]) => v)
    points.push({ x: part[0]![0], y: values.reduce((a, b) => a + b, 0) / values.length })
  }
  return points
}
