import { expect, test } from 'vitest'
import type { TrainingLine } from '../../runtime/events.js'
import { compareWindows, toleranceOf } from './windows.js'

const line = (step: number, ibot: number): TrainingLine => ({
  ...{
    step,
    phase: 'p',
    grad_norm: { backbone: 2 },
    masked_rows: 10,
    lr: 0,
    weight_decay: 0,
    teacher_temp: 0,
  },
  ...{ loss: { ibot, koleo: 0.5 }, momentum: 0, time: { clock: '', seconds: 1 } },
})
const reference = (mean: number, sd: number) => ({ windows: { '1-3': { ibot: { mean, sd } } } })

test('a window has its first step and not its last; means over steps, then over seeds', () => {
  const seeds = [
    [line(0, 100), line(1, 1), line(2, 3), line(3, 100)],
    [line(0, 100), line(1, 5), line(2, 7), line(3, 100)],
  ]
  expect(compareWindows(reference(4, 0), seeds)).toMatchObject([{ found: 4, tolerance: 0.04, passed: true }])
  expect(compareWindows(reference(4.05, 0), seeds)).toMatchObject([{ passed: false }])
  expect(compareWindows(reference(4.05, 0.02), seeds)).toMatchObject([{ tolerance: 0.1, passed: true }])
})

test('a missing step or term fails', () => {
  expect(compareWindows(reference(1, 1), [[line(1, 1)]])).toMatchObject([
    { found: Number.NaN, passed: false },
  ])
  const columns = { gn_backbone: 2, koleo_total: 0.5, masked_rows: 10, dino_local: 1 }
  const windows = {
    '0-1': Object.fromEntries(Object.entries(columns).map(([c, mean]) => [c, { mean, sd: 0 }])),
  }
  expect(compareWindows({ windows }, [[line(0, 1)]]).map((c) => c.passed)).toEqual([true, true, true, false])
})

test('tolerances of the README', () => {
  expect(toleranceOf('dino_local', { mean: 4, sd: 0 })).toBeCloseTo(0.04)
  expect(toleranceOf('koleo_total', { mean: 4, sd: 0 })).toBeCloseTo(0.4)
  expect(toleranceOf('gn_ibot_head', { mean: 4, sd: 0 })).toBeCloseTo(0.8)
  expect(toleranceOf('ibot', { mean: 4, sd: 1 })).toBe(5)
})
