import type { Span } from '../../diagnostics/diagnostic.js'
import { alternatives, didYouMean, listed, nearest } from '../../diagnostics/nearest.js'
import type { ReferenceKind } from '../../grammar/schema/types.js'
import type { Dyn } from './dyn.js'
import { wrongType } from './expected.js'
import { argumentName, type FieldScope } from './field-scope.js'
import { type CurationDefinition, type Module, namesOf, type SourceDefinition } from './modules.js'
import { POISON, type Poison } from './poison.js'
import type { DataReference, ModelReference, Source } from './resolved.js'
import { addUp } from './shares.js'

export function coerceReference(value: Dyn, to: ReferenceKind, scope: FieldScope): unknown | Poison {
  if (value.kind === 'bad') return POISON
  switch (to) {
    case 'data':
      if (value.kind === 'call' && value.name.text === 'mix') return mix(value, scope)
      return value.kind === 'path'
        ? dataReference(value, scope)
        : wrongType(value, { kind: 'reference', to }, scope)
    case 'pool':
      return value.kind === 'path'
        ? poolReference(value, scope)
        : wrongType(value, { kind: 'reference', to }, scope)
    case 'model':
      return modelReference(value, scope)
    case 'head':
      return value.kind === 'path'
        ? headName(value, scope)
        : wrongType(value, { kind: 'reference', to }, scope)
    case 'metric':
    case 'part':
      if (value.kind !== 'path') return wrongType(value, { kind: 'reference', to }, scope)
      return value.names.map((n) => n.text).join('.')
    case 'phase':
    case 'splitName':
      if (value.kind !== 'path') return wrongType(value, { kind: 'reference', to }, scope)
      return value.names.at(-1)!.text
    default:
      return to satisfies never
  }
}

/** `head.dino` as `dino`; whether there is such a head is a rule's business. */
export function headName(value: Dyn & { kind: 'path' }, scope: FieldScope): string | Poison {
  const [kind, name] = value.names
  if (value.names.length === 2 && kind!.text === 'head') return name!.text
  const word = value.names.map((n) => n.text).join('.')
  scope.report.give(
    'DINO0208',
    value.span,
    { name: word },
    {
      label: 'not a head',
      help: [`write \`head.${value.names.at(-1)!.text}\`: heads are named with their kind`],
    },
  )
  return POISON
}

function dataReference(value: Dyn & { kind: 'path' }, scope: FieldScope): DataReference | Poison {
  const [first, second, third] = value.names
  const definition = lookUp(value, scope)
  if (definition === POISON) return POISON
  const path = value.names.map((n) => n.text).join('.')
  if (definition.kind === 'curation') {
    const { name, stages, curation } = scope.references.curation(definition)
    if (second === undefined)
      return curation === POISON ? POISON : { kind: 'curation', curation: name, stage: null }
    if (third === undefined && stages.includes(second.text))
      return curation === POISON ? POISON : { kind: 'curation', curation: name, stage: second.text }
    unknownPart(second.span, first!.text, path.slice(first!.text.length + 1), stages, 'stages', scope)
    return POISON
  }
  const { name, source } = scope.references.source(definition)
  if (source === POISON) return POISON
  if (second === undefined) return { kind: 'source', source: name, splits: null }
  const splits = splitsOf(source)
  if (third === undefined && splits.includes(second.text))
    return { kind: 'source', source: name, splits: [second.text] }
  unknownPart(second.span, first!.text, path.slice(first!.text.length + 1), splits, 'splits', scope)
  return POISON
}

function unknownPart(
  at: Span,
  name: string,
  part: string,
  known: readonly string[],
  what: string,
  scope: FieldScope,
) {
  scope.report.give(
    'DINO0207',
    at,
    { name, split: part },
    {
      label: 'unknown',
      notes: [`${what} of \`${name}\`: ${known.length === 0 ? 'none' : listed(known)}`],
      help: didYouMean(part, known),
    },
  )
}

/** The splits that may be named after a source. */
export function splitsOf(source: Source): readonly string[] {
  switch (source.split.kind) {
    case 'hash':
      return Object.keys(source.split.shares)
    case 'all':
      return [source.split.split]
    case 'listed':
      return Object.keys(source.split.files)
    case 'published':
      return publishedSplits[source.type] ?? []
    default:
      return source.split satisfies never
  }
}

const publishedSplits: Readonly<Record<string, readonly string[]>> = {
  idx: ['train', 'test'],
  imagenet: ['train', 'val'],
  ade20k: ['train', 'val'],
  nyud: ['train', 'test'],
  revisited: ['query', 'gallery'],
}

type DataDefinition = SourceDefinition | CurationDefinition

