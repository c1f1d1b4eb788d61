import { FuncBuilder } from './builder.js'
import type { AnyOp, Func, ResultSink, Value, ValueId } from './types.js'

export interface Rewriting {
  readonly b: FuncBuilder
  /** What an old value has become. */
  readonly now: (old: ValueId) => ValueId
  readonly type: (old: ValueId) => Value['type']
}

/**
 * Rebuilds a function op by op: `replace` returns what the op's results become (null for a result that nothing may
 * use any more), or undefined to keep the op. Its operands come already renamed. `b` stands at the op's module, stage
 * and span while `replace` runs. Types are inferred again throughout; parameters and sinks stay.
 */
export function rewrite(
  func: Func,
  functions: Readonly<Record<string, Func>>,
  replace: (
    op: AnyOp,
    operands: readonly (ValueId | null)[],
    rewriting: Rewriting,
  ) => readonly (ValueId | null)[] | undefined,
): Func {
  const b = new FuncBuilder(func.name, functions)
  const renamed = new Map<ValueId, ValueId | null>()
  const old = (id: ValueId) => func.values[id] as Value
  const now = (id: ValueId): ValueId => {
    const value = renamed.get(id)
    if (value === undefined || value === null)
      throw new Error(`${func.name}: %${old(id)?.name ?? ''}${id} is used, but its op no longer gives it`)
    return value
  }
  for (const p of func.params) renamed.set(p.value, b.param(old(p.value).type, p.source, old(p.value).name))
  const rewriting: Rewriting = { b, now, type: (id) => b.type(now(id)) }
  for (const op of func.ops) {
    const operands = op.operands.map((v) => (v === null ? null : now(v)))
    const names = op.results.map((r) => old(r).name)
    const results = b.at(op, () => replace(op, operands, rewriting)) ?? b.append(op, operands, names)
    op.results.forEach((r, i) => {
      renamed.set(r, results[i] ?? null)
    })
  }
  const results = func.results.map((r): { value: ValueId; sink: ResultSink } => ({
    value: now(r.value),
    sink: r.sink,
  }))
  return b.finish(results)
}
