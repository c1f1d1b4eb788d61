import { opBytes, tensorBytes } from '../ir/bytes.js'
import { opFlops } from '../ir/flops.js'
import type { Module } from '../ir/types.js'
import { largestLiveBytes } from './arena.js'
import { planBuffers } from './build.js'

/**
 * What a module of kernels costs: the figures that `plan --explain` compares before and after each pass. Over one
 * step: the first program `microSteps` times, the others once. `peakBytes` is state plus the most bytes alive at
 * once, in the order and with the sharing in place that its plan would have; offsets add what does not fit together,
 * a few percent.
 */
export function measure(module: Module): {
  ops: number
  executedFlops: number
  bytesMoved: number
  peakBytes: number
} {
  let ops = 0
  let executedFlops = 0
  let bytesMoved = 0
  module.entries.forEach((name, i) => {
    const func = module.functions[name]!
    const runs = i === 0 ? module.microSteps : 1
    ops += func.ops.length
    for (const op of func.ops) {
      const { products, other } = opFlops(func, op)
      executedFlops += runs * (products + other)
      bytesMoved += runs * opBytes(func, op)
    }
  })
  const stateBytes = module.state.reduce((sum, { type }) => sum + tensorBytes(type), 0)
  return { ops, executedFlops, bytesMoved, peakBytes: stateBytes + largestLiveBytes(planBuffers(module)) }
}
