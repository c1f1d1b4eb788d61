import type { CollectiveKind, OpAttrs, TensorType } from '../types.js'
import type { Data } from './args.js'
import { logSumExp } from './norms.js'

/** Every rank's operands, in the order of ranks -> every rank's results. */
export type Collective<K extends CollectiveKind> = (
  operands: readonly (readonly Data[])[],
  attrs: OpAttrs[K],
  results: readonly TensorType[],
) => readonly (readonly Data[])[]

const size = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1)

function concatenated(parts: readonly Data[], length: number): Data {
  const first = parts[0] as Data
  const all = first instanceof Int32Array ? new Int32Array(length) : new Float64Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Sums of arrays of one length, from the first on. */
function added(arrays: readonly Data[]): Data {
  const sum = (arrays[0] as Data).slice()
  for (const array of arrays.slice(1))
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (array[i] as number)
  return sum
}

const allGather: Collective<'all_gather'> = (operands, { shapes }) => {
  const parts = operands.map(([x]) => x as Data)
  const whole = concatenated(parts, parts.length * (parts[0] as Data).length)
  let at = 0
  const results = shapes.map((shape) => {
    const result = whole.slice(at, at + size(shape))
    at += size(shape)
    return result
  })
  return operands.map(() => results.map((result) => result.slice()))
}

const reduceScatter: Collective<'reduce_scatter'> = (operands, { ranks, shape }) => {
  const part = size(shape)
  const whole = added(operands.map((xs) => concatenated(xs, ranks * part)))
  return operands.map((_, rank) => [whole.slice(rank * part, (rank + 1) * part)])
}

const allReduce: Collective<'all_reduce'> = (operands, { how, weighted }) => {
  const weights = operands.map((xs) => (weighted ? ((xs.at(-1) as Data)[0] as number) : 1))
  const total = Math.max(
    1,
    weights.reduce((a, b) => a + b, 0),
  )
  const count = (operands[0] as readonly Data[]).length - (weighted ? 1 : 0)
  const results = Array.from({ length: count }, (_, i): Data => {
    const values = operands.map((xs) => xs[i] as Data)
    switch (how) {
      case 'sum':
        return added(values)
      case 'mean':
        return added(values.map((x, rank) => x.map((value) => value * (weights[rank] as number)))).map(
          (value) => value / total,
        )
      case 'logsumexp':
        return (values[0] as Data).map((_, at) => finiteLogSum(values.map((x) => x[at] as number)))
      default:
        return how satisfies never
    }
  })
  return operands.map(() => results.map((result) => result.slice()))
}

/** Also of nothing but -Infinity. */
const finiteLogSum = (x: readonly number[]): number =>
  x.every((value) => value === Number.NEGATIVE_INFINITY)
    ? Number.NEGATIVE_INFINITY
    : logSumExp(Float64Array.from(x))

export const collectives: { readonly [K in CollectiveKind]: Collective<K> } = {
  all_gather: allGather,
  reduce_scatter: reduceScatter,
  all_reduce: allReduce,
}
