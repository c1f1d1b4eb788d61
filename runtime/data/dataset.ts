import type { DataReference, RunSpec, Source } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError, type Span } from '../../diagnostics/diagnostic.js'
import { placeOf } from '../provenance.js'
import { parseColour } from './background.js'
import { readSource, type SourceManifest } from './manifest.js'
import { sourceError } from './source.js'

/**
 * The sources that a run reads, their images numbered through: image `bases[s] + i` is image `i` of source `s`.
 */
export interface Dataset {
  readonly sources: readonly SourceManifest[]
  readonly bases: readonly number[]
  readonly count: number
}

/** What a data reference names: images by number, ascending; a mix has several parts, whose shares sum to 1. */
export interface Selection {
  /** As written: `twemoji.train`, `mix(a, b)`. */
  readonly text: string
  readonly parts: readonly { readonly share: number; readonly images: Uint32Array }[]
}

type DataSpec = Pick<RunSpec, 'data' | 'provenance' | 'channels'>

/** Finds the images of all sources that the references reach. DINO10xx where one cannot be read. */
export function openDataset(spec: DataSpec, references: readonly DataReference[]): Dataset {
  const names = [...new Set(references.flatMap(sourceNames))]
  return numberThrough(names.map((name) => openSource(spec, name)))
}

export function numberThrough(sources: readonly SourceManifest[]): Dataset {
  const bases: number[] = []
  let count = 0
  for (const { names } of sources) {
    bases.push(count)
    count += names.length
  }
  return { sources, bases, count }
}

/** Finds the images of one source. DINO10xx where it cannot be read, or not as this run needs it. */
export function openSource(spec: DataSpec, name: string): SourceManifest {
  const source: Source | undefined = spec.data.sources[name]
  if (!source) throw new RangeError(`the run spec has no source ${name}`)
  const place = (field: string) => placeOf(spec.provenance, `sources.${name}.${field}`)
  const context = { name, spec: source, place }
  if (source.channels !== 1 && source.channels !== 3)
    throw sourceError(context, 'channels', 'DINO1021', {
      source: name,
      setting: `channels = ${source.channels}`,
      accepts: '1 or 3',
    })
  if (source.channels !== spec.channels)
    throw sourceError(context, 'channels', 'DINO1020', {
      source: name,
      channels: source.channels,
      expected: spec.channels,
    })
  if (!parseColour(source.background))
    throw sourceError(context, 'background', 'DINO1021', {
      source: name,
      setting: `background = ${source.background}`,
      accepts: '`white`, `black` or "#rrggbb"',
    })
  return readSource(context)
}

/** The sources that a reference reaches, as often as it names them. DINO1006 where it reaches no source. */
export function sourceNames(reference: DataReference): string[] {
  switch (reference.kind) {
    case 'source':
      return [reference.source]
    case 'curation':
      throw unreadable(reference)
    case 'mix':
      return reference.parts.flatMap((part) => sourceNames(part.of))
    default:
      throw reference satisfies never
  }
}

function unreadable(reference: DataReference): DiagnosticError {
  const what = `\`${referenceText(reference)}\``
  return new DiagnosticError([diagnose('DINO1006', null, { what, type: reference.kind })])
}

/** DINO1011 where a split or a part of a mix holds no images; `at` is where the reference is written. */
export function select(dataset: Dataset, reference: DataReference, at: Span | null = null): Selection {
  return { text: referenceText(reference), parts: partsOf(dataset, reference, 1, at) }
}

function partsOf(
  dataset: Dataset,
  reference: DataReference,
  share: number,
  at: Span | null,
): Selection['parts'][number][] {
  switch (reference.kind) {
    case 'source': {
      const index = dataset.sources.findIndex((source) => source.source === reference.source)
      if (index < 0) throw new RangeError(`source ${reference.source} is not open`)
      const { splits, splitOf, names } = dataset.sources[index]!
      const wanted = new Set((reference.splits ?? splits).map((split) => splits.indexOf(split)))
      wanted.delete(-1)
      const images: number[] = []
      for (let i = 0; i < names.length; i++)
        if (wanted.has(splitOf[i]!)) images.push(dataset.bases[index]! + i)
      if (images.length === 0)
        throw new DiagnosticError([
          diagnose(
            'DINO1011',
            at,
            { reference: referenceText(reference), images: names.length },
            { notes: [`its splits: ${splits.map((s, n) => `${s} (${sizeOf(splitOf, n)})`).join(', ')}`] },
          ),
        ])
      return [{ share, images: Uint32Array.from(images) }]
    }
    case 'curation':
      throw unreadable(reference)
    case 'mix': {
      const total = reference.parts.reduce((sum, part) => sum + part.share, 0)
      return reference.parts.flatMap((part) => partsOf(dataset, part.of, (share * part.share) / total, at))
    }
    default:
      throw reference satisfies never
  }
}

const sizeOf = (splitOf: Int8Array, split: number) => splitOf.reduce((n, s) => n + (s === split ? 1 : 0), 0)

/** How many different images a selection holds: what a pass goes through. */
export function imageCount(selection: Selection): number {
  if (selection.parts.length === 1) return selection.parts[0]!.images.length
  return new Set(selection.parts.flatMap((part) => [...part.images])).size
}

/** All images of a selection, each once, ascending. */
export function allImages(selection: Selection): Uint32Array {
  if (selection.parts.length === 1) return selection.parts[0]!.images
  return Uint32Array.from(new Set(selection.parts.flatMap((part) => [...part.images]))).sort()
}

/** The source of an image, and its place there. */
export function locate(dataset: Dataset, image: number): { source: number; index: number } {
  let source = dataset.bases.length - 1
  while (dataset.bases[source]! > image) source--
  return { source, index: image - dataset.bases[source]! }
}

export function imageName(dataset: Dataset, image: number): string {
  const { source, index } = locate(dataset, image)
  return dataset.sources[source]!.names[index]!
}

export function referenceText(reference: DataReference): string {
  switch (reference.kind) {
    case 'source':
      return reference.splits === null
        ? reference.source
        : reference.splits.map((split) => `${reference.source}.${split}`).join(' + ')
    case 'curation':
      return reference.stage === null ? reference.curation : `${reference.curation}.${reference.stage}`
    case 'mix':
      return `mix(${reference.parts.map((part) => referenceText(part.of)).join(', ')})`
    default:
      throw reference satisfies never
  }
}
