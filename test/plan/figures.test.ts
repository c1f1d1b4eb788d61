import { expect, test } from 'vitest'
import { memoryText, trafficText } from '../../compiler/plan/figures.js'
import { peakAndBudget } from '../../compiler/plan/findings.js'

test('memory and traffic in the unit that suits them, in three digits', () => {
  const sizes = [
    0,
    4,
    1023,
    1024,
    65_536,
    1024 ** 2 - 1,
    4.25 * 2 ** 20,
    610 * 2 ** 20,
    1.5 * 2 ** 30,
    28.44 * 2 ** 30,
  ]
  expect(sizes.map(memoryText)).toEqual([
    '0 B',
    '4 B',
    '1023 B',
    '1.00 KiB',
    '64.0 KiB',
    '1.00 MiB',
    '4.25 MiB',
    '610 MiB',
    '1.50 GiB',
    '28.4 GiB',
  ])
  expect([16, 65_536, 8.67e6, 999_999, 1.2e9].map(trafficText)).toEqual([
    '16 B',
    '65.5 kB',
    '8.67 MB',
    '1.00 MB',
    '1.20 GB',
  ])
})

test('a peak that is over its budget reads as more', () => {
  expect(peakAndBudget(2 ** 23, 2 ** 22)).toEqual({ peak: '8.00 MiB', budget: '4.00 MiB' })
  expect(peakAndBudget(2 ** 23 + 4, 2 ** 23)).toEqual({ peak: '8388612 B', budget: '8388608 B' })
})
