import { describe, expect, it } from 'vitest'
import { featureRank, featureSpread } from '../../runtime/eval/health.js'
import { stream } from '../../runtime/philox.js'

const rows = (count: number, width: number, value: (row: number, dim: number) => number) =>
  Float32Array.from({ length: count * width }, (_, i) => value(Math.floor(i / width), i % width))
const random = stream(0, 0, 0, 'synthetic')

describe('the effective rank', () => {
  it('is the number of equal directions', () => {
    expect(
      featureRank(
        rows(40, 8, (row, dim) => (row % 5 === dim ? 1 : 0)),
        8,
      ),
    ).toBeCloseTo(5, 6)
    expect(
      featureRank(
        rows(40, 8, (_, dim) => dim + 1),
        8,
      ),
    ).toBeCloseTo(1, 5)
    expect(featureRank(new Float32Array(40), 8)).toBe(0)
  })
  it('is exp of the entropy of singular values', () => {
    // Singular values 3 and 1, shares 0.75 and 0.25.
    const features = Float32Array.of(3, 0, 0, 1)
    expect(featureRank(features, 2)).toBeCloseTo(
      Math.exp(-(0.75 * Math.log(0.75) + 0.25 * Math.log(0.25))),
      6,
    )
  })
  it('is near the width for noise, and does not depend on the scale', () => {
    const noise = rows(500, 16, () => random.normal())
    expect(featureRank(noise, 16)).toBeGreaterThan(15)
    expect(
      featureRank(
        noise.map((v) => v * 1e-3),
        16,
      ),
    ).toBeCloseTo(featureRank(noise, 16), 4)
  })
})

describe('the spread', () => {
  it('is 0 where all look alike and near 1 on the whole sphere', () => {
    expect(
      featureSpread(
        rows(30, 8, (row, dim) => (row + 1) * (dim + 1)),
        8,
      ),
    ).toBeLessThan(1e-6)
    expect(
      featureSpread(
        rows(2000, 16, () => random.normal()),
        16,
      ),
    ).toBeCloseTo(1, 1)
  })
})
