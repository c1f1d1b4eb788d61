import { didYouMean } from '../../diagnostics/nearest.js'
import {
  type ArgumentType,
  camelCase,
  type FieldType,
  type Limits,
  type QuantityType,
} from '../../grammar/schema/types.js'
import type { Dimension } from '../../grammar/schema/units.js'
import { coerceArguments } from './arguments.js'
import { type Dims, type Dyn, describe, trim, writeQuantity } from './dyn.js'
import { callsOf, describeType, example, wordsOf, wrongType } from './expected.js'
import type { FieldScope } from './field-scope.js'
import { isPoisoned, POISON, type Poison } from './poison.js'
import { coerceReference } from './references.js'
import type { Report } from './report.js'
import { coerceSchedule } from './schedule.js'
import { coerceSpecial } from './special.js'

/** The resolved form of a value for a field of the type, or poison after a diagnostic. */
export function coerce(value: Dyn, type: FieldType, scope: FieldScope): unknown | Poison {
  if (value.kind === 'bad') return POISON
  switch (type.kind) {
    case 'quantity':
      return coerceQuantity(value, type.of, type.limits, scope)
    case 'words':
      return coerceWord(value, type.words, type.none, scope)
    case 'switch': {
      const word = coerceWord(value, ['on', 'off'], null, scope)
      return word === POISON ? POISON : word === 'on'
    }
    case 'text':
    case 'path':
      return value.kind === 'text' ? value.text : wrongType(value, type, scope)
    case 'range':
      return coerceRange(value, type, scope)
    case 'list':
      return coerceList(value, type, scope)
    case 'schedule':
      return coerceSchedule(value, type.of, scope)
    case 'reference':
      return coerceReference(value, type.to, scope)
    case 'call':
      return coerceCall(value, type, scope)
    case 'special':
      return coerceSpecial(value, type.name, scope)
    case 'either':
      return coerceEither(value, type, scope)
    default:
      return type satisfies never
  }
}

const quantityDims: Record<QuantityType, readonly Dimension[]> = {
  integer: [],
  number: [],
  ratio: [],
  length: ['px'],
  count: ['img'],
  time: ['step', 'epoch', 'pass'],
  memory: ['byte'],
  duration: ['s'],
  distance: ['m'],
  factor: ['x'],
}
const spelling: Record<QuantityType, (value: string) => string> = {
  integer: (v) => v,
  number: (v) => v,
  ratio: (v) => v,
  length: (v) => `${v}px`,
  count: (v) => `${v} img`,
  time: (v) => `${v} steps`,
  memory: (v) => `${v}GiB`,
  duration: (v) => `${v}min`,
  distance: (v) => `${v}m`,
  factor: (v) => `${v}x`,
}

function coerceQuantity(value: Dyn, type: QuantityType, limits: Limits, scope: FieldScope): unknown | Poison {
  const { report, field } = scope
  const expected: FieldType = { kind: 'quantity', of: type, limits }
  if (value.kind !== 'number') return wrongType(value, expected, scope)
  const dimension = singleDimension(value.dims)
  const wanted = quantityDims[type]
  if (
    wanted.length === 0 ? dimension !== null : dimension === null || !wanted.includes(dimension as Dimension)
  ) {
    const args = { field, expected: describeType(expected), found: describe(value) }
    if (dimension === null && !value.percent) {
      const spelled = spelling[type](trim(value.value))
      report.give('DINO0402', value.span, args, {
        label: 'the unit is missing',
        help: [
          type === 'time'
            ? `write \`${spelled}\`, \`${trim(value.value)} epochs\` or \`${trim(value.value)} passes\``
            : `write \`${spelled}\``,
        ],
        ...(type === 'time'
          ? {}
          : { fixes: [{ title: `write ${spelled}`, span: value.span, replacement: spelled }] }),
      })
    } else
      report.give('DINO0403', value.span, args, {
        label: 'wrong unit',
        help: [`write for example ${example(expected)}`],
      })
    return POISON
  }
  if (value.percent && type !== 'ratio') {
    report.give('DINO0403', value.span, { field, expected: describeType(expected), found: describe(value) })
    return POISON
  }
  if (!inBounds(value, type, limits, field, report)) return POISON
  return type === 'time' ? { value: value.value, unit: dimension } : value.value
}

