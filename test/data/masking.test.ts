import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maskedRowsBound as compiledBound } from '../../compiler/lower/masking.js'
import type { Masking } from '../../compiler/plan/run-spec.js'
import {
  batchMasks,
  blockMask,
  largestBlock,
  maskedRowsBound,
  maskRows,
  maskWeights,
  randomMask,
  ratioBounds,
  roundHalfEven,
} from '../../runtime/data/masking.js'
import { stream } from '../../runtime/philox.js'
import { decodeSafetensors } from '../../runtime/safetensors.js'

const golden = (name: string) => readFileSync(new URL(`../golden/fixtures/${name}`, import.meta.url))
const json = <T>(name: string) => JSON.parse(golden(name).toString('utf8')) as T
const sixteen = { height: 16, width: 16, minPatches: 4, maxPatches: 128, minAspect: 0.3, maxAspect: 1 / 0.3 }
const masking = (changes: Partial<Masking> = {}): Masking => ({
  type: 'block',
  probability: 0.5,
  ratio: { min: 0.1, max: 0.5 },
  aspect: { min: 0.3, max: 1 / 0.3 },
  minPatches: 4,
  apply: true,
  ...changes,
})
const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0)

type Draw = ['uniform' | 'randint', number, number, number]
const { traces } = json<{ traces: { target: number; draws: Draw[]; mask: string[] }[] }>(
  '08-masking-traces.json',
)

describe('block masks', () => {
  it.each(traces.map((trace, i) => [i, trace] as const))('replay trace %i', (_, { target, draws, mask }) => {
    let next = 0
    const replay = (kind: Draw[0]) => (low: number, high: number) => {
      const [wanted, wantedLow, wantedHigh, value] = draws[next++]!
      expect([kind, low, high]).toEqual([
        wanted,
        expect.closeTo(wantedLow, 12),
        expect.closeTo(wantedHigh, 12),
      ])
      return value
    }
    const made = blockMask({ uniform: replay('uniform'), integer: replay('randint') }, { ...sixteen, target })
    const rows = mask.map((_, y) => made.subarray(y * 16, y * 16 + 16).join(''))
    expect(rows).toEqual(mask)
    expect(next).toBe(draws.length)
  })

  const { results } = json<{ results: Record<string, number>[] }>('08-masking-stats.json')
  it.each(results.map((r) => [r.target!, r] as const))(
    'of %i patches have the reference’s statistics',
    (target, r) => {
      const runs = 4000
      const counts: number[] = []
      const coverage = new Float64Array(256)
      for (let i = 0; i < runs; i++) {
        const mask = blockMask(stream(5, target, i, 'mask'), { ...sixteen, target })
        counts.push(sum(mask))
        for (const [at, bit] of mask.entries()) coverage[at]! += bit / runs
      }
      expect(Math.max(...counts)).toBeLessThanOrEqual(target)
      expect(Math.abs(sum(counts) / runs - r.count_mean!)).toBeLessThan(6 * r.standard_error_of_count_mean!)
      const exact = counts.filter((c) => c === target).length / runs
      expect(Math.abs(exact - r.fraction_equal_to_target!)).toBeLessThan(0.03)
      const corners = (coverage[0]! + coverage[15]! + coverage[240]! + coverage[255]!) / 4
      const center = sum([6, 7, 8, 9].flatMap((y) => [6, 7, 8, 9].map((x) => coverage[y * 16 + x]!))) / 16
      expect(Math.abs(corners - r.coverage_corner_mean!)).toBeLessThan(0.012)
      expect(Math.abs(center - r.coverage_center_4x4_mean!)).toBeLessThan(0.02)
    },
  )

  it('never exceed their target, on any grid', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 2, max: 24 }),
        fc.integer({ min: 2, max: 24 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (seed, height, width, share) => {
          const target = Math.floor(share * height * width)
          const options = { ...sixteen, height, width, maxPatches: 0.5 * height * width, target }
          const mask = blockMask(stream(seed, 0, 0, 'mask'), options)
          return mask.length === height * width && sum(mask) <= target && mask.every((bit) => bit <= 1)
        },
      ),
    )
  })

  it('of target 0 are empty', () => {
    expect(sum(blockMask(stream(0, 0, 0, 'mask'), { ...sixteen, target: 0 }))).toBe(0)
  })
})

it('random masks hold exactly as many patches as asked, each equally often', () => {
  const counts = new Float64Array(10)
  for (let i = 0; i < 20_000; i++) {
    const mask = randomMask(stream(1, 0, i, 'mask'), 10, 3)
    expect(sum(mask)).toBe(3)
    for (const [at, bit] of mask.entries()) counts[at]! += bit / 20_000
  }
  for (const share of counts) expect(Math.abs(share - 0.3)).toBeLessThan(0.015)
  expect(sum(randomMask(stream(1, 0, 0, 'mask'), 10, 10))).toBe(10)
})

it('rounds as Python does', () => {
  expect([0.5, 1.5, 2.5, 3.5, 2.4999, 2.5001, 7].map(roundHalfEven)).toEqual([0, 2, 2, 4, 2, 3, 7])
})

