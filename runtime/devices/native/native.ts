import { availableParallelism, totalmem } from 'node:os'
import type { DType } from '../../../compiler/ir/types.js'
import type { Plan, PlanTensor, StateSpec, Step } from '../../../compiler/plan/plan.js'
import { diagnose } from '../../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../../diagnostics/diagnostic.js'
import {
  type Capabilities,
  checkPart,
  type Device,
  type Executable,
  type HostTensor,
  type PartedState,
  type Transport,
} from '../device.js'
import { refuseMissing } from '../requires.js'
import { validatePlan } from '../validate.js'
import type { Addon, DeviceHandle, Fault, GroupHandle, PlanHandle, Refusal, StateHandle } from './addon.js'
import { chooseInstructionSet, loadAddon } from './addon.js'
import { encodePlan } from './encode.js'

/**
 * The embedded device: a C++ library (src/) that holds plans in their arenas and runs them on threads of its own.
 * float32, and bf16 in products; results do not depend on the number of threads.
 */
export async function openNative(options: { readonly threads: number | null }): Promise<Device> {
  const addon = loadAddon()
  const set = chooseInstructionSet(addon)
  const threads = Math.max(1, options.threads ?? availableParallelism())
  const capabilities: Capabilities = {
    class: 'arena',
    has: new Set([...addon.kinds().map((kind) => `op:${kind}`), 'bf16']),
    arenaLimitBytes: null,
    memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY),
    isa: set.name,
    description: `${set.title}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
  }
  const device = addon.openDevice(threads, set.index)
  return {
    name: 'native',
    targetClass: 'arena',
    capabilities: () => capabilities,
    state: async (spec) => createState(addon, device, spec),
    load: async (plan, state, transport) => {
      const own = transport as NativeTransport | undefined
      const bound = state as NativeState
      let prepared: { readonly valid: Plan; readonly words: Float64Array }
      try {
        const valid = validatePlan(plan)
        refuseMissing(valid, 'native', capabilities)
        prepared = { valid, words: wordsOf(addon, valid, bound) }
      } catch (error) {
        if (own !== undefined) addon.skipPlan(device, own.group, own.rank)
        throw error
      }
      return loadPlan(addon, device, prepared, bound, own)
    },
    close: async () => addon.closeDevice(device),
  }
}

interface NativeTransport extends Transport {
  readonly group: GroupHandle
}

/**
 * For native devices of this process, one for each rank. They meet in shared memory: each device runs the same programs
 * of the same plan, and its collectives wait for those of the others. Ranks load their plans in the same order. A plan
 * refused, a plan closed, a device closed or a fault on one rank ends the runs of the others with DINO0907.
 */
export function openNativeGroup(ranks: number): readonly Transport[] {
  const group = loadAddon().createGroup(ranks)
  return Array.from({ length: ranks }, (_, rank): NativeTransport => ({ rank, ranks, group }))
}

const elements = (shape: readonly number[]) => shape.reduce((n, size) => n * size, 1)

function empty(dtype: DType, shape: readonly number[], into?: ArrayBuffer): Float32Array | Int32Array {
  const count = elements(shape)
  const memory = into !== undefined && 4 * count <= into.byteLength ? into : new ArrayBuffer(4 * count)
  return dtype === 'i32' ? new Int32Array(memory, 0, count) : new Float32Array(memory, 0, count)
}

/** The values as the typed array of a dtype, of the length that a shape asks for. */
function converted(
  name: string,
  values: HostTensor,
  dtype: DType,
  shape: readonly number[],
): Float32Array | Int32Array {
  if (values.length !== elements(shape))
    throw new RangeError(`${name}: ${values.length} values for a tensor of ${elements(shape)}`)
  if (dtype === 'i32') return values instanceof Int32Array ? values : Int32Array.from(values)
  return values instanceof Float32Array ? values : Float32Array.from(values)
}

interface NativeState extends PartedState {
  readonly handle: StateHandle
  readonly indexOf: (name: string) => number
}

function createState(addon: Addon, device: DeviceHandle, spec: StateSpec): NativeState {
  const { tensors } = spec
  const sizes = tensors.flatMap((t) => [t.dtype === 'i32' ? 2 : 0, elements(t.shape)])
  const handle = addon.createState(Float64Array.from(sizes)) // undefined also for sizes that are none
  if (handle === undefined)
    throw outOfMemory(`the state of ${4 * tensors.reduce((n, t) => n + elements(t.shape), 0)} bytes`)
  const indices = new Map(tensors.map((t, i) => [t.name, i]))
  const indexOf = (name: string) => {
    const index = indices.get(name)
    if (index === undefined) throw new RangeError(`no state tensor \`${name}\``)
    return index
  }
  return {
    handle,
    indexOf,
    names: tensors.map((t) => t.name),
    read: async (name, into) => {
      const index = indexOf(name)
      const { dtype, shape } = tensors[index]!
      const values = empty(dtype, shape, into)
      await addon.transferState(device, handle, index, 0, values, false)
      return values
    },
    write: async (name, values) => {
      const index = indexOf(name)
      const { dtype, shape } = tensors[index]!
      await addon.transferState(device, handle, index, 0, converted(name, values, dtype, shape), true)
    },
    readPart: async (name, first, end, into) => {
      const index = indexOf(name)
      checkPart(name, first, end, elements(tensors[index]!.shape))
      const values = empty('f32', [end - first], into) as Float32Array
      await addon.transferState(device, handle, index, first, values, false)
      return values
    },
    writePart: async (name, first, values) => {
      const index = indexOf(name)
      checkPart(name, first, first + values.length, elements(tensors[index]!.shape))
      const floats = converted(name, values, 'f32', [values.length])
      await addon.transferState(device, handle, index, first, floats, true)
    },
    close: async () => addon.closeState(handle),
  }
}

