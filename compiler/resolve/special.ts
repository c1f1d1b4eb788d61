import { type FieldType, parseType, type SpecialType } from '../../grammar/schema/types.js'
import { coerceArguments } from './arguments.js'
import type { Dyn } from './dyn.js'
import { specialForm, wrongType } from './expected.js'
import { argumentName, type FieldScope } from './field-scope.js'
import { POISON, type Poison } from './poison.js'
import type { Backbone, Head, Source } from './resolved.js'
import { addUp } from './shares.js'

const rate: FieldType = { kind: 'quantity', of: 'ratio', limits: { least: 0, below: 1 } }
const formArgument = {
  name: 'form',
  type: { kind: 'words', words: ['subset', 'masked'], none: null } satisfies FieldType,
  default: 'subset',
  positional: false,
}

export function coerceSpecial(value: Dyn, type: SpecialType, scope: FieldScope): unknown | Poison {
  switch (type) {
    case 'drop_path':
      return dropPath(value, scope)
    case 'pos_interpolation':
      return posInterpolation(value, scope)
    case 'split':
      return split(value, scope)
    case 'table':
      return table(value, scope)
    case 'tied':
      return tied(value, scope)
    default:
      return type satisfies never
  }
}

function dropPath(value: Dyn, scope: FieldScope): Backbone['dropPath'] | Poison {
  if (value.kind === 'number') {
    const p = scope.coerce(value, rate, scope)
    return p === POISON ? POISON : { shape: 'uniform', from: p as number, to: p as number, form: 'subset' }
  }
  if (value.kind !== 'call' || (value.name.text !== 'uniform' && value.name.text !== 'linear'))
    return wrongType(value, { kind: 'special', name: 'drop_path' }, scope)
  const shape = value.name.text
  const [first, ...rest] = value.args
  if (shape === 'linear' && first?.name === null && first.value.kind === 'arrow') {
    const arrow = first.value
    const from = scope.coerce(arrow.from, rate, scope)
    const to = arrow.to === null ? POISON : scope.coerce(arrow.to, rate, scope)
    const others = coerceArguments({ ...value, args: rest }, [formArgument], scope)
    if (arrow.to === null || arrow.over !== null)
      return wrongType(arrow, { kind: 'special', name: 'drop_path' }, scope)
    if (from === POISON || to === POISON || others === POISON) return POISON
    return { shape, from: from as number, to: to as number, form: others.form as 'subset' | 'masked' }
  }
  const named = coerceArguments(
    value,
    shape === 'uniform'
      ? [{ name: 'rate', type: rate, positional: true }, formArgument]
      : [
          { name: 'from', type: rate, positional: false },
          { name: 'to', type: rate, positional: false },
          formArgument,
        ],
    scope,
  )
  if (named === POISON) return POISON
  const form = named.form as 'subset' | 'masked'
  if (shape === 'uniform') return { shape, from: named.rate as number, to: named.rate as number, form }
  return { shape, from: named.from as number, to: named.to as number, form }
}

function posInterpolation(value: Dyn, scope: FieldScope): Backbone['posInterpolation'] | Poison {
  if (value.kind === 'path' && value.names.length === 1) {
    const word = value.names[0]!.text
    if (word === 'exact' || word === 'antialias') return { offset: 0, antialias: word === 'antialias' }
  }
  if (value.kind === 'path') {
    const words = ['exact', 'antialias', 'offset(0.1)']
    return scope.coerce(value, { kind: 'words', words, none: null }, scope) as Poison
  }
  if (value.kind !== 'call' || value.name.text !== 'offset')
    return wrongType(value, { kind: 'special', name: 'pos_interpolation' }, scope)
  const args = coerceArguments(
    value,
    [{ name: 'offset', type: parseType({ number: { least: 0, below: 1 } }), positional: true }],
    scope,
  )
  return args === POISON ? POISON : { offset: args.offset as number, antialias: false }
}

const share: FieldType = { kind: 'quantity', of: 'ratio', limits: { above: 0, most: 1 } }

function split(value: Dyn, scope: FieldScope): Source['split'] | Poison {
  if (value.kind !== 'call' || !specialForm.split.calls.includes(value.name.text))
    return wrongType(value, { kind: 'special', name: 'split' }, scope)
  if (value.name.text === 'all') {
    const args = coerceArguments(
      value,
      [{ name: 'split', type: { kind: 'reference', to: 'splitName' }, positional: true }],
      scope,
    )
    return args === POISON ? POISON : { kind: 'all', split: args.split as string }
  }
  const hash = value.name.text === 'hash'
  const parts: Record<string, unknown> = {}
  let by: string | null = null
  let sound = true
  for (const arg of value.args) {
    const name = argumentName(arg)
    if (name === '') {
      sound = false
      scope.report.give(
        'DINO0408',
        arg.span,
        { name: 'the name of each split', call: value.name.text },
        {
          help: [
            `write ${hash ? '`hash(train: 80%, test: 20%)`' : '`listed(train: "train.txt", test: "test.txt")`'}`,
          ],
        },
      )
      continue
    }
    if (Object.hasOwn(parts, name) || (hash && name === 'by' && by !== null)) {
      sound = false
      scope.report.give('DINO0409', arg.span, { name, call: value.name.text })
      continue
    }
    const isBy = hash && name === 'by'
    const coerced = scope.coerce(arg.value, isBy ? { kind: 'text' } : hash ? share : { kind: 'path' }, {
      ...scope,
      field: `${scope.field}.${name}`,
    })
    if (coerced === POISON) sound = false
    else if (isBy) by = coerced as string
    else parts[name] = coerced
  }
  if (!sound) return POISON
  if (Object.keys(parts).length === 0) {
    scope.report.give('DINO0408', value.span, { name: 'at least one split', call: value.name.text })
    return POISON
  }
  if (!hash) return { kind: 'listed', files: parts as Record<string, string> }
  const shares = parts as Record<string, number>
  if (!addUp(Object.values(shares), 'the split', value, scope)) return POISON
  return { kind: 'hash', shares, by }
}

function table(value: Dyn, scope: FieldScope): Source['labels'] | Poison {
  if (value.kind !== 'call' || value.name.text !== 'table')
    return wrongType(value, { kind: 'special', name: 'table' }, scope)
  const args = coerceArguments(
    value,
    [
      { name: 'path', type: { kind: 'path' }, positional: true },
      { name: 'nested', type: { kind: 'text' }, default: null, positional: false },
      { name: 'file', type: { kind: 'text' }, positional: false },
      { name: 'label', type: { kind: 'text' }, default: null, positional: false },
    ],
    scope,
  )
  if (args === POISON) return POISON
  return {
    table: args.path as string,
    nested: args.nested as string | null,
    file: args.file as string,
    label: args.label as string | null,
  }
}

function tied(value: Dyn, scope: FieldScope): Head | Poison {
  if (value.kind !== 'call' || value.name.text !== 'tied')
    return wrongType(value, { kind: 'special', name: 'tied' }, scope)
  const args = coerceArguments(
    value,
    [{ name: 'head', type: { kind: 'reference', to: 'head' }, positional: true }],
    scope,
  )
  return args === POISON ? POISON : { type: 'tied', to: args.head as string }
}
