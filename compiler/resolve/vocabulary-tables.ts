import { units } from '../../grammar/schema/units.js'
import {
  type BlockDef,
  type FieldDef,
  type KindDef,
  kindNamed,
  kinds,
  pathOf,
  topLevelKinds,
} from '../../grammar/schema/vocabulary.js'
import { describeType } from './expected.js'
import { writeValue } from './write.js'

/** The vocabulary as tables of text, for the language reference: made from the schemas, so that it is never out of date. */
export function vocabularyTables() {
  const inside = (name: string): string[] =>
    kindNamed(name).inside.flatMap((inner) => [inner, ...inside(inner)])
  const describe = (names: readonly string[]) => names.map((name) => kindModel(kindNamed(name)))
  const ablation = new Set(['ablation', 'variant', 'grid'])
  return {
    groups: [
      { title: 'Top level', kinds: describe(topLevelKinds) },
      { title: 'In an experiment', kinds: describe(inside('experiment').filter((n) => !ablation.has(n))) },
      { title: 'Variants', kinds: describe(['ablation', 'variant', 'grid']) },
      { title: 'In a curation', kinds: describe(kindNamed('curation').inside) },
    ],
    units: Object.entries(units).map(([name, unit]) => ({
      name,
      meaning:
        unit.factor === 1
          ? unit.dimension
          : `${unit.factor} ${unit.dimension === 'ratio' ? '' : unit.dimension}`.trim(),
    })),
    referenceNames: [...kinds.values()]
      .flatMap((kind) =>
        [...kind.types.values()].flatMap((block) =>
          [...block.fields.values()].flatMap((field) =>
            field.yaml.map((name) => ({ name, path: `${pathOf(kind, block)}.${field.name}` })),
          ),
        ),
      )
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
  }
}

function kindModel(kind: KindDef) {
  const types = [...kind.types.values()]
  const several = types.length > 1
  return {
    title: headerOf(kind),
    description: kind.description,
    types: types.map((block) => typeModel(kind, block, several)),
  }
}

/** How a block of the kind begins. */
function headerOf(kind: KindDef): string {
  const [first] = kind.types.keys()
  switch (kind.form) {
    case 'single':
      return kind.kind
    case 'typed':
      return `${kind.kind} ${[...kind.types.keys()].join(' | ')}`
    case 'named':
      if (kind.needsType) return `${kind.kind} NAME: TYPE`
      return kind.typeIsName ? `${kind.kind} NAME: TYPE (or ${kind.kind} ${first})` : `${kind.kind} NAME`
    case 'edits':
      return `${kind.kind} NAME${kind.kind === 'grid' ? ' over VARIANT where CONDITION' : ''}`
    default:
      return kind.form satisfies never
  }
}

function typeModel(kind: KindDef, block: BlockDef, several: boolean) {
  return {
    title: several ? `${kind.kind}${kind.form === 'typed' ? ' ' : ': '}${block.type}` : null,
    description: several ? block.description : '',
    fields: [...block.fields.values()].map(fieldModel),
    exclusive:
      block.exclusive.length === 0 ? null : block.exclusive.map((group) => group.join(', ')).join(' | '),
    metrics: block.metrics.length === 0 ? null : block.metrics.join(', '),
    splits: block.splits.length === 0 ? null : block.splits.join(', '),
  }
}

function fieldModel(field: FieldDef) {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
  return {
    name: field.name,
    type: cell(describeType(field.type)),
    initial: cell(initialOf(field)),
    description: cell(field.description),
    source: cell(field.source),
  }
}

/** What the field is worth where nobody sets it. */
function initialOf(field: FieldDef): string {
  if (field.defaultText !== null) return field.defaultText
  if (field.required) return '**needed**'
  if (field.default === null || field.default === undefined) {
    const written = field.default === null ? writeValue(null, field.type) : 'none'
    return written === 'none' ? 'none' : `\`${written}\``
  }
  return `\`${writeValue(field.default, field.type)}\``
}
