import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  aligned,
  alignment,
  type Buffer,
  largestLiveBytes,
  type Placement,
  placeBuffers,
} from '../../compiler/plan/arena.js'

const buffer = fc
  .record({
    bytes: fc.oneof(
      fc.integer({ min: 1, max: 1024 }),
      fc.integer({ min: 1, max: 64 }).map((n) => n * 4096),
    ),
    start: fc.integer({ min: -1, max: 60 }),
    length: fc.integer({ min: 0, max: 30 }),
  })
  .map(({ bytes, start, length }): Buffer => ({ bytes, start, end: start + length }))
const buffers = fc.array(buffer, { minLength: 1, maxLength: 80 })

function overlaps(list: readonly Buffer[], placement: Placement): string[] {
  const found: string[] = []
  list.forEach((a, i) => {
    for (let j = 0; j < i; j++) {
      const b = list[j]!
      const together = a.start <= b.end && b.start <= a.end && placement.arena[i] === placement.arena[j]
      const [x, y] = [placement.offset[i]!, placement.offset[j]!]
      if (together && x < y + b.bytes && y < x + a.bytes) found.push(`${j} and ${i}`)
    }
  })
  return found
}

describe('arena placement', () => {
  it('never lets two live buffers share bytes, aligns offsets, stays inside its arena', () => {
    fc.assert(
      fc.property(buffers, fc.option(fc.integer({ min: 64 * 4096, max: 200 * 4096 })), (list, limit) => {
        const placement = placeBuffers(list, limit)
        expect(overlaps(list, placement)).toEqual([])
        list.forEach((b, i) => {
          expect(placement.offset[i]! % alignment).toBe(0)
          expect(placement.offset[i]! + b.bytes).toBeLessThanOrEqual(placement.arenas[placement.arena[i]!]!)
        })
        if (limit !== null) for (const bytes of placement.arenas) expect(bytes).toBeLessThanOrEqual(limit)
        else expect(placement.arenas.length).toBe(1)
      }),
      { numRuns: 300 },
    )
  })

  it('needs at least the largest live sum', () => {
    fc.assert(
      fc.property(buffers, (list) => {
        const placement = placeBuffers(list, null)
        expect(placement.arenas[0]).toBeGreaterThanOrEqual(largestLiveBytes(list))
      }),
    )
  })

  it('needs at most a tenth more than that where lifetimes nest as in training', () => {
    const step = fc.record({
      kept: fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 6 }),
      temp: fc.integer({ min: 1, max: 80 }),
    })
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 30 }), (blocks) => {
        const depth = blocks.length
        const list: Buffer[] = []
        blocks.forEach(({ kept, temp }, i) => {
          const back = 2 * (2 * depth - 1 - i)
          for (const n of kept) list.push({ bytes: n * 4096, start: 2 * i, end: back })
          list.push({ bytes: temp * 4096, start: 2 * i, end: 2 * i + 1 })
          list.push({ bytes: temp * 4096, start: back, end: back + 1 })
        })
        expect(placeBuffers(list, null).arenas[0]).toBeLessThanOrEqual(1.1 * largestLiveBytes(list))
      }),
      { numRuns: 200 },
    )
  })

  it('gives offsets past 2^32', () => {
    const list = [0, 1, 2].map((): Buffer => ({ bytes: 2 ** 32 - 100, start: 0, end: 1 }))
    const placement = placeBuffers(list, null)
    expect([...placement.offset].sort((a, b) => a - b)).toEqual([0, 2 ** 32, 2 ** 33])
    expect(placement.arenas).toEqual([3 * 2 ** 32])
  })

  it('opens another arena where one is full', () => {
    const list = [3, 2, 2].map((n): Buffer => ({ bytes: n * alignment, start: 0, end: 0 }))
    expect(placeBuffers(list, 4 * alignment)).toEqual({
      arena: [0, 1, 1],
      offset: [0, 0, 2 * alignment],
      arenas: [3 * alignment, 4 * alignment],
    })
  })

  it('rounds sizes up', () => {
    expect([1, 256, 257, 2 ** 33 + 1].map(aligned)).toEqual([256, 256, 512, 2 ** 33 + 256])
  })

  it('places three thousand buffers quickly', () => {
    const list = Array.from({ length: 3000 }, (_, i): Buffer => {
      const kept = i % 7 === 0 && i < 1500
      return { bytes: ((i * 7919) % 97) * 4096 + 1, start: i, end: kept ? 3000 - i : i + 2 + (i % 5) }
    })
    const from = performance.now()
    const placement = placeBuffers(list, null)
    expect(performance.now() - from).toBeLessThan(500)
    expect(placement.arenas[0]! / largestLiveBytes(list)).toBeLessThan(1.1)
  })
})
