import { expect, it } from 'vitest'
import type { EvaluationImages } from '../../runtime/data/evaluation-images.js'
import { prepareEvaluations } from '../../runtime/eval/evaluate.js'
import { smallSpec } from '../data/small-run.js'

const set = (labels: number[]): EvaluationImages => ({
  identity: 'x',
  names: labels.map((_, i) => `${i}.png`),
  labels: Int32Array.from(labels),
  classes: ['a', 'b'],
  groups: null,
  read: () => Promise.reject(new Error('not asked for')),
  thumbnails: () => Promise.reject(new Error('not asked for')),
})
const reference = { kind: 'source', source: 'pictures', splits: ['test'] } as const
const spec = smallSpec({
  features: [{ name: 'f', plan: 'f.json', of: 'teacher', resolutionPx: 16, batch: 4 }],
  evaluations: [
    {
      name: 'knn',
      protocol: {
        type: 'knn',
        train: reference,
        test: reference,
        of: 'teacher',
        resolution: 16,
        every: null,
      },
      protocolIdentity: 'p',
      features: 'f',
    },
  ],
})

it('images without a label stay out of labelled evaluations', async () => {
  const [prepared] = await prepareEvaluations(spec, 'run', async () => set([0, -1, 1]), null)
  expect([prepared!.test.images, [...prepared!.test.labels]]).toEqual([
    [0, 2],
    [0, 1],
  ])
})

it('without any label there is nothing to evaluate: DINO1014', async () => {
  const preparing = prepareEvaluations(spec, 'run', async () => set([-1, -1]), null)
  await expect(preparing).rejects.toThrow(
    'DINO1014: `pictures.test` has no labelled images, which eval.knn needs',
  )
})