function lookUp(value: Dyn & { kind: 'path' }, scope: FieldScope): DataDefinition | Poison {
  const name = value.names[0]!
  const definition = value.module.names.get(name.text)
  if (definition === undefined) {
    if (value.module.source.incomplete) return POISON
    const meant = nearest(name.text, dataNames(value.module, scope))
    scope.report.give(
      'DINO0206',
      name.span.file === value.span.file ? value.span : name.span,
      { name: name.text },
      {
        label: 'unknown',
        help: [
          meant.length > 0
            ? `did you mean ${alternatives(meant)}?`
            : `define it with \`source ${name.text}: folder { path = "..." }\`, or import it`,
        ],
      },
    )
    return POISON
  }
  if (definition.kind === 'silenced') return POISON
  if (definition.kind === 'experiment') {
    scope.report.give('DINO0226', value.span, {
      name: name.text,
      expected: 'a source or a curation',
      found: 'an experiment',
    })
    return POISON
  }
  return definition
}

function* dataNames(module: Module, scope: FieldScope): Generator<string> {
  yield* namesOf(module, 'source', 'curation')
  yield* scope.references.stages ?? []
}

/** An input of a curation's stage: an earlier stage comes before a source of the same name. */
function poolReference(value: Dyn & { kind: 'path' }, scope: FieldScope): DataReference | Poison {
  const [first] = value.names
  if (value.names.length === 1 && scope.references.stages?.has(first!.text))
    return { kind: 'curation', curation: '', stage: first!.text }
  return dataReference(value, scope)
}

function mix(value: Dyn & { kind: 'call' }, scope: FieldScope): DataReference | Poison {
  const parts: { of: DataReference; share: number }[] = []
  let sound = true
  for (const arg of value.args) {
    if (arg.name === null) {
      sound = false
      scope.report.give(
        'DINO0408',
        arg.span,
        { name: 'a share after each source', call: 'mix' },
        {
          help: ['write `mix(a.train: 30%, b.train: 70%)`'],
        },
      )
      continue
    }
    const of = dataReference(
      { kind: 'path', names: arg.name.names, module: value.module, span: arg.name.span },
      scope,
    )
    const share =
      arg.value.kind === 'number' && Object.keys(arg.value.dims).length === 0 && arg.value.value > 0
        ? arg.value.value
        : (wrongType(
            arg.value,
            { kind: 'quantity', of: 'ratio', limits: {} },
            { ...scope, field: argumentName(arg) },
          ) as Poison)
    if (of === POISON || share === POISON) sound = false
    else parts.push({ of, share })
  }
  if (sound && parts.length === 0) {
    sound = false
    scope.report.give('DINO0408', value.span, { name: 'at least one source', call: 'mix' })
  }
  if (!sound) return POISON
  return addUp(
    parts.map((p) => p.share),
    'the mix',
    value,
    scope,
  )
    ? { kind: 'mix', parts }
    : POISON
}

function modelReference(value: Dyn, scope: FieldScope): ModelReference | Poison {
  if (value.kind === 'text')
    return value.text.startsWith('hf://')
      ? { kind: 'hub', repository: value.text.slice('hf://'.length) }
      : { kind: 'file', path: value.text }
  if (value.kind !== 'call' || value.name.text !== 'run')
    return wrongType(value, { kind: 'reference', to: 'model' }, scope)
  const [arg] = value.args
  if (arg === undefined || value.args.length !== 1 || arg.name !== null || arg.value.kind !== 'path') {
    if (arg?.value.kind !== 'bad')
      scope.report.give(
        'DINO0408',
        value.span,
        { name: 'one experiment', call: 'run' },
        {
          help: ['write `run(experiment)` or `run(experiment.variant)`'],
        },
      )
    return POISON
  }
  const [experiment, variant] = arg.value.names
  const definition = arg.value.module.names.get(experiment!.text)
  if (definition === undefined) {
    if (arg.value.module.source.incomplete) return POISON
    scope.report.give(
      'DINO0204',
      arg.value.span,
      { name: experiment!.text },
      {
        label: 'unknown',
        help: didYouMean(experiment!.text, namesOf(arg.value.module, 'experiment')),
      },
    )
    return POISON
  }
  if (definition.kind === 'silenced') return POISON
  if (definition.kind !== 'experiment') {
    scope.report.give('DINO0226', arg.value.span, {
      name: experiment!.text,
      expected: 'an experiment',
      found: `a ${definition.kind}`,
    })
    return POISON
  }
  const variantName = variant?.text ?? 'full'
  const outcome = scope.references.run(definition, variantName, value.span)
  if ('variants' in outcome) {
    scope.report.give(
      'DINO0210',
      variant?.span ?? arg.value.span,
      { name: variantName, experiment: definition.name },
      {
        help: didYouMean(variantName, outcome.variants),
      },
    )
    return POISON
  }
  if (outcome.resolved === POISON) return POISON
  return { kind: 'run', experiment: definition.name, variant: variantName, resolved: outcome.resolved }
}
