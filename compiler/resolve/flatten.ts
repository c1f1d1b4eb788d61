import { type FieldDef, type KindDef, kindNamed } from '../../grammar/schema/vocabulary.js'
import type { ResolvedExperiment } from './resolved.js'

/** One field of a resolved experiment under the path by which a file would set it. */
export interface FlatField {
  readonly path: string
  readonly value: unknown
  readonly field: FieldDef
}

/** A block of a resolved experiment: its path, how its header is written, and its fields in vocabulary order. */
export interface FlatBlock {
  readonly path: string
  readonly kind: KindDef
  /** `vit`, `koleo`; null where the kind has no types. */
  readonly type: string | null
  readonly name: string | null
  readonly fields: readonly FlatField[]
  readonly blocks: readonly FlatBlock[]
  /** The block as a value (`tied(head.dino)`), then without fields. */
  readonly value: unknown
}

type Json = Readonly<Record<string, unknown>>

/** A resolved experiment as the blocks and fields of the language: what `resolve`, `diff` and `where` look at. */
export function flatten(resolved: ResolvedExperiment): FlatBlock[] {
  const e = resolved as unknown as Json
  const blocks: FlatBlock[] = []
  for (const name of kindNamed('experiment').inside) {
    const kind = kindNamed(name)
    if (name === 'ablation') {
      blocks.push(blockOf(kind, 'ablation', null, { seeds: e.seeds, primary: e.primary }))
      continue
    }
    const value = e[name]
    if (value === null || value === undefined) continue
    if (kind.form === 'named')
      for (const [key, inner] of Object.entries(value as Json))
        blocks.push(blockOf(kind, `${name}.${key}`, key, inner as Json))
    else if (name === 'augment') blocks.push(augmentBlock(value as Json))
    else blocks.push(blockOf(kind, name, null, value as Json))
  }
  return blocks
}

function blockOf(kind: KindDef, path: string, name: string | null, value: Json): FlatBlock {
  const type = typeof value.type === 'string' ? value.type : kind.defaultType!
  const def = kind.types.get(type)
  const base = { path, kind, name, type: kind.form === 'typed' || kind.typeIsName ? type : null }
  if (kind.kind === 'head' && type === 'tied') return { ...base, fields: [], blocks: [], value }
  const fields: FlatField[] = []
  for (const field of def?.fields.values() ?? [])
    if (field.key !== null) fields.push({ path: `${path}.${field.name}`, value: value[field.key], field })
  return { ...base, fields, blocks: blocksInside(kind, path, value), value: null }
}

function blocksInside(kind: KindDef, path: string, value: Json): FlatBlock[] {
  if (kind.kind === 'schedule')
    return (value.phases as Json[]).map((phase) =>
      blockOf(kindNamed('phase'), `${path}.${phase.name as string}`, phase.name as string, phase),
    )
  return kind.inside
    .filter((name) => value[name] !== null && value[name] !== undefined)
    .map((name) => blockOf(kindNamed(name), `${path}.${name}`, null, value[name] as Json))
}

/** Chances stand side by side in the resolved form and by name in the language. */
function augmentBlock(value: Json): FlatBlock {
  const views = (which: Json): Json => {
    const [firstGlobal, secondGlobal, local] = which.probability as readonly number[]
    return { ...which, firstGlobal, secondGlobal, local }
  }
  const kind = kindNamed('augment')
  const inner: Json = {
    ...value,
    blur: views(value.blur as Json),
    solarize: views(value.solarize as Json),
    normalize: { mean: value.mean, std: value.std },
  }
  return blockOf(kind, 'augment', null, inner)
}

/** Every field by its path. */
export function flatFields(blocks: readonly FlatBlock[]): Map<string, FlatField> {
  const found = new Map<string, FlatField>()
  const visit = (block: FlatBlock) => {
    for (const field of block.fields) found.set(field.path, field)
    for (const inner of block.blocks) visit(inner)
  }
  for (const block of blocks) visit(block)
  return found
}
