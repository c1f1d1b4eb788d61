import { FuncBuilder } from '../ir/builder.js'
import type { Func, Generator, HostInput, ResultSink, TensorType, ValueId } from '../ir/types.js'

/** Host inputs of a module by name: two entry functions may read the same one. */
export type Inputs = Map<string, HostInput>

/** An entry function being written: its builder, its host inputs, what becomes of its results. */
export interface Entry {
  readonly b: FuncBuilder
  /** The functions that it calls, shared by all entries of the module. */
  readonly functions: Record<string, Func>
  /** The state tensor `name`, likewise. */
  state(name: string, type: TensorType): ValueId
  /** The host input `name`, a parameter of this function from its first use on. */
  input(name: string, type: TensorType, generator: Generator): ValueId
  sink(kind: Exclude<ResultSink['kind'], 'result'>, name: string, value: ValueId): void
  /** A value that another program, or the next micro-step, handed over under this name. */
  carried(name: string, type: TensorType): ValueId
  finish(): void
}

/** `functions`: of the module; `finish` adds this one. */
export function openEntry(name: string, inputs: Inputs, functions: Record<string, Func>): Entry {
  const b = new FuncBuilder(name, functions)
  const results: { value: ValueId; sink: ResultSink }[] = []
  const bound = new Map<string, ValueId>()
  return {
    b,
    functions,
    state(tensor, type) {
      const known = bound.get(tensor)
      if (known !== undefined) return known
      const id = b.param(type, { kind: 'state', name: tensor }, tensor)
      bound.set(tensor, id)
      return id
    },
    input(input, type, generator) {
      const known = bound.get(input)
      if (known !== undefined) return known
      inputs.set(input, { name: input, type, generator })
      const id = b.param(type, { kind: 'input', name: input }, input)
      bound.set(input, id)
      return id
    },
    sink: (kind, sinkName, value) => {
      results.push({ value, sink: { kind, name: sinkName } })
    },
    carried: (carriedName, type) => b.param(type, { kind: 'carried', name: carriedName }, carriedName),
    finish: () => {
      functions[name] = b.finish(results)
    },
  }
}

/**
 * A value of `accumulate` over all micro-steps of a step, carried from each run to the next: its sum, or its mean.
 * With one micro-step it is the value itself. `hand over`: `update` reads it too.
 */
export function accumulated(
  entry: Entry,
  microSteps: number,
  name: string,
  value: ValueId,
  how: 'sum' | 'mean',
  use: 'hand over' | 'keep',
): ValueId {
  if (microSteps === 1) {
    if (use === 'hand over') entry.sink('carried', name, value)
    return value
  }
  const share = how === 'mean' ? entry.b.one('scale', [value], { factor: 1 / microSteps }) : value
  const sofar = entry.carried(name, entry.b.type(share))
  const first = entry.input('first_micro_step', { dtype: 'f32', shape: [] }, { kind: 'first_micro_step' })
  const [sum] = entry.b.op('accumulate', [sofar, share, first], {})
  entry.sink('carried', name, sum)
  return sum
}
