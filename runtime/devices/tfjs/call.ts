import type * as tfjs from '@tensorflow/tfjs-core'
import type { Group, OpAttrs } from '../../../compiler/ir/types.js'
import type { PlanTensor } from '../../../compiler/plan/plan.js'

export type Tf = typeof tfjs
export type Tensor = tfjs.Tensor

/** One step of a plan on its way through a tfjs backend. */
export interface Call {
  readonly tf: Tf
  /** wasm multiplies transposed matrices at a tenth of the speed: there, transposes are explicit. */
  readonly explicitTranspose: boolean
  readonly operandTypes: readonly (PlanTensor | null)[]
  readonly resultTypes: readonly PlanTensor[]
  /** The operand, which must be present. */
  arg(index: number): Tensor
  maybe(index: number): Tensor | null
  /** A scalar operand that the host knows: a host input, or the `finite` predicate. */
  known(index: number): number
  /** A tensor that depends on the plan alone, made once and kept. */
  constant(name: string, make: () => Tensor): Tensor
}

/** The results in order. Runs inside `tf.tidy`: whatever else it makes is freed. */
export type Kernel<K extends keyof OpAttrs> = (call: Call, attrs: OpAttrs[K]) => readonly Tensor[]

/** op(a) op(b) for matrices, or for stacks of them. */
export function product(call: Call, a: Tensor, b: Tensor, transA = false, transB = false): Tensor {
  const { tf } = call
  // Stacks of small matrices are quicker with the flags.
  if (!call.explicitTranspose || a.rank > 2) return tf.matMul(a, b, transA, transB)
  return tf.matMul(transA ? swapLast(tf, a) : a, transB ? swapLast(tf, b) : b)
}

function swapLast(tf: Tf, x: Tensor): Tensor {
  const axes = x.shape.map((_, i) => i)
  const n = axes.length
  axes[n - 1] = n - 2
  axes[n - 2] = n - 1
  return tf.transpose(x, axes)
}

/** [R, d] -> [d]. Where reductions across rows are slow, as a product with ones. */
export function sumRows(call: Call, x: Tensor): Tensor {
  const { tf } = call
  if (!call.explicitTranspose) return tf.sum(x, 0)
  const [rows, width] = x.shape as [number, number]
  const ones = call.constant(`ones:${rows}`, () => tf.ones([1, rows]))
  return tf.reshape(tf.matMul(ones, x), [width])
}

/** `count` rows of x from `start`. */
export function rowsOf(tf: Tf, x: Tensor, start: number, count: number): Tensor {
  if (start === 0 && count === x.shape[0]) return x
  return tf.slice(x, [start, ...x.shape.slice(1).map(() => 0)], [count, ...x.shape.slice(1)])
}

export function columnsOf(tf: Tf, x: Tensor, start: number, count: number): Tensor {
  return tf.slice(x, [0, start], [x.shape[0]!, count])
}

export function concatRows(tf: Tf, parts: readonly Tensor[]): Tensor {
  const real = parts.filter((p) => p.shape[0]! > 0)
  if (real.length === 0) return parts[0]!
  return real.length === 1 ? real[0]! : tf.concat([...real], 0)
}

/** [n] -> [n, 1] */
export function column(tf: Tf, x: Tensor): Tensor {
  return tf.reshape(x, [x.size, 1])
}

/** 1 for the first `rows` of n rows, else 0: [n, 1]; null where all rows are real. */
export function rowMask(call: Call, n: number, rows: Tensor | null): Tensor | null {
  if (rows === null) return null
  const { tf } = call
  const index = call.constant(`range:${n}`, () =>
    tf.tensor1d(
      Int32Array.from({ length: n }, (_, i) => i),
      'int32',
    ),
  )
  return column(tf, tf.cast(tf.less(index, rows), 'float32'))
}

export interface PlacedGroup extends Group {
  readonly firstRow: number
  readonly firstSequence: number
}

/** The groups of a ragged tensor with where each begins. */
export function placed(groups: readonly Group[]): PlacedGroup[] {
  let firstRow = 0
  let firstSequence = 0
  return groups.map((g) => {
    const here = { ...g, firstRow, firstSequence }
    firstRow += g.count * g.length
    firstSequence += g.count
    return here
  })
}
