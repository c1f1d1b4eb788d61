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
  const starts = Int32Array.from(buffers, (buffer) => buffer.start)
  const ends = Int32Array.from(buffers, (buffer) => buffer.end)
  const sizes = Float64Array.from(buffers, (buffer) => aligned(buffer.bytes))
  const arena = new Array<number>(count).fill(0)
  const offset = new Float64Array(count)
  // Per arena: the buffers placed there, by offset.
  const placed: { by: Int32Array; length: number; bytes: number }[] = []
  for (const i of order) {
    const size = sizes[i]!
    for (let a = 0; ; a++) {
      let here = placed[a]
      if (here === undefined) {
        here = { by: new Int32Array(count), length: 0, bytes: 0 }
        placed.push(here)
      }
      const at = lowestGap(here.by, here.length, offset, sizes, starts, ends, i)
      if (limitBytes !== null && at + size > limitBytes && here.length > 0) continue
      arena[i] = a
      offset[i] = at
      insertByOffset(here.by, here.length, offset, i)
      here.length++
      here.bytes = Math.max(here.bytes, at + size)
      if (here.bytes >= below) return null
      break
    }
  }
  return { arena, offset: Array.from(offset), arenas: placed.map((here) => here.bytes) }
}

/** The lowest offset at which a buffer fits between those alive with it. */
function lowestGap(
  by: Int32Array,
  length: number,
  offset: Float64Array,
  sizes: Float64Array,
  starts: Int32Array,
  ends: Int32Array,
  i: number,
): number {
  const size = sizes[i]!
  const start = starts[i]!
  const end = ends[i]!
  let free = 0
  for (let k = 0; k < length; k++) {
    const other = by[k]!
    if (starts[other]! > end || ends[other]! < start) continue
    const at = offset[other]!
    if (at - free >= size) return free
    const after = at + sizes[other]!
    if (after > free) free = after
  }
  return free
}

function insertByOffset(by: Int32Array, length: number, offset: Float64Array, i: number): void {
  const at = offset[i]!
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >> 1
    if (offset[by[middle]!]! <= at) low = middle + 1
    else high = middle
  }
  by.copyWithin(low + 1, low, length)
  by[low] = i
}
