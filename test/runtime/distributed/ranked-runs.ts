import { compileVariant, embeddedTarget } from '../../../compiler/compile.js'
import type { VariantCost } from '../../../compiler/plan/cost.js'
import type { Plan } from '../../../compiler/plan/plan.js'
import type { RunSpec } from '../../../compiler/plan/run-spec.js'
import type { Hardware, ResolvedExperiment } from '../../../compiler/resolve/resolved.js'
import { hostInputs } from '../../../runtime/data/host-inputs.js'
import type { CollectiveBytes, Device, HostTensor, State } from '../../../runtime/devices/device.js'
import { openInterpret } from '../../../runtime/devices/interpret.js'
import { openRanks } from '../../../runtime/distributed/ranked-device.js'
import { openAsyncGroup } from '../../../runtime/distributed/transport.js'
import { initialState } from '../../../runtime/initialize.js'
import { stream } from '../../../runtime/philox.js'
import { microBatches } from '../../../runtime/run.js'
import { timeline } from '../../../runtime/timeline.js'

export interface Compiled {
  readonly cost: VariantCost
  readonly spec: RunSpec
  readonly plan: Plan
}

export function compileOn(experiment: ResolvedExperiment, hardware: Partial<Hardware>): Compiled {
  const compiled = compileVariant(
    { ...experiment, hardware: { ...experiment.hardware, ...hardware } },
    embeddedTarget,
  )
  const spec = compiled.runSpec(0)
  return { cost: compiled.cost, spec, plan: compiled.plans[spec.phases[0]!.plan]! }
}

/** The oracle on as many ranks as the run spec has. */
export function oracleOf({ spec }: Compiled): Device {
  const open = () => openInterpret({ border: 'f64' })
  if (spec.ranks === 1) return open()
  return openRanks({
    devices: Array.from({ length: spec.ranks }, open),
    openGroup: () => openAsyncGroup(spec.ranks),
    whole: open(),
    shards: spec.shards,
  })
}

/** Noise for each image of the batch, whichever rank sees it: [crops * images of a micro-batch, ...] of one of them. */
function cropsOf({ spec, plan }: Compiled, step: number, micro: number): Record<string, HostTensor> {
  const inputs: Record<string, HostTensor> = {}
  for (const { name, tensor, generator } of plan.inputs) {
    if (generator.kind !== 'crops') continue
    const { shape } = plan.tensors[tensor]!
    const size = shape.slice(1).reduce((n, d) => n * d, 1)
    const values = new Float32Array(shape[0]! * size)
    for (let row = 0; row < shape[0]!; row++) {
      const image = micro * plan.images + (row % plan.images)
      const random = stream(spec.seed, step, image * 100 + Math.floor(row / plan.images), 'synthetic')
      for (let i = 0; i < size; i++) values[row * size + i] = random.normal()
    }
    inputs[name] = values
  }
  return inputs
}

export interface Trained {
  readonly losses: readonly Readonly<Record<string, number>>[]
  readonly state: State
  /** What one rank exchanged, where the device counts it. */
  readonly exchanged: CollectiveBytes | null
}

/** `steps` of training on made-up images. */
export async function trainOn(device: Device, compiled: Compiled, steps: number): Promise<Trained> {
  const { spec, plan } = compiled
  const span = timeline(spec, { epoch: spec.epoch, passSteps: 100 })[0]!
  const state = await device.state({ tensors: spec.state })
  for (const [name, values] of initialState(spec.state, spec.seed)) await state.write(name, values)
  const executable = await device.load(plan, state)
  const inputsAt = hostInputs(spec, span, plan)
  const losses: Record<string, number>[] = []
  for (let step = 0; step < steps; step++) {
    const made = inputsAt(step)
    const micro = made.micro.map((inputs, q) => ({ ...inputs, ...cropsOf(compiled, step, q) }))
    for (let m = 0; m < plan.microSteps; m++) {
      for (const [rank, inputs] of microBatches({ micro }, m, plan.microSteps).entries())
        await executable.writeInputs(m === 0 ? { ...inputs, ...made.step } : inputs, rank)
      await executable.run('accumulate')
    }
    await executable.run('update')
    const metrics = await executable.metrics()
    losses.push(Object.fromEntries(Object.entries(metrics).map(([name, values]) => [name, values[0]!])))
  }
  const exchanged = (await executable.collectiveBytes?.()) ?? null
  await executable.close()
  return { losses, state, exchanged }
}
