import type { DataReference, ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { imageCount, openDataset, select } from '../../runtime/data/dataset.js'

const known = new Map<string, number | null>()

/**
 * How many images an experiment trains on, if its data lies on disk and this version reads it; null otherwise. A plan
 * needs no data: whatever is wrong with it, `run` will say.
 */
export function trainingImages(experiment: ResolvedExperiment): number | null {
  const train = experiment.data?.train
  if (train === undefined || reachesCuration(train)) return null
  const key = JSON.stringify([train, experiment.sources])
  const before = known.get(key)
  if (before !== undefined) return before
  const found = count(experiment, train)
  known.set(key, found)
  return found
}

function count(experiment: ResolvedExperiment, train: DataReference): number | null {
  const channels = Object.values(experiment.sources)[0]?.channels ?? 3
  const spec = { data: { train, sources: experiment.sources }, provenance: {}, channels }
  try {
    return imageCount(select(openDataset(spec, [train]), train))
  } catch (error) {
    if (error instanceof DiagnosticError) return null
    throw error
  }
}

function reachesCuration(reference: DataReference): boolean {
  if (reference.kind === 'mix') return reference.parts.some((part) => reachesCuration(part.of))
  return reference.kind === 'curation'
}
