import { describe, expect, it } from 'vitest'
import {
  describeMethod,
  estimate,
  type Measurement,
  pairedDifference,
  quantile,
  studentQuantile,
} from '../../runtime/eval/statistics.js'
import { stream } from '../../runtime/philox.js'

const alone = { groups: null }
const share = (seed: number, right: number, of: number): Measurement => ({
  seed,
  values: Array.from({ length: of }, (_, i) => (i < right ? 1 : 0)),
})

describe("Student's t", () => {
  it.each([
    [1, 12.7062],
    [2, 4.30265],
    [3, 3.18245],
    [9, 2.26216],
    [30, 2.04227],
    [1000, 1.96234],
  ])('with %i degrees of freedom leaves 2.5 %% above %d', (freedom, expected) => {
    expect(studentQuantile(0.975, freedom)).toBeCloseTo(expected, 4)
  })
  it('judges a metric over at least 3 seeds', () => {
    const { mean, interval, method, seeds } = estimate(
      [share(0, 6, 10), share(1, 7, 10), share(2, 8, 10)],
      alone,
    )
    expect([mean, method, seeds]).toEqual([expect.closeTo(0.7, 12), 'seeds', 3])
    // 4.30265 * 0.1 / sqrt(3)
    expect(interval![0]).toBeCloseTo(0.7 - 0.248414, 5)
    expect(interval![1]).toBeCloseTo(0.7 + 0.248414, 5)
  })
})

describe('the bootstrap', () => {
  it('over images is near the normal interval of a share', () => {
    const found = estimate([share(0, 300, 1000)], alone)
    const half = 1.96 * Math.sqrt((0.3 * 0.7) / 1000)
    expect(found).toMatchObject({ mean: 0.3, method: 'images', seeds: 1, units: 1000 })
    expect(found.interval![0]).toBeCloseTo(0.3 - half, 2)
    expect(found.interval![1]).toBeCloseTo(0.3 + half, 2)
    expect(describeMethod(found)).toBe('95 % bootstrap over 1000 images')
    expect(estimate([share(0, 300, 1000)], alone)).toEqual(found)
  })
  it('over groups is wider where images of a group agree', () => {
    const values = Array.from({ length: 600 }, (_, i) => (Math.floor(i / 6) % 2 === 0 ? 1 : 0))
    const groups = values.map((_, i) => `g${Math.floor(i / 6)}`)
    const width = ({ interval }: ReturnType<typeof estimate>) => interval![1] - interval![0]
    const grouped = estimate([{ seed: 0, values }], { groups })
    expect(grouped).toMatchObject({ mean: 0.5, method: 'groups', units: 100 })
    expect(width(grouped) / width(estimate([{ seed: 0, values }], alone))).toBeCloseTo(Math.sqrt(6), 0)
  })
  it('weighs images, not groups', () => {
    const values = [1, 1, 1, 0]
    expect(estimate([{ seed: 0, values }], { groups: ['a', 'a', 'a', 'b'] }).mean).toBe(0.75)
  })
  it('averages two seeds image by image', () => {
    const found = estimate([share(0, 4, 10), share(1, 6, 10)], alone)
    expect(found).toMatchObject({ mean: 0.5, method: 'images', seeds: 2, units: 10 })
  })
  it('says nothing about one image, or none', () => {
    expect(estimate([share(0, 1, 1)], alone)).toMatchObject({ mean: 1, interval: null, method: 'none' })
    expect(estimate([], alone)).toMatchObject({ mean: Number.NaN, interval: null, method: 'none' })
  })
  it('covers the truth about as often as it says', () => {
    let covered = 0
    for (let trial = 0; trial < 40; trial++) {
      const random = stream(trial, 0, 0, 'synthetic')
      const values = Array.from({ length: 60 }, () => (random.chance(0.4) ? 1 : 0))
      const { interval } = estimate([{ seed: 0, values }], alone)
      if (interval![0] <= 0.4 && 0.4 <= interval![1]) covered++
    }
    expect(covered).toBeGreaterThan(33)
  })
})

describe('paired differences', () => {
  it('cancel what both sides have in common', () => {
    const a = share(0, 500, 1000)
    const b = share(0, 480, 1000)
    const found = pairedDifference([a], [b], alone)
    expect(found.mean).toBeCloseTo(0.02, 12)
    expect(found.interval![0]).toBeGreaterThan(0.01)
    expect(found.interval![1]).toBeLessThan(0.03)
  })
  it('pair by seed, and leave out seeds of one side', () => {
    const found = pairedDifference(
      [share(0, 6, 10), share(1, 7, 10)],
      [share(1, 5, 10), share(2, 0, 10)],
      alone,
    )
    expect(found.mean).toBeCloseTo(0.2, 12)
    expect(found.seeds).toBe(1)
    const three = [0, 1, 2].map((seed) => share(seed, 5 + seed, 10))
    const less = [0, 1, 2].map((seed) => share(seed, 4 + seed, 10))
    expect(pairedDifference(three, less, alone)).toMatchObject({
      method: 'seeds',
      mean: expect.closeTo(0.1, 12),
    })
    expect(pairedDifference(three, less, alone).interval).toEqual([
      expect.closeTo(0.1, 9),
      expect.closeTo(0.1, 9),
    ])
  })
  it('refuse different images', () => {
    expect(() => pairedDifference([share(0, 1, 4)], [share(0, 1, 5)], alone)).toThrow('different images')
  })
})

it('quantiles are linear between values', () => {
  expect([0, 0.25, 0.5, 1].map((q) => quantile([1, 2, 4, 8], q))).toEqual([1, 1.75, 3, 8])
})