/** Whether a number of the right unit is whole where its type is and keeps the limits; else a diagnostic says so. */
export function inBounds(
  value: Dyn & { kind: 'number' },
  type: QuantityType,
  limits: Limits,
  field: string,
  report: Report,
): boolean {
  const dimension = singleDimension(value.dims)
  const whole = type === 'integer' || type === 'length' || type === 'count' || dimension === 'step'
  if (whole && !Number.isInteger(value.value)) {
    report.give('DINO0413', value.span, { field, found: describe(value) })
    return false
  }
  const limit = brokenLimit(value.value, limits)
  if (limit !== null || (whole && Math.abs(value.value) > Number.MAX_SAFE_INTEGER)) {
    report.give('DINO0410', value.span, {
      field,
      limit: limit === null ? 'smaller' : describeLimits(limits, type, dimension),
      found: describe(value),
    })
    return false
  }
  return true
}

function brokenLimit(value: number, limits: Limits): string | null {
  if (limits.least !== undefined && value < limits.least) return 'least'
  if (limits.most !== undefined && value > limits.most) return 'most'
  if (limits.above !== undefined && value <= limits.above) return 'above'
  if (limits.below !== undefined && value >= limits.below) return 'below'
  return null
}

function describeLimits(limits: Limits, type: QuantityType, dimension: string | null): string {
  const write = (value: number) =>
    type === 'ratio'
      ? `${trim(value * 100)}%`
      : dimension === null
        ? trim(value)
        : writeQuantity(value, dimension as Dimension)
  const { least, most, above, below } = limits
  if (least !== undefined && least === most) return `exactly ${write(least)}`
  const parts: string[] = []
  if (above !== undefined) parts.push(`above ${write(above)}`)
  else if (least !== undefined) parts.push(`at least ${write(least)}`)
  if (below !== undefined) parts.push(`below ${write(below)}`)
  else if (most !== undefined) parts.push(`at most ${write(most)}`)
  return parts.join(' and ')
}

/** The one dimension of a number, null for a plain one, `?` for `px^2` and the like. */
function singleDimension(dims: Dims): Dimension | '?' | null {
  const entries = Object.entries(dims) as [Dimension, number][]
  if (entries.length === 0) return null
  return entries.length === 1 && entries[0]![1] === 1 ? entries[0]![0] : '?'
}

function coerceWord(
  value: Dyn,
  words: readonly string[],
  none: string | null,
  scope: FieldScope,
): unknown | Poison {
  if (value.kind !== 'path') return wrongType(value, { kind: 'words', words, none }, scope)
  const word = value.names.map((n) => n.text).join('.')
  if (words.includes(word)) return word === none ? null : word
  unknownWord(value, word, words, scope)
  return POISON
}

function unknownWord(
  value: Dyn,
  word: string,
  words: readonly string[],
  scope: FieldScope,
  others: readonly string[] = [],
): void {
  const near = didYouMean(word, words)
  scope.report.give(
    'DINO0405',
    value.span,
    { field: scope.field, word },
    {
      label: 'unknown word',
      notes: [`accepted: ${[words.join(', '), ...others].filter((text) => text !== '').join(', or ')}`],
      help: near.length > 0 ? near : didYouMean(word, scope.module.params.keys()),
    },
  )
}

function coerceRange(value: Dyn, type: FieldType & { kind: 'range' }, scope: FieldScope): unknown | Poison {
  if (value.kind !== 'range') return wrongType(value, type, scope)
  const min = coerce(value.min, type.of, scope)
  const max = coerce(value.max, type.of, scope)
  if (min === POISON || max === POISON) return POISON
  if ((min as number) > (max as number)) {
    scope.report.give(
      'DINO0411',
      value.span,
      { field: scope.field, min: describe(value.min), max: describe(value.max) },
      { help: [`write ${describe(value.max)}..${describe(value.min)}`] },
    )
    return POISON
  }
  return { min, max }
}

