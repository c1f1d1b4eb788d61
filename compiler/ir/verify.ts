import { diagnose } from '../../diagnostics/catalogue.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { inferCall } from './instantiate.js'
import { groupRows, sameType, showType } from './operands.js'
import { isKind, isStructural, operandNames, reductions, resultTypes } from './ops.js'
import type {
  AnyOp,
  Func,
  Module,
  OpAttrs,
  OpKind,
  ParamSource,
  ResultSink,
  TensorType,
  Value,
  ValueId,
} from './types.js'

/**
 * Checks a module: SSA with every value defined once and before its uses, operand counts and attributes, result types
 * equal to what the shape rules infer, sources and sinks that exist and fit, no recursion, and the discipline of
 * bounded rows: a reduction over a tensor that names `rows` takes that scalar. `kernelsOnly` also refuses `call`,
 * `residual` and `grad`. Throws a DiagnosticError with every fault found (DINO06xx).
 */
export function verify(module: Module, options: { readonly kernelsOnly?: boolean } = {}): void {
  const faults = [
    ...module.entries
      .filter((name) => !module.functions[name])
      .map((callee) => diagnose('DINO0604', null, { callee })),
    ...recursion(module),
  ]
  if (faults.length === 0)
    for (const func of Object.values(module.functions))
      faults.push(...verifyFunc(module, func, options.kernelsOnly ?? false))
  if (faults.length === 0) faults.push(...verifyCarried(module))
  if (faults.length > 0) throw new DiagnosticError(faults)
}

const label = (func: Func, id: ValueId) => {
  const name = func.values[id]?.name
  return name === undefined ? `%${id}` : `%${name} (${id})`
}

const callees = (func: Func) =>
  new Set(
    func.ops.flatMap((op) =>
      op.kind === 'call' ? [op.attrs.callee] : op.kind === 'residual' ? [op.attrs.branch] : [],
    ),
  )

function recursion(module: Module): Diagnostic[] {
  const done = new Set<string>()
  const open = new Set<string>()
  const faults: Diagnostic[] = []
  const visit = (name: string) => {
    const func = module.functions[name]
    if (!func || done.has(name)) return
    if (open.has(name)) {
      faults.push(diagnose('DINO0610', null, { func: name, name, what: 'a function cannot call itself' }))
      return
    }
    open.add(name)
    for (const callee of callees(func)) visit(callee)
    open.delete(name)
    done.add(name)
  }
  for (const name of Object.keys(module.functions)) visit(name)
  return faults
}

function verifyFunc(module: Module, func: Func, kernelsOnly: boolean): Diagnostic[] {
  const faults: Diagnostic[] = []
  const entry = module.entries.includes(func.name)
  const fault = (name: string, what: string) =>
    faults.push(diagnose('DINO0610', null, { func: func.name, name, what }))
  if (module.functions[func.name] !== func)
    fault(func.name, 'the name differs from the one it is listed under')
  func.values.forEach((v, i) => {
    if (v.id !== i) faults.push(diagnose('DINO0606', null, { func: func.name, value: `%${i}` }))
  })

  const defined = new Set<ValueId>()
  const define = (id: ValueId): boolean => {
    const fresh = !defined.has(id) && func.values[id] !== undefined
    if (!fresh) faults.push(diagnose('DINO0606', null, { func: func.name, value: label(func, id) }))
    defined.add(id)
    return fresh
  }
  for (const p of func.params) define(p.value)
  for (const op of func.ops) {
    const missing = op.operands.filter((v): v is ValueId => v !== null && !defined.has(v))
    for (const v of missing)
      faults.push(diagnose('DINO0605', op.span, { func: func.name, op: op.kind, value: label(func, v) }))
    const fresh = op.results.map(define).every((ok) => ok)
    if (missing.length === 0 && fresh) faults.push(...verifyOp(module, func, op, kernelsOnly))
  }
  for (const v of func.values)
    if (!defined.has(v.id))
      faults.push(diagnose('DINO0606', null, { func: func.name, value: label(func, v.id) }))
  for (const r of func.results)
    if (!defined.has(r.value))
      faults.push(
        diagnose('DINO0605', null, { func: func.name, op: 'a result', value: label(func, r.value) }),
      )
  if (faults.length > 0) return faults

  const types = (id: ValueId) => (func.values[id] as Value).type
  for (const p of func.params) {
    const what = sourceFault(module, p.source, types(p.value), entry)
    if (what) fault('name' in p.source ? p.source.name : label(func, p.value), what)
    const { segments, shape } = types(p.value)
    if (segments && groupRows(segments) !== shape[0])
      fault(label(func, p.value), 'segments do not fill its rows')
  }
  const written = new Set<string>()
  for (const r of func.results) {
    const name = 'name' in r.sink ? r.sink.name : label(func, r.value)
    const what = sinkFault(module, r.sink, types(r.value), entry)
    if (what) fault(name, what)
    const key = `${r.sink.kind} ${name}`
    if (r.sink.kind !== 'result' && written.has(key)) fault(name, `${r.sink.kind} is written twice`)
    written.add(key)
  }
  return faults
}

/** A module lists thousands of state tensors; passes hand the same lists on. */
const listedTypes = new WeakMap<Module['state'] | Module['inputs'], ReadonlyMap<string, TensorType>>()