describe('batches of masks', () => {
  const collate = json<{
    probs: number[]
    upperbound: number
    n_masked_patches: number
    masked_patches_per_crop_after_shuffle: number[]
    requested_min_per_slot: number[]
    requested_max_per_slot: number[]
  }>('08-collate.json')

  it('cut the ratio range as the fixture does', () => {
    expect([...ratioBounds(16, masking())]).toEqual(collate.probs)
    expect(maskedRowsBound(16, 256, masking())).toBe(collate.upperbound)
  })

  it('are bounded by the reference’s published bounds', () => {
    expect(maskedRowsBound(128, 196, masking())).toBe(3771)
    expect(maskedRowsBound(64, 256, masking())).toBe(2496)
    expect(maskedRowsBound(24, 256, masking())).toBe(967)
    expect(maskedRowsBound(24, 256, masking({ probability: 0 }))).toBe(0)
  })

  it('have the reference’s largest block', () => {
    const { max_num_patches_examples: examples } = json<{ max_num_patches_examples: Record<string, number> }>(
      '08-masking-stats.json',
    )
    for (const [sizes, expected] of Object.entries(examples)) {
      const [resolution, patch] = sizes.split('px/').map(Number) as [number, number]
      expect([sizes, largestBlock(resolution, patch)]).toEqual([sizes, expected])
    }
  })

  it('give rows and weights as the fixture does', () => {
    const tensors = decodeSafetensors(golden('08-collate.safetensors'), '08-collate')
    const masks = tensors.get('collated_masks')!.data as Uint8Array
    const counts = Int32Array.from(collate.masked_patches_per_crop_after_shuffle)
    const padded = collate.upperbound
    const rows = maskRows(masks, 256, 0, new Int32Array(padded).fill(9))
    expect([...rows.subarray(0, collate.n_masked_patches)]).toEqual([
      ...tensors.get('mask_indices_list')!.data,
    ])
    expect(sum(rows.subarray(collate.n_masked_patches))).toBe(0)
    const shifted = maskRows(masks, 256, 5, new Int32Array(padded))
    for (let i = 0; i < collate.n_masked_patches; i++)
      expect(shifted[i]).toBe(rows[i]! + 5 * (Math.floor(rows[i]! / 256) + 1))
    const weights = maskWeights(counts, new Float32Array(padded).fill(9))
    const expected = tensors.get('masks_weight')!.data
    for (let i = 0; i < expected.length; i++) expect(weights[i]).toBeCloseTo(expected[i]!, 7)
    expect(sum(weights.subarray(expected.length))).toBe(0)
  })

  it('mask as many crops as asked, each within its slice, and shuffle them', () => {
    const masked = new Float64Array(16)
    for (let step = 0; step < 300; step++) {
      const { counts, masks, rows } = batchMasks(stream(3, step, 0, 'mask'), {
        crops: 16,
        grid: 16,
        maxPatches: 128,
        masking: masking({ type: 'random' }),
      })
      const sizes = [...counts].filter((n) => n > 0).sort((a, b) => a - b)
      expect(sizes).toHaveLength(8)
      for (const [slot, size] of sizes.entries()) {
        expect(size).toBeGreaterThanOrEqual(Math.floor(256 * collate.probs[slot]!))
        expect(size).toBeLessThanOrEqual(Math.ceil(256 * collate.probs[slot + 1]!))
      }
      expect(sum(masks)).toBe(rows)
      expect(rows).toBeLessThanOrEqual(collate.upperbound)
      for (const [crop, n] of counts.entries()) if (n > 0) masked[crop]! += 1 / 300
    }
    for (const share of masked) expect(Math.abs(share - 0.5)).toBeLessThan(0.13)
  })

  it('have the bound that plans are compiled with', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(fc.nat(300), fc.nat(1400), share, share, share, (crops, patches, probability, a, b) => {
        const options = masking({ probability, ratio: { min: Math.min(a, b), max: Math.max(a, b) } })
        expect(maskedRowsBound(crops, patches, options)).toBe(compiledBound(options, crops, patches))
      }),
    )
  })

  it('never pass their bound', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 2, max: 40 }),
        fc.integer({ min: 2, max: 12 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom<'block' | 'random'>('block', 'random'),
        (seed, crops, grid, probability, type) => {
          const options = masking({ probability, type, ratio: { min: 0.05, max: 0.9 } })
          const { rows, counts } = batchMasks(stream(seed, 0, 0, 'mask'), {
            crops,
            grid,
            maxPatches: 0.5 * grid * grid,
            masking: options,
          })
          expect(sum(counts)).toBe(rows)
          expect(rows).toBeLessThanOrEqual(maskedRowsBound(crops, grid * grid, options))
        },
      ),
    )
  })

  it('mask as many patches as the reference’s own run did (parity: 24 images, 64 patches)', () => {
    let rows = 0
    for (let step = 0; step < 800; step++)
      rows += batchMasks(stream(1, step, 0, 'mask'), {
        crops: 48,
        grid: 8,
        maxPatches: largestBlock(64, 8),
        masking: masking(),
      }).rows
    // 447.6 over its windows of 50 steps, whose standard deviation over seeds is 0.3.
    expect(Math.abs(rows / 800 - 447.6)).toBeLessThan(0.5)
  })
})
