import { opBytes, tensorBytes } from '../ir/bytes.js'
import { opFlops } from '../ir/flops.js'
import type { Module } from '../ir/types.js'
import { largestLiveBytes } from './arena.js'
import { planBuffers } from './build.js'

/** What a module of kernels does in one step: the first program `microSteps` times, the others once. */
export interface Work {
  /** Of all programs, each counted once. */
  readonly ops: number
  readonly executedFlops: number
  readonly bytesMoved: number
}

export function measureWork(module: Module): Work {
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
  return { ops, executedFlops, bytesMoved }
}

/** The figures that `plan --explain` compares before and after each pass. */
export function measure(module: Module): Work & { readonly peakBytes: number } {
  return { ...measureWork(module), peakBytes: aliveBytes(module) }
}

/**
 * State plus the most bytes alive at once, in the order and with the sharing in place that the module's plan would
 * have; offsets add what does not fit together, a few percent.
 */
export function aliveBytes(module: Module): number {
  const stateBytes = module.state.reduce((sum, { type }) => sum + tensorBytes(type), 0)
  return stateBytes + largestLiveBytes(planBuffers(module))
}

/** FLOPs of one step of one rank, as `measure` counts them. */
export function executedFlops(module: Module): number {
  let sum = 0
  module.entries.forEach((name, i) => {
    const func = module.functions[name]!
    const runs = i === 0 ? module.microSteps : 1
    for (const op of func.ops) {
      const { products, other } = opFlops(func, op)
      sum += runs * (products + other)
    }
  })
  return sum
}
