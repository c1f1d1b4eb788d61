import type { Data } from '../../compiler/ir/interpret.js'
import { interpretEntry } from '../../compiler/ir/interpret.js'
import type { Module } from '../../compiler/ir/types.js'
import { optimize } from '../../compiler/passes/pipeline.js'
import { buildPlan } from '../../compiler/plan/build.js'
import type { Plan, StateSpec } from '../../compiler/plan/plan.js'
import type { Device, Executable, HostTensor } from '../../runtime/devices/device.js'
import { openInterpret } from '../../runtime/devices/interpret.js'
import { initialState, inputValues, tinyStep } from '../passes/step.js'

/** A whole training step at a tiny size, optimised for the oracle, and as a plan of either class. */
export function tinyPlan(planClass: 'arena' | 'tensor-ops' = 'arena', microSteps = 1) {
  const { has } = openInterpret().capabilities()
  const lowered = { ...tinyStep({}, 0.3), microSteps }
  const { module } = optimize(lowered, {
    pack: true,
    fuse: true,
    precision: 'float32',
    recompute: 'off',
    capabilities: has,
  })
  const plan = buildPlan(
    module,
    { class: planClass, arenaLimitBytes: null },
    { images: 3, modelFlopsPerStep: 0 },
  )
  // As a device gets it: from a file.
  return { module, plan: JSON.parse(JSON.stringify(plan)) as Plan }
}

export const stateSpec = (module: Module): StateSpec => ({
  tensors: module.state.map((t) => ({
    name: t.name,
    dtype: t.type.dtype,
    shape: t.type.shape,
    init: t.init,
    storedShape: t.storedShape,
  })),
})

/** Runs a plan's step on a device that hands out float64, from the same numbers as `onModule`. */
export async function onDevice(
  device: Device,
  module: Module,
  plan: Plan,
): Promise<Record<string, HostTensor>> {
  const state = await device.state(stateSpec(module))
  for (const [name, data] of Object.entries(initialState(module))) await state.write(name, data)
  const executable: Executable = await device.load(plan, state)
  for (const program of plan.programs)
    for (let i = 0; i < (program === plan.programs[0] ? plan.microSteps : 1); i++) {
      const inputs = inputValues(module.inputs, { rows: 5, firstMicroStep: i === 0, step: i })
      const own = plan.inputs.filter((input) => input.program === program.name).map((input) => input.name)
      await executable.writeInputs(Object.fromEntries(own.map((name) => [name, inputs[name] as Data])))
      await executable.run(program.name)
    }
  const found: Record<string, HostTensor> = {}
  for (const [name, data] of Object.entries(await executable.metrics())) found[`metric ${name}`] = data
  for (const name of state.names) found[`state ${name}`] = await state.read(name)
  return found
}

/** The same step by the module itself. */
export function onModule(module: Module): Record<string, Data> {
  let state: Readonly<Record<string, Data>> = initialState(module)
  let carried: Readonly<Record<string, Data>> = {}
  const found: Record<string, Data> = {}
  module.entries.forEach((entry, e) => {
    for (let i = 0; i < (e === 0 ? module.microSteps : 1); i++) {
      const inputs = inputValues(module.inputs, { rows: 5, firstMicroStep: i === 0, step: i })
      const after = interpretEntry(module, entry, { state, carried, inputs })
      state = after.state
      carried = after.carried
      for (const [name, data] of Object.entries(after.metrics)) found[`metric ${name}`] = data
    }
  })
  for (const [name, data] of Object.entries(state)) found[`state ${name}`] = data
  return found
}
