import type { Span } from '../../diagnostics/diagnostic.js'
import { didYouMean } from '../../diagnostics/nearest.js'
import { type ArgumentType, camelCase } from '../../grammar/schema/types.js'
import { type Dyn, describe } from './dyn.js'
import { example } from './expected.js'
import { argumentName, type FieldScope } from './field-scope.js'
import { POISON, type Poison } from './poison.js'

/** Arguments by name, positional ones in the order declared, defaults filled in. */
export function coerceArguments(
  call: Dyn & { kind: 'call' },
  declared: readonly ArgumentType[],
  scope: FieldScope,
): Record<string, unknown> | Poison {
  const given = new Map<string, { value: Dyn; span: Span }>()
  const positional = declared.filter((a) => a.positional)
  let next = 0
  let sound = true
  for (const arg of call.args) {
    const name = arg.name === null ? positional[next++]?.name : argumentName(arg)
    const known = declared.find((a) => a.name === name)
    if (known === undefined) {
      sound = false
      const written = arg.name === null ? describe(arg.value) : argumentName(arg)
      scope.report.give(
        'DINO0407',
        arg.name?.span ?? arg.span,
        { name: written, call: call.name.text },
        {
          label: 'unknown argument',
          notes: [
            declared.length === 0
              ? `\`${call.name.text}\` takes no arguments`
              : `arguments: ${declared.map((a) => a.name).join(', ')}`,
          ],
          help: didYouMean(
            written,
            declared.map((a) => a.name),
          ),
        },
      )
    } else if (given.has(known.name)) {
      sound = false
      scope.report.give(
        'DINO0409',
        arg.span,
        { name: known.name, call: call.name.text },
        {
          labels: [{ span: given.get(known.name)!.span, message: 'given here' }],
        },
      )
    } else given.set(known.name, { value: arg.value, span: arg.span })
  }
  const result: Record<string, unknown> = {}
  for (const arg of declared) {
    const value = given.get(arg.name)
    if (value !== undefined) {
      const coerced = scope.coerce(value.value, arg.type, { ...scope, field: `${scope.field}.${arg.name}` })
      if (coerced === POISON) sound = false
      result[camelCase(arg.name)] = coerced
    } else if ('default' in arg) result[camelCase(arg.name)] = arg.default
    else if (sound) {
      sound = false
      scope.report.give(
        'DINO0408',
        call.span,
        { name: arg.name, call: call.name.text },
        {
          help: [`write for example ${example({ kind: 'call', name: call.name.text, args: declared })}`],
        },
      )
    }
  }
  return sound ? result : POISON
}
