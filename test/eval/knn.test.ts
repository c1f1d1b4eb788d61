import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { classRanks, classScores, nearest, normalizeRows, topAccuracy, vote } from '../../runtime/eval/knn.js'
import { decodeSafetensors } from '../../runtime/safetensors.js'

const golden = (name: string) => readFileSync(new URL(`../golden/fixtures/${name}`, import.meta.url))

describe('k-NN', () => {
  const tensors = decodeSafetensors(golden('11-knn.safetensors'), '11-knn')
  const of = (name: string) => tensors.get(name)!.data
  const { config, top1, top5, tensors: described } = JSON.parse(golden('11-knn.json').toString('utf8'))
  const neighbours = nearest(of('train_features'), of('test_features'), 16, 20)
  const votes = vote(neighbours, config.temperature)
  const within = (name: string, i: number, actual: number) => {
    const { atol, rtol } = described[name]
    expect(Math.abs(actual - of(name)[i]!)).toBeLessThanOrEqual(atol + rtol * Math.abs(of(name)[i]!))
  }

  it('finds the fixture’s neighbours', () => {
    const labels = of('train_labels')
    expect([...neighbours.indices].map((i) => labels[i])).toEqual([...of('neighbor_labels')])
    for (const [i, similarity] of neighbours.similarities.entries()) within('neighbor_sims', i, similarity)
  })

  it.each([10, 20])('scores and predicts with k = %i as the fixture does', (k) => {
    for (let row = 0; row < 40; row++) {
      const scores = classScores(votes, row, k, of('train_labels'), new Float64Array(8))
      for (const [c, score] of scores.entries()) within(`scores.k${k}`, row * 8 + c, score)
      expect(scores.indexOf(Math.max(...scores))).toBe(of(`prediction.k${k}`)[row])
    }
    const ranks = classRanks(votes, k, of('train_labels'), of('test_labels'), 8)
    expect(topAccuracy(ranks, 1)).toBeCloseTo(top1[k], 6)
    expect(topAccuracy(ranks, 5)).toBeCloseTo(top5[k], 6)
  })

  it('gives ties to the lower index, neighbours and classes alike', () => {
    const train = [1, 0, 1, 0, 0, 1, 1, 0]
    const { indices, similarities } = nearest(train, [1, 0], 2, 3)
    expect([...indices]).toEqual([0, 1, 3])
    expect([...similarities]).toEqual([1, 1, 1])
    const ranks = classRanks(vote(nearest(train, [1, 0, 1, 0], 2, 2), 0.07), 2, [1, 0, 2, 2], [0, 1], 3)
    expect([...ranks]).toEqual([0, 1])
  })

  it('does not depend on the size of its blocks', () => {
    const width = 5000 // three rows a block
    const train = Float32Array.from({ length: 20 * width }, (_, i) => Math.sin(i * 1.7))
    const test = train.slice(7 * width, 9 * width)
    expect([...nearest(train, test, width, 1).indices]).toEqual([7, 8])
  })

  it('takes what there is where k exceeds the training rows', () => {
    const { k, indices } = nearest([1, 0, 0, 1], [0, 1], 2, 10)
    expect([k, ...indices]).toEqual([2, 1, 0])
    expect(nearest([], [0, 1], 2, 10).k).toBe(0)
  })

  it('normalises rows, zeros included', () => {
    expect([...normalizeRows([3, 4, 0, 0], 2)]).toEqual([0.6, 0.8, 0, 0])
  })
})