function typesByName(list: Module['state'] | Module['inputs']): ReadonlyMap<string, TensorType> {
  let types = listedTypes.get(list)
  if (types === undefined) {
    types = new Map(list.map((t) => [t.name, t.type]))
    listedTypes.set(list, types)
  }
  return types
}

function sourceFault(module: Module, source: ParamSource, type: TensorType, entry: boolean): string | null {
  if (entry !== (source.kind !== 'operand'))
    return entry ? 'an entry has no plain operands' : 'a called function has plain operands only'
  if (source.kind === 'operand' || source.kind === 'carried') return null
  const found = typesByName(source.kind === 'state' ? module.state : module.inputs).get(source.name)
  if (!found) return `no ${source.kind} tensor has this name`
  return sameType(found, type) ? null : `expected ${showType(found)}, found ${showType(type)}`
}

function sinkFault(module: Module, sink: ResultSink, type: TensorType, entry: boolean): string | null {
  if (entry !== (sink.kind !== 'result'))
    return entry ? 'a result of an entry goes nowhere' : 'a called function has plain results only'
  if (sink.kind !== 'state') return null
  const found = typesByName(module.state).get(sink.name)
  if (!found) return 'no state tensor has this name'
  return sameType(found, type) ? null : `expected ${showType(found)}, found ${showType(type)}`
}

function verifyOp(module: Module, func: Func, op: AnyOp, kernelsOnly: boolean): Diagnostic[] {
  if (!isKind(op.kind) || (kernelsOnly && isStructural(op.kind)))
    return [diagnose('DINO0609', (op as AnyOp).span, { func: func.name, kind: (op as AnyOp).kind })]
  const type = (id: ValueId) => (func.values[id] as Value).type
  const types = op.operands.map((v) => (v === null ? null : type(v)))
  const faults: Diagnostic[] = []
  try {
    const inferred = resultTypes(op.kind, types, op.attrs as OpAttrs[OpKind], {
      span: op.span,
      callee: (name, of) => inferCall(module.functions, name, of, op.span),
    })
    const show = (t: TensorType | undefined) => (t ? showType(t) : 'nothing')
    for (let i = 0; i < Math.max(inferred.length, op.results.length); i++) {
      const [expected, id] = [inferred[i], op.results[i]]
      const found = id === undefined ? undefined : type(id)
      if (expected && found && sameType(expected, found)) continue
      faults.push(
        diagnose('DINO0607', op.span, {
          func: func.name,
          op: op.kind,
          result: id === undefined ? `result ${i}` : label(func, id),
          expected: show(expected),
          found: show(found),
        }),
      )
    }
  } catch (error) {
    if (error instanceof DiagnosticError) return [...error.diagnostics]
    throw error
  }
  return [...faults, ...verifyRows(module, func, op, types)]
}

/** Which operands of an op are summed over their first dimension, and which operand says how far. */
export function reducedOperands(
  op: AnyOp,
): { readonly over: readonly number[]; readonly rows: number | null } | null {
  if (op.kind === 'matmul') {
    if (op.attrs.transA) return { over: op.attrs.transB ? [0] : [0, 1], rows: 4 }
    return op.attrs.transB ? null : { over: [1], rows: null }
  }
  const found = reductions[op.kind]
  const variadic = operandNames[op.kind].at(-1)?.startsWith('...')
  return found ? { ...found, over: variadic ? op.operands.map((_, i) => i) : found.over } : null
}

function verifyRows(
  module: Module,
  func: Func,
  op: AnyOp,
  types: readonly (TensorType | null)[],
): Diagnostic[] {
  const reduced = reducedOperands(op)
  if (!reduced) return []
  const entry = module.entries.includes(func.name)
  const scalar = reduced.rows === null ? null : (op.operands[reduced.rows] ?? null)
  const source = func.params.find((p) => p.value === scalar)?.source
  return reduced.over.flatMap((i) => {
    const rows = types[i]?.rows
    if (rows === undefined) return []
    const named = !entry || (source?.kind === 'input' && source.name === rows)
    if (scalar !== null && named) return []
    const names = operandNames[op.kind]
    const operand = names[Math.min(i, names.length - 1)] ?? String(i)
    return [diagnose('DINO0608', op.span, { op: op.kind, operand, rows })]
  })
}

/** A carried tensor is read with the type it is written with, and written by the same entry or an earlier one. */
function verifyCarried(module: Module): Diagnostic[] {
  const faults: Diagnostic[] = []
  const written = new Map<string, TensorType>()
  for (const name of module.entries) {
    const func = module.functions[name] as Func
    const type = (id: ValueId) => (func.values[id] as Value).type
    for (const r of func.results) if (r.sink.kind === 'carried') written.set(r.sink.name, type(r.value))
    for (const p of func.params) {
      if (p.source.kind !== 'carried') continue
      const found = written.get(p.source.name)
      const what = !found
        ? 'nothing carries it this far'
        : sameType(found, type(p.value))
          ? null
          : `expected ${showType(found)}, found ${showType(type(p.value))}`
      if (what) faults.push(diagnose('DINO0610', null, { func: name, name: p.source.name, what }))
    }
  }
  return faults
}
