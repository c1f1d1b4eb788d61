import { expect, test } from 'vitest'
import { nonFinite } from '../../runtime/non-finite.js'

const provenance = { 'loss.koleo.weight': 'a.dino:4:3-9', 'loss.x_local': 'a.dino:5:3-9' }
const told = (metrics: Record<string, readonly number[]>, step: number) => {
  const found = nonFinite(
    Object.fromEntries(Object.entries(metrics).map(([name, values]) => [name, Float32Array.from(values)])),
    step,
    provenance,
  )
  return found && [found.message.replace(/;.*/, ''), ...found.help]
}
const rate = 'lower schedule lr, lengthen its warmup, or raise optimizer eps; then run again'

test('a term that is not finite points at its weight, and once something was learned at the learning rate', () => {
  const koleo = { 'loss.total': [Number.NaN], 'loss.koleo': [Number.POSITIVE_INFINITY] }
  expect(told(koleo, 0)).toEqual([
    'non-finite loss `koleo` (Infinity) at step 0',
    'lower `loss.koleo.weight`, the factor of this term; then run again',
  ])
  expect(told(koleo, 3)!.slice(1)).toEqual([
    rate.replace('; then run again', ''),
    'lower `loss.koleo.weight`, the factor of this term; then run again',
  ])
  expect(told({ 'loss.dino_local': [Number.NaN] }, 0)![1]).toContain('`loss.dino.weight`')
  expect(told({ 'loss.x_local': [Number.NaN] }, 0)![1]).toContain('`loss.x_local.weight`')
})

test('a gradient points at the learning rate, before the first update at the weights', () => {
  expect(told({ 'grad_norm.backbone': [Number.NaN] }, 3)).toEqual([
    'non-finite gradient of `backbone` (NaN) at step 3',
    rate,
  ])
  // The gradient of a term overflows before the term does.
  const huge = { 'grad_norm.backbone': [Number.NaN], 'loss.koleo': [1.25e38], 'loss.ibot': [4] }
  expect(told(huge, 0)!.slice(1)).toEqual(['lower `loss.koleo.weight`: its term is 1.3e+38; then run again'])
  expect(told({ finite: [0] }, 0)).toEqual([
    'non-finite gradient (NaN) at step 0',
    'lower the `weight` of the losses; then run again',
  ])
  expect(told({ 'loss.koleo': [1], finite: [1] }, 0)).toBeNull()
})
