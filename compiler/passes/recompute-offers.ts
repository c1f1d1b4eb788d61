import { opFlops } from '../ir/flops.js'
import type { AnyOp, ValueId } from '../ir/types.js'
import { type Forward, opsToRepeat, type Run } from './recompute-runs.js'

/** Values of one run that backward may do without: what that saves, and the work of making them again. */
export interface Offer {
  readonly forward: Forward
  readonly run: Run
  readonly values: readonly ValueId[]
  readonly bytes: number
  readonly bytesPerFlop: number
}

/**
 * All that can be given up, most bytes a FLOP first; of equals, earlier blocks first, whose values wait for the
 * backward of all that follow. An offer counts on those of its run that stand before it: a product is made from what
 * was made again for another. Blocks of a ViT offer, in this order, the sum after attention, attention
 * itself, its output projection, queries and keys, the first product of the MLP, and at four times their price the second.
 */
export function offersOf(forwards: readonly Forward[]): Offer[] {
  const waiting = forwards.flatMap((forward) => forward.runs.map((run) => offersOfRun(forward, run)))
  const ordered: Offer[] = []
  for (;;) {
    let next: Offer[] | undefined
    for (const offers of waiting)
      if (offers.length > 0 && (next === undefined || offers[0]!.bytesPerFlop > next[0]!.bytesPerFlop))
        next = offers
    if (next === undefined) return ordered
    ordered.push(next.shift()!)
  }
}

/** What a run keeps for its backward, and the work that it repeats for want of the rest. */
interface Footprint {
  readonly bytes: number
  readonly flops: number
}

function offersOfRun(forward: Forward, run: Run): Offer[] {
  const { func, fixed, wanted } = forward
  const made = run.at.flatMap((i) => func.ops[i]!.results)
  let left = made.filter((id) => wanted[id] === 1 && fixed[id] === 0)
  const kept = keptWithout(forward, [])
  const without = (values: readonly ValueId[]): Footprint => {
    for (const id of values) kept[id] = 0
    const repeated = opsToRepeat(forward, run, kept)
    const footprint = {
      bytes: heldBytes(forward, run, made, repeated, kept),
      flops: repeated.reduce((sum, op) => sum + flopsOf(forward, op), 0),
    }
    for (const id of values) kept[id] = 1
    return footprint
  }
  const offers: Offer[] = []
  let now = without([])
  const offer = (values: readonly ValueId[]): Offer => {
    const then = without(values)
    const saved = now.bytes - then.bytes
    const bytesPerFlop = saved > 0 ? saved / (then.flops - now.flops) : 0
    return { forward, run, values, bytes: saved, bytesPerFlop }
  }
  while (left.length > 0) {
    let best = left.map((id) => offer([id])).reduce((a, b) => (b.bytesPerFlop > a.bytesPerFlop ? b : a))
    // One value may save nothing where all together do: what it follows from would be kept for it.
    if (best.bytesPerFlop === 0) best = offer(left)
    if (best.bytesPerFlop === 0) break
    offers.push(best)
    now = without(best.values)
    for (const id of best.values) kept[id] = 0
    left = left.filter((id) => kept[id] === 1)
  }
  return offers
}

/** By value, 1: kept where the run's offers are taken that give up `values`. */
export function keptWithout({ fixed, wanted }: Forward, values: Iterable<ValueId>): Uint8Array {
  const kept = fixed.map((is, id) => is | wanted[id]!)
  for (const id of values) kept[id] = 0
  return kept
}

/** Of the run: what `kept` says; from before it: what is kept only because a repeated op reads it. */
function heldBytes(
  { runOf, wanted, bytes }: Forward,
  run: Run,
  made: readonly ValueId[],
  repeated: readonly AnyOp[],
  kept: Uint8Array,
): number {
  let held = 0
  for (const id of made) if (kept[id] === 1 && wanted[id] === 1) held += bytes[id]!
  const before = new Set<ValueId>()
  for (const { operands } of repeated)
    for (const id of operands) if (id !== null && runOf[id] !== run && wanted[id] === 0) before.add(id)
  for (const id of before) held += bytes[id]!
  return held
}

function flopsOf({ func }: Forward, op: AnyOp): number {
  const { products, other } = opFlops(func, op)
  return products + other
}
