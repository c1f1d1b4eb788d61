import { type LineChart, lineChart, quietColour, type Series } from '../../compiler/codegen/charts.js'
import type { Curves, Figure } from '../../compiler/codegen/report.js'
import { isEvaluation } from '../../runtime/metrics-log.js'
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

type Draw = (
  title: string,
  points: (run: CollectedRun) => Points,
  more?: Partial<LineChart> | null,
) => readonly Curve[]

/** A line a variant, averaged over seeds; nothing where no run has two points. */
const drawing =
  (runs: readonly CollectedRun[], colours: Colours): Draw =>
  (title, points, more) => {
    const series = seriesOf(runs, points, colours)
    return series.some((s) => s.points.length > 1) ? [{ title, x: 'step', series, ...more }] : []
  }

/**
 * Curves over training steps: every loss term, and the primary metric where it was measured on the way. Null where no
 * run took a step.
 */
export async function trainingOf(
  runs: readonly CollectedRun[],
  primary: { readonly evaluation: string; readonly metric: string } | null,
  colours: Colours,
): Promise<Curves | null> {
  const draw = drawing(runs, colours)
  const present = new Set(runs.flatMap((run) => Object.keys(run.training[0]?.loss ?? {})))
  const ordered = [...new Set([...terms.filter((t) => present.has(t)), ...present])]
  const losses = ordered.flatMap((term) =>
    draw(`loss: ${term.replaceAll('_', ' ')}`, (run) => run.training.map((l) => [l.step, l.loss[term]])),
  )
  const onTheWay =
    primary === null || !runs.some((run) => run.evaluations.length > 2)
      ? []
      : draw(`${primary.evaluation}.${primary.metric}`, (run) =>
          run.evaluations.map((l) => [l.step, l.eval[primary.evaluation]?.[primary.metric]]),
        )
  return together(
    [...losses, ...onTheWay],
    colours,
    `Each loss term as it enters the total, its weight applied${overSeeds(runs)}. ` +
      'Totals of variants that drop or reweigh a term are not on one scale.',
  )
}

/** What the monitors watch: the targets of each loss at every step, the features at every evaluation. */
export async function healthOf(runs: readonly CollectedRun[], colours: Colours): Promise<Curves | null> {
  const draw = drawing(runs, colours)
  const ofSteps = runs.map((run) => run.health.find((line) => !isEvaluation(line)))
  const watched = new Set(
    ofSteps.flatMap((line) => (line && !isEvaluation(line) ? Object.keys(line.measures) : [])),
  )
  const targets = [...watched].flatMap((measure) => {
    const [what, loss] = measure.split('.') as [string, string]
    const points = (run: CollectedRun): Points =>
      run.health.map((line) => [line.step, isEvaluation(line) ? null : line.measures[measure]])
    return what === 'entropy'
      ? draw(`entropy of the ${loss} targets, nats`, points, uniformEntropy(runs, loss))
      : draw(`prototypes that the ${loss} targets use`, points, threshold(runs, measure))
  })
  const evaluations = new Set(
    runs.flatMap((run) => run.health.flatMap((line) => (isEvaluation(line) ? Object.keys(line.eval) : []))),
  )
  const features = [...evaluations].flatMap((name) => {
    const of = evaluations.size > 1 ? ` of ${name}` : ''
    const points =
      (measure: string) =>
      (run: CollectedRun): Points =>
        run.health.map((line) => [line.step, isEvaluation(line) ? line.eval[name]?.[measure] : null])
    return [
      ...draw(`effective rank of the features${of}`, points('rank.cls'), threshold(runs, 'rank.cls')),
      ...draw(`spread of the features${of}`, points('spread.cls'), threshold(runs, 'spread.cls')),
    ]
  })
  return together(
    [...targets, ...features],
    colours,
    `What the health monitors watch${overSeeds(runs)}: targets at every step, features at every evaluation ` +
      '(rank: RankMe; spread: 0 where all images look alike, near 1 where they fill the sphere). Dashed: collapse, ' +
      'or where a monitor speaks.',
  )
}

async function together(curves: readonly Curve[], colours: Colours, caption: string): Promise<Curves | null> {
  if (curves.length === 0) return null
  return { caption, legend: colours.legend, curves: await Promise.all(curves.map(figure)) }
}

const overSeeds = (runs: readonly CollectedRun[]): string =>
  new Set(runs.map((run) => run.seed)).size > 1 ? '; means over the seeds' : ''

/** Where a monitor of a measure speaks; of the first run that says, since variants may differ in width. */
function threshold(runs: readonly CollectedRun[], metric: string): Partial<LineChart> | null {
  for (const { spec } of runs) {
    const monitor = spec?.monitors.find((m) => m.metric === metric && m.below !== null)
    if (!monitor) continue
    const y = monitor.below!
    const label = `${monitor.action === 'stop' ? 'stops' : 'warns'} below ${Number(y.toPrecision(3))}`
    return { reference: { y, label } }
  }
  return null
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
function uniformEntropy(runs: readonly CollectedRun[], loss: string): Partial<LineChart> | null {
  for (const { resolved } of runs) {
    const found = resolved?.loss[loss]
    if (resolved === null || found === undefined || !('head' in found)) continue
    const head = resolved.head[found.head]
    const own = head?.type === 'tied' ? resolved.head[head.to] : head
    if (own?.type !== 'mlp') continue
    const y = Math.log(own.prototypes)
    return { reference: { y, label: `ln ${own.prototypes} = ${y.toFixed(2)}: all prototypes alike` } }
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
