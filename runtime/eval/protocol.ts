import type { RunEvaluation } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Measured } from './eval-file.js'
import { classRanks, nearest, normalizeRows, vote } from './knn.js'

/** Features of labelled images, one row an image. */
export interface LabelledFeatures {
  readonly features: Float32Array
  readonly width: number
  readonly labels: Int32Array
}

/**
 * k-NN (RECIPE.md B8): for each `k` the metrics `top1@k` and `top5@k`. Similarities in float64 over float32 features;
 * neighbours are voted with the temperature over the largest k, then cut to each k.
 */
export function measureKnn(
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  protocol: RunEvaluation['protocol'],
): Measured {
  const ks = protocol.k ?? [20]
  const neighbours = nearest(
    normalizeRows(train.features, train.width),
    normalizeRows(test.features, test.width),
    train.width,
    Math.max(...ks),
  )
  const votes = vote(neighbours, protocol.temperature ?? 0.07)
  const metrics: Record<string, number> = {}
  const correct: Record<string, string> = {}
  for (const k of ks) {
    const ranks = classRanks(votes, k, train.labels, test.labels, classes)
    for (const top of [1, 5]) {
      const right = Array.from(ranks, (rank) => (rank < top ? '1' : '0')).join('')
      correct[`top${top}@${k}`] = right
      metrics[`top${top}@${k}`] = ranks.length === 0 ? 0 : right.replaceAll('0', '').length / ranks.length
    }
  }
  return { metrics, correct }
}

/** What this version cannot measure is refused before training starts, not after. */
export function refuseUnsupported(evaluations: readonly RunEvaluation[]): void {
  const unsupported = evaluations.filter((e) => e.protocol.type !== 'knn')
  if (unsupported.length === 0) return
  throw new DiagnosticError(
    unsupported.map((e) =>
      diagnose(
        'DINO1044',
        null,
        { evaluation: e.name, type: e.protocol.type },
        { help: [`drop eval.${e.name}`] },
      ),
    ),
  )
}
