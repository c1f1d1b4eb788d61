import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashName, philoxBlock, Random, stream } from '../../runtime/philox.js'

const hex = (words: Int32Array) => [...words].map((w) => (w >>> 0).toString(16).padStart(8, '0')).join(' ')

describe('philox4x32-10', () => {
  // The known answers of the Random123 distribution (kat_vectors).
  it.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    ],
  ] as const)('gives the known answer for counter %j', (counter, key, expected) => {
    const out = new Int32Array(4)
    philoxBlock(counter as unknown as [number, number, number, number], key, out)
    expect(hex(out)).toBe(expected)
  })

  it('draws a stream block by block', () => {
    const out = new Int32Array(4)
    const random = stream(7, 3, 5, 'augment')
    const words = Array.from({ length: 8 }, () => random.word())
    philoxBlock([0, 5, 3, 4], [7, 0], out)
    expect(words.slice(0, 4)).toEqual([...out].map((w) => w >>> 0))
    philoxBlock([1, 5, 3, 4], [7, 0], out)
    expect(words.slice(4)).toEqual([...out].map((w) => w >>> 0))
  })
})

describe('streams', () => {
  it('differ in each part of their key and repeat exactly', () => {
    const draw = (...key: Parameters<typeof stream>) => stream(...key).word()
    const base = draw(1, 2, 3, 'mask')
    expect(draw(1, 2, 3, 'mask')).toBe(base)
    expect(new Set([base, draw(2, 2, 3, 'mask'), draw(1, 3, 3, 'mask'), draw(1, 2, 4, 'mask')]).size).toBe(4)
    expect(draw(1, 2, 3, 'kept')).not.toBe(base)
    expect(draw(1 + 2 ** 32, 2, 3, 'mask')).not.toBe(base)
  })

  it('reset starts another stream, and forgets the spare normal', () => {
    const random = stream(1, 0, 0, 'init')
    random.normal()
    random.reset(2, 0, 0, 'init')
    expect(random.normal()).toBe(stream(2, 0, 0, 'init').normal())
  })

  it('integers are within their bounds and uniform', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: -50, max: 50 }),
        fc.integer({ min: 0, max: 1000 }),
        (seed, low, n) => {
          const value = stream(seed, 0, 0, 'mask').integer(low, low + n)
          return Number.isInteger(value) && value >= low && value <= low + n
        },
      ),
    )
    const counts = new Array<number>(7).fill(0)
    const random = stream(11, 0, 0, 'mask')
    for (let i = 0; i < 70_000; i++) counts[random.integer(0, 6)]!++
    const chi = counts.reduce((sum, c) => sum + (c - 10_000) ** 2 / 10_000, 0)
    expect(chi).toBeLessThan(22.5) // 0.1 % point of 6 degrees of freedom
  })

  it('normals have mean 0, variance 1 and kurtosis 3', () => {
    const random = stream(3, 0, 0, 'init')
    let [m1, m2, m4] = [0, 0, 0]
    const n = 200_000
    for (let i = 0; i < n; i++) {
      const x = random.normal()
      m1 += x / n
      m2 += (x * x) / n
      m4 += x ** 4 / n
    }
    expect(Math.abs(m1)).toBeLessThan(0.01)
    expect(Math.abs(m2 - 1)).toBeLessThan(0.015)
    expect(Math.abs(m4 - 3)).toBeLessThan(0.15)
  })

  it('permutations hold each number once and every order of three', () => {
    const seen = new Map<string, number>()
    for (let seed = 0; seed < 6000; seed++) {
      const order = stream(seed, 0, 0, 'order').permutation(3).join('')
      seen.set(order, (seen.get(order) ?? 0) + 1)
    }
    expect([...seen.keys()].sort()).toEqual(['012', '021', '102', '120', '201', '210'])
    for (const count of seen.values()) expect(Math.abs(count - 1000)).toBeLessThan(130)
    expect([...stream(1, 0, 0, 'order').permutation(1000)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    )
  })

  it('names hash apart', () => {
    expect(hashName('')).toBe(0x811c9dc5)
    expect(new Set(['a', 'b', 'ab', 'ba', 'student.x', 'teacher.x'].map((n) => hashName(n))).size).toBe(6)
  })

  it('takes a Random', () => {
    expect(new Random({ seed: 0, step: 0, slot: 0, purpose: 'mix' }).uniform()).toBeLessThan(1)
  })
})

it('integers of huge ranges reach both halves, and all of 32 bits', () => {
  const random = stream(2, 0, 0, 'mask')
  const draws = Array.from({ length: 2000 }, () => random.integer(0, 3_000_000_000))
  expect(Math.max(...draws)).toBeGreaterThan(2_900_000_000)
  expect(Math.max(...draws)).toBeLessThanOrEqual(3_000_000_000)
  expect(Math.min(...draws)).toBeLessThan(100_000_000)
  expect(draws.reduce((sum, n) => sum + n / draws.length, 0) / 1.5e9).toBeCloseTo(1, 1)
  const again = stream(2, 0, 0, 'mask')
  expect(stream(2, 0, 0, 'mask').integer(0, 2 ** 32 - 1)).toBe(again.word())
})
