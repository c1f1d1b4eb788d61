import type { PlainTable } from '../../compiler/codegen/report.js'
import { bytes, duration, grouped, rate, significant } from '../terminal/figures.js'
import type { CollectedRun } from './collect.js'

const columns = [
  'parameters',
  'GFLOP/image',
  'steps',
  'images/s',
  'GFLOP/s',
  'planned peak',
  'process peak',
  'training time',
]

/** What a run of each variant cost; a dash where nothing was measured. */
export function costTable(runs: readonly CollectedRun[]): PlainTable {
  const names = [...new Set(runs.map((run) => run.variant))]
  return {
    title: 'Cost',
    caption:
      'Parameters of the student with its heads. Speed is the mean over the seeds; peak memory and time are those of ' +
      'the largest and slowest run. GFLOP count the arithmetic of the model in training, not what a device repeats.',
    columns,
    rows: names.map((name) => ({ name, cells: cellsOf(runs.filter((run) => run.variant === name)) })),
  }
}

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
  const dash = '–'
  return [
    parameters === 0
      ? dash
      : parameters < 1e6
        ? `${grouped(parameters / 1e3)} k`
        : `${significant(parameters / 1e6, 3)} M`,
    perImage === null ? dash : significant(perImage / 1e9, 3),
    stepsText(runs),
    speed === null ? dash : rate(speed),
    speed === null || perImage === null ? dash : rate((speed * perImage) / 1e9),
    arenas.length === 0
      ? dash
      : bytes(Math.max(...arenas) + state.reduce((sum, t) => sum + 4 * elements(t.shape), 0)),
    bytes(Math.max(...runs.map((r) => r.record.peakRssBytes))),
    duration(Math.max(...seconds)),
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
