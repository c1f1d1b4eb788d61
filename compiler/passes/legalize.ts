import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { ResultsOf } from '../ir/builder.js'
import { decompose, decompositions, type Emitter } from '../ir/decompose.js'
import { isStructural, operandNames } from '../ir/ops.js'
import type { AnyOp, Func, KernelKind, Module, OpAttrs, OpKind, ValueId } from '../ir/types.js'
import { type Draft, mapEntries, openDraft } from './rewrite.js'

/**
 * Pass 11: what the target lacks is written out with what it has.
 *
 *   %o, %lse = attention(%qkv) {heads: 6}                   the target has no op:attention
 * ->
 *   %q, %k, %v = split_heads(%qkv) {heads: 6, count: 64, length: 65}
 *   %p = softmax(batch_matmul(%q, %k) {transB: true, scale: 0.125})
 *   %o = merge_heads(batch_matmul(%p, %v))
 *
 * Throws DINO0811 where an op is missing and has no decomposition.
 */
export function legalize(module: Module, capabilities: ReadonlySet<string>): Module {
  const kinds = Object.keys(operandNames) as OpKind[]
  const lacking = new Set(kinds.filter((kind) => !isStructural(kind) && !capabilities.has(`op:${kind}`)))
  const lacks = (kind: OpKind) => lacking.has(kind)
  const legal = expandOps(module, lacks)
  for (const name of legal.entries)
    for (const op of legal.functions[name]!.ops)
      if (lacks(op.kind)) throw new DiagnosticError([diagnose('DINO0811', op.span, { op: op.kind })])
  return legal
}

/** Writes out the ops of some kinds in the entries: a decomposition is for the segments at hand. */
export function expandOps(module: Module, chosen: (kind: OpKind) => boolean): Module {
  return mapEntries(module, (func) => expandWhile(func, chosen))
}

/** A decomposition may give ops that are chosen too. */
function expandWhile(func: Func, chosen: (kind: OpKind) => boolean): Func {
  let now = func
  for (;;) {
    const next = expandOnce(now, chosen)
    if (next === now) return now
    now = next
  }
}

function expandOnce(func: Func, chosen: (kind: OpKind) => boolean): Func {
  const candidate = (op: AnyOp) =>
    !isStructural(op.kind) && chosen(op.kind) && decompositions[op.kind] !== null
  if (!func.ops.some(candidate)) return func
  const draft = openDraft(func)
  let expanded = false
  for (const op of func.ops) {
    const by =
      candidate(op) && !isStructural(op.kind)
        ? decompose(emitter(draft, op), op.kind, op.operands, op.attrs as OpAttrs[KernelKind])
        : null
    if (by === null) {
      draft.keep(op)
      continue
    }
    expanded = true
    op.results.forEach((id, i) => {
      const value = by[i]
      if (value !== undefined && value !== null) draft.replace(id, value)
    })
  }
  return expanded ? draft.close() : func
}

/** Emits in the place of an op; optional operands left out at the end are absent. */
function emitter(draft: Draft, at: AnyOp): Emitter {
  const op: Emitter['op'] = (kind, operands, attrs) => {
    const filled = [...operands]
    const names = operandNames[kind]
    if (!names.at(-1)?.startsWith('...')) while (filled.length < names.length) filled.push(null)
    return draft.emit(kind, filled, attrs, at) as unknown as ResultsOf<typeof kind>
  }
  return {
    type: draft.type,
    op,
    one: (kind, operands, attrs) => (op(kind, operands, attrs) as readonly ValueId[])[0]!,
  }
}
