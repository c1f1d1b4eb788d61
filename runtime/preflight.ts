import type { RunSpec } from '../compiler/plan/run-spec.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import { surveyData } from './data/survey.js'
import { refuseUnsupported } from './eval/protocol.js'

/**
 * What can be known to fail before anything is trained: evaluations that this version lacks, and faults of the data
 * that show without decoding it. Throws their diagnostics; what is only to be known is handed back.
 */
export function preflight(spec: RunSpec): readonly Diagnostic[] {
  refuseUnsupported(spec.evaluations)
  const { faults, warnings } = surveyData(spec)
  if (faults.length > 0) throw new DiagnosticError(faults)
  return warnings
}
