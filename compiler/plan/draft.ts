import { tensorBytes } from '../ir/bytes.js'
import { inPlace } from '../ir/ops.js'
import type { AnyOp, Func, Generator, Module, OpKind, TensorType, ValueId } from '../ir/types.js'
import { alignment } from './arena.js'
import type { TimedStep } from './liveness.js'
import type { PlanInput, Program, Step } from './plan.js'
import { schedule } from './schedule.js'

/** A tensor of a plan before it has a place. */
export interface DraftTensor {
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

/** Programs over tensors: everything of a plan but lifetimes and places. */
export interface PlanDraft {
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

export function draftPlan(module: Module): PlanDraft {
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
  for (const entry of module.entries)
    addProgram(draft, entry, holdOldState(schedule(module.functions[entry]!)))
  return draft
}

/**
 * A result that is an old value of state (or of a carried tensor) which the same program replaces: it is copied aside
 * first, so that whoever reads the result does not find the new value.
 */
function holdOldState(func: Func): Func {
  const replaced = new Set<string>()
  for (const { sink } of func.results)
    if (sink.kind === 'state' || sink.kind === 'carried') replaced.add(`${sink.kind} ${sink.name}`)
  const own = new Map<ValueId, string>()
  for (const { value, source } of func.params)
    if (source.kind === 'state' || source.kind === 'carried') own.set(value, `${source.kind} ${source.name}`)

  const values = [...func.values]
  const held = new Map<ValueId, ValueId>()
  const results = func.results.map((result) => {
    const { value, sink } = result
    const name = own.get(value)
    if (
      name === undefined ||
      !replaced.has(name) ||
      name === `${sink.kind} ${'name' in sink ? sink.name : ''}`
    )
      return result
    const copy = held.get(value) ?? values.length
    if (!held.has(value)) {
      held.set(value, copy)
      values.push({ id: copy, type: func.values[value]!.type })
    }
    return { value: copy, sink }
  })
  if (held.size === 0) return func
  const copies = [...held].map(([value, copy]): AnyOp => ({ ...copyOp(func.name, value), results: [copy] }))
  return { ...func, ops: [...copies, ...func.ops], results, values }
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
  const old = { state: new Map<string, ValueId>(), carried: new Map<string, ValueId>() }
  for (const { value, source } of func.params)
    if (source.kind === 'state' || source.kind === 'carried') old[source.kind].set(source.name, value)

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
    const before = old[sink.kind].get(sink.name)
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
