import { schemaFiles } from './files.js'
import { type FieldType, parseType, snakeCase } from './types.js'

/**
 * The vocabulary as the resolver, the language reference and completion use it: read from the schema files, which
 * ajv also applies to resolved experiments. A *kind* is the word that opens a block (`loss`); a block of it has a
 * *type* where the kind is a tagged union (`koleo`), and *fields*.
 */
export type Effect = 'numerics' | 'data' | 'placement' | 'speed' | 'report'

/** How a block of the kind is written: `crops { }`, `backbone vit { }`, `loss koleo { }`, or a body of edits. */
export type Form = 'single' | 'typed' | 'named' | 'edits'

export interface FieldDef {
  /** As written: `drop_path`. */
  readonly name: string
  /** In the resolved form: `dropPath`; null for what resolution replaces (`size`). */
  readonly key: string | null
  readonly type: FieldType
  /** What the field is worth where nobody sets it, in resolved form; undefined where `defaultText` says how it is found. */
  readonly default: unknown
  readonly defaultText: string | null
  readonly required: boolean
  readonly orNull: boolean
  readonly description: string
  readonly source: string
  readonly effect: Effect
  /** Earlier names of the field: still understood, with a warning. */
  readonly renamedFrom: readonly string[]
  /** Why it should not be used any more; null: it should. */
  readonly deprecated: string | null
  /** What the reference code's configuration calls it. */
  readonly yaml: readonly string[]
}

export interface BlockDef {
  readonly kind: string
  readonly type: string
  readonly description: string
  readonly fields: ReadonlyMap<string, FieldDef>
  /** Groups of which setting one removes the others that were inherited. */
  readonly exclusive: readonly (readonly string[])[]
  /** What an evaluation of this type gives. */
  readonly metrics: readonly string[]
  /** The splits that a published data set comes with. */
  readonly splits: readonly string[]
}

export interface KindDef {
  readonly kind: string
  readonly form: Form
  readonly effect: Effect
  readonly description: string
  readonly types: ReadonlyMap<string, BlockDef>
  /** The type of a block that says none; null where one must be said. */
  readonly defaultType: string | null
  /** `eval knn`: a block without a type has the type of its name. */
  readonly typeIsName: boolean
  /** `source a: folder`: the type must be said. */
  readonly needsType: boolean
  /** Where no such block is written there is none (`masking`), instead of one with defaults (`optimize`). */
  readonly absent: boolean
  /** The whole block may be a value of this type: `head.ibot = tied(head.dino)`. */
  readonly value: FieldType | null
  /** Kinds of blocks inside. */
  readonly inside: readonly string[]
}

interface FileJson {
  readonly $id: string
  readonly description: string
  readonly block?: {
    readonly form: Form
    readonly effect: Effect
    readonly defaultType?: string
    readonly typeIsName?: boolean
    readonly needsType?: boolean
    readonly absent?: boolean
    readonly value?: unknown
  }
  readonly definitions?: Readonly<Record<string, BlockJson>>
  readonly inside?: readonly string[]
}
interface BlockJson {
  readonly description?: string
  readonly properties?: Readonly<Record<string, Record<string, unknown>>>
  readonly written?: Readonly<Record<string, Record<string, unknown>>>
  readonly exclusive?: readonly (readonly string[])[]
  readonly metrics?: readonly string[]
  readonly splits?: readonly string[]
}

function fieldOf(name: string, key: string | null, json: Record<string, unknown>, effect: Effect): FieldDef {
  const nullable = json.orNull === true || json.default === null
  const defaultText = (json.defaultText as string | undefined) ?? null
  return {
    name,
    key,
    type: parseType(json.is),
    default: json.default,
    defaultText,
    required: !('default' in json) && defaultText === null,
    orNull: nullable,
    description: json.description as string,
    source: json.source as string,
    effect: (json.effect as Effect | undefined) ?? effect,
    renamedFrom: (json.renamedFrom as string[] | undefined) ?? [],
    deprecated: (json.outOfUse as string | undefined) ?? null,
    yaml: (json.yaml as string[] | null | undefined) ?? [],
  }
}

function blockOf(kind: string, type: string, json: BlockJson, effect: Effect): BlockDef {
  const fields = new Map<string, FieldDef>()
  for (const [name, spec] of Object.entries(json.written ?? {}))
    fields.set(name, fieldOf(name, null, spec, effect))
  for (const [key, spec] of Object.entries(json.properties ?? {}))
    if ('is' in spec) fields.set(snakeCase(key), fieldOf(snakeCase(key), key, spec, effect))
  return {
    kind,
    type,
    description: json.description ?? '',
    fields,
    exclusive: json.exclusive ?? [],
    metrics: json.metrics ?? [],
    splits: json.splits ?? [],
  }
}

function kindOf(json: FileJson): KindDef | null {
  const block = json.block
  if (block === undefined) return null
  const types = new Map<string, BlockDef>()
  for (const [type, spec] of Object.entries(json.definitions ?? {}))
    if (isBlockType(spec)) types.set(type, blockOf(json.$id, type, spec, block.effect))
  const only = types.size === 1 ? [...types.keys()][0]! : null
  return {
    kind: json.$id,
    form: block.form,
    effect: block.effect,
    description: json.description,
    types,
    defaultType: block.defaultType ?? (block.typeIsName === true || block.needsType === true ? null : only),
    typeIsName: block.typeIsName === true,
    needsType: block.needsType === true,
    absent: block.absent === true,
    value: block.value === undefined ? null : parseType(block.value),
    inside: json.inside ?? [],
  }
}

/** A definition with described fields is a type that can be written; others only help to describe the resolved form. */
function isBlockType(spec: BlockJson): boolean {
  return spec.properties !== undefined && spec.description !== undefined
}

export const kinds: ReadonlyMap<string, KindDef> = new Map(
  schemaFiles
    .map((file) => kindOf(file as FileJson))
    .filter((kind) => kind !== null)
    .map((kind) => [kind.kind, kind]),
)

export function kindNamed(name: string): KindDef {
  const kind = kinds.get(name)
  if (kind === undefined) throw new Error(`no schema for ${name}`)
  return kind
}

/** Kinds that may stand at the top level of a file. */
export const topLevelKinds = ['source', 'curation', 'experiment'] as const

/** Where each name of the reference code's configuration went: `koleo_loss_weight` to `loss.koleo.weight`. */
export const referenceNames: ReadonlyMap<string, string> = (() => {
  const names = new Map<string, string>()
  for (const kind of kinds.values())
    for (const block of kind.types.values())
      for (const field of block.fields.values())
        for (const name of field.yaml) {
          const path = `${pathOf(kind, block)}.${field.name}`
          if (!names.has(name)) names.set(name, path)
        }
  return names
})()

/** How a field of the block is addressed: `crops.local`, `loss.koleo`, `schedule.NAME` for a phase. */
export function pathOf(kind: KindDef, block: BlockDef): string {
  const parent = [...kinds.values()].find((k) => k.kind !== 'experiment' && k.inside.includes(kind.kind))
  const prefix = parent === undefined || parent.kind === 'curation' ? '' : `${parent.kind}.`
  if (kind.form !== 'named') return `${prefix}${kind.kind}`
  if (kind.kind === 'phase') return `${prefix}NAME`
  if (kind.kind === 'head') return 'head.NAME'
  return kind.typeIsName ? `${prefix}${kind.kind}.${block.type}` : `${prefix}${kind.kind}`
}
