import { didYouMean } from '../../diagnostics/nearest.js'
import { camelCase } from '../../grammar/schema/types.js'
import { kindNamed } from '../../grammar/schema/vocabulary.js'
import { applyBody } from './apply.js'
import { type BuildScope, buildFields, type Origin } from './build.js'
import { checkHeader, type Layer, readBody } from './edits.js'
import type { References } from './field-scope.js'
import type { CurationDefinition, SourceDefinition } from './modules.js'
import { isPoisoned, POISON, type Poison } from './poison.js'
import type { Report } from './report.js'
import type { Curation, DataReference, Source } from './resolved.js'
import { type Node, newNode } from './tree.js'

/** A source or curation with where each of its values was set. */
export interface Built<T> {
  readonly value: T | Poison
  readonly origins: ReadonlyMap<string, Origin>
}

type Tools = Omit<BuildScope, 'origins' | 'prefix' | 'batch' | 'header' | 'lost'>

function layerOf(definition: SourceDefinition | CurationDefinition): Layer {
  return { index: 0, what: 'experiment', name: definition.name, module: definition.module }
}

export function buildSource(definition: SourceDefinition, name: string, tools: Tools): Built<Source> {
  const origins = new Map<string, Origin>()
  const { block } = definition
  const kind = kindNamed('source')
  const { report } = tools
  const header = block.poisoned ? null : checkHeader(block, kind, report)
  if (header === null) return { value: POISON, origins }
  const type = header.type === null ? null : kind.types.get(header.type.text)
  if (type === null)
    report.give(
      'DINO0316',
      block.name!.span,
      { kind: 'source', name: definition.name },
      {
        label: 'no type',
        notes: [`types of sources: ${[...kind.types.keys()].join(', ')}`],
        help: [`write \`source ${definition.name}: folder { ... }\``],
      },
    )
  else if (type === undefined) {
    const known = [...kind.types.keys()]
    report.give(
      'DINO0304',
      header.type!.span,
      { kind: 'source', type: header.type!.text },
      {
        label: 'unknown type',
        notes: [`types of sources: ${known.join(', ')}`],
        help: didYouMean(header.type!.text, known),
      },
    )
  }
  const node = newNode(kind, type ?? null, definition.name, definition.name)
  node.at = block.headerSpan
  node.incomplete = block.incomplete
  const body = readBody(block.body, kind, layerOf(definition), block.incomplete, report)
  if (type === null || type === undefined) return { value: POISON, origins }
  applyBody(node, body, report)
  const fields = buildFields(node, {
    ...tools,
    origins,
    prefix: 'sources.',
    batch: null,
    header: node.at,
    lost: node.incomplete,
  })
  const source: Record<string, unknown> = {
    type: type.type,
    path: null,
    labels: null,
    split: { kind: 'published' },
  }
  for (const field of type.fields.values()) source[camelCase(field.name)] = fields[field.name] ?? null
  const background = source.background
  if (typeof background === 'string' && !/^(white|black|#[0-9a-fA-F]{6})$/.test(background)) {
    const at = origins.get(`sources.${definition.name}.background`)?.at ?? block.headerSpan
    report.give(
      'DINO0425',
      at,
      { text: background },
      { help: ['write `white`, `black` or a colour as "#rrggbb"'] },
    )
    return { value: POISON, origins }
  }
  const renamed = renameOrigins(origins, `sources.${definition.name}`, `sources.${name}`)
  return { value: isPoisoned(source) ? POISON : (source as unknown as Source), origins: renamed }
}

function renameOrigins(origins: ReadonlyMap<string, Origin>, from: string, to: string): Map<string, Origin> {
  return new Map([...origins].map(([path, origin]) => [to + path.slice(from.length), origin]))
}

/** What a curation's body says, and the stages that it names. */
export function readCuration(
  definition: CurationDefinition,
  report: Report,
): { node: Node; stages: string[] } | null {
  const { block } = definition
  const kind = kindNamed('curation')
  const header = block.poisoned ? null : checkHeader(block, kind, report)
  if (header === null) return null
  const body = readBody(block.body, kind, layerOf(definition), block.incomplete, report)
  const node = newNode(kind, kind.types.get('curation')!, '', definition.name)
  node.at = block.headerSpan
  node.incomplete = block.incomplete
  applyBody(node, body, report)
  const stages: string[] = []
  const places = new Map<string, Node>()
  for (const child of node.children.values()) {
    if (child.name === null) continue
    const earlier = places.get(child.name)
    if (earlier !== undefined)
      report.give(
        'DINO0318',
        child.at,
        { name: child.name },
        {
          label: 'a second stage of this name',
          labels: earlier.at === null ? [] : [{ span: earlier.at, message: 'the first one' }],
        },
      )
    places.set(child.name, child)
    stages.push(child.name)
  }
  return { node, stages }
}

export function buildCuration(
  name: string,
  read: { node: Node; stages: readonly string[] },
  tools: Tools,
): Built<Curation> {
  const origins = new Map<string, Origin>()
  const { report } = tools
  const references: References = { ...tools.references, stages: new Set(read.stages) }
  const scope: BuildScope = {
    ...tools,
    references,
    origins,
    prefix: `curations.${name}.`,
    batch: null,
    header: read.node.at,
    lost: read.node.incomplete,
  }
  const own = buildFields(read.node, scope)
  const stages: Record<string, unknown>[] = []
  for (const child of read.node.children.values()) {
    const fields = buildFields({ ...child, path: child.name ?? child.kind.kind }, scope)
    const stage: Record<string, unknown> = { kind: child.kind.kind, name: child.name }
    for (const field of child.block?.fields.keys() ?? []) stage[camelCase(field)] = fields[field]
    stages.push(stage)
  }
  const cycle = stageCycle(stages)
  if (cycle !== null) {
    const child = [...read.node.children.values()].find((c) => c.name === cycle[0])
    report.give('DINO0222', child?.at ?? read.node.at, { cycle }, { label: 'feeds itself' })
    return { value: POISON, origins }
  }
  const value = { stages, keep: own.keep }
  if (isPoisoned(value)) return { value: POISON, origins }
  return { value: inOrder(value as unknown as Curation, name), origins }
}

/** The stages that a stage reads. */
function inputsOf(stage: Readonly<Record<string, unknown>>): string[] {
  const found: string[] = []
  const visit = (value: unknown) => {
    if (value === null || typeof value !== 'object') return
    const reference = value as DataReference
    if (reference.kind === 'curation' && reference.curation === '' && reference.stage !== null)
      found.push(reference.stage)
    else for (const inner of Object.values(value)) visit(inner)
  }
  for (const value of Object.values(stage)) visit(value)
  return found
}

function stageCycle(stages: readonly Readonly<Record<string, unknown>>[]): string[] | null {
  const byName = new Map(stages.filter((s) => typeof s.name === 'string').map((s) => [s.name as string, s]))
  const done = new Set<string>()
  const walk = (name: string, open: string[]): string[] | null => {
    if (open.includes(name)) return [...open.slice(open.indexOf(name)), name]
    if (done.has(name)) return null
    const stage = byName.get(name)
    if (stage === undefined) return null
    for (const input of inputsOf(stage)) {
      const cycle = walk(input, [...open, name])
      if (cycle !== null) return cycle
    }
    done.add(name)
    return null
  }
  for (const name of byName.keys()) {
    const cycle = walk(name, [])
    if (cycle !== null) return cycle
  }
  return null
}

/** Stages after those they read, whatever the order in which they were written; inner references get their name. */
function inOrder(curation: Curation, name: string): Curation {
  const placed: Curation['stages'][number][] = []
  const left = [...curation.stages]
  while (left.length > 0) {
    const waiting = new Set(left.map((s) => s.name))
    const next = left.findIndex((s) => inputsOf(s).every((input) => !waiting.has(input)))
    placed.push(...left.splice(Math.max(next, 0), 1))
  }
  return named({ stages: placed, keep: curation.keep }, name)
}

/** Stages name each other without their curation while it is built. */
function named<T>(value: T, curation: string): T {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map((item) => named(item as unknown, curation)) as T
  const copy: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value))
    copy[key] = key === 'curation' && inner === '' ? curation : named(inner as unknown, curation)
  return copy as T
}
