import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { tensorBytes } from '../ir/bytes.js'
import { inPlace } from '../ir/ops.js'
import type { AnyOp, Func, Generator, Module, OpKind, TensorType, ValueId } from '../ir/types.js'
import { aligned, alignment, type Buffer, placeBuffers } from './arena.js'
import { type Liveness, liveness, type TimedStep } from './liveness.js'
import { type Plan, type PlanInput, type PlanTensor, type Program, planVersion, type Step } from './plan.js'
import { schedule } from './schedule.js'

export interface PlanTarget {
  readonly class: 'arena' | 'tensor-ops'
  /** Largest arena in bytes; null: no limit but memory. */
  readonly arenaLimitBytes: number | null
}

/** What the module no longer says: images a run of the first program, and the exact work of a step. */
export interface PlannedWork {
  readonly images: number
  readonly modelFlopsPerStep: number
}

/**
 * From a legalized module (kernels only) to a plan: each entry becomes a program in `schedule`'s order, each value a
 * tensor with a lifetime, tensors share buffers where a kernel may compute in place, and buffers get offsets.
 *
 *   %x_mid = residual_add %x, %y, %gamma   ->   {op: 'residual_add', operands: [41, 57, 12, -1, -1], results: [58]}
 *                                               tensor 58 at arena 0, offset 1572864: where 41 was
 *
 * State stays in the device's `State`: a result that replaces a state tensor names that tensor itself, if nothing
 * still reads its old value; otherwise a copy at the end of the program does it.
 */
export function buildPlan(module: Module, target: PlanTarget, work: PlannedWork): Plan {
  const draft = draftPlan(module)
  const live = liveness(draft.steps, draft.tensors)
  const places = target.class === 'arena' ? placeTensors(draft, live, target.arenaLimitBytes) : null

  const tensors = draft.tensors.map((tensor, id): PlanTensor => {
    const { type } = tensor
    return {
      id,
      name: tensor.name,
      dtype: type.dtype,
      shape: type.shape,
      ...(type.segments && { segments: type.segments }),
      ...(type.rows !== undefined && { rows: type.rows }),
      place:
        tensor.state !== null
          ? { kind: 'state', name: tensor.state }
          : places === null
            ? { kind: 'device' }
            : { kind: 'arena', arena: places.arena[id]!, offset: places.offset[id]! },
      live: [live.start[id]!, Math.max(live.start[id]!, live.end[id]!)],
    }
  })
  return {
    format: 'dinoc-plan',
    version: planVersion,
    name: module.name,
    target: { class: target.class, requires: requirements(draft) },
    arenas: (places?.arenas ?? []).map((bytes) => ({ bytes })),
    tensors,
    inputs: draft.inputs,
    state: [...draft.state].map(([name, id]) => ({
      name,
      dtype: draft.tensors[id]!.type.dtype,
      shape: draft.tensors[id]!.type.shape,
    })),
    programs: draft.programs,
    microSteps: module.microSteps,
    metrics: draft.metrics,
    outputs: draft.outputs,
    images: work.images,
    modelFlopsPerStep: work.modelFlopsPerStep,
  }
}

/** The buffers that a module's plan places, for figures that need no offsets. */
export function planBuffers(module: Module): readonly Buffer[] {
  const draft = draftPlan(module)
  return sharedBuffers(draft, liveness(draft.steps, draft.tensors)).buffers
}

interface DraftTensor {
  readonly name: string
  readonly type: TensorType
  readonly bytes: number
  /** The state tensor that it is. */
  readonly state: string | null
  readonly planned: boolean
  fromStart: boolean
  toEnd: boolean
  readonly keep: boolean
  /** The op that makes it, for messages. */
  readonly op: AnyOp | null
}

interface PlanDraft {
  readonly generators: ReadonlyMap<string, Generator>
  readonly tensors: DraftTensor[]
  readonly steps: TimedStep[]
  readonly kinds: Set<OpKind>
  readonly programs: Program[]
  readonly inputs: PlanInput[]
  readonly metrics: { name: string; tensor: number }[]
  readonly outputs: { name: string; tensor: number }[]
  /** Tensor ids by name. */
  readonly input: Map<string, number>
  readonly state: Map<string, number>
  readonly carried: Map<string, number>
}

function draftPlan(module: Module): PlanDraft {
  const draft: PlanDraft = {
    generators: new Map(module.inputs.map((input) => [input.name, input.generator])),
    tensors: [],
    steps: [],
    kinds: new Set(),
    programs: [],
    inputs: [],
    metrics: [],
    outputs: [],
    input: new Map(),
    state: new Map(),
    carried: new Map(),
  }
  for (const entry of module.entries) addProgram(draft, entry, schedule(module.functions[entry]!))
  return draft
}

