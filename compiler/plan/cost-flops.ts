import { instantiate } from '../ir/instantiate.js'
import { keptCount } from '../ir/operands.js'
import type { AnyOp, Func, Group, Module, OpAttrs, TensorType, ValueId } from '../ir/types.js'

/**
 * The useful work of one run of `accumulate`, from the lowered module (DESIGN "Cost terms"): products 2mkn, attention
 * 4dn² a layer and segment, backward twice forward (the patch embedding once: it has no input gradient), the
 * student's kept sequences only, and rows that vary at their expected number. No recomputation, no padding, nothing
 * that is not a product.
 */
export interface ModelFlops {
  readonly student: number
  readonly teacher: number
  /** Both networks' heads. */
  readonly heads: number
}

export const totalFlops = (flops: ModelFlops): number => flops.student + flops.teacher + flops.heads

/** `expectedRows`: by the name of the scalar that bounds a tensor's rows. */
export function modelFlops(module: Module, expectedRows: Readonly<Record<string, number>>): ModelFlops {
  const flops = { student: 0, teacher: 0, heads: 0 }
  const entry = module.entries[0]
  const func = entry === undefined ? undefined : module.functions[entry]
  if (func === undefined) throw new Error(`${module.name} has no program`)
  const count = counter(module, expectedRows)
  const wanted = differentiated(func)
  for (const op of func.ops) {
    const work = count(op, (id) => func.values[id]?.type as TensorType)
    if (work === 0) continue
    const part = partOf(op.module)
    if (part !== null) flops[part] += work * passesOver(op, wanted)
  }
  return flops
}

/** By value, 1: the loss depends on it through something that trains, or it trains itself. */
function differentiated(func: Func): Uint8Array {
  const wanted = new Uint8Array(func.values.length)
  for (const op of func.ops)
    if (op.kind === 'grad')
      for (const id of op.operands.slice(op.attrs.outputs === undefined ? 1 : 2 * op.attrs.outputs))
        wanted[id as ValueId] = 1
  for (const op of func.ops)
    if (op.kind !== 'grad' && op.operands.some((id) => id !== null && wanted[id] === 1))
      for (const id of op.results) wanted[id] = 1
  return wanted
}

function partOf(module: string): keyof ModelFlops | null {
  const [role, part] = module.split('.')
  if (role !== 'student' && role !== 'teacher' && role !== 'keep') return null
  if (part !== 'backbone') return 'heads'
  return role === 'student' ? 'student' : 'teacher'
}

/**
 * Forward once; then the gradients of its weights, where any of them trains, and of what came in, where that follows from
 * something that does: never images, and nothing above a frozen backbone.
 */
function passesOver(op: AnyOp, wanted: Uint8Array): number {
  const data = op.kind === 'call' ? op.attrs.data : 1
  const any = (ids: readonly (ValueId | null)[]) => ids.some((id) => id !== null && wanted[id] === 1)
  return 1 + (any(op.operands.slice(0, data)) ? 1 : 0) + (any(op.operands.slice(data)) ? 1 : 0)
}

type Types = (id: ValueId) => TensorType

/** Forward work of an op, called functions included; equal calls are counted once and remembered. */
function counter(module: Module, expectedRows: Readonly<Record<string, number>>) {
  const known = new Map<string, number>()
  const rowsOf = (type: TensorType) =>
    type.rows === undefined ? (type.shape[0] ?? 1) : (expectedRows[type.rows] ?? type.shape[0] ?? 1)

  function count(op: AnyOp, types: Types): number {
    const type = (i: number) => types(op.operands[i] as ValueId)
    switch (op.kind) {
      case 'linear': {
        const [out = 0, input = 0] = type(1).shape
        return 2 * rowsOf(type(0)) * out * input
      }
      case 'attention': {
        const width = (type(0).shape[1] ?? 0) / 3
        return (type(0).segments ?? []).reduce((sum, g) => sum + 4 * width * g.count * g.length ** 2, 0)
      }
      case 'call':
        return called(
          op.attrs.callee,
          op.operands.map((_, i) => type(i)),
        )
      case 'residual': {
        const operands = op.operands.map((_, i) => type(i))
        const kept = op.attrs.form === 'subset' ? keptType(operands[0] as TensorType, op.attrs) : operands[0]
        return called(op.attrs.branch, [kept as TensorType, ...operands.slice(1)])
      }
      default:
        return 0
    }
  }

  function called(name: string, operands: readonly TensorType[]): number {
    const func = module.functions[name] as Func
    const key = `${name} ${operands.map((t) => `${t.shape} ${t.rows ?? ''} ${JSON.stringify(t.segments)}`).join(';')}`
    let sum = known.get(key)
    if (sum === undefined) {
      const instance = instantiate(func, operands, module.functions)
      const types: Types = (id) => instance.values[id]?.type as TensorType
      sum = instance.ops.reduce((total, op) => total + count(op, types), 0)
      known.set(key, sum)
    }
    return sum
  }
  return count
}

function keptType(type: TensorType, { rate, draws }: OpAttrs['residual']): TensorType {
  if (rate === 0 || type.segments === undefined) return type
  const segments = type.segments.map((g): Group => ({ ...g, count: keptCount(g.count, rate, draws) }))
  const rows = segments.reduce((sum, g) => sum + g.count * g.length, 0)
  return { ...type, shape: [rows, ...type.shape.slice(1)], segments }
}
