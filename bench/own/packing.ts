import { benchStep } from '../runner/programs.js'
import type { Context } from './context.js'
import { inPairs, markdown, type Row, type Section } from './figures.js'
import { planOf, stepOf } from './step.js'

/** Images a step, and how many steps are timed: about as long for each. */
const batches = [
  { images: 2, steps: 24 },
  { images: 8, steps: 10 },
  { images: 32, steps: 4 },
] as const

/** One ragged tensor for global and local crops against a tensor for each. */
export async function packing(context: Context): Promise<Section> {
  const rows: Row[] = [trunkRow()]
  for (const { images, steps } of batches) {
    const name = `small_step, ${images} images`
    const options = ['--threads', String(context.threads), '--steps', String(steps)]
    const rate = (variant: string) => () =>
      benchStep(`bench/models.dino#small_step.${variant}`, [...options, ...batchOf(images)]).imagesPerSecond
    const pairs = await inPairs(context.pairs, [rate('full'), rate('unpacked')], (pair, packed, unpacked) =>
      context.tell(`${name} ${pair}: ${packed.toFixed(2)} and ${unpacked.toFixed(2)} images/s`),
    )
    rows.push({ name, unit: 'images/s', pairs, wanted: { least: 0.98 } })
  }
  return {
    title: 'Packing',
    note:
      'Whole training steps on synthetic inputs, `optimize.pack` on and off. Steps of the plan: forward and backward of ' +
      "the student's blocks.",
    tables: [markdown({ sides: ['packed', 'unpacked'], rows })],
  }
}

const batchOf = (images: number) => ['--set', `schedule.batch=${images} img`]

export function trunkRow(): Row {
  const steps = (variant: string) => trunkSteps(`small_step.${variant}`)
  const pairs = [[steps('full'), steps('unpacked')]] as const
  return { name: 'the student’s trunk', unit: 'steps of the plan', pairs, wanted: { most: 0.5 } }
}

function trunkSteps(name: string): number {
  const all = planOf(stepOf(name)).programs.flatMap(({ steps }) => steps)
  return all.filter(({ module }) => module.startsWith('student.backbone.blocks.')).length
}
