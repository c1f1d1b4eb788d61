import { diagnose } from '../../diagnostics/catalogue.js'
import type { Span } from '../../diagnostics/diagnostic.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { sameType } from './operands.js'
import { resultTypes } from './ops.js'
import type { Func, OpAttrs, OpKind, TensorType, Value, ValueId } from './types.js'

/**
 * Functions are polymorphic in ragged rows: a block written for global crops is called on packed ones too. The types
 * in a function are those of its first call; this infers all of them again from other operand types.
 *
 * Throws DINO0602 for the number of operands, and what the shape rules throw.
 */
export function instantiate(
  func: Func,
  operandTypes: readonly TensorType[],
  functions: Readonly<Record<string, Func>>,
  span: Span | null = null,
): Func {
  if (operandTypes.length !== func.params.length)
    throw new DiagnosticError([
      diagnose('DINO0602', span, {
        op: func.name,
        expected: `of ${func.params.length} parameters`,
        found: operandTypes.length,
      }),
    ])
  const first = func.params.every((p, i) =>
    sameType((func.values[p.value] as Value).type, operandTypes[i] as TensorType),
  )
  if (first) return func
  const values = [...func.values]
  const set = (id: ValueId, type: TensorType) => {
    values[id] = { ...(values[id] as Value), type }
  }
  func.params.forEach((p, i) => {
    set(p.value, operandTypes[i] as TensorType)
  })
  for (const op of func.ops) {
    const at = op.span ?? span
    const types = op.operands.map((v) => (v === null ? null : (values[v] as Value).type))
    const context = {
      span: at,
      callee: (name: string, of: readonly TensorType[]) => inferCall(functions, name, of, at),
    }
    resultTypes(op.kind, types, op.attrs as OpAttrs[OpKind], context).forEach((type, i) => {
      set(op.results[i] as ValueId, type)
    })
  }
  return { ...func, values }
}

/** What was inferred of a function among others: the blocks of a network are called with the same few types. */
interface Inferred {
  readonly functions: Readonly<Record<string, Func>>
  readonly operands: readonly TensorType[]
  readonly results: readonly TensorType[]
}
const inferred = new WeakMap<Func, Inferred[]>()

/** Types of what `functions[name]` returns for operands of these types. */
export function inferCall(
  functions: Readonly<Record<string, Func>>,
  name: string,
  types: readonly TensorType[],
  span: Span | null = null,
): readonly TensorType[] {
  const func = functions[name]
  if (!func) throw new DiagnosticError([diagnose('DINO0604', span, { callee: name })])
  const known = inferred.get(func) ?? []
  const before = known.find(
    ({ functions: among, operands }) =>
      among === functions &&
      operands.length === types.length &&
      operands.every((type, i) => sameType(type, types[i] as TensorType)),
  )
  if (before !== undefined) return before.results
  const instance = instantiate(func, types, functions, span)
  const results = instance.results.map((r) => (instance.values[r.value] as Value).type)
  inferred.set(func, [...known, { functions, operands: types, results }])
  return results
}
