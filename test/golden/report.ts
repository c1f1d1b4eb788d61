import type { FixtureTensor } from './fixture.js'

/** Checks of one fixture: each tensor, each number of a trajectory counts as one. */
export interface Report {
  /** The s of |a - e| <= s (atol + rtol |e|). */
  readonly factor: number
  /** Elements as recorded, by the tensor's own tolerance times the device's factor; I32 and U8 exactly. */
  tensor(expected: FixtureTensor, actual: ArrayLike<number>): void
  /** Elements by another bound: the largest difference that element `i` may have. */
  bounded(
    name: string,
    expected: ArrayLike<number>,
    actual: ArrayLike<number>,
    bound: (i: number) => number,
  ): void
  /** A number, |a - e| <= max(absolute, relative |e|) times the device's factor. */
  scalar(
    name: string,
    expected: number,
    actual: number,
    tolerance: { relative: number; absolute: number },
  ): void
  /** Something that is so or not. */
  that(name: string, ok: boolean, why: string): void
  /** Names of what was compared. */
  readonly checked: ReadonlySet<string>
  readonly passed: number
  readonly failures: readonly string[]
}

export function openReport(factor: number): Report {
  const failures: string[] = []
  const checked = new Set<string>()
  let passed = 0
  const judge = (ok: boolean, failure: () => string) => {
    if (ok) passed++
    else failures.push(failure())
  }
  const bounded: Report['bounded'] = (name, expected, actual, bound) => {
    checked.add(name)
    if (actual.length !== expected.length) {
      judge(false, () => `${name}: ${actual.length} elements, expected ${expected.length}`)
      return
    }
    let worst = -1
    let worstRatio = 1
    for (let i = 0; i < expected.length; i++) {
      const difference = Math.abs((actual[i] as number) - (expected[i] as number))
      const allowed = bound(i)
      if (difference <= allowed) continue
      // NaN differs by more than anything.
      const ratio = Number.isFinite(difference)
        ? difference / Math.max(allowed, 1e-300)
        : Number.POSITIVE_INFINITY
      if (ratio > worstRatio || worst < 0) {
        worst = i
        worstRatio = ratio
      }
    }
    judge(
      worst < 0,
      () =>
        `${name}: element ${worst} of ${expected.length} is ${actual[worst]}, expected ${expected[worst]} ` +
        `(off by ${worstRatio.toPrecision(3)} times what is allowed)`,
    )
  }
  return {
    factor,
    bounded,
    tensor: (expected, actual) => {
      const { data, atol, rtol } = expected
      bounded(expected.name, data, actual, (i) =>
        expected.dtype === 'F32' ? factor * (atol + rtol * Math.abs(data[i] as number)) : 0,
      )
    },
    scalar: (name, expected, actual, { relative, absolute }) => {
      const allowed = factor * Math.max(absolute, relative * Math.abs(expected))
      judge(
        Math.abs(actual - expected) <= allowed,
        () => `${name}: ${actual}, expected ${expected} within ${allowed}`,
      )
    },
    that: (name, ok, why) => judge(ok, () => `${name}: ${why}`),
    get passed() {
      return passed
    },
    checked,
    failures,
  }
}
