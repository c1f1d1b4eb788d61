import type { Addon } from '../../runtime/devices/native/addon.js'
import { encodePlan } from '../../runtime/devices/native/encode.js'
import { kinds, trials } from './native-plan.js'

/** Every trial as runtime/devices/native/test reads it: one array of doubles. */
export function recordTrials(addon: Pick<Addon, 'kinds'>): Float64Array {
  const numbers = new Map(addon.kinds().map((kind, i) => [kind, i]))
  const all = kinds.flatMap(trials)
  const words: number[] = [all.length]
  const list = (values: ArrayLike<number>) => {
    words.push(values.length)
    for (let i = 0; i < values.length; i++) words.push(values[i]!)
  }
  for (const { name, plan, values, expected, limits } of all) {
    list([...name].map((c) => c.charCodeAt(0)))
    list(encodePlan(plan, numbers, () => 0))
    const inputs = plan.inputs.map((i) => ({ tensor: i.tensor, operand: Number(i.name.slice(7)) }))
    words.push(inputs.length)
    for (const { tensor, operand } of inputs) {
      words.push(tensor, 0)
      list(values[operand]!)
    }
    words.push(expected.length)
    expected.forEach((data, i) => {
      words.push(plan.outputs[i]!.tensor, limits[i]!)
      list(data)
    })
  }
  return Float64Array.from(words)
}
