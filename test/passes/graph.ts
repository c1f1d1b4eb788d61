import { FuncBuilder } from '../../compiler/ir/builder.js'
import type { Data } from '../../compiler/ir/interpret.js'
import { interpretEntry } from '../../compiler/ir/interpret.js'
import { printFunc } from '../../compiler/ir/print.js'
import type {
  Func,
  HostInput,
  Module,
  ResultSink,
  StateTensor,
  TensorType,
  ValueId,
} from '../../compiler/ir/types.js'
import { verify } from '../../compiler/ir/verify.js'
import { drawn, inputValue } from './step.js'

/** A small module written by hand: one entry, `main`, whose parameters are state and inputs by name. */
export interface Graph {
  readonly b: FuncBuilder
  state(name: string, ...shape: number[]): ValueId
  input(name: string, type: TensorType, generator: HostInput['generator']): ValueId
  /** A function that `main` may call. */
  func(name: string, build: (b: FuncBuilder) => readonly ValueId[]): Func
  finish(results: Readonly<Record<string, ValueId>>): Module
}

export const f32 = (...shape: number[]): TensorType => ({ dtype: 'f32', shape })
export const i32 = (...shape: number[]): TensorType => ({ dtype: 'i32', shape })

export function graph(): Graph {
  const functions: Record<string, Func> = {}
  const state: StateTensor[] = []
  const inputs: HostInput[] = []
  const b = new FuncBuilder('main', functions)
  return {
    b,
    state: (name, ...shape) => {
      state.push({ name, type: f32(...shape), storedShape: shape, role: 'student', init: { kind: 'zeros' } })
      return b.param(f32(...shape), { kind: 'state', name }, name)
    },
    input: (name, type, generator) => {
      inputs.push({ name, type, generator })
      return b.param(type, { kind: 'input', name }, name)
    },
    func: (name, build) => {
      const inner = new FuncBuilder(name, functions)
      functions[name] = inner.finish(build(inner))
      return functions[name]
    },
    finish: (results) => {
      const sinks = Object.entries(results).map(([name, value]) => ({
        value,
        sink: (name.startsWith('state ')
          ? { kind: 'state', name: name.slice(6) }
          : { kind: 'output', name }) as ResultSink,
      }))
      functions.main = b.finish(sinks)
      return { name: 'graph', functions, entries: ['main'], state, inputs, microSteps: 1 }
    },
  }
}

/** The text of one function without types, after checking the module. */
export function text(module: Module, name = 'main'): string {
  verify(module)
  return `\n${printFunc(module.functions[name]!, { types: false })}\n`
}

/** Its outputs and state on numbers that depend on names alone. */
export function outcome(module: Module, rows = 3): Readonly<Record<string, Data>> {
  const inputs = Object.fromEntries(
    module.inputs.map((input) => [input.name, inputValue(input, { rows, firstMicroStep: true, step: 0 })]),
  )
  const state = Object.fromEntries(
    module.state.map(({ name, type }) => {
      const next = drawn(name)
      return [name, Float64Array.from({ length: type.shape.reduce((n, s) => n * s, 1) }, () => next() - 0.3)]
    }),
  )
  const after = interpretEntry(module, 'main', { state, inputs, carried: {} })
  return { ...after.outputs, ...after.state }
}
