import type { ValueId } from '../ir/types.js'
import type { Entry } from './entry.js'
import { f32, type Network, networkParameters } from './network.js'

/**
 * Moves a network, the EMA teacher or the spare average, towards the student as it is after AdamW: every parameter,
 * also those that did not train. `updated`: the student's new values by path; the others are its state.
 */
export function ema(
  entry: Entry,
  average: Network,
  updated: ReadonlyMap<string, ValueId>,
  finite: ValueId,
): void {
  const { b } = entry
  const name = average.role === 'keep' ? 'keep_momentum' : 'momentum'
  const momentum = entry.input(name, f32(), { kind: 'schedule', name })
  for (const parameter of networkParameters(average)) {
    const type = f32(...parameter.shape)
    const source = parameter.path.replace(/^[a-z]+/, 'student')
    b.module = `ema.${average.role}.${parameter.part}`
    const student = updated.get(source) ?? entry.state(source, type)
    const [moved] = b.op('ema', [entry.state(parameter.path, type), student, momentum, finite], {})
    entry.sink('state', parameter.path, moved)
  }
}
