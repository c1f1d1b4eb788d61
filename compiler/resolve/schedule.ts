import { didYouMean } from '../../diagnostics/nearest.js'
import type { FieldType } from '../../grammar/schema/types.js'
import { type Dyn, describe } from './dyn.js'
import { wrongType } from './expected.js'
import { argumentName, type FieldScope } from './field-scope.js'
import { POISON, type Poison } from './poison.js'
import type { Schedule, SchedulePiece, Time } from './resolved.js'

type Kind = SchedulePiece['kind']
const kinds: readonly string[] = ['constant', 'linear', 'cosine', 'warmup'] satisfies Kind[]
const timeType: FieldType = { kind: 'quantity', of: 'time', limits: { least: 0 } }

/** What the arguments of one piece say; undefined where they say nothing, poison where they are faulty. */
interface Said {
  from: unknown
  to: unknown
  over: unknown
}

/**
 * `warmup(0 -> 1e-3 over 10 epochs) |> cosine(to: 1e-6)`: the pieces in order. A piece without a start begins where
 * the one before ended; a last piece that ends early is followed by its last value.
 */
export function coerceSchedule(value: Dyn, of: FieldType, scope: FieldScope): Schedule | Poison {
  const stages = value.kind === 'pipe' ? value.stages : [value]
  const pieces: SchedulePiece[] = []
  let sound = true
  let end: number | null | Poison = null
  for (const [i, stage] of stages.entries()) {
    const last = i === stages.length - 1
    const piece = coercePiece(stage, of, end, last, scope)
    if (piece === POISON) {
      sound = false
      end = POISON
      continue
    }
    pieces.push(piece)
    end = piece.kind === 'constant' ? piece.value : piece.to
  }
  if (!sound) return POISON
  const final = pieces.at(-1)!
  if (final.over !== null && final.kind !== 'constant')
    pieces.push({ kind: 'constant', value: final.to, over: null })
  else if (final.over !== null) pieces[pieces.length - 1] = { ...final, over: null }
  return { pieces }
}

function coercePiece(
  stage: Dyn,
  of: FieldType,
  end: number | null | Poison,
  last: boolean,
  scope: FieldScope,
): SchedulePiece | Poison {
  const { report } = scope
  if (stage.kind === 'bad') return POISON
  if (stage.kind !== 'call') {
    if (stage.kind === 'arrow' || stage.kind === 'pipe')
      return wrongType(stage, { kind: 'schedule', of }, scope)
    const value = scope.coerce(stage, of, scope)
    if (value === POISON) return POISON
    if (last) return { kind: 'constant', value: value as number, over: null }
    return endless(stage, scope)
  }
  if (!kinds.includes(stage.name.text)) return wrongType(stage, { kind: 'schedule', of }, scope)
  const kind = stage.name.text as Kind
  const said = readArguments(stage, of, scope)
  if (said === POISON) return POISON
  const over = said.over as Time | undefined
  if (over === undefined && !last) return endless(stage, scope)
  if (kind === 'constant') {
    if (said.to !== undefined) {
      report.give(
        'DINO0407',
        stage.span,
        { name: 'to', call: 'constant' },
        { help: ['use `linear` or `cosine`'] },
      )
      return POISON
    }
    const value = said.from ?? end
    if (value === POISON) return POISON
    if (value === null) {
      report.give('DINO0408', stage.span, { name: 'a value', call: 'constant' })
      return POISON
    }
    return { kind, value: value as number, over: over ?? null }
  }
  if (said.to === undefined) {
    report.give(
      'DINO0408',
      stage.span,
      { name: 'to', call: kind },
      {
        help: [`write \`${kind}(a -> b)\` or, after another piece, \`${kind}(to: b)\``],
      },
    )
    return POISON
  }
  const from = said.from ?? end
  if (from === POISON) return POISON
  if (from === null) {
    report.give(
      'DINO0424',
      stage.span,
      { piece: `${kind}(...)` },
      {
        help: [`write \`${kind}(a -> b)\`: only after \`|>\` does a piece start where another one ended`],
      },
    )
    return POISON
  }
  return { kind, from: from as number, to: said.to as number, over: over ?? null }
}

function endless(stage: Dyn, scope: FieldScope): Poison {
  scope.report.give(
    'DINO0414',
    stage.span,
    { piece: describe(stage).replaceAll('`', '') },
    {
      help: ['add `over` and a time, as in `warmup(0 -> 1e-3 over 10 epochs)`'],
    },
  )
  return POISON
}

/** Reads `(a -> b over n)`, `(v over n)`, `(to: c)` and `(from: a, to: b, over: n)`. */
function readArguments(call: Dyn & { kind: 'call' }, of: FieldType, scope: FieldScope): Said | Poison {
  const { report } = scope
  const said: Said = { from: undefined, to: undefined, over: undefined }
  let sound = true
  const put = (name: keyof Said, value: Dyn, type: FieldType) => {
    if (said[name] !== undefined) {
      sound = false
      report.give('DINO0409', value.span, { name, call: call.name.text })
      return
    }
    said[name] = scope.coerce(
      value,
      type,
      name === 'over' ? { ...scope, field: `${scope.field} over` } : scope,
    )
    if (said[name] === POISON) sound = false
  }
  const spread = (value: Dyn, single: 'from' | 'to') => {
    if (value.kind !== 'arrow') return put(single, value, of)
    if (value.to === null) put(single, value.from, of)
    else {
      put('from', value.from, of)
      put('to', value.to, of)
    }
    if (value.over !== null) put('over', value.over, timeType)
  }
  let positional = 0
  for (const arg of call.args) {
    const name = arg.name === null ? null : argumentName(arg)
    if (arg.value.kind === 'bad') sound = false
    else if (name === null && positional++ === 0) spread(arg.value, 'from')
    else if (name === 'to' || name === 'from') spread(arg.value, name)
    else if (name === 'over') put('over', arg.value, timeType)
    else {
      sound = false
      report.give(
        'DINO0407',
        arg.name?.span ?? arg.span,
        { name: name ?? describe(arg.value), call: call.name.text },
        {
          notes: ['arguments: from, to, over'],
          help: name === null ? [] : didYouMean(name, ['from', 'to', 'over']),
        },
      )
    }
  }
  return sound ? said : POISON
}
