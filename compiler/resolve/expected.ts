import { alternatives, didYouMean } from '../../diagnostics/nearest.js'
import type { FieldType, QuantityType, SpecialType } from '../../grammar/schema/types.js'
import { type Dyn, describe } from './dyn.js'
import type { FieldScope } from './field-scope.js'
import { POISON, type Poison } from './poison.js'

/** How each special type may be written, for messages. */
export const specialForm: Record<
  SpecialType,
  {
    readonly description: string
    readonly example: string
    readonly words: readonly string[]
    readonly calls: readonly string[]
  }
> = {
  drop_path: {
    description: 'a ratio, `uniform(p)` or `linear(0 -> p)`',
    example: 'uniform(0.4)',
    words: [],
    calls: ['uniform', 'linear'],
  },
  pos_interpolation: {
    description: '`offset(0.1)`, `exact` or `antialias`',
    example: 'offset(0.1)',
    words: ['exact', 'antialias'],
    calls: ['offset'],
  },
  split: {
    description: '`hash(...)`, `all(...)` or `listed(...)`',
    example: 'hash(train: 80%, test: 20%)',
    words: [],
    calls: ['hash', 'all', 'listed'],
  },
  table: {
    description: '`table(...)`',
    example: 'table("labels.csv", file: "image", label: "category")',
    words: [],
    calls: ['table'],
  },
  tied: { description: '`tied(head.other)`', example: 'tied(head.dino)', words: [], calls: ['tied'] },
}

/** Words that may stand for a value of the type. */
export function wordsOf(type: FieldType): readonly string[] {
  switch (type.kind) {
    case 'words':
      return type.words
    case 'switch':
      return ['on', 'off']
    case 'call':
      return type.args.every((a) => 'default' in a) ? [type.name] : []
    case 'special':
      return specialForm[type.name].words
    case 'either':
      return type.options.flatMap(wordsOf)
    case 'list':
      return wordsOf(type.of)
    default:
      return []
  }
}

/** Functions that give a value of the type. */
export function callsOf(type: FieldType): readonly string[] {
  switch (type.kind) {
    case 'call':
      return [type.name]
    case 'special':
      return specialForm[type.name].calls
    case 'schedule':
      return ['constant', 'linear', 'cosine', 'warmup']
    case 'either':
      return type.options.flatMap(callsOf)
    case 'list':
      return callsOf(type.of)
    case 'reference':
      return type.to === 'model' ? ['run'] : type.to === 'data' ? ['mix'] : []
    default:
      return []
  }
}

/** Reports that a value is of the wrong type: unknown function, unknown word, or plainly something else. */
export function wrongType(value: Dyn, type: FieldType, scope: FieldScope): Poison {
  const { report, field } = scope
  if (value.kind === 'call') {
    const known = callsOf(type)
    report.give(
      'DINO0406',
      value.name.span,
      { name: value.name.text },
      {
        label: 'unknown function',
        notes: [
          known.length === 0
            ? `\`${field}\` takes ${describeType(type)}`
            : `functions for \`${field}\` are ${known.join(', ')}`,
        ],
        help: didYouMean(value.name.text, known),
      },
    )
  } else if (value.kind === 'path' && value.names.length === 1 && value.names[0]!.text === 'batch') {
    report.give('DINO0419', value.span, {}, { notes: [`\`${field}\` takes ${describeType(type)}`] })
  } else if (
    value.kind === 'path' &&
    (type.kind === 'quantity' || type.kind === 'text' || type.kind === 'path')
  ) {
    const word = value.names.map((n) => n.text).join('.')
    report.give(
      'DINO0417',
      value.span,
      { name: word },
      {
        label: 'unknown here',
        notes: [`\`${field}\` takes ${describeType(type)}`],
        help: didYouMean(word, scope.module.params.keys()),
      },
    )
  } else {
    report.give(
      'DINO0401',
      value.span,
      { field, expected: describeType(type), found: describe(value) },
      {
        help: [`write for example ${example(type)}`],
      },
    )
  }
  return POISON
}

