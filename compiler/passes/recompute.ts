import type { Module } from '../ir/types.js'
import { keptWithout, type Offer, offersOf } from './recompute-offers.js'
import { forwardOf, repeatUnkept } from './recompute-runs.js'
import { mapEntries } from './rewrite.js'

/** `recompute = auto`: what a plan must fit in, and the measure of a module's plan. */
export interface MemoryLimit {
  readonly budgetBytes: number
  /** Of a legalized module: what its plan allocates. */
  readonly peakBytes: (module: Module) => number
}

/**
 * Pass 9, `blocks`: of each block that is differentiated only the input is kept; just before its backward its forward
 * runs again, as far as backward needs it.
 *
 *   %x1 = ... block 0 from %x0 ...; ...; backward of block 0 reads %qkv, %h of its forward
 * ->
 *   %x1 = ... block 0 from %x0 ...; ...
 *   %qkv' = ..., %h' = ... again from %x0 (stage recompute); backward of block 0 reads %qkv', %h'
 *
 * What another block's forward reads (the block's output) is the next one's input: it is kept, never computed again,
 * so no recomputation reaches past its own block. With a limit (`auto`) only some values of some blocks are made again,
 * those that save most bytes a FLOP. Either way the ops that run again are those that ran: no number changes.
 */
export function recompute(module: Module, how: 'off' | 'blocks' | MemoryLimit): Module {
  if (how === 'off') return module
  if (how !== 'blocks') return recomputeToFit(module, how)
  return mapEntries(module, (func) => {
    const forward = forwardOf(func)
    return forward.runs.length === 0 ? func : repeatUnkept(forward, forward.fixed)
  })
}

/**
 * The fewest offers, best first, with which the plan fits. Where it fits with none of them, the fewest that come as low
 * as all: DINO0801 then tells how low that is.
 */
function recomputeToFit(module: Module, { budgetBytes, peakBytes }: MemoryLimit): Module {
  const forwards = new Map(module.entries.map((name) => [name, forwardOf(module.functions[name]!)]))
  const offers = offersOf([...forwards.values()])
  if (offers.length === 0 || peakBytes(module) <= budgetBytes) return module
  const taking = (taken: readonly Offer[]): Module => {
    if (taken.length === 0) return module
    return mapEntries(module, (func) => {
      const forward = forwards.get(func.name)!
      const given = taken.filter((offer) => offer.forward === forward).flatMap(({ values }) => values)
      return given.length === 0 ? func : repeatUnkept(forward, keptWithout(forward, given))
    })
  }
  const goal = Math.max(budgetBytes, peakBytes(taking(offers)))
  let low = 0
  let high = offers.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (peakBytes(taking(offers.slice(0, middle))) <= goal) high = middle
    else low = middle + 1
  }
  return taking(offers.slice(0, high))
}
