import { imagesPerMicroBatch } from '../../compiler/compile.js'
import { lowerTrainStep } from '../../compiler/lower/train-step.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import type { Device } from '../../runtime/devices/device.js'
import { stream } from '../../runtime/philox.js'
import { type LoadOptions, load } from '../golden/execute.js'
import { madeUpInputs } from './inputs.js'

/** Weights of every tensor, drawn by its name: the same for all forms of a step. Norms and scales near 1. */
export function weight(name: string, length: number): Float32Array {
  const about = /norm|gamma|weight_g/.test(name) && name.endsWith('bias') === false ? 1 : 0
  let key = 3
  for (const c of name.replace(/^\w+\./, '')) key = (key * 31 + c.charCodeAt(0)) & 0x7fffffff
  const random = stream(11, name.startsWith('student') ? 0 : 1, key, 'init')
  return Float32Array.from({ length }, () => about + random.uniform(-0.3, 0.3))
}

export interface Numbers {
  readonly [name: string]: ArrayLike<number>
}

/**
 * Losses, gradients before clipping, and everything of the state after one step with made-up weights and images.
 * `microSteps`: which made-up micro-batches it sees, all of them by default; `change` has the last word on inputs.
 */
export async function stepNumbers(
  device: Device,
  experiment: ResolvedExperiment,
  options: LoadOptions = {},
  microSteps?: readonly number[],
  change: (inputs: Record<string, ArrayLike<number>>) => Record<string, ArrayLike<number>> = (inputs) =>
    inputs,
): Promise<Numbers> {
  const phase = experiment.schedule.phases[0]!
  const module = lowerTrainStep(experiment, phase, imagesPerMicroBatch(experiment), { gradients: true })
  const made = new Map(
    module.state
      .filter(({ role }) => role !== 'moment')
      .map(({ name, type }) => [
        name,
        weight(
          name,
          type.shape.reduce((n, d) => n * d, 1),
        ),
      ]),
  )
  const run = await load(device, module, (name) => made.get(name), options)
  const seen = microSteps ?? Array.from({ length: module.microSteps }, (_, i) => i)
  for (const [i, which] of seen.entries()) {
    const inputs = { ...madeUpInputs(run.inputs, which), ...(i > 0 && { first_micro_step: [0] }) }
    await run.run(change(inputs), i === seen.length - 1 ? 'all' : 'accumulate')
  }
  const numbers: Record<string, ArrayLike<number>> = { ...(await run.metrics()) }
  for (const result of module.functions.accumulate!.results)
    if (result.sink.kind === 'output') numbers[result.sink.name] = await run.output(result.sink.name)
  for (const name of run.state.names) numbers[name] = await run.state.read(name)
  await run.close()
  return { ...numbers, ...initial(made) }
}

/** What the state was before: `before.student.backbone.cls_token`. */
function initial(made: ReadonlyMap<string, Float32Array>): Numbers {
  return Object.fromEntries([...made].map(([name, values]) => [`before.${name}`, values]))
}

/** Largest difference of any tensor, in units of its largest element. */
export function distance(a: Numbers, b: Numbers, wanted: (name: string) => boolean): number {
  let worst = 0
  for (const [name, values] of Object.entries(b)) {
    if (!wanted(name)) continue
    const other = a[name]
    if (other === undefined) throw new Error(`${name} is missing`)
    const scale = Math.max(1e-12, ...Array.from(values, Math.abs))
    for (let i = 0; i < values.length; i++) worst = Math.max(worst, Math.abs(values[i]! - other[i]!) / scale)
  }
  return worst
}
