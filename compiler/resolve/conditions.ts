import { didYouMean } from '../../diagnostics/nearest.js'
import type { Condition } from '../../grammar/ast.js'
import type { FieldType } from '../../grammar/schema/types.js'
import { type Dyn, describe, evaluate, type Scope, sameDims } from './dyn.js'
import type { FlatField } from './flatten.js'
import { isPoisoned } from './poison.js'

/** What a condition may name: the fields of the experiment that a grid point gives. */
export type Fields = ReadonlyMap<string, FlatField>

/** Whether a condition holds; null where a diagnostic has been given or a value is faulty. */
export function holds(condition: Condition, fields: Fields, scope: Scope): boolean | null {
  switch (condition.kind) {
    case 'group':
      return holds(condition.condition, fields, scope)
    case 'not': {
      const inner = holds(condition.operand, fields, scope)
      return inner === null ? null : !inner
    }
    case 'and':
    case 'or': {
      const parts = condition.parts.map((part) => holds(part, fields, scope))
      if (parts.includes(null)) return null
      return condition.kind === 'and' ? parts.every((p) => p) : parts.some((p) => p)
    }
    case 'value': {
      const value = operand(evaluate(condition.value, scope), fields, scope, false)
      if (value === null) return null
      const word = value.kind === 'path' ? value.names[0]!.text : null
      if (word === 'on' || word === 'off') return word === 'on'
      scope.report.give(
        'DINO0422',
        condition.span,
        { found: describe(value) },
        {
          label: 'neither true nor false',
          help: ['compare it: `masking.probability < 70%`'],
        },
      )
      return null
    }
    case 'compare': {
      const words = [condition.left, condition.right].map((side) => evaluate(side, scope))
      const left = operand(words[0]!, fields, scope, isField(words[1]!, fields))
      const right = operand(words[1]!, fields, scope, isField(words[0]!, fields))
      if (left === null || right === null) return null
      const order = compare(left, right)
      const equality = condition.op === '==' || condition.op === '!='
      if (order === null || (order === 'unordered' && !equality) || (Number.isNaN(order) && !equality)) {
        scope.report.give(
          'DINO0423',
          condition.span,
          { left: describe(left), right: describe(right) },
          {
            label: 'of different kinds',
          },
        )
        return null
      }
      const difference = order === 'unordered' ? 1 : order
      switch (condition.op) {
        case '==':
          return difference === 0
        case '!=':
          return difference !== 0
        case '<':
          return difference < 0
        case '<=':
          return difference <= 0
        case '>':
          return difference > 0
        case '>=':
          return difference >= 0
        default:
          return condition.op satisfies never
      }
    }
    default:
      return condition satisfies never
  }
}

function pathOf(value: Dyn & { kind: 'path' }): string {
  return value.names.map((n) => n.text).join('.')
}

function fieldAt(value: Dyn, fields: Fields): { field: FlatField; end: 'min' | 'max' | null } | null {
  if (value.kind !== 'path') return null
  const path = pathOf(value)
  const exact = fields.get(path)
  if (exact !== undefined) return { field: exact, end: null }
  const end = value.names.at(-1)!.text
  const range = fields.get(path.slice(0, -end.length - 1))
  if (range !== undefined && range.field.type.kind === 'range' && (end === 'min' || end === 'max'))
    return { field: range, end }
  return null
}

function isField(value: Dyn, fields: Fields): boolean {
  return fieldAt(value, fields) !== null
}

/** A side of a comparison with fields replaced by their values; `words` tells whether a bare word may stay one. */
function operand(value: Dyn, fields: Fields, scope: Scope, words: boolean): Dyn | null {
  if (value.kind === 'bad') return null
  if (value.kind !== 'path') return value
  const found = fieldAt(value, fields)
  if (found === null) {
    const bare = value.names.length === 1
    if (bare && (words || ['on', 'off'].includes(value.names[0]!.text))) return value
    scope.report.give(
      'DINO0417',
      value.span,
      { name: pathOf(value) },
      {
        label: 'unknown here',
        help: didYouMean(pathOf(value), fields.keys()),
      },
    )
    return null
  }
  const { field, end } = found
  if (isPoisoned(field.value)) return null
  const inner = end === null ? field.value : (field.value as Record<string, unknown>)[end]
  const type = end === null ? field.field.type : (field.field.type as FieldType & { kind: 'range' }).of
  return toDyn(inner, type, value)
}

const dims = {
  length: 'px',
  count: 'img',
  memory: 'byte',
  duration: 's',
  distance: 'm',
  factor: 'x',
} as const

/** A resolved value as if it had been written. */
function toDyn(json: unknown, type: FieldType, at: Dyn & { kind: 'path' }): Dyn {
  const { span, module } = at
  const word = (text: string): Dyn => ({ kind: 'path', names: [{ text, span }], module, span })
  if (json === null) return word(type.kind === 'words' ? (type.none ?? 'off') : 'off')
  if (typeof json === 'boolean') return word(json ? 'on' : 'off')
  if (typeof json === 'string')
    return type.kind === 'text' || type.kind === 'path' ? { kind: 'text', text: json, span } : word(json)
  if (typeof json === 'number') {
    const quantity = quantityIn(type)
    const unit = quantity === null ? undefined : dims[quantity as keyof typeof dims]
    return {
      kind: 'number',
      value: json,
      dims: unit === undefined ? {} : { [unit]: 1 },
      percent: quantity === 'ratio',
      span,
    }
  }
  const object = json as Record<string, unknown>
  if (typeof object.value === 'number' && typeof object.unit === 'string')
    return { kind: 'number', value: object.value, dims: { [object.unit]: 1 }, percent: false, span }
  if (type.kind === 'range')
    return { kind: 'range', min: toDyn(object.min, type.of, at), max: toDyn(object.max, type.of, at), span }
  if (Array.isArray(json) && type.kind === 'list')
    return { kind: 'list', items: json.map((item) => toDyn(item, type.of, at)), span }
  // `uniform(0.4)`, `offset(0.1)` and the rest compare by their words.
  return typeof object.type === 'string' ? word(object.type) : word(JSON.stringify(json))
}

function quantityIn(type: FieldType): string | null {
  if (type.kind === 'quantity') return type.of
  if (type.kind === 'either') {
    for (const option of type.options) {
      const found = quantityIn(option)
      if (found !== null) return found
    }
  }
  return null
}

/** Below 0, 0 or above 0; `unordered` where only equality makes sense and fails; null where nothing does. */
function compare(left: Dyn, right: Dyn): number | 'unordered' | null {
  if (left.kind === 'number' && right.kind === 'number')
    return sameDims(left.dims, right.dims) ? left.value - right.value : null
  if (left.kind === 'path' && right.kind === 'path') return pathOf(left) === pathOf(right) ? 0 : 'unordered'
  if (left.kind === 'text' && right.kind === 'text') return left.text === right.text ? 0 : 'unordered'
  if (left.kind === 'range' && right.kind === 'range') {
    const ends = [compare(left.min, right.min), compare(left.max, right.max)]
    if (ends.includes(null)) return null
    return ends.every((e) => e === 0) ? 0 : 'unordered'
  }
  if (left.kind === 'list' && right.kind === 'list') {
    if (left.items.length !== right.items.length) return 'unordered'
    const items = left.items.map((item, i) => compare(item, right.items[i]!))
    if (items.includes(null)) return null
    return items.every((e) => e === 0) ? 0 : 'unordered'
  }
  // A word such as `off` beside a number: never equal, never ordered.
  if ((left.kind === 'path') !== (right.kind === 'path')) return 'unordered'
  return null
}
