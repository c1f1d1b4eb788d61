import type { Data } from '../../compiler/ir/interpret.js'
import { collectives, kernels, runCollective, runKernel } from '../../compiler/ir/interpret.js'
import { isCollective } from '../../compiler/ir/ops.js'
import type { CollectiveKind, OpAttrs } from '../../compiler/ir/types.js'
import type { Plan, PlanTensor, StateSpec, Step } from '../../compiler/plan/plan.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { AsyncTransport } from '../distributed/transport.js'
import {
  type Capabilities,
  checkPart,
  type Device,
  type Executable,
  type HostTensor,
  type PartedState,
  type State,
  type Transport,
} from './device.js'
import { typeOf, validatePlan } from './validate.js'

export interface InterpretOptions {
  /** `f64` hands float64 out as it is; otherwise tensors are rounded to float32 at the border, as devices have them. */
  readonly border?: 'f32' | 'f64'
}

/**
 * The oracle as a device. It computes in float64 and honours the plan's places: tensors that share bytes share them
 * here too (at two or four times the size), so a wrong plan of memory gives wrong numbers and not a false pass.
 */
export function openInterpret(options: InterpretOptions = {}): Device {
  const border = options.border ?? 'f32'
  return {
    name: 'interpret',
    targetClass: 'arena',
    capabilities,
    state: async (spec) => openState(spec, border),
    load: async (plan, state, transport) => openPlan(validatePlan(plan), state, border, transport),
    close: async () => {},
  }
}

function capabilities(): Capabilities {
  return {
    class: 'arena',
    has: new Set([...Object.keys({ ...kernels, ...collectives }).map((kind) => `op:${kind}`), 'bf16']),
    arenaLimitBytes: null,
    memoryBytes: null,
    isa: 'float64',
    description: 'the oracle: plain float64, slow, for tests',
  }
}

function refuse(what: string): never {
  throw new DiagnosticError([diagnose('DINO0902', null, { device: 'interpret', what })])
}

const elements = (shape: readonly number[]) => shape.reduce((n, size) => n * size, 1)

function allocate(t: Pick<PlanTensor, 'dtype' | 'shape'>): Data {
  return t.dtype === 'i32' ? new Int32Array(elements(t.shape)) : new Float64Array(elements(t.shape))
}

/** A copy as it crosses the border. */
function handOut(data: Data, border: 'f32' | 'f64'): HostTensor {
  return data instanceof Int32Array || border === 'f64' ? data.slice() : Float32Array.from(data)
}

function fill(name: string, data: Data, values: HostTensor): void {
  if (data.length !== values.length) refuse(`${name}: expected ${data.length} values, found ${values.length}`)
  if (data instanceof Int32Array !== values instanceof Int32Array)
    refuse(`${name}: expected ${data instanceof Int32Array ? 'i32' : 'f32'} values`)
  data.set(values)
}

interface InterpretState extends PartedState {
  /** The arrays themselves, which plans bind to. */
  readonly tensors: ReadonlyMap<string, Data>
}

function openState(spec: StateSpec, border: 'f32' | 'f64'): InterpretState {
  const tensors = new Map(spec.tensors.map((t) => [t.name, allocate(t)]))
  const at = (name: string) => tensors.get(name) ?? refuse(`there is no state tensor ${name}`)
  const partOf = (name: string, first: number, end: number) => {
    checkPart(name, first, end, at(name).length)
    return at(name).subarray(first, end)
  }
  return {
    tensors,
    names: [...tensors.keys()],
    read: async (name) => handOut(at(name), border),
    write: async (name, values) => fill(name, at(name), values),
    readPart: async (name, first, end) =>
      handOut(partOf(name, first, end), border) as Float32Array | Float64Array,
    writePart: async (name, first, values) => fill(name, partOf(name, first, first + values.length), values),
    close: async () => tensors.clear(),
  }
}

