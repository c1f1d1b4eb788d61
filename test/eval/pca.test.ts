import { describe, expect, test } from 'vitest'
import { componentColours, principalBasis, project } from '../../runtime/eval/pca.js'

/** Points along (3, 4)/5 with a little noise across it. */
function elongated(n: number): Float32Array {
  const rows = new Float32Array(n * 2)
  for (let i = 0; i < n; i++) {
    const along = i - (n - 1) / 2
    const across = i % 2 === 0 ? 0.1 : -0.1
    rows[i * 2] = 0.6 * along - 0.8 * across + 10
    rows[i * 2 + 1] = 0.8 * along + 0.6 * across - 7
  }
  return rows
}

describe('principal components', () => {
  test('finds the long axis, with the largest element positive', () => {
    const { basis, mean } = principalBasis(elongated(40), 2, 2)
    expect(basis[0]).toBeCloseTo(0.6, 2)
    expect(basis[1]).toBeCloseTo(0.8, 2)
    expect(mean[0]).toBeCloseTo(10, 4)
    expect(mean[1]).toBeCloseTo(-7, 4)
  })

  test('projections are uncorrelated', () => {
    const rows = elongated(41)
    const p = project(rows, principalBasis(rows, 2, 2))
    let cross = 0
    for (let i = 0; i < 41; i++) cross += p[2 * i]! * p[2 * i + 1]!
    expect(Math.abs(cross / 41)).toBeLessThan(1e-6)
  })

  test('colours stretch each component over its range, and features without spread are grey', () => {
    const colours = componentColours(elongated(100), 2)
    const reds = Array.from({ length: 100 }, (_, i) => colours[i * 3]!)
    expect(Math.min(...reds)).toBe(0)
    expect(Math.max(...reds)).toBe(255)
    expect([...componentColours(new Float32Array(8).fill(1), 2)].every((c) => c === 128)).toBe(true)
  })
})
