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
  /** What would end the run: each fault once, whatever reaches it. */
  readonly faults: readonly Diagnostic[]
  /** What a run would do without, and not as its author may think. */
  readonly warnings: readonly Diagnostic[]
}

const needsLabels: ReadonlySet<string> = new Set(['knn', 'linear', 'logistic'])

/**
 * What is certain of a run's data before an image is decoded: how many images there are, and everything that would end
 * the run: folders and tables that cannot be read, empty classes, splits without images, evaluations without labels.
 */
export function surveyData(needs: DataNeeds): DataSurvey {
  const faults: Diagnostic[] = []
  const warnings: Diagnostic[] = []
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
        attempt(() => {
          const source = openSource(needs, name)
          warnings.push(...missingFiles(needs, source))
          return source
        }),
      )
    return opened.get(name)!
  }
  /** The images that a reference names, and how many have a label. */
  const look = (
    reference: DataReference,
    at: Span | null,
    what: string | null,
  ): { readonly selection: Selection; readonly labelled: number } | null => {
    const names = attempt(() => [...new Set(sourceNames(reference))])
    const sources = names?.map(open).filter((source) => source !== null)
    if (sources === undefined || sources.length < names!.length) return null
    const dataset = numberThrough(sources)
    const selection = attempt(() => select(dataset, reference, at))
    if (selection === null) return null
    const labelled = allImages(selection).reduce(
      (sum, image) => sum + (labelOf(dataset, image) === null ? 0 : 1),
      0,
    )
    if (what !== null && selection.parts.length > 0 && labelled === 0)
      faults.push(diagnose('DINO1014', at, { reference: selection.text, what }))
    return { selection, labelled }
  }
  const { train } = needs.data
  const training = train && look(train, placeOf(needs.provenance, 'data.train'), null)
  for (const { name, protocol } of needs.evaluations)
    for (const side of ['train', 'test'] as const) {
      const reference = protocol[side]
      if (reference === null) continue
      const at = placeOf(needs.provenance, `eval.${name}.${side}`)
      const found = look(reference, at, needsLabels.has(protocol.type) ? `eval.${name}` : null)
      // Without images of its own to learn from, an evaluation learns from those that it is asked about.
      if (protocol.type === 'knn' && found !== null && (side === 'train' || protocol.train === null))
        warnings.push(...tooFewNeighbours(needs, { name, protocol }, found.labelled))
    }
  return { trainingImages: training && imageCount(training.selection), faults, warnings }
}

const namedFiles = 5

function missingFiles({ provenance, data }: DataNeeds, { source, missing }: SourceManifest): Diagnostic[] {
  const table = data.sources[source]?.labels?.table
  if (missing.length === 0 || table === undefined) return []
  const more = missing.length - namedFiles
  return [
    diagnose(
      'DINO1024',
      placeOf(provenance, `sources.${source}.labels`),
      { source, table, missing: missing.length },
      {
        notes: [...missing.slice(0, namedFiles), ...(more > 0 ? [`and ${more} more`] : [])],
        help: ['see whether a download is incomplete; what is there is used'],
      },
    ),
  ]
}

function tooFewNeighbours(
  { provenance }: DataNeeds,
  { name, protocol }: DataNeeds['evaluations'][number],
  images: number,
): Diagnostic[] {
  const k = Math.max(...(protocol.k ?? []))
  if (k <= images || images === 0) return []
  const at = placeOf(provenance, `eval.${name}.k`)
  return [diagnose('DINO1025', at, { evaluation: name, k, images }, { help: [`k = ${images} at most`] })]
}
