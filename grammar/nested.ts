import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import type { Condition, Value } from './ast.js'
import { asNested } from './statement-parser.js'

/**
 * The check after parsing that says where a condition may stand: the grammar lets `( )` hold either a value or a
 * condition, so that two tokens of lookahead suffice. Returns the first fault of the statement, if any.
 */
export function conditionInValue(value: Value): Diagnostic | null {
  const nested = asNested(value)
  if (nested) {
    const operator = operatorOf(nested.condition)
    return diagnose(
      'DINO0116',
      nested.span,
      { operator },
      {
        help: ['give a value here; only `grid NAME where CONDITION { ... }` takes a condition'],
      },
    )
  }
  for (const part of partsOf(value)) {
    const fault = conditionInValue(part)
    if (fault) return fault
  }
  return null
}

/** Turns nested conditions into conditions, and checks that what must be true or false can be. */
export function settleCondition(condition: Condition): { condition: Condition; fault: Diagnostic | null } {
  let fault: Diagnostic | null = null
  const settle = (c: Condition): Condition => {
    switch (c.kind) {
      case 'or':
      case 'and':
        return { ...c, parts: c.parts.map(settle) }
      case 'not':
        return { ...c, operand: settle(c.operand) }
      case 'group':
        return { ...c, condition: settle(c.condition) }
      case 'compare':
        for (const side of [c.left, c.right]) fault ??= conditionAsOperand(side)
        return c
      case 'value': {
        const inside = unwrap(c.value)
        if (inside) return settle(inside)
        const what = neverTrueOrFalse(c.value)
        if (what) {
          fault ??= diagnose(
            'DINO0113',
            c.span,
            { found: what },
            {
              label: 'neither true nor false',
              help: ['compare it, for example `masking.probability < 70%`'],
            },
          )
        } else fault ??= conditionInValue(c.value)
        return c
      }
      default:
        return c satisfies never
    }
  }
  const settled = settle(condition)
  return { condition: settled, fault }
}

/** `(a or b)`, `((a or b))`: the condition that parentheses hold. */
function unwrap(value: Value): Condition | null {
  const nested = asNested(value)
  if (nested) return { kind: 'group', condition: nested.condition, span: nested.span }
  if (value.kind !== 'group') return null
  const inner = unwrap(value.value)
  return inner && { kind: 'group', condition: inner, span: value.span }
}

function conditionAsOperand(value: Value): Diagnostic | null {
  const fault = conditionInValue(value)
  if (!fault?.primary) return fault
  return diagnose(
    'DINO0107',
    fault.primary.span,
    { expected: 'a value to compare', found: 'a condition' },
    {
      help: ['join conditions with `and`, `or` and `not`'],
    },
  )
}

/** What a value surely is instead of true or false; null where only its type can tell (a path, a call). */
function neverTrueOrFalse(value: Value): string | null {
  switch (value.kind) {
    case 'path':
    case 'call':
    case 'bad':
      return null
    case 'group':
      return neverTrueOrFalse(value.value)
    case 'quantity':
    case 'negative':
    case 'binary':
      return 'a number'
    case 'text':
      return 'a text'
    case 'list':
      return 'a list'
    case 'range':
      return 'a range'
    case 'arrow':
    case 'pipe':
      return 'a schedule'
    default:
      return value satisfies never
  }
}

function partsOf(value: Value): readonly Value[] {
  switch (value.kind) {
    case 'pipe':
      return value.stages
    case 'arrow':
      return [value.from, value.to, value.over].filter((v) => v !== null)
    case 'range':
      return [value.min, value.max]
    case 'binary':
      return [value.left, value.right]
    case 'negative':
      return [value.operand]
    case 'list':
      return value.items
    case 'call':
      return value.args.map((a) => a.value)
    case 'group':
      return [value.value]
    case 'path':
    case 'quantity':
    case 'text':
    case 'bad':
      return []
    default:
      return value satisfies never
  }
}

function operatorOf(condition: Condition): string {
  switch (condition.kind) {
    case 'compare':
      return condition.op
    case 'group':
      return operatorOf(condition.condition)
    case 'value':
      return 'where'
    default:
      return condition.kind
  }
}
