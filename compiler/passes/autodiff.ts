import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { FuncBuilder } from '../ir/builder.js'
import { sameType, showType } from '../ir/operands.js'
import { rebuildable } from '../ir/ops.js'
import type { AnyOp, Func, Module, Op, OpKind, Value, ValueId } from '../ir/types.js'
import type { Backward, Vjp } from '../ir/vjp.js'
import { noGradient, vjps } from '../ir/vjp.js'
import { inlineCalls } from './inline.js'

/**
 * Expands `grad` by reverse mode over the flat function.
 *
 *   %dw, %db = grad(%loss, %w, %b) {seed: 1}
 *   ->
 *   %1 = fill() {value: 1, type: f32[]}                          backward
 *   %2 = cross_entropy_rows_grad(%1, %logits, %t, %lse) {...}    backward
 *   %dw = matmul(%2, %x) {transA: true, ...}                     backward
 *   %db = sum_rows(%2)                                           backward
 *
 * Calls that lead from the parameters to the loss are inlined first; others (the teacher) stay. Gradients of a value
 * with several uses, such as the weights of a tied head, are added up. A parameter that the loss does not depend on
 * gets zeros. Throws DINO0611 where an op on the way has no gradient, DINO0612 for stochastic depth not yet expanded.
 */
export function autodiff(module: Module): Module {
  const functions: Record<string, Func> = { ...module.functions }
  for (const name of module.entries) {
    const func = module.functions[name]
    if (func) functions[name] = expandGrads(func, module.functions)
  }
  return { ...module, functions }
}

function expandGrads(func: Func, functions: Readonly<Record<string, Func>>): Func {
  const grads = func.ops.filter((op): op is Op<'grad'> => op.kind === 'grad')
  if (grads.length === 0) return func
  const paths = grads.map((grad) => onPath(func, grad))
  const flat = inlineCalls(func, functions, (op) => paths.some((path) => path.has(op)))
  const b = new FuncBuilder(flat.name, functions)
  const values = new Map<ValueId, ValueId>()
  const old = (id: ValueId) => flat.values[id] as Value
  for (const p of flat.params) values.set(p.value, b.param(old(p.value).type, p.source, old(p.value).name))
  const emitted: AnyOp[] = []
  for (const op of flat.ops) {
    const operands = op.operands.map((v) => (v === null ? null : (values.get(v) as ValueId)))
    const like = op.results.map(old)
    const results =
      op.kind === 'grad'
        ? gradients(
            b,
            emitted,
            { ...op, operands },
            like.map((value) => value.name),
          )
        : b.copy(op, operands, like)
    if (op.kind !== 'grad') emitted.push({ ...op, operands, results } as AnyOp)
    op.results.forEach((r, i) => {
      values.set(r, results[i] as ValueId)
    })
  }
  return b.finish(flat.results.map((r) => ({ value: values.get(r.value) as ValueId, sink: r.sink })))
}

/** The differentiated values, the gradients they start from, and the parameters of a `grad`. */
function roles({ operands, attrs }: Op<'grad'>) {
  const all = operands as readonly ValueId[]
  const k = attrs.outputs
  return k === undefined
    ? { outputs: all.slice(0, 1), starts: null, parameters: all.slice(1) }
    : { outputs: all.slice(0, k), starts: all.slice(k, 2 * k), parameters: all.slice(2 * k) }
}

/** Ops that lead from a parameter of `grad` to what it differentiates. */
function onPath(func: Func, grad: Op<'grad'>): ReadonlySet<AnyOp> {
  const { outputs, parameters } = roles(grad)
  const before = func.ops.slice(0, func.ops.indexOf(grad as AnyOp))
  const depends = dependents(before, parameters)
  const needed = new Set(outputs)
  const path = new Set<AnyOp>()
  for (const op of before.toReversed()) {
    if (!op.results.some((r) => needed.has(r))) continue
    for (const v of op.operands) if (v !== null) needed.add(v)
    if (op.operands.some((v) => v !== null && depends.has(v))) path.add(op)
  }
  return path
}

/** The values that depend on some of `roots`, with these. */
function dependents(ops: readonly AnyOp[], roots: readonly ValueId[]): ReadonlySet<ValueId> {
  const depends = new Set(roots)
  for (const op of ops)
    if (op.operands.some((v) => v !== null && depends.has(v))) for (const r of op.results) depends.add(r)
  return depends
}

