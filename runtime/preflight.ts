import type { RunSpec } from '../compiler/plan/run-spec.js'
import { openDataset, select } from './data/dataset.js'
import { refuseUnsupported } from './eval/protocol.js'

/**
 * What can be known to fail before anything is trained: evaluations that this version lacks, folders that are not
 * there, splits without images. Throws their diagnostics. Finds files, reads none.
 */
export function preflight(spec: RunSpec): void {
  refuseUnsupported(spec.evaluations)
  const references = [
    spec.data.train,
    ...spec.evaluations.flatMap(({ protocol }) => [protocol.train, protocol.test]),
  ].filter((reference) => reference !== null)
  const dataset = openDataset(spec, references)
  for (const reference of references) select(dataset, reference)
}
