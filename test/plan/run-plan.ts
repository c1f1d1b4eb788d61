import type { Data } from '../../compiler/ir/interpret.js'
import { runKernel } from '../../compiler/ir/interpret.js'
import type { OpAttrs, TensorType } from '../../compiler/ir/types.js'
import type { Plan, PlanTensor } from '../../compiler/plan/plan.js'

/**
 * Executes a plan of class `arena` in memory laid out exactly as it says, one float64 for each four bytes, starting
 * from NaN. So a tensor that is overwritten while something still reads it shows in the results.
 */
export interface PlanRun {
  readonly state: Record<string, Data>
  /** Before each run of a program, the inputs that it reads first. */
  write(program: string, inputs: Readonly<Record<string, Data>>): void
  run(program: string): void
  read(tensor: number): Float64Array
}

export function openRun(plan: Plan, state: Readonly<Record<string, Data>>): PlanRun {
  const arenas = plan.arenas.map(({ bytes }) => new Float64Array(bytes / 4).fill(Number.NaN))
  const own: Record<string, Data> = Object.fromEntries(
    Object.entries(state).map(([name, data]) => [name, data.slice()]),
  )
  const type = (id: number): TensorType => {
    const { dtype, shape, segments, rows } = plan.tensors[id]!
    return { dtype, shape, ...(segments && { segments }), ...(rows !== undefined && { rows }) }
  }
  const view = (tensor: PlanTensor): Data => {
    const { place } = tensor
    if (place.kind === 'state') return own[place.name]!
    if (place.kind === 'device') throw new Error('a plan without offsets')
    const count = tensor.shape.reduce((n, size) => n * size, 1)
    return arenas[place.arena]!.subarray(place.offset / 4, place.offset / 4 + count)
  }
  const load = (id: number): Data => {
    const data = view(plan.tensors[id]!)
    return plan.tensors[id]!.dtype === 'i32' ? Int32Array.from(data) : Float64Array.from(data)
  }
  return {
    state: own,
    write: (first, inputs) => {
      for (const { name, tensor, program } of plan.inputs) {
        const data = inputs[name]
        if (program === first && data !== undefined) view(plan.tensors[tensor]!).set(data)
      }
    },
    run: (name) => {
      for (const step of plan.programs.find((program) => program.name === name)!.steps) {
        const results = runKernel(
          step.op,
          step.operands.map((id) => (id < 0 ? null : load(id))),
          step.operands.map((id) => (id < 0 ? null : type(id))),
          step.attrs as OpAttrs[typeof step.op],
          step.results.map(type),
        )
        results.forEach((data, i) => {
          view(plan.tensors[step.results[i]!]!).set(data)
        })
      }
    },
    read: (tensor) => Float64Array.from(load(tensor)),
  }
}
