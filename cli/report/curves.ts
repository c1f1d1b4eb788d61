import { type LineChart, lineChart, type Series } from '../../compiler/codegen/charts.js'
import type { Figure } from '../../compiler/codegen/report.js'
import type { CollectedRun } from './collect.js'

/** Loss terms in the order in which they are shown. */
const terms = ['total', 'dino_global', 'dino_local', 'ibot', 'koleo']
const mostPoints = 240

/** Curves over training steps: every loss term, then what the monitors watch; a line a variant, averaged over seeds. */
export async function curvesOf(runs: readonly CollectedRun[]): Promise<Figure[]> {
  const charts: LineChart[] = []
  for (const term of terms) {
    const series = seriesOf(runs, (run) => run.training.map(({ step, loss }) => [step, loss[term]]))
    if (series.length > 0)
      charts.push({ title: `loss: ${term.replace('_', ' ')}`, x: 'step', y: 'nats', series })
  }
  const measures = new Set(runs.flatMap((run) => Object.keys(run.health[0]?.measures ?? {})))
  for (const measure of [...measures].filter((m) => m.startsWith('entropy.'))) {
    const series = seriesOf(runs, (run) => run.health.map(({ step, measures: m }) => [step, m[measure]]))
    const reference = uniformEntropy(runs, measure.slice('entropy.'.length))
    const title = `entropy of the ${measure.slice('entropy.'.length)} targets`
    charts.push({ title, x: 'step', y: 'nats', series, ...(reference && { reference }) })
  }
  return Promise.all(
    charts.map(async (chart) => ({
      svg: await lineChart(chart),
      alt: `${chart.title} over training steps: ${chart.series.map(ends).join('; ')}`,
    })),
  )
}

/** ln K: where targets stand when all prototypes are alike. */
function uniformEntropy(runs: readonly CollectedRun[], loss: string): LineChart['reference'] | null {
  for (const { resolved } of runs) {
    const found = resolved?.loss[loss]
    if (found === undefined || !('head' in found)) continue
    const head = resolved!.head[found.head]
    const own = head?.type === 'tied' ? resolved!.head[head.to] : head
    if (own?.type === 'mlp')
      return {
        y: Math.log(own.prototypes),
        label: `ln ${own.prototypes} = ${Math.log(own.prototypes).toFixed(2)}: uniform`,
      }
  }
  return null
}

type Points = readonly (readonly [number, number | undefined])[]

function seriesOf(runs: readonly CollectedRun[], points: (run: CollectedRun) => Points): Series[] {
  const byVariant = new Map<string, Map<number, number[]>>()
  for (const run of runs) {
    const steps = byVariant.get(run.variant) ?? new Map<number, number[]>()
    for (const [step, value] of points(run))
      if (value !== undefined && Number.isFinite(value)) steps.set(step, [...(steps.get(step) ?? []), value])
    if (steps.size > 0) byVariant.set(run.variant, steps)
  }
  return [...byVariant].map(([name, steps]) => ({ name, points: thinned(steps) }))
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

function ends({ name, points }: Series): string {
  const [first, last] = [points[0], points.at(-1)]
  return first && last ? `${name} from ${first.y.toFixed(3)} to ${last.y.toFixed(3)}` : name
}
