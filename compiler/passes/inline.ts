import { diagnose } from '../../diagnostics/catalogue.js'
import type { Span } from '../../diagnostics/diagnostic.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { FuncBuilder } from '../ir/builder.js'
import { sameType } from '../ir/operands.js'
import type { AnyOp, Func, Module, Value, ValueId } from '../ir/types.js'

/**
 * Expands calls.
 *
 *   %y = call @mlp(%x; %w1, %b1, %w2, %b2)             in student.backbone.blocks.0
 *   ->
 *   %hidden, %pre = linear(%x, %w1, %b1) {activation: "gelu"}   in student.backbone.blocks.0.mlp.fc1
 *   %y = linear(%hidden, %w2, %b2) {activation: "none"}         in student.backbone.blocks.0.mlp.fc2
 *
 * A `residual` of rate 0 becomes its branch and a residual_add; one with stochastic depth is a fault (DINO0612).
 */
export function inline(module: Module): Module {
  const functions: Record<string, Func> = {}
  for (const name of module.entries) {
    const func = module.functions[name]
    if (func) functions[name] = inlineCalls(func, module.functions, () => true)
  }
  return { ...module, functions }
}

/** Expands the calls and residuals that `chosen` picks, with everything inside them. */
export function inlineCalls(
  func: Func,
  functions: Readonly<Record<string, Func>>,
  chosen: (op: AnyOp) => boolean,
): Func {
  const b = new FuncBuilder(func.name, functions)
  const values = new Map<ValueId, ValueId>()
  for (const p of func.params) {
    const { type, name } = func.values[p.value] as Value
    values.set(p.value, b.param(type, p.source, name))
  }
  emit(b, func, values, { module: '', span: null }, functions, chosen, true)
  return b.finish(func.results.map((r) => ({ value: values.get(r.value) as ValueId, sink: r.sink })))
}

/** `student.backbone.blocks.3` and `attn.qkv`; either may be empty. */
export const joinModules = (outer: string, inner: string) =>
  outer === '' ? inner : inner === '' ? outer : `${outer}.${inner}`

interface Place {
  readonly module: string
  readonly span: Span | null
}

/** `typed`: the function's own types are right here; else they are inferred again from those of the operands. */
function emit(
  b: FuncBuilder,
  func: Func,
  values: Map<ValueId, ValueId>,
  outer: Place,
  functions: Readonly<Record<string, Func>>,
  chosen: (op: AnyOp) => boolean,
  typed: boolean,
): void {
  for (const op of func.ops) {
    const operands = op.operands.map((v) => (v === null ? null : (values.get(v) as ValueId)))
    const place = { module: joinModules(outer.module, op.module), span: op.span ?? outer.span }
    const like = op.results.map((r) => func.values[r] as Value)
    const names = () => like.map((value) => value.name)
    const results =
      (op.kind === 'call' || op.kind === 'residual') && chosen(op)
        ? expand(b, op, operands as readonly ValueId[], place, functions, names())
        : typed
          ? b.copy(op, operands, like, place.module, place.span)
          : b.append({ ...op, ...place }, operands, names())
    op.results.forEach((r, i) => {
      values.set(r, results[i] as ValueId)
    })
  }
}

function expand(
  b: FuncBuilder,
  op: Extract<AnyOp, { kind: 'call' | 'residual' }>,
  operands: readonly ValueId[],
  place: Place,
  functions: Readonly<Record<string, Func>>,
  names: readonly (string | undefined)[],
): readonly ValueId[] {
  if (op.kind === 'residual' && op.attrs.rate > 0) {
    const { site, rate } = op.attrs
    throw new DiagnosticError([diagnose('DINO0612', op.span, { site, rate })])
  }
  const callee = op.kind === 'call' ? op.attrs.callee : op.attrs.branch
  const func = functions[callee]
  if (!func) throw new DiagnosticError([diagnose('DINO0604', op.span, { callee })])
  const inner = new Map(func.params.map((p, i) => [p.value, operands[i] as ValueId]))
  const typed = func.params.every((p, i) =>
    sameType((func.values[p.value] as Value).type, b.type(operands[i] as ValueId)),
  )
  emit(b, func, inner, place, functions, () => true, typed)
  const results = func.results.map((r) => inner.get(r.value) as ValueId)
  if (op.kind === 'call') return results
  const [x, branch] = [operands[0] as ValueId, results[0] as ValueId]
  return b.at({ ...place, stage: op.stage }, () => b.op('residual_add', [x, branch], { scales: null }, names))
}
