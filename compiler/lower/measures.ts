import type { TensorType, ValueId } from '../ir/types.js'
import { accumulated, type Entry } from './entry.js'
import { f32 } from './network.js'
import type { StepShape } from './step.js'

/** A number of a step, or a few, that the host reads: `loss.koleo`, `usage.dino`. */
export interface Measure {
  readonly name: string
  readonly value: ValueId
}

export interface HandedOver {
  readonly name: string
  readonly type: TensorType
}

type Ranked = Pick<StepShape, 'ranks' | 'microSteps'>
const totalLoss = 'loss.total'

/** The mean of each over micro-steps becomes a metric; over ranks only `update` takes it, once a step. */
export function handOverMeasures(
  entry: Entry,
  { ranks, microSteps }: Ranked,
  measures: readonly Measure[],
): readonly HandedOver[] {
  return measures.map(({ name, value }) => {
    const handed = ranks > 1 || name === totalLoss
    const mean = accumulated(entry, microSteps, name, value, 'mean', handed ? 'hand over' : 'keep')
    if (ranks === 1) entry.sink('metric', name, mean)
    return { name, type: entry.b.type(value) }
  })
}

/** In `update`: the total loss, the same on every rank. */
export function takeMeasures(entry: Entry, { ranks }: Ranked, measured: readonly HandedOver[]): ValueId {
  if (ranks === 1) return entry.carried(totalLoss, f32())
  entry.b.module = 'loss'
  const own = measured.map(({ name, type }) => entry.carried(name, type))
  const means = entry.b.op('all_reduce', own, { ranks, how: 'mean', weighted: false })
  for (const [i, { name }] of measured.entries()) entry.sink('metric', name, means[i] as ValueId)
  return means[measured.findIndex(({ name }) => name === totalLoss)] as ValueId
}
