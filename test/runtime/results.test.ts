import { expect, test } from 'vitest'
import type { EvalFile, EvaluationRecord, Measured } from '../../runtime/eval/eval-file.js'
import { primaryMetric, resultTable, type VariantResult } from '../../runtime/eval/results.js'

const measured = (correct: string): Measured => ({
  metrics: { 'top1@1': correct.replaceAll('0', '').length / correct.length },
  correct: { 'top1@1': correct },
})

function variant(name: string, trained: readonly string[], protocol = 'p'): VariantResult {
  const file = (correct: string): EvalFile => ({
    ...{ formatVersion: 1, run: 'r' },
    evaluations: {
      knn: {
        ...{ protocolIdentity: protocol, test: { names: [], groups: null } },
        ...{ untrained: measured('1000'), trained: measured(correct), rawPixels: measured('1100') },
      } as unknown as EvaluationRecord,
    },
  })
  return {
    variant: name,
    seeds: trained.map((correct, seed) => ({
      ...{ seed, evaluation: file(correct), imagesPerSecond: 100 + seed, peakRssBytes: 1000 * (seed + 1) },
    })),
  }
}

test('variants against full, paired by seed and image; untrained and raw pixels beside them', () => {
  const table = resultTable(
    [variant('small', ['1100', '0111']), variant('full', ['1110', '1111'])],
    'knn',
    'top1@1',
  )!
  const rows = table.rows.map(({ name, value, against }) => [name, value.mean, against?.mean ?? null])
  expect(rows).toEqual([
    ['untrained', 0.25, -0.625],
    ['small', 0.625, -0.25],
    ['full', 0.875, null],
    ['raw pixels', 0.5, null],
  ])
  expect(table.metric).toBe('knn.top1@1')
  expect(table.base).toBe('full')
  expect(table.floorDifference).toMatchObject({ mean: -0.375, seeds: 2 })
  expect(resultTable([variant('small', ['1100'])], 'knn', 'top1@1')!.base).toBe('small')
  expect(table.rows[1]).toMatchObject({ imagesPerSecond: 100.5, peakRssBytes: 2000 })
})

test('unlike protocols are not compared; what is not measured is left out', () => {
  const table = resultTable([variant('full', ['1110']), variant('other', ['1110'], 'q')], 'knn', 'top1@1')!
  expect(table.rows.find((row) => row.name === 'other')!.against).toBeNull()
  expect(resultTable([variant('full', [])], 'knn', 'top1@1')).toBeNull()
  expect(resultTable([variant('full', ['1110'])], 'none', 'top1@1')).toBeNull()
})

test('the primary metric, or the usual one', () => {
  const knn = { name: 'knn', k: [1, 10] }
  expect(primaryMetric(['eval.knn.top1@20'], [knn])).toEqual({ evaluation: 'knn', metric: 'top1@20' })
  expect(primaryMetric(['eval.knn.top1'], [knn])).toEqual({ evaluation: 'knn', metric: 'top1@1' })
  expect(primaryMetric(['eval.gone.top1'], [{ name: 'b', k: [10, 20] }])).toEqual({
    evaluation: 'b',
    metric: 'top1@20',
  })
  expect(primaryMetric([], [])).toBeNull()
})
