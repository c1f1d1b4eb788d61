import type { RunSpec } from '../compiler/plan/run-spec.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'
import { surveyData } from './data/survey.js'
import { refuseUnsupported } from './eval/protocol.js'

/**
 * What can be known to fail before anything is trained: evaluations that this version lacks, and faults of the data
 * that show without decoding it. Throws their diagnostics.
 */
export function preflight(spec: RunSpec): void {
  refuseUnsupported(spec.evaluations)
  const { faults } = surveyData(spec)
  if (faults.length > 0) throw new DiagnosticError(faults)
}
