/**
 * Places buffers in arenas. A buffer occupies bytes during an interval of steps, both ends included; two buffers
 * whose intervals meet may not share bytes. Offsets are plain numbers (they may exceed 2^32) and multiples of 256.
 */
export interface Buffer {
  /** More than 0. */
  readonly bytes: number
  readonly start: number
  readonly end: number
}

export interface Placement {
  /** Arena and offset of each buffer, in the order given. */
  readonly arena: readonly number[]
  readonly offset: readonly number[]
  /** Size of each arena. */
  readonly arenas: readonly number[]
}

export const alignment = 256

/** 0, 1, ... */
export function indices(count: number): Int32Array {
  const all = new Int32Array(count)
  for (let i = 0; i < count; i++) all[i] = i
  return all
}

export function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment
}

/** The most bytes alive at one step: no placement can do with less. */
export function largestLiveBytes(buffers: readonly Buffer[]): number {
  return peakStep(buffers).bytes
}

/** The first step at which most bytes are alive. */
function peakStep(buffers: readonly Buffer[]): { step: number; bytes: number } {
  let last = 0
  let first = 0
  for (const buffer of buffers) {
    if (buffer.end > last) last = buffer.end
    if (buffer.start < first) first = buffer.start
  }
  const change = new Float64Array(last - first + 2)
  for (const buffer of buffers) {
    const bytes = aligned(buffer.bytes)
    change[buffer.start - first]! += bytes
    change[buffer.end - first + 1]! -= bytes
  }
  let live = 0
  const peak = { step: first, bytes: 0 }
  change.forEach((bytes, i) => {
    live += bytes
    if (live <= peak.bytes) return
    peak.step = first + i
    peak.bytes = live
  })
  return peak
}

/**
 * First fit: buffers in some order, each into the lowest gap left by those already placed that are alive with it. No
 * single order is best for every graph, so a few are tried until one comes within 1 % of the largest live sum; on
 * training steps, with and without recomputation, the best of them is within 5 %. `limitBytes` bounds each arena
 * (null: one arena without a limit); the caller has checked that every buffer fits.
 */
export function placeBuffers(buffers: readonly Buffer[], limitBytes: number | null): Placement {
  const peak = peakStep(buffers)
  let best: Placement | null = null
  let bestTotal = Number.POSITIVE_INFINITY
  for (const order of orders(buffers, peak.step)) {
    const placement = placeInOrder(buffers, order, limitBytes, bestTotal)
    if (placement === null) continue
    const total = placement.arenas.reduce((sum, bytes) => sum + bytes, 0)
    if (total < bestTotal) {
      best = placement
      bestTotal = total
    }
    if (bestTotal <= peak.bytes * 1.01) break
  }
  return best ?? { arena: [], offset: [], arenas: [] }
}

function* orders(buffers: readonly Buffer[], peak: number): Generator<Int32Array> {
  type Compare = (a: Buffer, b: Buffer) => number
  const length = (buffer: Buffer) => buffer.end - buffer.start
  const aside = (buffer: Buffer) => (buffer.start <= peak && buffer.end >= peak ? 0 : 1)
  const largest: Compare = (a, b) => b.bytes - a.bytes || length(b) - length(a)
  const longest: Compare = (a, b) => length(b) - length(a) || b.bytes - a.bytes
  const sorted = (compare: Compare) =>
    indices(buffers.length).sort((a, b) => compare(buffers[a]!, buffers[b]!) || a - b)
  yield sorted(largest)
  // What is alive at the peak fills it without a hole, longest lives lowest; the rest finds room around it.
  yield sorted((a, b) => aside(a) - aside(b) || (aside(a) === 0 ? longest : largest)(a, b))
  yield sorted((a, b) => aside(a) - aside(b) || longest(a, b))
  yield sorted(longest)
}

/** null as soon as one arena is no smaller than `below`: another order was better. */
function placeInOrder(
  buffers: readonly Buffer[],
  order: Int32Array,
  limitBytes: number | null,
  below: number,
): Placement | null {
  const count = buffers.length
  const arena = new Array<number>(count).fill(0)
  const offset = new Array<number>(count).fill(0)
  const arenas: Arena[] = []
  for (const i of order) {
    const { start, end, bytes } = buffers[i]!
    const size = aligned(bytes)
    for (let a = 0; ; a++) {
      const here = arenas[a] ?? openArena(count)
      arenas[a] = here
      const { at, place } = lowestGap(here, size, start, end)
      if (limitBytes !== null && at + size > limitBytes && here.length > 0) continue
      arena[i] = a
      offset[i] = at
      insert(here, place, at, at + size, start, end)
      if (here.bytes >= below) return null
      break
    }
  }
  return { arena, offset, arenas: arenas.map((here) => here.bytes) }
}

/** The buffers placed in an arena, in order of their offsets: where each lies and when it lives. */
interface Arena {
  readonly from: Float64Array
  readonly to: Float64Array
  readonly start: Int32Array
  readonly end: Int32Array
  length: number
  bytes: number
}

const openArena = (most: number): Arena => ({
  from: new Float64Array(most),
  to: new Float64Array(most),
  start: new Int32Array(most),
  end: new Int32Array(most),
  length: 0,
  bytes: 0,
})

/** The lowest offset at which a buffer fits between those alive with it, and its place in the order of offsets. */
function lowestGap(
  { from, to, start, end, length }: Arena,
  size: number,
  first: number,
  last: number,
): { at: number; place: number } {
  let free = 0
  let k = 0
  for (; k < length; k++) {
    if (start[k]! > last || end[k]! < first) continue
    if (from[k]! - free >= size) break
    if (to[k]! > free) free = to[k]!
  }
  // Behind all that begin no higher.
  let [low, high] = [0, k]
  while (low < high) {
    const middle = (low + high) >> 1
    if (from[middle]! <= free) low = middle + 1
    else high = middle
  }
  return { at: free, place: low }
}

function insert(here: Arena, place: number, at: number, after: number, start: number, end: number): void {
  const { length } = here
  for (const list of [here.from, here.to, here.start, here.end]) list.copyWithin(place + 1, place, length)
  here.from[place] = at
  here.to[place] = after
  here.start[place] = start
  here.end[place] = end
  here.length++
  here.bytes = Math.max(here.bytes, after)
}
