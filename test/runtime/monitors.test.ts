import { expect, test } from 'vitest'
import type { Monitor } from '../../compiler/plan/run-spec.js'
import { entropy, type MonitorCounts, watch } from '../../runtime/monitors.js'

const monitor = (change: Partial<Monitor>): Monitor => ({
  ...{ name: 'collapse', metric: 'entropy.dino', below: null, above: 6.2, patience: 3, action: 'warn' },
  from: { value: 10, unit: 'step' },
  explanation: 'ln K = 6.238 for 512 prototypes',
  ...change,
})

function fired(monitors: readonly Monitor[], values: readonly number[]): string[] {
  let counts: MonitorCounts = {}
  return values.flatMap((value, step) => {
    const verdict = watch(monitors, (m) => m.from.value, counts, step, { 'entropy.dino': value })
    counts = verdict.counts
    return [...verdict.diagnostics, ...(verdict.stop ? [verdict.stop] : [])].map((d) => `${step} ${d.code}`)
  })
}

test('silent before its first step, then after its patience, once for each time beyond', () => {
  const high = Array<number>(20).fill(6.23)
  expect(fired([monitor({})], high)).toEqual(['12 DINO1037'])
  expect(fired([monitor({})], [...high, 6, 6.23, 6.23, 6.23, 6.23])).toEqual(['12 DINO1037', '23 DINO1037'])
  expect(fired([monitor({})], [...high.slice(0, 12), 6, 6.23, 6.23])).toEqual([])
})

test('below, and stopping', () => {
  const low = monitor({
    above: null,
    below: 0.5,
    action: 'stop',
    patience: 1,
    from: { value: 0, unit: 'step' },
  })
  expect(fired([low], [1, 0.4])).toEqual(['1 DINO1038'])
})

test('a measure that is not there leaves the count alone', () => {
  const verdict = watch([monitor({})], () => 0, { collapse: 2 }, 5, {})
  expect(verdict.counts).toEqual({ collapse: 2 })
})

test('the message names measure, value and threshold, the note says what it means', () => {
  const { stop } = watch([monitor({ action: 'stop', patience: 1 })], () => 0, {}, 50, {
    'entropy.dino': 6.2301,
  })
  expect(stop?.message).toBe('stopped at step 50: `entropy.dino` is 6.23, above 6.2')
  expect(stop?.notes).toEqual(['ln K = 6.238 for 512 prototypes'])
})

test('entropy', () => {
  expect(entropy(new Float32Array(512).fill(1 / 512))).toBeCloseTo(Math.log(512), 10)
  expect(entropy([0, 1, 0])).toBe(0)
})