function addTensor(
  draft: PlanDraft,
  name: string,
  type: TensorType,
  facts: Partial<Pick<DraftTensor, 'state' | 'fromStart' | 'toEnd' | 'keep' | 'op'>>,
): number {
  draft.tensors.push({
    name,
    type,
    bytes: tensorBytes(type),
    state: facts.state ?? null,
    planned: (facts.state ?? null) === null,
    fromStart: facts.fromStart ?? false,
    toEnd: facts.toEnd ?? false,
    keep: facts.keep ?? false,
    op: facts.op ?? null,
  })
  return draft.tensors.length - 1
}

function byName(map: Map<string, number>, name: string, add: () => number): number {
  const known = map.get(name)
  if (known !== undefined) return known
  const id = add()
  map.set(name, id)
  return id
}

function addProgram(draft: PlanDraft, entry: string, func: Func): void {
  const tensorOf = new Int32Array(func.values.length).fill(-1)
  for (const { value, source } of func.params) {
    const { type } = func.values[value]!
    switch (source.kind) {
      case 'state':
        tensorOf[value] = stateTensor(draft, source.name, type)
        break
      case 'input':
        tensorOf[value] = byName(draft.input, source.name, () => inputTensor(draft, source.name, type, entry))
        break
      case 'carried':
        // Read before this program's own result is written: what an earlier run left there.
        tensorOf[value] = byName(draft.carried, source.name, () =>
          addTensor(draft, source.name, type, { fromStart: true, toEnd: true }),
        )
        break
      case 'operand':
        throw new Error(`entry ${entry} has a parameter that nothing binds`)
      default:
        source satisfies never
    }
  }

  const copies = bindResults(draft, func, tensorOf)
  const steps: Step[] = []
  const addStep = (op: AnyOp, operands: number[], results: number[]) => {
    draft.kinds.add(op.kind)
    draft.steps.push({ operands, results, inPlace: inPlace[op.kind] ?? [] })
    steps.push({
      op: op.kind,
      operands,
      results,
      attrs: op.attrs,
      module: op.module,
      stage: op.stage,
      span: op.span,
    } as unknown as Step)
  }
  for (const op of func.ops) {
    for (const id of op.results)
      if (tensorOf[id] === -1)
        tensorOf[id] = addTensor(draft, tensorName(func, op, id), func.values[id]!.type, { op })
    addStep(
      op,
      op.operands.map((id) => (id === null ? -1 : tensorOf[id]!)),
      op.results.map((id) => tensorOf[id]!),
    )
  }
  for (const { value, tensor } of copies) addStep(copyOp(entry, value), [tensorOf[value]!], [tensor])

  for (const { value, sink } of func.results) {
    if (sink.kind !== 'metric' && sink.kind !== 'output') continue
    const tensor = tensorOf[value]!
    draft.tensors[tensor]!.toEnd = true
    ;(sink.kind === 'metric' ? draft.metrics : draft.outputs).push({ name: sink.name, tensor })
  }
  draft.programs.push({ name: entry, steps })
}

function stateTensor(draft: PlanDraft, name: string, type: TensorType): number {
  return byName(draft.state, name, () => addTensor(draft, name, type, { state: name }))
}

function inputTensor(draft: PlanDraft, name: string, type: TensorType, program: string): number {
  const generator = draft.generators.get(name)
  if (generator === undefined) throw new Error(`input ${name} is not declared`)
  // A scalar costs no more than its alignment, and kept to the end it need not be written again at each micro-step.
  const id = addTensor(draft, name, type, {
    fromStart: true,
    toEnd: tensorBytes(type) <= alignment,
    keep: true,
  })
  draft.inputs.push({ name, tensor: id, program, generator })
  return id
}

/**
 * Gives results that replace state or are carried the tensor that they end in, where the op that makes them may write
 * there. Returns the others: values to be copied at the end of the program.
 */