function coerceList(value: Dyn, type: FieldType & { kind: 'list' }, scope: FieldScope): unknown | Poison {
  // A single value stands for a list of one; what is neither is told of as what it is not.
  if ((value.kind === 'range' || value.kind === 'text') && type.of.kind === 'quantity')
    return wrongType(value, type, scope)
  const written = value.kind === 'list' ? value.items : [value]
  const items = written.map((item) => coerce(item, type.of, scope))
  if (items.length < type.least || items.length > type.most) {
    const expected =
      type.least === type.most
        ? `${type.least} items`
        : items.length < type.least
          ? `at least ${type.least} item${type.least === 1 ? '' : 's'}`
          : `at most ${type.most} items`
    scope.report.give('DINO0418', value.span, { field: scope.field, expected, found: items.length })
    return POISON
  }
  if (type.unique) {
    const seen = new Set<string>()
    for (const [i, item] of items.entries()) {
      if (isPoisoned(item)) continue
      const key = JSON.stringify(item)
      if (seen.has(key)) {
        scope.report.give('DINO0421', written[i]!.span, { field: scope.field, item: describe(written[i]!) })
        return POISON
      }
      seen.add(key)
    }
  }
  return items.includes(POISON) ? POISON : items
}

function coerceCall(value: Dyn, type: FieldType & { kind: 'call' }, scope: FieldScope): unknown | Poison {
  if (value.kind === 'path' && isBare(value, type)) return withDefaults({ type: type.name }, type.args)
  if (value.kind !== 'call' || value.name.text !== type.name) return wrongType(value, type, scope)
  const args = coerceArguments(value, type.args, scope)
  return args === POISON ? POISON : { type: type.name, ...args }
}

function isBare(value: Dyn & { kind: 'path' }, type: FieldType & { kind: 'call' }): boolean {
  return (
    value.names.length === 1 && value.names[0]!.text === type.name && type.args.every((a) => 'default' in a)
  )
}

function withDefaults(
  object: Record<string, unknown>,
  args: readonly ArgumentType[],
): Record<string, unknown> {
  for (const arg of args) object[camelCase(arg.name)] = arg.default
  return object
}

function coerceEither(value: Dyn, type: FieldType & { kind: 'either' }, scope: FieldScope): unknown | Poison {
  const fitting = type.options.find((option) => mayBe(value, option))
  if (fitting !== undefined) return coerce(value, fitting, scope)
  if (value.kind === 'path') {
    const words = type.options.flatMap(wordsOf)
    const others = type.options.filter((option) => wordsOf(option).length === 0).map(describeType)
    unknownWord(value, value.names.map((n) => n.text).join('.'), words, scope, others)
    return POISON
  }
  return wrongType(value, type, scope)
}

/** Whether the outer form of a value suits the type, before units and limits are looked at. */
function mayBe(value: Dyn, type: FieldType): boolean {
  switch (type.kind) {
    case 'quantity':
      return value.kind === 'number'
    case 'words':
    case 'switch':
      return value.kind === 'path' && value.names.length === 1 && wordsOf(type).includes(value.names[0]!.text)
    case 'text':
    case 'path':
      return value.kind === 'text'
    case 'range':
      return value.kind === 'range'
    case 'list':
      return value.kind === 'list'
    case 'schedule':
      return (
        value.kind === 'number' || value.kind === 'pipe' || value.kind === 'arrow' || value.kind === 'call'
      )
    case 'reference':
      return value.kind === 'path' || (value.kind === 'call' && callsOf(type).includes(value.name.text))
    case 'call':
      return (
        (value.kind === 'call' && value.name.text === type.name) ||
        (value.kind === 'path' && isBare(value, type))
      )
    case 'special':
      return (
        (value.kind === 'call' && callsOf(type).includes(value.name.text)) ||
        (value.kind === 'path' && wordsOf(type).includes(value.names[0]!.text))
      )
    case 'either':
      return type.options.some((option) => mayBe(value, option))
    default:
      return type satisfies never
  }
}
