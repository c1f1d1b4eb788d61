import { instantiate } from '../ir/instantiate.js'
import { rowOperands, segmentWise } from '../ir/ops.js'
import type { AnyOp, Func, Module, Op, ValueId } from '../ir/types.js'
import { withoutDeadOps } from './dce.js'
import { calleeContext, dropUnreachable, inDependencyOrder, mapFunctions, openDraft } from './rewrite.js'
import { simplifyFunc } from './simplify.js'

/**
 * Pass 2: sibling calls of one function with the same parameters become one call on the concatenated ragged tensor:
 * the student's trunk on global and local crops, a head on several inputs.
 *
 *   %yg = call student.trunk(%xg; %w)       global 64x65
 *   %yl = call student.trunk(%xl; %w)       local 192x17
 * ->
 *   %y = call student.trunk(concat_rows(%xg, %xl); %w)
 *   %yg = slice_rows(%y) {start: 0, count: 4160}     %yl = slice_rows(%y) {start: 4160, count: 3264}
 *
 * Legal where the callee works on each row or each sequence alone and returns one row for each; attention then runs
 * within segments, and no mask exists anywhere. A tensor whose rows are only bounded comes last, so that the rows of
 * the others stand where they stood.
 */
export function pack(module: Module): Module {
  const functions: Record<string, Func> = { ...module.functions }
  const legal = new Map<string, boolean>()
  for (const entry of module.entries) {
    const tried = new Set<string>()
    for (;;) {
      const siblings = nextSiblings(module, functions[entry]!, tried, legal)
      if (siblings === null) break
      functions[entry] = merge({ ...module, functions }, functions[entry]!, siblings)
    }
  }
  const packed = dropUnreachable(retyped({ ...module, functions }))
  return mapFunctions(packed, (func) => withoutDeadOps(simplifyFunc(func)))
}

type Call = Op<'call'>

/** The next calls that may become one: at least two, of one function, with the same parameters, none needing another. */
function nextSiblings(
  module: Module,
  func: Func,
  tried: Set<string>,
  legal: Map<string, boolean>,
): readonly Call[] | null {
  const groups = new Map<string, Call[]>()
  for (const op of func.ops) {
    if (op.kind !== 'call') continue
    const key = `${op.attrs.callee}|${op.attrs.data}|${op.operands.slice(op.attrs.data).join(',')}|${op.stage}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [op])
    else group.push(op)
  }
  for (const [key, calls] of groups) {
    if (calls.length < 2 || tried.has(key)) continue
    tried.add(key)
    const { callee, data } = calls[0]!.attrs
    if (!packable(module, callee, data, legal)) continue
    const independent = withoutDependents(func, calls)
    if (independent.length >= 2) return independent
  }
  return null
}

/** The calls, less those that need the result of an earlier one of them. */
function withoutDependents(func: Func, calls: readonly Call[]): Call[] {
  const chosen: Call[] = []
  const of = new Set<unknown>(calls)
  const tainted = new Uint8Array(func.values.length)
  for (const op of func.ops) {
    const needs = op.operands.some((id) => id !== null && tainted[id] === 1)
    const isCall = of.has(op)
    if (isCall && !needs) chosen.push(op as unknown as Call)
    if (isCall || needs) for (const id of op.results) tainted[id] = 1
  }
  return chosen
}

/**
 * Whether each op on the way from the data to the results works on each row or sequence alone. Values made from
 * parameters only (a normalised weight) are the same for all calls and free to be anything.
 */
function packable(module: Module, name: string, data: number, legal: Map<string, boolean>): boolean {
  const key = `${name}/${data}`
  const known = legal.get(key)
  if (known !== undefined) return known
  const func = module.functions[name]!
  const rows = new Uint8Array(func.values.length)
  for (const param of func.params.slice(0, data)) rows[param.value] = 1
  const ok =
    func.ops.every((op) => {
      if (!op.operands.some((id) => id !== null && rows[id] === 1)) return true
      for (const id of op.results) rows[id] = 1
      return perRow(module, op, (id) => id !== null && rows[id] === 1, legal)
    }) && func.results.every(({ value }) => rows[value] === 1)
  legal.set(key, ok)
  return ok
}

function perRow(
  module: Module,
  op: AnyOp,
  isRows: (id: ValueId | null) => boolean,
  legal: Map<string, boolean>,
): boolean {
  let at: readonly number[] | undefined
  if (op.kind === 'call') {
    if (!packable(module, op.attrs.callee, op.attrs.data, legal)) return false
    at = Array.from({ length: op.attrs.data }, (_, i) => i)
  } else if (op.kind === 'residual') {
    if (!packable(module, op.attrs.branch, 1, legal)) return false
    at = [0]
  } else {
    if (!segmentWise(op.kind)) return false
    // Which sequences are kept is a choice over all of them.
    if (op.kind === 'residual_add' && (op.operands[3] !== null || op.operands[4] !== null)) return false
    at = rowOperands[op.kind]
  }
  return at !== undefined && op.operands.every((id, i) => isRows(id) === at.includes(i))
}

function merge(module: Module, func: Func, siblings: readonly Call[]): Func {
  const bounded = (call: Call) => (func.values[call.operands[0]!]!.type.rows === undefined ? 0 : 1)
  const calls = [...siblings].sort((a, b) => bounded(a) - bounded(b))
  const first = calls[0]!
  const { data } = first.attrs
  const draft = openDraft(func, calleeContext(module))
  const merged = new Set<unknown>(calls)
  const last = siblings[siblings.length - 1] as unknown as AnyOp
  for (const op of func.ops) {
    if (!merged.has(op)) {
      draft.keep(op)
      continue
    }
    if (op !== last) continue
    const together = Array.from(
      { length: data },
      (_, i) =>
        draft.emit(
          'concat_rows',
          calls.map((call) => call.operands[i]!),
          {},
          first,
        )[0]!,
    )
    const results = draft.emit('call', [...together, ...first.operands.slice(data)], first.attrs, first)
    results.forEach((result, i) => {
      let start = 0
      for (const call of calls) {
        const { shape, segments, rows } = func.values[call.results[i]!]!.type
        const count = shape[0]!
        const attrs = {
          start,
          count,
          ...(segments && { segments }),
          ...(rows !== undefined && { rows }),
        }
        draft.emitAs('slice_rows', [result], attrs, [call.results[i]!], call)
        start += count
      }
    })
  }
  // What read an earlier sibling's result now stands before the merged call: put producers first again.
  const ordered = inDependencyOrder(draft.ops)
  draft.ops.splice(0, draft.ops.length, ...ordered)
  return draft.close()
}

/** Types in a called function are those of its first call: packed ones now. */
function retyped(module: Module): Module {
  const functions: Record<string, Func> = { ...module.functions }
  const done = new Set<string>()
  const visit = (func: Func) => {
    for (const op of func.ops) {
      const callee = op.kind === 'call' ? op.attrs.callee : op.kind === 'residual' ? op.attrs.branch : null
      if (callee === null || done.has(callee)) continue
      done.add(callee)
      const types = op.operands.map((id) => func.values[id!]!.type)
      functions[callee] = instantiate(functions[callee]!, types, functions, op.span)
      visit(functions[callee]!)
    }
  }
  for (const entry of module.entries) visit(functions[entry]!)
  return { ...module, functions }
}