/** Each tensor's array: a view of an emulated arena, state's own, or its own. */
function place(plan: Plan, state: InterpretState): readonly Data[] {
  const factor = plan.tensors.some((t) => t.dtype === 'bf16') ? 4 : 2
  // Arenas start as NaN, so that whatever is read before it is written shows.
  const arenas = plan.arenas.map(({ bytes }) => {
    // Whole numbers of what fills them: an arena may end within a value of 64 bits.
    const arena = new ArrayBuffer(Math.ceil((bytes * factor) / 8) * 8)
    new Float64Array(arena).fill(Number.NaN)
    return arena
  })
  return plan.tensors.map((t) => {
    const length = elements(t.shape)
    switch (t.place.kind) {
      case 'device':
        return allocate(t)
      case 'state': {
        const found = state.tensors.get(t.place.name)
        if (found?.length !== length) return refuse(`state ${t.place.name} is missing or of another size`)
        return found
      }
      case 'arena': {
        const buffer = arenas[t.place.arena] as ArrayBuffer
        const offset = t.place.offset * factor
        return t.dtype === 'i32'
          ? new Int32Array(buffer, offset, length)
          : new Float64Array(buffer, offset, length)
      }
      default:
        return t.place satisfies never
    }
  })
}

function openPlan(plan: Plan, state: State, border: 'f32' | 'f64', transport?: Transport): Executable {
  if (!('tensors' in state)) return refuse('the state belongs to another device')
  const unknown = plan.target.requires.find((need) => !capabilities().has.has(need))
  if (unknown !== undefined) return refuse(`it lacks ${unknown}`)
  const data = place(plan, state as InterpretState)
  const types = plan.tensors.map(typeOf)
  const named = (list: readonly { name: string; tensor: number }[], name: string) =>
    list.find((x) => x.name === name)?.tensor

  const compute = async (step: Step, operands: readonly (Data | null)[]): Promise<readonly Data[]> => {
    const resultTypes = step.results.map((id) => types[id] as (typeof types)[number])
    if (!isCollective(step.op) || transport === undefined) {
      const operandTypes = step.operands.map((id) => (id < 0 ? null : (types[id] ?? null)))
      return runKernel(step.op, operands, operandTypes, step.attrs, resultTypes)
    }
    // What a rank hands in stays as it is while others read it.
    const own = operands.map((x) => (x as Data).slice())
    const all = await (transport as AsyncTransport).exchange(own)
    const attrs = step.attrs as OpAttrs[CollectiveKind]
    return runCollective(step.op, all, attrs, resultTypes)[transport.rank] as readonly Data[]
  }
  const run = async (step: Step) => {
    const operands = step.operands.map((id) => (id < 0 ? null : (data[id] as Data)))
    const results = await compute(step, operands)
    // A kernel may return an operand itself, which another result is about to overwrite.
    const own = results.map((r) => (operands.includes(r) ? r.slice() : r))
    own.forEach((result, i) => {
      ;(data[step.results[i] as number] as Data).set(result)
    })
  }
  return {
    writeInputs: async (inputs) => {
      for (const [name, values] of Object.entries(inputs)) {
        const id = named(plan.inputs, name)
        if (id === undefined) refuse(`plan ${plan.name} has no input ${name}`)
        fill(name, data[id as number] as Data, values)
      }
    },
    run: async (program) => {
      const found = plan.programs.find((p) => p.name === program)
      if (!found) refuse(`plan ${plan.name} has no program ${program}`)
      try {
        for (const step of found?.steps ?? []) await run(step)
      } catch (error) {
        ;(transport as AsyncTransport | undefined)?.abandon()
        throw error
      }
    },
    metrics: async () =>
      Object.fromEntries(plan.metrics.map((m) => [m.name, handOut(data[m.tensor] as Data, border)])),
    output: async (name) => {
      const id = named(plan.outputs, name)
      if (id === undefined) return refuse(`plan ${plan.name} has no output ${name}`)
      return handOut(data[id] as Data, border)
    },
    close: async () => {},
  }
}