/** "a count of images", "a word", ... */
export function describeType(type: FieldType): string {
  switch (type.kind) {
    case 'quantity':
      return quantityNames[type.of]
    case 'words':
      return alternatives(type.words)
    case 'switch':
      return '`on` or `off`'
    case 'text':
      return 'a text'
    case 'path':
      return 'a path in quotes'
    case 'range':
      return `a range of ${plural(type.of)}`
    case 'list':
      return `a list of ${plural(type.of)}`
    case 'schedule':
      return 'a schedule'
    case 'reference':
      return referenceNames[type.to]
    case 'call':
      return `\`${type.name}(...)\``
    case 'special':
      return specialForm[type.name].description
    case 'either':
      return [...new Set(type.options.map(describeType))].join(' or ')
    default:
      return type satisfies never
  }
}

const quantityNames: Record<QuantityType, string> = {
  integer: 'a whole number',
  number: 'a number',
  ratio: 'a ratio',
  length: 'a length in pixels',
  count: 'a number of images',
  time: 'a time of training',
  memory: 'an amount of memory',
  duration: 'a duration',
  distance: 'a distance in metres',
  factor: 'a factor',
}
const referenceNames = {
  data: 'a source, a split of one, a curation or `mix(...)`',
  pool: 'a source, a curation or a stage',
  head: 'a head',
  model: '`run(...)` or a file in quotes',
  metric: 'a metric of an evaluation',
  phase: 'a phase',
  part: 'a part of the model',
  splitName: 'a split',
} as const

function plural(type: FieldType): string {
  if (type.kind !== 'quantity') return type.kind === 'words' ? `words: ${type.words.join(', ')}` : 'values'
  const names: Record<QuantityType, string> = {
    integer: 'whole numbers',
    number: 'numbers',
    ratio: 'ratios',
    length: 'lengths in pixels',
    count: 'numbers of images',
    time: 'times of training',
    memory: 'amounts of memory',
    duration: 'durations',
    distance: 'distances in metres',
    factor: 'factors',
  }
  return names[type.of]
}

/** A value of the type, in quotes, for help. */
export function example(type: FieldType): string {
  return `\`${bareExample(type)}\``
}

function bareExample(type: FieldType): string {
  switch (type.kind) {
    case 'quantity':
      return {
        integer: '12',
        number: '0.1',
        ratio: '30%',
        length: '224px',
        count: '64 img',
        time: '10k steps',
        memory: '40GiB',
        duration: '10min',
        distance: '0.5m',
        factor: '0.2x',
      }[type.of]
    case 'words':
      return type.words[0]!
    case 'switch':
      return 'on'
    case 'text':
      return '"text"'
    case 'path':
      return '"folder/file"'
    case 'range': {
      const of = type.of.kind === 'quantity' ? type.of.of : 'number'
      return { ratio: '10%..50%', distance: '0.001m..10m' }[of as string] ?? '0.5..2.0'
    }
    case 'list':
      return `[${bareExample(type.of)}]`
    case 'schedule':
      return 'warmup(0 -> 1e-3 over 10 epochs) |> cosine(to: 1e-6)'
    case 'reference':
      return {
        data: 'photos.train',
        pool: 'photos',
        head: 'head.dino',
        model: 'run(experiment)',
        metric: 'eval.knn.top1@20',
        phase: 'pretrain',
        part: 'backbone',
        splitName: 'train',
      }[type.to]
    case 'call':
      return type.args.length === 0
        ? type.name
        : `${type.name}(${type.args.map((a) => (a.positional ? bareExample(a.type) : `${a.name}: ${bareExample(a.type)}`)).join(', ')})`
    case 'special':
      return specialForm[type.name].example
    case 'either':
      return bareExample(type.options.at(-1)!)
    default:
      return type satisfies never
  }
}