function gradients(
  b: FuncBuilder,
  ops: readonly AnyOp[],
  grad: Op<'grad'>,
  names: readonly (string | undefined)[],
): readonly ValueId[] {
  const { outputs, starts, parameters } = roles(grad)
  const depends = dependents(ops, parameters)
  const cotangents = new Map<ValueId, ValueId>()
  const add = (value: ValueId, g: ValueId) => {
    const [wanted, found] = [b.type(value), b.type(g)]
    if (!sameType(wanted, found))
      throw new DiagnosticError([
        diagnose('DINO0607', b.span, {
          func: b.name,
          op: `the gradient rule of an op in ${b.module}`,
          result: b.nameOf(value) ?? `%${value}`,
          expected: showType(wanted),
          found: showType(found),
        }),
      ])
    const before = cotangents.get(value)
    cotangents.set(value, before === undefined ? g : b.one('add', [before, g], {}))
  }
  const start = { module: grad.module, span: grad.span, stage: 'backward' as const }
  b.at(start, () => {
    outputs.forEach((y, i) => {
      add(y, starts?.[i] ?? b.one('fill', [], { value: grad.attrs.seed, type: b.type(y) }))
    })
  })
  const saved = rebuilder(b, ops, depends)
  for (const op of ops.toReversed()) {
    if (!op.results.some((r) => cotangents.has(r))) continue
    if (!op.operands.some((v) => v !== null && depends.has(v))) continue
    b.at({ ...op, stage: 'backward' }, () => {
      const g = backward(b, op, cotangents, depends, saved)
      const rule = vjps[op.kind] as Vjp<OpKind> | null
      const found = rule ? rule(g) : noGradient(op as Op)
      op.operands.forEach((v, i) => {
        const gradient = found[i]
        if (v !== null && depends.has(v) && gradient !== null && gradient !== undefined) add(v, gradient)
      })
    })
  }
  return b.at(start, () =>
    parameters.map((p, i) => {
      const found = cotangents.get(p)
      return found ?? b.one('fill', [], { value: 0, type: b.type(p) }, names[i])
    }),
  )
}

function backward(
  b: FuncBuilder,
  op: AnyOp,
  cotangents: ReadonlyMap<ValueId, ValueId>,
  depends: ReadonlySet<ValueId>,
  saved: (value: ValueId) => ValueId,
): Backward<OpKind> {
  const operand = (i: number) => op.operands[i] as ValueId
  const optional = (i: number) => op.operands[i] ?? null
  return {
    b,
    op: op as Op,
    attrs: op.attrs,
    d: (i) => cotangents.get(op.results[i] as ValueId) ?? null,
    wants: (i) => {
      const value = optional(i)
      return value !== null && depends.has(value)
    },
    operand,
    optional,
    saved: (i) => saved(operand(i)),
    result: (i) => op.results[i] as ValueId,
    type: (i) => b.type(operand(i)),
    rows: (i) => {
      const { rows } = b.type(operand(i))
      if (rows === undefined) return null
      const value = b.input(rows)
      if (value === null)
        throw new DiagnosticError([
          diagnose('DINO0610', op.span, {
            func: b.name,
            name: rows,
            what: 'expected a host input of this name',
          }),
        ])
      return value
    },
  }
}

/**
 * Values as backward reads them: what `rebuildable` lists is built again, at its first use, instead of being kept
 * since forward. Only where the op is differentiated too, because only then are its inputs kept anyway.
 */
function rebuilder(b: FuncBuilder, ops: readonly AnyOp[], depends: ReadonlySet<ValueId>) {
  const producers = new Map<ValueId, AnyOp>()
  for (const op of ops) for (const r of op.results) producers.set(r, op)
  const rebuilt = new Map<ValueId, ValueId>()
  const saved = (value: ValueId): ValueId => {
    const again = rebuilt.get(value)
    if (again !== undefined) return again
    const op = producers.get(value)
    if (!op || !rebuildable[op.kind] || op.results[0] !== value || !differentiated(op, depends)) return value
    const name = b.nameOf(value)
    const built = b.at({ ...op, stage: 'backward' }, () => rebuild(b, op, saved, name && `${name}_again`))
    if (built !== null) rebuilt.set(value, built)
    return built ?? value
  }
  return saved
}

const differentiated = (op: AnyOp, depends: ReadonlySet<ValueId>) =>
  op.operands.some((v) => v !== null && depends.has(v))

function rebuild(
  b: FuncBuilder,
  op: AnyOp,
  saved: (value: ValueId) => ValueId,
  name: string | undefined,
): ValueId | null {
  const x = op.operands[0] as ValueId
  switch (op.kind) {
    case 'layer_norm': {
      const [, mean, rstd] = op.results
      const [, w, bias] = op.operands
      return b.one(
        'layer_norm_rebuild',
        [saved(x), mean ?? null, rstd ?? null, w ?? null, bias ?? null],
        {},
        name,
      )
    }
    case 'linear':
      return op.attrs.activation === 'gelu' ? b.one('gelu', [op.results[1] as ValueId], {}, name) : null
    case 'gelu':
      return b.one('gelu', [saved(x)], {}, name)
    case 'silu_gate':
      return b.one('silu_gate', [saved(x)], {}, name)
    case 'l2_normalize':
      return b.one('l2_normalize', [saved(x)], op.attrs, name)
    default:
      return null
  }
}
