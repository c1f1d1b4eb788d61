import { sameGroups, sameType } from '../ir/operands.js'
import type { AnyOp, Func, Group, Module, Op, OpKind, TensorType, ValueId } from '../ir/types.js'
import { dce } from './dce.js'
import { type Draft, mapFunctions, openDraft } from './rewrite.js'

/**
 * Pass 1: canonical forms inside functions, and dead code. Calls, residuals and `grad` stay, so the result still
 * reads like the paper; an engine such as `torch` is generated from it.
 *
 *   %g = slice_rows(%y) {start: 0, count: 4160, segments: <global 64x65>}
 *   %cls = select_tokens(%g) {group: "global", start: 0, tokens: 1}
 *   %one = scale(%cls) {factor: 1}
 * ->
 *   %cls = select_tokens(%y) {group: "global", start: 0, tokens: 1}
 */
export function simplify(module: Module): Module {
  return dce(mapFunctions(module, simplifyFunc))
}

export function simplifyFunc(func: Func): Func {
  const draft = openDraft(func)
  let changed = false
  for (const op of func.ops) {
    const by = simpler(draft, op)
    if (by === null) draft.keep(op)
    else {
      changed = true
      draft.replace(op.results[0]!, by)
    }
  }
  return changed ? draft.close() : func
}

type Rule<K extends OpKind> = (op: Op<K>, draft: Draft) => ValueId | null

/** A value that stands for the op's only result, or null. A rule may emit ops of its own. */
function simpler(draft: Draft, op: AnyOp): ValueId | null {
  const rule = rules[op.kind] as Rule<OpKind> | undefined
  return rule === undefined ? null : rule(op as Op, draft)
}

const rules: { readonly [K in OpKind]?: Rule<K> } = {
  scale: (op) => (op.attrs.factor === 1 ? op.operands[0]! : null),
  cast: (op, draft) => (draft.type(op.operands[0]!).dtype === op.attrs.to ? op.operands[0]! : null),
  weighted_sum: (op) => (op.operands.length === 1 && op.attrs.coefficients[0] === 1 ? op.operands[0]! : null),
  add: (op, draft) => {
    const [x, y] = op.operands
    if (isZero(draft, y!)) return x!
    return isZero(draft, x!) && sameType(draft.type(x!), draft.type(y!)) ? y! : null
  },
  concat_rows: (op) => (op.operands.length === 1 ? op.operands[0]! : null),
  /** A branch that rejoined without scale or choice: its gradient is dy. */
  residual_add_grad: (op, draft) => {
    const [dy, , gamma, kept, factors] = op.operands
    if (gamma !== null || kept !== null || factors !== null) return null
    return sameType(draft.type(dy!), draft.type(op.results[0]!)) ? dy! : null
  },
  place_rows: (op, draft) =>
    op.attrs.start === 0 && sameType(draft.type(op.operands[0]!), draft.type(op.results[0]!))
      ? op.operands[0]!
      : null,
  slice_rows: sliceRows,
  select_tokens: (op, draft) => {
    const from = draft.maker(op.operands[0]!)
    if (from?.kind !== 'slice_rows') return null
    const whole = draft.type(from.operands[0]!)
    if (!containsGroup(whole, op.attrs.group, draft.type(op.operands[0]!).segments)) return null
    return draft.emit('select_tokens', [from.operands[0]!], op.attrs, op)[0]!
  },
  /** Rows of the first part are the same rows of the whole. */
  gather_rows: (op, draft) => {
    const from = draft.maker(op.operands[0]!)
    if (from?.kind !== 'slice_rows' || from.attrs.start !== 0) return null
    return draft.emit('gather_rows', [from.operands[0]!, ...op.operands.slice(1)], op.attrs, op)[0]!
  },
}

function sliceRows(op: Op<'slice_rows'>, draft: Draft): ValueId | null {
  const x = op.operands[0]!
  const result = draft.type(op.results[0]!)
  if (sameType(draft.type(x), result)) return x
  const from = draft.maker(x)
  if (from?.kind === 'slice_rows')
    return draft.emit(
      'slice_rows',
      [from.operands[0]!],
      { ...op.attrs, start: from.attrs.start + op.attrs.start },
      op,
    )[0]!
  if (from?.kind !== 'concat_rows') return null
  // Within one of the parts: nothing has to be put together first.
  let start = op.attrs.start
  for (const part of from.operands) {
    const rows = draft.type(part!).shape[0]!
    if (start >= 0 && start + op.attrs.count <= rows) {
      if (start === 0 && sameType(draft.type(part!), result)) return part!
      return draft.emit('slice_rows', [part!], { ...op.attrs, start }, op)[0]!
    }
    start -= rows
  }
  return null
}

function isZero(draft: Draft, id: ValueId): boolean {
  const maker = draft.maker(id)
  return maker?.kind === 'fill' && maker.attrs.value === 0
}

/** Whether `whole` has exactly one group of the name, the very one that its slice has. */
function containsGroup(whole: TensorType, name: string, sliced: readonly Group[] | undefined): boolean {
  const there = whole.segments?.filter((group) => group.name === name) ?? []
  const here = sliced?.filter((group) => group.name === name) ?? []
  return there.length === 1 && sameGroups(there, here)
}
