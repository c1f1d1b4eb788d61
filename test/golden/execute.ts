import type { HostInput, Module } from '../../compiler/ir/types.js'
import { optimize } from '../../compiler/passes/pipeline.js'
import { buildPlan } from '../../compiler/plan/build.js'
import type { Device, HostTensor, State } from '../../runtime/devices/device.js'

/** A module on a device, through the passes and the plan that training uses. */
export interface Loaded {
  readonly inputs: readonly HostInput[]
  readonly state: State
  /** Names for `output`. */
  readonly outputs: readonly string[]
  /** Runs all programs with these inputs, or only the first: a micro-step that others follow. */
  run(inputs: Readonly<Record<string, ArrayLike<number>>>, programs?: 'all' | 'accumulate'): Promise<void>
  output(name: string): Promise<HostTensor>
  metrics(): Promise<Readonly<Record<string, HostTensor>>>
  close(): Promise<void>
}

export interface LoadOptions {
  readonly pack?: boolean
  readonly fuse?: boolean
  readonly precision?: 'float32' | 'bf16'
}

/** `values`: of state tensors, by name; the others start at zero. */
export async function load(
  device: Device,
  module: Module,
  values: (name: string) => ArrayLike<number> | undefined,
  { pack = true, fuse = true, precision = 'float32' }: LoadOptions = {},
): Promise<Loaded> {
  const { has, arenaLimitBytes, class: targetClass } = device.capabilities()
  const optimized = optimize(module, {
    pack,
    fuse,
    precision,
    recompute: 'off',
    capabilities: has,
    verifyEach: true,
  }).module
  const plan = buildPlan(
    optimized,
    { class: targetClass, arenaLimitBytes },
    { images: 1, modelFlopsPerStep: 0 },
  )
  const state = await device.state({
    tensors: module.state.map((tensor) => ({
      name: tensor.name,
      dtype: tensor.type.dtype,
      shape: tensor.type.shape,
      init: tensor.init,
      storedShape: tensor.storedShape,
    })),
  })
  for (const { name } of module.state) {
    const value = values(name)
    if (value !== undefined) await state.write(name, Float32Array.from(value))
  }
  const executable = await device.load(plan, state)
  const dtypes = new Map(optimized.inputs.map((input: HostInput) => [input.name, input.type.dtype]))
  return {
    inputs: optimized.inputs,
    state,
    outputs: plan.outputs.map((output) => output.name),
    run: async (inputs, programs = 'all') => {
      const wanted = plan.inputs.map((input) => input.name)
      await executable.writeInputs(
        Object.fromEntries(
          wanted.map((name) => {
            const value = inputs[name]
            if (value === undefined) throw new Error(`${module.name} needs the input ${name}`)
            return [name, dtypes.get(name) === 'i32' ? Int32Array.from(value) : Float32Array.from(value)]
          }),
        ),
      )
      for (const program of programs === 'all' ? plan.programs : plan.programs.slice(0, 1))
        await executable.run(program.name)
    },
    output: (name) => executable.output(name),
    metrics: () => executable.metrics(),
    close: async () => {
      await executable.close()
      await state.close()
    },
  }
}
