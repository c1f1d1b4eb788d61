import { stream } from '../philox.js'
import type { Selection } from './dataset.js'

/** The image at a place of the endless order of training, and the part of the selection that it belongs to. */
export type ImageOrder = (position: number) => { image: number; part: number }

/**
 * Training images in an endless chain of permutations: position `step * batch + slot` takes image
 * `position % images` of the permutation keyed by (seed, pass), so batches are always full and any position is found
 * without the ones before it.
 *
 * A mix first deals positions to its parts: every block of 10,000 positions holds each part's share exactly (to
 * 1/10,000), in an order keyed by (seed, block); each part then goes through its own chain.
 */
export function imageOrder(seed: number, selection: Selection): ImageOrder {
  const chains = selection.parts.map((part, index) => chain(seed, index, part.images))
  if (chains.length === 1) return (position) => ({ image: chains[0]!(position), part: 0 })
  const shares = selection.parts.map((part) => part.share)
  const deal = dealer(seed, shares)
  return (position) => {
    const { part, rank } = deal(position)
    return { image: chains[part]!(rank), part }
  }
}

function chain(seed: number, part: number, images: Uint32Array): (position: number) => number {
  const passes = new Map<number, Uint32Array>()
  return (position) => {
    const pass = Math.floor(position / images.length)
    let order = passes.get(pass)
    if (!order) {
      // A batch may span two passes, and prefetching looks a little ahead.
      if (passes.size >= 3) passes.delete(Math.min(...passes.keys()))
      order = stream(seed, pass, part, 'order').permutation(images.length)
      passes.set(pass, order)
    }
    return images[order[position % images.length]!]!
  }
}

const blockLength = 10_000

function dealer(
  seed: number,
  shares: readonly number[],
): (position: number) => { part: number; rank: number } {
  const counts = apportion(shares, blockLength)
  let current = -1
  const parts = new Uint16Array(blockLength)
  const ranks = new Uint32Array(blockLength)
  return (position) => {
    const block = Math.floor(position / blockLength)
    if (block !== current) {
      let at = 0
      for (const [part, count] of counts.entries()) {
        parts.fill(part, at, at + count)
        at += count
      }
      stream(seed, block, 0, 'mix').shuffle(parts)
      const dealt = new Uint32Array(counts.length)
      for (let i = 0; i < blockLength; i++) ranks[i] = dealt[parts[i]!]!++
      current = block
    }
    const i = position % blockLength
    const part = parts[i]!
    return { part, rank: block * counts[part]! + ranks[i]! }
  }
}

/** Whole numbers in the given shares that sum to `total`, by largest remainder; every share above 0 gets at least 1. */
function apportion(shares: readonly number[], total: number): number[] {
  const counts = shares.map((share) => Math.max(share > 0 ? 1 : 0, Math.floor(share * total + 1e-9)))
  const byRemainder = shares
    .map((share, part) => ({ part, rest: share * total - counts[part]! }))
    .sort((a, b) => b.rest - a.rest || a.part - b.part)
  let left = total - counts.reduce((sum, n) => sum + n, 0)
  for (let i = 0; left !== 0; i = (i + 1) % byRemainder.length) {
    const { part } = byRemainder[left > 0 ? i : byRemainder.length - 1 - i]!
    if (left < 0 && counts[part]! <= 1) continue
    counts[part]! += Math.sign(left)
    left -= Math.sign(left)
  }
  return counts
}
