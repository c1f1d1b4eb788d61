import type { DataReference, RunEvaluation, RunSpec } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError, type Span } from '../../diagnostics/diagnostic.js'
import { placeOf } from '../provenance.js'
import {
  allImages,
  imageCount,
  numberThrough,
  openSource,
  type Selection,
  select,
  sourceNames,
} from './dataset.js'
import { labelOf } from './identity.js'
import type { SourceManifest } from './manifest.js'

/** The parts of a run spec that say which data a run needs. */
export type DataNeeds = Pick<RunSpec, 'data' | 'provenance' | 'channels'> & {
  readonly evaluations: readonly Pick<RunEvaluation, 'name' | 'protocol'>[]
}

export interface DataSurvey {
  /** Null where they could not be counted. */
  readonly trainingImages: number | null
  /** Each fault once, whatever reaches it. */
  readonly faults: readonly Diagnostic[]
}

const needsLabels: ReadonlySet<string> = new Set(['knn', 'linear', 'logistic'])

/**
 * What is certain of a run's data before an image is decoded: how many images there are, and everything that would end
 * the run: folders and tables that cannot be read, empty classes, splits without images, evaluations without labels.
 */
export function surveyData(needs: DataNeeds): DataSurvey {
  const faults: Diagnostic[] = []
  const attempt = <T>(act: () => T): T | null => {
    try {
      return act()
    } catch (error) {
      if (!(error instanceof DiagnosticError)) throw error
      faults.push(...error.diagnostics)
      return null
    }
  }
  const opened = new Map<string, SourceManifest | null>()
  const open = (name: string): SourceManifest | null => {
    if (!opened.has(name))
      opened.set(
        name,
        attempt(() => openSource(needs, name)),
      )
    return opened.get(name)!
  }
  const look = (reference: DataReference, at: Span | null, what: string | null): Selection | null => {
    const names = attempt(() => [...new Set(sourceNames(reference))])
    const sources = names?.map(open).filter((source) => source !== null)
    if (sources === undefined || sources.length < names!.length) return null
    const dataset = numberThrough(sources)
    const selection = attempt(() => select(dataset, reference, at))
    if (
      what !== null &&
      selection?.parts.length &&
      allImages(selection).every((image) => labelOf(dataset, image) === null)
    )
      faults.push(diagnose('DINO1014', at, { reference: selection.text, what }))
    return selection
  }
  const { train } = needs.data
  const training = train && look(train, placeOf(needs.provenance, 'data.train'), null)
  for (const { name, protocol } of needs.evaluations)
    for (const side of ['train', 'test'] as const) {
      const reference = protocol[side]
      if (reference === null) continue
      const at = placeOf(needs.provenance, `eval.${name}.${side}`)
      look(reference, at, needsLabels.has(protocol.type) ? `eval.${name}` : null)
    }
  return { trainingImages: training && imageCount(training), faults }
}