function bindResults(
  draft: PlanDraft,
  func: Func,
  tensorOf: Int32Array,
): { value: ValueId; tensor: number }[] {
  const madeBy = new Int32Array(func.values.length).fill(-1)
  const lastRead = new Int32Array(func.values.length).fill(-1)
  func.ops.forEach((op, i) => {
    for (const id of op.results) madeBy[id] = i
    for (const id of op.operands) if (id !== null) lastRead[id] = i
  })
  const old = new Map<string, ValueId>()
  for (const { value, source } of func.params)
    if (source.kind === 'state' || source.kind === 'carried') old.set(`${source.kind} ${source.name}`, value)

  const mayOverwrite = (value: ValueId, before: ValueId | undefined): boolean => {
    const at = madeBy[value]!
    if (at < 0 || tensorOf[value] !== -1) return false
    if (before === undefined || lastRead[before]! < at) return true
    if (lastRead[before]! > at) return false
    const op = func.ops[at]!
    const result = op.results.indexOf(value)
    return op.operands.every(
      (id, position) =>
        id !== before || (inPlace[op.kind] ?? []).some(([r, o]) => r === result && o === position),
    )
  }
  const copies: { value: ValueId; tensor: number }[] = []
  for (const { value, sink } of func.results) {
    if (sink.kind !== 'state' && sink.kind !== 'carried') continue
    const before = old.get(`${sink.kind} ${sink.name}`)
    if (before === value) continue
    const { type } = func.values[value]!
    const ofInput = sink.kind === 'carried' && before === undefined && madeBy[value]! < 0
    if (ofInput && draft.tensors[tensorOf[value]!]!.state === null) {
      // An input handed on as it is.
      draft.carried.set(sink.name, tensorOf[value]!)
      draft.tensors[tensorOf[value]!]!.toEnd = true
      continue
    }
    const tensor =
      sink.kind === 'state'
        ? stateTensor(draft, sink.name, type)
        : byName(draft.carried, sink.name, () => addTensor(draft, sink.name, type, { toEnd: true }))
    if (mayOverwrite(value, before)) tensorOf[value] = tensor
    else copies.push({ value, tensor })
  }
  return copies
}

function copyOp(entry: string, value: ValueId): AnyOp {
  return {
    kind: 'scale',
    operands: [value],
    results: [],
    attrs: { factor: 1 },
    module: entry,
    stage: 'update',
    span: null,
  }
}

function tensorName(func: Func, op: AnyOp, id: ValueId): string {
  const own =
    func.values[id]!.name ?? (op.results.length > 1 ? `${op.kind}.${op.results.indexOf(id)}` : op.kind)
  return op.module === '' ? own : `${op.module}.${own}`
}

function requirements(draft: PlanDraft): string[] {
  const requires = [...draft.kinds].map((kind) => `op:${kind}`).sort()
  if (draft.tensors.some((tensor) => tensor.type.dtype === 'bf16')) requires.push('bf16')
  return requires
}

function placeTensors(
  draft: PlanDraft,
  live: Liveness,
  limitBytes: number | null,
): { arena: number[]; offset: number[]; arenas: readonly number[] } {
  for (const tensor of draft.tensors) if (tensor.planned) checkSize(tensor, limitBytes)
  const { buffers, indexOf } = sharedBuffers(draft, live)
  const placed = placeBuffers(buffers, limitBytes)
  const at = (list: readonly number[]) =>
    draft.tensors.map((tensor, id) => (tensor.planned ? list[indexOf.get(live.buffer[id]!)!]! : -1))
  return { arena: at(placed.arena), offset: at(placed.offset), arenas: placed.arenas }
}

/** One buffer for each chain of tensors that share it, and its index by the tensor at the head of the chain. */
function sharedBuffers(
  draft: PlanDraft,
  live: Liveness,
): { buffers: readonly Buffer[]; indexOf: ReadonlyMap<number, number> } {
  const indexOf = new Map<number, number>()
  const buffers: { bytes: number; start: number; end: number }[] = []
  draft.tensors.forEach((tensor, id) => {
    if (!tensor.planned) return
    const head = live.buffer[id]!
    const start = live.start[id]!
    const end = Math.max(start, live.end[id]!)
    const index = indexOf.get(head)
    if (index === undefined) {
      indexOf.set(head, buffers.length)
      buffers.push({ bytes: Math.max(1, tensor.bytes), start, end })
      return
    }
    const buffer = buffers[index]!
    buffer.start = Math.min(buffer.start, start)
    buffer.end = Math.max(buffer.end, end)
  })
  return { buffers, indexOf }
}

function checkSize(tensor: DraftTensor, limitBytes: number | null): void {
  if (limitBytes === null || aligned(tensor.bytes) <= limitBytes) return
  throw new DiagnosticError([
    diagnose(
      'DINO0810',
      tensor.op?.span ?? null,
      { tensor: tensor.name, bytes: tensor.bytes, limitBytes },
      {
        notes: [
          `${tensor.type.shape.join(' x ')} values of ${
            tensor.bytes /
            Math.max(
              1,
              tensor.type.shape.reduce((n, size) => n * size, 1),
            )
          } bytes in one piece`,
        ],
        help: ['set schedule.micro_batch to run fewer images at a time, or use another device'],
      },
    ),
  ])
}
