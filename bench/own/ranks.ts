import { embeddedTarget, planVariant } from '../../compiler/compile.js'
import { benchStep, type TimedStep } from '../runner/programs.js'
import type { Context } from './context.js'
import { inPairs, markdown, type Row, type Section } from './figures.js'
import { mebibytes, stepOf } from './step.js'

const step = 'small_step.grouped'

/** Two ranks, which halve the threads and the state between them, against one. */
export async function ranks(context: Context): Promise<Section> {
  const bench = (count: number) => (): TimedStep =>
    benchStep(`bench/models.dino#${step}`, [
      ...['--ranks', String(count), '--threads', String(context.threads), '--steps', '4'],
    ])
  const pairs = await inPairs(context.pairs, [bench(2), bench(1)], (pair, two, one) =>
    context.tell(
      `ranks ${pair}: ${two.imagesPerSecond.toFixed(2)} and ${one.imagesPerSecond.toFixed(2)} images/s`,
    ),
  )
  const measured = (name: string, unit: string, of: (step: TimedStep) => number): Row => ({
    ...{ name, unit, wanted: null },
    pairs: pairs.map(([two, one]) => [of(two), of(one)] as const),
  })
  return {
    title: 'Ranks',
    note:
      `Whole training steps of small_step, 32 images, \`semantics = global, groups = 2\`, on synthetic inputs: 2 ranks of ` +
      `${threadsOf(context.threads >> 1)} each, and 1 rank of ${threadsOf(context.threads)}. State: of one rank, by the plan.`,
    tables: [
      markdown({
        sides: ['2 ranks', '1 rank'],
        rows: [
          measured('throughput', 'images/s', ({ imagesPerSecond }) => imagesPerSecond),
          measured('peak memory of the process', 'MiB', ({ peakRssBytes }) => mebibytes(peakRssBytes)),
          stateRow(),
        ],
      }),
    ],
  }
}

const threadsOf = (threads: number): string => (threads > 1 ? `${threads} threads` : '1 thread')

export function stateRow(): Row {
  const bytes = (count: number) =>
    planVariant(stepOf(step, [`hardware.ranks=${count}`]), embeddedTarget, null).phases[0]!.perRank.stateBytes
  return {
    name: 'state of a rank',
    unit: 'MiB',
    pairs: [[mebibytes(bytes(2)), mebibytes(bytes(1))]],
    wanted: null,
  }
}
