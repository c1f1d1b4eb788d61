import { hint } from '../ir/builder.js'
import { inferCall } from '../ir/instantiate.js'
import { noCallees, type ShapeContext, sameType } from '../ir/operands.js'
import { resultTypes } from '../ir/ops.js'
import type {
  AnyOp,
  Func,
  Module,
  Op,
  OpAttrs,
  OpKind,
  ParamSource,
  Stage,
  TensorType,
  Value,
  ValueId,
} from '../ir/types.js'
import { joinModules } from './inline.js'

/**
 * How passes rewrite a function: walk its ops in order, keep them or put others in their place, and say which value
 * stands for which. Ids are stable while a draft is open; `close` renumbers values in order of definition, so that
 * they are dense again and the printed text does not depend on what a pass tried.
 */
export interface Draft {
  /** The ops so far. */
  readonly ops: AnyOp[]
  /** Appends an op as it stands. */
  keep(op: AnyOp): void
  /** Appends a new op; result types follow from the shape rule. */
  emit<K extends OpKind>(
    kind: K,
    operands: readonly (ValueId | null)[],
    attrs: OpAttrs[K],
    at: Place,
  ): ValueId[]
  /** Appends a new op that defines values of ops which are not kept: nothing that reads them has to change. */
  emitAs<K extends OpKind>(
    kind: K,
    operands: readonly (ValueId | null)[],
    attrs: OpAttrs[K],
    results: readonly ValueId[],
    at: Place,
  ): void
  /** A value with nothing that defines it yet. */
  value(type: TensorType, name?: string): ValueId
  param(type: TensorType, source: ParamSource, name: string): ValueId
  /** Every reader of `old`, before and after, reads `by` instead. */
  replace(old: ValueId, by: ValueId): void
  /** What a value of the original function is called by now. */
  resolve(id: ValueId): ValueId
  type(id: ValueId): TensorType
  /** The op of the draft that makes a value; undefined for parameters. */
  maker(id: ValueId): AnyOp | undefined
  close(): Func
}

/** What a new op inherits: the part of the network, the stage and the line of the file that it stands for. */
export interface Place {
  readonly module: string
  readonly stage: Stage
  readonly span: AnyOp['span']
}

/** `context` is needed only where calls are emitted. */
export function openDraft(func: Func, context: ShapeContext = noCallees): Draft {
  const ops: AnyOp[] = []
  const values: Value[] = [...func.values]
  const params = [...func.params]
  /** By id: the value that stands for it, itself where absent. */
  const standIn: (ValueId | undefined)[] = []
  const makers: (AnyOp | undefined)[] = []

  function push(op: AnyOp): void {
    ops.push(op)
    for (const id of op.results) makers[id] = op
  }

  function resolve(id: ValueId): ValueId {
    let at = id
    for (let next = standIn[at]; next !== undefined; next = standIn[at]) at = next
    return at
  }
  function value(type: TensorType, name?: string): ValueId {
    const id = values.length
    values.push(name === undefined ? { id, type } : { id, type, name })
    return id
  }
  return {
    ops,
    keep: push,
    emit: (kind, operands, attrs, at) => {
      const types = operands.map((id) => (id === null ? null : values[resolve(id)]!.type))
      const results = resultTypes(kind, types, attrs, { ...context, span: at.span }).map((type) =>
        value(type),
      )
      push(makeOp(kind, operands, results, attrs, at))
      return results
    },
    emitAs: (kind, operands, attrs, results, at) => {
      push(makeOp(kind, operands, results, attrs, at))
    },
    value,
    param: (type, source, name) => {
      const id = value(type, hint(name))
      params.push({ value: id, source })
      return id
    },
    replace: (old, by) => {
      const target = resolve(by)
      if (old === target) return
      standIn[old] = target
    },
    resolve,
    type: (id) => values[resolve(id)]!.type,
    maker: (id) => makers[resolve(id)],
    close: () =>
      compact(
        { name: func.name, params, ops, results: func.results, values },
        standIn.length > 0 ? resolve : null,
      ),
  }
}

export function makeOp<K extends OpKind>(
  kind: K,
  operands: readonly (ValueId | null)[],
  results: readonly ValueId[],
  attrs: OpAttrs[K],
  at: Place,
): AnyOp {
  const op: Op<K> = { kind, operands, results, attrs, module: at.module, stage: at.stage, span: at.span }
  return op as unknown as AnyOp
}

export function withOperands(op: AnyOp, operands: readonly (ValueId | null)[]): AnyOp {
  return makeOp(op.kind, operands, op.results, op.attrs as OpAttrs[OpKind], op)
}

/** For drafts that emit calls of a module's functions. */
export function calleeContext({ functions }: Module): ShapeContext {
  return { span: null, callee: (name, operands) => inferCall(functions, name, operands) }
}

/**
 * Puts the ops of a called function where the call stands. Their types are those of this call; their modules are
 * joined to the call's.
 */
