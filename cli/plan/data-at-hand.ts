import { imageChannels } from '../../compiler/lower/step.js'
import { provenanceText } from '../../compiler/plan/build-run-spec.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import { type DataNeeds, type DataSurvey, surveyData } from '../../runtime/data/survey.js'

/** What the experiment's sources say of themselves: `run` would end with these faults. */
export function surveyOf(experiment: ResolvedExperiment): DataSurvey {
  return surveyData(needsOf(experiment))
}

export interface DataAtHand {
  /** Null: the training images are not at hand, or not as they should be. */
  readonly trainingImages: number | null
  readonly findings: readonly Diagnostic[]
}

const known = new Map<string, DataAtHand>()

/**
 * What a plan can know of an experiment's data. It needs none, so that data which is not there is a note (DINO1001), and
 * what is there but would end a run is a warning. Variants share what they read alike.
 */
export function dataAtHand(experiment: ResolvedExperiment): DataAtHand {
  const needs = needsOf(experiment)
  const key = JSON.stringify(needs)
  const before = known.get(key)
  if (before !== undefined) return before
  const { trainingImages, faults, warnings } = surveyData(needs)
  const findings = faults
    // Kinds of data that this version cannot read are DINO0890 already.
    .filter(({ code }) => code !== 'DINO1006')
    .map((d): Diagnostic => ({ ...d, severity: d.code === 'DINO1001' ? 'note' : 'warning' }))
  const found = { trainingImages, findings: [...findings, ...warnings] }
  known.set(key, found)
  return found
}

function needsOf(experiment: ResolvedExperiment): DataNeeds {
  return {
    data: { train: experiment.data?.train ?? null, sources: experiment.sources },
    evaluations: Object.entries(experiment.eval).map(([name, protocol]) => ({ name, protocol })),
    channels: imageChannels(experiment),
    provenance: Object.fromEntries(
      Object.entries(provenanceText(experiment)).filter(([path]) => /^(sources|data|eval)\b/.test(path)),
    ),
  }
}
