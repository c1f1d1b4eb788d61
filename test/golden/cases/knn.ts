import { classRanks, classScores, nearest, topAccuracy, vote } from '../../../runtime/eval/knn.js'
import { type Fixture, get, number, numbers, record, sizes } from '../fixture.js'
import type { Report } from '../report.js'

/** 11-knn: neighbours, votes and accuracies over stored features. */
export async function checkKnn(fixture: Fixture, _: unknown, report: Report): Promise<void> {
  const { config, json, tensors } = fixture
  const [train, test] = [get(tensors, 'train_features'), get(tensors, 'test_features')]
  const trainLabels = get(tensors, 'train_labels').data
  const testLabels = get(tensors, 'test_labels').data
  const [tests, width] = sizes(test, 0, 1) as [number, number]
  const classes = number(config.num_classes)
  const ks = numbers(config.nb_knn)
  const found = nearest(train.data, test.data, width, number(config.max_k, Math.max(...ks)))
  report.tensor(get(tensors, 'neighbor_sims'), found.similarities)
  report.tensor(
    get(tensors, 'neighbor_labels'),
    Array.from(found.indices, (index) => trainLabels[index] as number),
  )
  const votes = vote(found, number(config.temperature))
  for (const k of ks) {
    const scores = new Float64Array(tests * classes)
    const predictions = Array.from({ length: tests }, (_, row) => {
      const own = scores.subarray(row * classes, (row + 1) * classes)
      classScores(votes, row, k, trainLabels, own)
      return own.indexOf(Math.max(...own))
    })
    const expected = tensors.get(`scores.k${k}`)
    if (expected !== undefined) report.tensor(expected, scores)
    const predicted = tensors.get(`prediction.k${k}`)
    if (predicted !== undefined) report.tensor(predicted, predictions)
    const ranks = classRanks(votes, k, trainLabels, testLabels, classes)
    for (const [name, n] of [
      ['top1', 1],
      ['top5', 5],
    ] as const) {
      const value = record(json[name])[String(k)]
      if (typeof value === 'number')
        report.scalar(`${name}@${k}`, value, topAccuracy(ranks, n), { relative: 1e-6, absolute: 1e-9 })
    }
  }
}
