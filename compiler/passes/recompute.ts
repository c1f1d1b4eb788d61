import type { Module } from '../ir/types.js'
import { keptWithout, offersOf } from './recompute-offers.js'
import { forwardOf, repeatUnkept } from './recompute-runs.js'
import { mapEntries } from './rewrite.js'

/** `recompute = auto`: what a plan must fit in, and two measures of a legalized module's plan. */
export interface MemoryLimit {
  readonly budgetBytes: number
  /** What it allocates. */
  readonly peakBytes: (module: Module) => number
  /** The most that is alive at once: no more than `peakBytes`, rarely 2 % less, and quicker to tell. */
  readonly aliveBytes: (module: Module) => number
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
 * The fewest offers, best first, with which the plan fits, or a few more where that fills the budget. Where it fits with
 * none of them, the fewest that come as low as all: DINO0801 then tells how low that is.
 */
function recomputeToFit(module: Module, { budgetBytes, peakBytes, aliveBytes }: MemoryLimit): Module {
  const base = aliveBytes(module)
  if (base <= budgetBytes && peakBytes(module) <= budgetBytes) return module
  const forwards = new Map(module.entries.map((name) => [name, forwardOf(module.functions[name]!)]))
  const offers = offersOf([...forwards.values()])
  const all = offers.length
  if (all === 0) return module
  const taking = (count: number): Module => {
    const best = offers.slice(0, count)
    return mapEntries(module, (func) => {
      const forward = forwards.get(func.name)!
      const given = best.filter((offer) => offer.forward === forward).flatMap(({ values }) => values)
      return given.length === 0 ? func : repeatUnkept(forward, keptWithout(forward, given))
    })
  }
  const tried = new Map<number, { readonly module: Module; readonly alive: number }>([
    [0, { module, alive: base }],
  ])
  const taken = (count: number) => {
    const known = tried.get(count)
    if (known !== undefined) return known
    const now = taking(count)
    const found = { module: now, alive: aliveBytes(now) }
    tried.set(count, found)
    return found
  }
  const toKeepAlive = (goal: number): number => {
    // Looked for from where the bytes saved add up: most often they do, and fill the budget.
    let guess = 0
    for (let over = base - goal; over > 0 && guess < all; guess++) over -= atThePeak * offers[guess]!.bytes
    const { alive } = taken(guess)
    if (alive <= goal && alive >= filled * goal) return guess
    return fewest(0, guess, all, (count) => taken(count).alive <= goal)
  }
  const toFit = (goal: number): number => {
    const fits = (count: number) => taken(count).alive <= goal && peakBytes(taken(count).module) <= goal
    const count = toKeepAlive(goal)
    return count === all || fits(count) ? count : fewest(count + 1, count + 1, all, fits)
  }
  const count = toFit(budgetBytes)
  const lowest = count < all ? budgetBytes : peakBytes(taken(all).module)
  return taken(lowest <= budgetBytes ? count : toFit(lowest)).module
}

/** A plan that takes this share of its budget gives up no more than it must. */
const filled = 0.98

/** Of the bytes that offers save, what counts where most are alive at once: a start for the search, no more. */
const atThePeak = 0.95

/** The smallest count in low .. high that does, `high` where none before it; looked for around a guess. */
function fewest(low: number, guess: number, high: number, does: (count: number) => boolean): number {
  let [from, to] = [low, high]
  // In growing steps, until a count that does and one that does not stand on either side.
  for (let [at, step] = [Math.min(guess, high - 1), 1]; from < to && at < to && at >= from; step *= 2) {
    if (does(at)) {
      to = at
      at = Math.max(from, at - step)
    } else {
      from = at + 1
      at += step
    }
  }
  while (from < to) {
    const middle = (from + to) >> 1
    if (does(middle)) to = middle
    else from = middle + 1
  }
  return to
}
