import type { ResolvedExperiment, Time } from '../resolve/resolved.js'

import type { Monitor } from './run-spec.js'
import { warmup } from './times.js'

/** A loss on prototypes, with their number. */
export interface ComparedLoss {
  readonly name: string
  readonly prototypes: number
}

/**
 * Health monitors from constants that are known before training. A loss whose targets are uniform over K prototypes
 * has target entropy ln K (RECIPE.md B3): the run has collapsed to "everything is alike". One whose mean target sits
 * on a single prototype has an effective number of 1 in use: it has collapsed to one answer. Rank (RankMe) and
 * spread of the evaluated features tell the same of the backbone.
 *
 * All are silent until the learning rate has warmed up, or for a tenth of the first phase where it does not: an
 * untrained network with small layer scale gives every image the same features, hence uniform centred targets.
 */
export function monitorsOf(experiment: ResolvedExperiment, compared: readonly ComparedLoss[]): Monitor[] {
  const from = silentUntil(experiment)
  const width = experiment.backbone.width
  return [
    ...compared.flatMap(({ name, prototypes }): Monitor[] => {
      const uniform = Math.log(prototypes)
      return [
        {
          name: `${name}_uniform`,
          metric: `entropy.${name}`,
          below: null,
          above: 0.99 * uniform,
          from,
          patience: 50,
          action: 'warn',
          explanation: `ln K = ${uniform.toFixed(3)} for ${prototypes} prototypes: the targets are uniform`,
        },
        {
          name: `${name}_single`,
          metric: `usage.${name}`,
          below: 1.5,
          above: null,
          from,
          patience: 100,
          action: 'stop',
          explanation: `of ${prototypes} prototypes one gets nearly every target`,
        },
      ]
    }),
    {
      name: 'rank',
      metric: 'rank.cls',
      below: Math.max(1.5, 0.02 * width),
      above: null,
      from,
      patience: 1,
      action: 'warn',
      explanation: `features of width ${width} use only that many directions (RankMe)`,
    },
    {
      name: 'spread',
      metric: 'spread.cls',
      below: 0.02,
      above: null,
      from,
      patience: 1,
      action: 'warn',
      explanation: 'all images have nearly the same features',
    },
  ]
}

function silentUntil(experiment: ResolvedExperiment): Time {
  const [first] = experiment.schedule.phases
  if (first === undefined) return { value: 0, unit: 'step' }
  return warmup(first.lr) ?? { value: first.length.value / 10, unit: first.length.unit }
}
