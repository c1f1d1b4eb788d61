import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { isEvaluation, readLog } from '../../runtime/metrics-log.js'
import { readRecord, runFiles } from '../../runtime/run-directory.js'
import { median } from '../runner/figures.js'
import { benchStep, refuse, run } from '../runner/programs.js'
import type { Context } from './context.js'
import { inPairs, markdown, type Row, type Section } from './figures.js'
import { writePhotographs } from './photographs.js'

interface Training {
  readonly name: string
  readonly file: string
  readonly experiment: string
  /** Of both commands. */
  readonly given: readonly string[]
  /** How many steps `bench` times: about as long as the run takes. */
  readonly steps: number
  readonly least: number
}

/** `waited`: the share of the time in which a step waited for its inputs. */
interface Trained {
  readonly imagesPerSecond: number
  readonly waited: number
}

/** Training on files, as `run` does it with its loaders, against the same step on inputs that are there. */
export async function realRun(context: Context): Promise<Section> {
  const photographs = join(context.scratch, 'photographs')
  await writePhotographs(photographs, 96)
  const trainings: readonly Training[] = [
    {
      name: 'vits14_step, 12 steps of 4 JPEGs of 500 px',
      file: 'bench/models.dino',
      experiment: 'vits14_photographs',
      given: ['--param', `folder=${photographs}`],
      ...{ steps: 10, least: 0.92 },
    },
    {
      name: 'quickstart, 60 steps of 64 digits',
      file: 'experiments/quickstart.dino',
      experiment: 'quickstart',
      given: ['--set', 'schedule.pretrain.length=60 steps'],
      ...{ steps: 40, least: 0.85 },
    },
  ]
  const rows: Row[] = []
  const waits: string[] = []
  for (const training of trainings) {
    const sides = [() => trained(context, training), () => benched(context, training)] as const
    const { name, least } = training
    const measured = await inPairs(context.pairs, sides, (pair, real, bench) => {
      const [a, b] = [real, bench].map((side) => side.imagesPerSecond.toFixed(2))
      context.tell(`${name} ${pair}: ${a} and ${b} images/s`)
    })
    const pairs = measured.map(([real, bench]) => [real.imagesPerSecond, bench.imagesPerSecond] as const)
    rows.push({ name, unit: 'images/s', pairs, wanted: { least } })
    const waited = median(measured.map(([real]) => real.waited))
    waits.push(`${name}, ${(100 * waited).toFixed(1)} %`)
  }
  return {
    title: 'A run beside its step',
    note:
      'Images a second that `dinoc run` records, over all steps but the first, with loader threads by default; and the ' +
      'median step of `dinoc bench`, on synthetic inputs. Untrained and final evaluations are not counted.',
    tables: [
      markdown({ sides: ['run', 'bench'], rows }),
      `Of the run's time its steps waited for inputs: ${waits.join('; ')}.`,
    ],
  }
}

const targetOf = ({ file, experiment }: Training) => `${file}#${experiment}.full`

async function trained({ scratch, threads }: Context, training: Training): Promise<Trained> {
  const runs = join(scratch, 'runs')
  // Under the same name a finished run is not trained again.
  rmSync(runs, { recursive: true, force: true })
  const options = ['--device', 'native', '--threads', String(threads), '--runs', runs, ...training.given]
  run('node', ['dist/cli/main.js', 'run', targetOf(training), ...options])
  const { experiment } = training
  const files = runFiles(runs, { experiment, variant: 'full', seed: 0 })
  const record = await readRecord(files)
  if (record?.status !== 'finished' || record.imagesPerSecond === null)
    return refuse(`${experiment} was not trained to its end`)
  return { imagesPerSecond: record.imagesPerSecond, waited: await waitedShare(files.metrics) }
}

/** Of all steps but the first, as throughput is. */
async function waitedShare(metrics: string): Promise<number> {
  const steps = (await readLog(metrics)).filter((line) => !isEvaluation(line) && line.step > 0)
  const total = (measure: string) => steps.reduce((sum, { time }) => sum + Number(time[measure]), 0)
  return total('waited_seconds') / total('seconds')
}

function benched({ threads }: Context, training: Training): Trained {
  const options = ['--threads', String(threads), '--steps', String(training.steps), ...training.given]
  return { imagesPerSecond: benchStep(targetOf(training), options).imagesPerSecond, waited: 0 }
}
