import type { PlainTable } from '../../compiler/codegen/report.js'
import { memoryText } from '../../compiler/plan/figures.js'
import type { ResultTable } from '../../runtime/eval/results.js'
import { duration, grouped, rate, score, significant } from '../terminal/figures.js'
import type { CollectedRun } from './collect.js'

/** What tells variants apart comes first: on a narrow screen the rest is reached by scrolling. */
const columns = [
  'images/s',
  'process peak',
  'planned peak',
  'training time',
  'GFLOP/s',
  'GFLOP/image',
  'parameters',
  'steps',
]

/** What a run of each variant cost, beside what it was for; a dash where nothing was measured. */
export function costTable(runs: readonly CollectedRun[], results: ResultTable | null): PlainTable {
  const names = [...new Set(runs.map((run) => run.variant))]
  const scores = new Map(results?.rows.map((row) => [row.name, score(row.value.mean)]))
  return {
    title: 'Cost',
    caption:
      'Parameters of the student with its heads. Speed is the mean over the seeds; peak memory and time are those of ' +
      'the largest and slowest run. GFLOP count the arithmetic of the model in training, not what a device repeats.',
    columns: [...(results === null ? [] : [results.metric]), ...columns],
    rows: names.map((name) => ({
      name,
      cells: [
        ...(results === null ? [] : [scores.get(name) ?? dash]),
        ...cellsOf(runs.filter((run) => run.variant === name)),
      ],
    })),
  }
}

const dash = '–'

function cellsOf(runs: readonly CollectedRun[]): string[] {
  const run = runs.find((r) => r.spec !== null) ?? runs[0]!
  const state = run.spec?.state ?? []
  const elements = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)
  const parameters = state.filter((t) => t.role === 'student').reduce((sum, t) => sum + elements(t.shape), 0)
  const plans = Object.values(run.plans)
  const perImage = plans[0] && run.spec ? plans[0].modelFlopsPerStep / run.spec.batch.images : null
  const arenas = plans.map((plan) => plan.arenas.reduce((sum, a) => sum + a.bytes, 0))
  const speeds = runs.flatMap((r) => r.record.imagesPerSecond ?? [])
  const speed = speeds.length === 0 ? null : speeds.reduce((a, b) => a + b, 0) / speeds.length
  const seconds = runs.map((r) => r.training.reduce((sum, line) => sum + (line.time?.seconds ?? 0), 0))
  return [
    speed === null ? dash : rate(speed),
    memoryText(Math.max(...runs.map((r) => r.record.peakRssBytes))),
    arenas.length === 0
      ? dash
      : memoryText(Math.max(...arenas) + state.reduce((sum, t) => sum + 4 * elements(t.shape), 0)),
    duration(Math.max(...seconds)),
    speed === null || perImage === null ? dash : rate((speed * perImage) / 1e9),
    perImage === null ? dash : significant(perImage / 1e9, 3),
    parameters === 0
      ? dash
      : parameters < 1e6
        ? `${grouped(parameters / 1e3)} k`
        : `${significant(parameters / 1e6, 3)} M`,
    stepsText(runs),
  ]
}

/** Of runs that stopped before their end, how far they came: `1 of 30`, `10 to 30 of 30`. */
function stepsText(runs: readonly CollectedRun[]): string {
  const steps = Math.max(...runs.map(({ record }) => record.steps))
  const taken = runs.map(({ record }) => record.step)
  const [least, most] = [Math.min(...taken), Math.max(...taken)]
  if (least === steps) return grouped(steps)
  return `${least === most ? grouped(least) : `${grouped(least)} to ${grouped(most)}`} of ${grouped(steps)}`
}