const outOfMemory = (what: string) =>
  new DiagnosticError([
    diagnose('DINO0904', null, { device: 'native', what }, { help: ['set a smaller `micro_batch`'] }),
  ])

const stepOf = (plan: Plan, program: number, step: number): Step | undefined =>
  plan.programs[program]?.steps[step]

/** What src/plan.cc says, with the names and the place in the source that it does not know. */
function refusal(plan: Plan, [reason, message, program, step, tensor]: Refusal): DiagnosticError {
  if (reason === 5) return outOfMemory(`plan \`${plan.name}\`, which ${message}`)
  const bad = stepOf(plan, program, step)
  const where = bad
    ? `step ${step} of \`${plan.programs[program]!.name}\` (\`${bad.op}\` in \`${bad.module}\`)`
    : tensor >= 0
      ? `tensor \`${plan.tensors[tensor]?.name ?? tensor}\``
      : 'it'
  const what = `${where} ${message}`
  return new DiagnosticError([diagnose('DINO0902', bad?.span ?? null, { device: 'native', what })])
}

/** Which operand of which step held a value that must not be used. */
function faultOf(plan: Plan, program: number, [code, step, operand, value, bound]: Fault): DiagnosticError {
  if (code === 4) return outOfMemory(`scratch memory of plan \`${plan.name}\``)
  if (code === 3)
    return new DiagnosticError([diagnose('DINO0906', null, { device: 'native', plan: plan.name })])
  if (code === 5) return new DiagnosticError([diagnose('DINO0907', null, { plan: plan.name })])
  const at = stepOf(plan, program, step)!
  if (code === 6) {
    const what = `step ${step} of \`${plan.programs[program]!.name}\` (\`${at.op}\` in \`${at.module}\`) met another step on another rank`
    return new DiagnosticError([diagnose('DINO0902', at.span, { device: 'native', what })])
  }
  const tensor = plan.tensors[at.operands[operand]!]!.name
  return new DiagnosticError([
    diagnose('DINO0905', at.span, { tensor, op: at.op, value, limit: code === 2 ? bound : bound - 1 }),
  ])
}

/** A plan as the library takes it; DINO0902 where the state lacks what it reads. */
function wordsOf(addon: Addon, plan: Plan, state: NativeState): Float64Array {
  const kinds = new Map(addon.kinds().map((kind, i) => [kind, i]))
  const known = new Set(state.names)
  for (const { name } of plan.state)
    if (!known.has(name))
      throw new DiagnosticError([
        diagnose('DINO0902', null, {
          device: 'native',
          what: `it reads \`${name}\`, which the state does not hold`,
        }),
      ])
  return encodePlan(plan, kinds, state.indexOf)
}

function loadPlan(
  addon: Addon,
  device: DeviceHandle,
  { valid: plan, words }: { readonly valid: Plan; readonly words: Float64Array },
  state: NativeState,
  transport: NativeTransport | undefined,
): Executable {
  const loaded = addon.loadPlan(
    device,
    words,
    state.handle,
    Int32Array.from(plan.metrics, (m) => m.tensor),
    transport?.group,
    transport?.rank ?? 0,
  )
  if (Array.isArray(loaded)) throw refusal(plan, loaded as unknown as Refusal)
  const handle = loaded as PlanHandle
  const tensorOf = (id: number): PlanTensor => plan.tensors[id]!
  const inputs = new Map(plan.inputs.map((input) => [input.name, tensorOf(input.tensor)]))
  const outputs = new Map(plan.outputs.map((output) => [output.name, tensorOf(output.tensor)]))
  const programs = new Map(plan.programs.map((program, i) => [program.name, i]))

  return {
    writeInputs: async (values) => {
      for (const [name, value] of Object.entries(values)) {
        const tensor = inputs.get(name)
        if (tensor === undefined) continue
        addon.writeTensor(device, handle, tensor.id, converted(name, value, tensor.dtype, tensor.shape))
      }
    },
    run: async (name) => {
      const program = programs.get(name)
      if (program === undefined) throw new RangeError(`no program \`${name}\` in plan \`${plan.name}\``)
      const fault = await addon.runProgram(device, handle, program)
      if (fault) throw faultOf(plan, program, fault)
    },
    metrics: async () => {
      const values: Record<string, HostTensor> = {}
      plan.metrics.forEach(({ name, tensor }, i) => {
        const { dtype, shape } = tensorOf(tensor)
        const into = empty(dtype, shape)
        addon.readMetric(handle, i, into)
        values[name] = into
      })
      return values
    },
    output: async (name) => {
      const tensor = outputs.get(name)
      if (tensor === undefined) throw new RangeError(`no output \`${name}\` in plan \`${plan.name}\``)
      const into = empty(tensor.dtype, tensor.shape)
      await addon.readTensor(device, handle, tensor.id, into)
      return into
    },
    profile: async () => {
      const parts = new Map<string, { module: string; op: string; stage: string; seconds: number }>()
      for (const [i, program] of plan.programs.entries()) {
        const seconds = new Float64Array(program.steps.length)
        await addon.readSeconds(device, handle, i, seconds)
        program.steps.forEach(({ module, op, stage }, at) => {
          const key = `${module} ${op} ${stage}`
          const part = parts.get(key)
          if (part) part.seconds += seconds[at]!
          else parts.set(key, { module, op, stage, seconds: seconds[at]! })
        })
      }
      return [...parts.values()]
    },
    collectiveBytes: async () => {
      const [allGather, reduceScatter, allReduce] = addon.collectiveBytes(handle)
      return { allGather, reduceScatter, allReduce }
    },
    close: async () => addon.closePlan(handle),
  }
}
