import fc from 'fast-check'
import { expect, test } from 'vitest'
import { alternatives, didYouMean, distance, nearest } from '../../diagnostics/nearest.js'

test('distances count inserts, deletions, replacements and swaps of neighbours', () => {
  expect(distance('', '')).toBe(0)
  expect(distance('koleo', 'koleo')).toBe(0)
  expect(distance('koleo', 'kole')).toBe(1)
  expect(distance('koleo', 'kolleo')).toBe(1)
  expect(distance('koleo', 'kokeo')).toBe(1)
  expect(distance('koleo', 'oklwo')).toBe(2)
  expect(distance('depth', 'width')).toBe(3)
})

test('distance is symmetric, zero only for equals, and at most the longer word', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
      expect(distance(a, b)).toBe(distance(b, a))
      expect(distance(a, b) === 0).toBe(a === b)
      expect(distance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length))
      expect(distance(a, b)).toBeGreaterThanOrEqual(Math.abs(a.length - b.length))
    }),
  )
})

test('the nearest candidates come first, far ones not at all', () => {
  expect(nearest('prototpyes', ['hidden', 'prototypes', 'bottleneck'])).toEqual(['prototypes'])
  expect(nearest('Koleo', ['koleo'])).toEqual(['koleo'])
  expect(nearest('koleo_loss_weight', ['weight', 'koleo', 'depth'])).toEqual(['weight', 'koleo'])
  expect(nearest('xyz', ['width', 'depth'])).toEqual([])
  expect(nearest('a'.repeat(1000), ['a'])).toEqual([])
})

test('help in words', () => {
  expect(didYouMean('widht', ['width', 'depth'])).toEqual(['did you mean `width`?'])
  expect(didYouMean('zzz', ['width'])).toEqual([])
  expect(alternatives(['a', 'b', 'c'])).toBe('`a`, `b` or `c`')
})
