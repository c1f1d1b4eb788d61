import type { Span } from '../../diagnostics/diagnostic.js'
import type { FieldDef } from '../../grammar/schema/vocabulary.js'
import { coerce } from './coerce.js'
import { type Dyn, evaluate, type Scope } from './dyn.js'
import type { Layer } from './edits.js'
import { wordsOf } from './expected.js'
import type { FieldScope, References } from './field-scope.js'
import type { Module } from './modules.js'
import { POISON } from './poison.js'
import type { Report } from './report.js'
import { blockTitle, type Entry, type Node } from './tree.js'

/** Where a value was set and by whom; the public provenance is this without the layer. */
export interface Origin {
  readonly at: Span | null
  readonly overrode: readonly Span[]
  readonly layer: Layer | null
  readonly dropped: boolean
}

/** Everything that turning settings into values needs. */
export interface BuildScope {
  readonly report: Report
  readonly references: References
  param(module: Module, name: string, at: Span): Dyn | null
  /** As in `Scope`. */
  readonly batch: number | null | undefined
  readonly origins: Map<string, Origin>
  /** Before each path in `origins`: `sources.` for the fields of a source. */
  readonly prefix: string
  /** Where the experiment, source or curation begins: the place of what is missing in a block that was never opened. */
  readonly header: Span | null
  /** True where statements of it were lost to a fault: nothing is reported as missing then. */
  readonly lost: boolean
}

/**
 * The fields of a block in resolved form under their written names: what was set, else the default; undefined where
 * the default depends on other blocks; poison where a diagnostic has been given.
 */
export function buildFields(node: Node, scope: BuildScope): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  if (node.block === null) return poisonedFields()
  for (const field of node.block.fields.values()) {
    const path = node.path === '' ? field.name : `${node.path}.${field.name}`
    const entry = node.settings.get(field.name)
    if (entry !== undefined) {
      values[field.name] = buildEntry(entry, field, path, scope)
      scope.origins.set(scope.prefix + path, originOf(entry))
      continue
    }
    const dropped = node.dropped.get(field.name)
    scope.origins.set(scope.prefix + path, {
      at: dropped?.at ?? null,
      overrode: dropped?.overrode ?? [],
      layer: dropped?.layer ?? null,
      dropped: dropped !== undefined,
    })
    // a misspelt field may have meant this one: neither missing nor the default
    values[field.name] =
      field.required || node.silenced.has(field.name) ? missing(node, field, scope) : defaultOf(field)
  }
  return values
}

/** Where a block's type is unknown, every field of it is. */
function poisonedFields(): Record<string, unknown> {
  return new Proxy({}, { get: () => POISON, ownKeys: () => [] })
}

function defaultOf(field: FieldDef): unknown {
  if (field.default !== undefined) return field.default
  return field.orNull && field.defaultText === null ? null : undefined
}

function missing(node: Node, field: FieldDef, { report, header, lost }: BuildScope): unknown {
  if (node.silenced.has(field.name) || node.incomplete || lost) {
    report.errors++
    return POISON
  }
  const dropped = node.dropped.get(field.name)?.at ?? null
  const at = dropped ?? placeOf(node) ?? header
  const key = `DINO0310 ${node.path}.${field.name} ${at === null ? '' : `${at.file}:${at.start}`}`
  report.giveOnce(
    key,
    'DINO0310',
    at,
    { field: field.name, block: blockTitle(node) },
    {
      label: dropped === null ? `\`${field.name}\` is missing` : 'dropped here, and there is no default',
      notes: [`${field.name}: ${field.description}`],
    },
  )
  return POISON
}

/** Where a block was opened, or where a dotted path first reached into one that never was. */
export function placeOf(node: Node): Span | null {
  if (node.at) return node.at
  for (const entry of node.settings.values()) return entry.at
  for (const child of node.children.values()) {
    const place = placeOf(child)
    if (place) return place
  }
  return null
}

export function originOf(entry: Entry): Origin {
  return { at: entry.at, overrode: entry.overrode, layer: entry.layer, dropped: false }
}

export function fieldScope(entry: Entry, field: string, scope: BuildScope): FieldScope {
  const { report, references, param, batch } = scope
  return { report, references, param, batch, module: entry.layer.module, field, coerce }
}

function buildEntry(entry: Entry, field: FieldDef, path: string, scope: BuildScope): unknown {
  const inSchedule = field.type.kind === 'schedule'
  const inner = fieldScope(entry, path, { ...scope, batch: inSchedule ? scope.batch : null })
  hiddenWord(entry, field, inner)
  const before = scope.report.errors
  const value = coerce(evaluate(entry.value, inner as Scope), field.type, inner)
  if (value === POISON && scope.report.errors === before) scope.report.errors++
  return value
}

/** A param that has the name of a word which the field accepts wins: say so. */
function hiddenWord(entry: Entry, field: FieldDef, scope: FieldScope): void {
  const { value } = entry
  if (value.kind !== 'path' || value.names.length !== 1) return
  const name = value.names[0]!.text
  const param = scope.module.params.get(name)
  if (param === undefined || !wordsOf(field.type).includes(name)) return
  scope.report.give(
    'DINO2002',
    value.span,
    { name, field: scope.field },
    {
      label: 'the param is meant here',
      labels: [{ span: param.name.span, message: 'it is defined here' }],
      help: ['give the param another name'],
    },
  )
}