export function inlineCall(draft: Draft, call: Op<'call'>, callee: Func): void {
  const map = new Int32Array(callee.values.length).fill(-1)
  callee.params.forEach((param, i) => {
    map[param.value] = call.operands[i]!
  })
  const typed = callee.params.every((param, i) =>
    sameType(callee.values[param.value]!.type, draft.type(call.operands[i]!)),
  )
  for (const op of callee.ops) {
    const operands = op.operands.map((id) => (id === null ? null : map[id]!))
    const at = {
      module: joinModules(call.module, op.module),
      stage: call.stage,
      span: op.span ?? call.span,
    }
    if (typed) {
      const results = op.results.map((id) => {
        const { type, name } = callee.values[id]!
        map[id] = draft.value(type, name)
        return map[id]!
      })
      draft.emitAs(op.kind, operands, op.attrs, results, at)
    } else {
      draft.emit(op.kind, operands, op.attrs, at).forEach((id, i) => {
        map[op.results[i]!] = id
      })
    }
  }
  callee.results.forEach((result, i) => {
    draft.replace(call.results[i]!, map[result.value]!)
  })
}

/**
 * Renumbers values in order of definition and forgets those that nothing defines. `resolve`: what stands for a value
 * that is read.
 */
export function compact(func: Func, resolve: ((id: ValueId) => ValueId) | null = null): Func {
  const next = new Int32Array(func.values.length).fill(-1)
  const values: Value[] = []
  let changed = false
  const define = (id: ValueId) => {
    const old = func.values[id]!
    next[id] = values.length
    if (values.length === id) values.push(old)
    else {
      changed = true
      const { type, name } = old
      values.push(name === undefined ? { id: values.length, type } : { id: values.length, type, name })
    }
  }
  for (const param of func.params) define(param.value)
  for (const op of func.ops) for (const id of op.results) define(id)
  if (!changed && resolve === null) return values.length === func.values.length ? func : { ...func, values }
  const read = (id: ValueId): ValueId =>
    changed ? next[resolve ? resolve(id) : id]! : resolve ? resolve(id) : id
  const stays = (id: ValueId | null): boolean => id === null || read(id) === id
  const ops = func.ops.map((op) => {
    if (!changed && op.operands.every(stays)) return op
    const operands = op.operands.map((id) => (id === null ? null : read(id)))
    const results = changed ? op.results.map((id) => next[id]!) : op.results
    return makeOp(op.kind, operands, results, op.attrs as OpAttrs[OpKind], op)
  })
  return {
    name: func.name,
    params: changed
      ? func.params.map((param) => ({ value: next[param.value]!, source: param.source }))
      : func.params,
    ops,
    results: func.results.map((result) => ({ value: read(result.value), sink: result.sink })),
    values: values.length === func.values.length && !changed ? func.values : values,
  }
}

/** How often each value is read: as an operand or as a result of the function. */
export function countUses(func: Func): Int32Array {
  const uses = new Int32Array(func.values.length)
  for (const op of func.ops) for (const id of op.operands) if (id !== null) uses[id]!++
  for (const result of func.results) uses[result.value]!++
  return uses
}

/** The op that defines each value; undefined for parameters. */
export function definitions(func: Func): (AnyOp | undefined)[] {
  const by = new Array<AnyOp | undefined>(func.values.length).fill(undefined)
  for (const op of func.ops) for (const id of op.results) by[id] = op
  return by
}

export function mapFunctions(module: Module, change: (func: Func, module: Module) => Func): Module {
  const functions: Record<string, Func> = {}
  for (const [name, func] of Object.entries(module.functions)) functions[name] = change(func, module)
  return { ...module, functions }
}

/** As `mapFunctions`, for the entries alone. */
export function mapEntries(module: Module, change: (func: Func, module: Module) => Func): Module {
  const functions: Record<string, Func> = { ...module.functions }
  for (const name of module.entries) functions[name] = change(functions[name]!, module)
  return { ...module, functions }
}

/** Without the functions that no entry reaches. */
export function dropUnreachable(module: Module): Module {
  const reached = new Set<string>()
  const visit = (name: string) => {
    if (reached.has(name)) return
    reached.add(name)
    for (const op of module.functions[name]!.ops) {
      if (op.kind === 'call') visit(op.attrs.callee)
      else if (op.kind === 'residual') visit(op.attrs.branch)
    }
  }
  for (const name of module.entries) visit(name)
  const names = Object.keys(module.functions)
  if (names.length === reached.size) return module
  return {
    ...module,
    functions: Object.fromEntries(
      names.filter((name) => reached.has(name)).map((name) => [name, module.functions[name]!]),
    ),
  }
}

/**
 * The ops in an order in which every operand is defined before it is read, otherwise as they stand: an op moves
 * forward only as far as something before it needs it.
 */
export function inDependencyOrder(ops: readonly AnyOp[]): AnyOp[] {
  const producer = new Map<ValueId, number>()
  ops.forEach((op, i) => {
    for (const id of op.results) producer.set(id, i)
  })
  const [unseen, open, done] = [0, 1, 2]
  const state = new Uint8Array(ops.length)
  const ordered: AnyOp[] = []
  const stack: number[] = []
  for (let first = 0; first < ops.length; first++) {
    if (state[first] === unseen) stack.push(first)
    while (stack.length > 0) {
      const i = stack[stack.length - 1]!
      const waitsFor: number[] = []
      if (state[i] === unseen) {
        state[i] = open
        for (const id of ops[i]!.operands) {
          const needed = id === null ? undefined : producer.get(id)
          if (needed === undefined || state[needed] === done) continue
          if (state[needed] === open) throw new Error(`ops of ${ops[i]!.module} need each other`)
          waitsFor.push(needed)
        }
      }
      if (waitsFor.length > 0) {
        stack.push(...waitsFor.reverse())
        continue
      }
      stack.pop()
      if (state[i] === done) continue
      state[i] = done
      ordered.push(ops[i]!)
    }
  }
  return ordered
}
