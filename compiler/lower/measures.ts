import type { TensorType, ValueId } from '../ir/types.js'
import { accumulated, type Entry } from './entry.js'
import { f32, i32 } from './network.js'
import type { StepShape } from './step.js'
import { maskedRows } from './views.js'

/** A number of a step, or a few, that the host reads: `loss.koleo`, `usage.dino`. */
export interface Measure {
  readonly name: string
  readonly value: ValueId
  /** A mean over masked patches, of which other ranks have others: with `wholeBatch` it weighs as many as it has. */
  readonly overMasked?: boolean
}

export interface HandedOver extends Pick<Measure, 'name' | 'overMasked'> {
  readonly type: TensorType
}

type Ranked = Pick<StepShape, 'ranks' | 'microSteps' | 'wholeBatch'>
const totalLoss = 'loss.total'
const weightName = 'rows.measures'

/** The mean of each over micro-steps becomes a metric; over ranks only `update` takes it, once a step. */
export function handOverMeasures(
  entry: Entry,
  step: Ranked,
  measures: readonly Measure[],
): readonly HandedOver[] {
  const { ranks, microSteps } = step
  if (measures.some((measure) => isWeighted(step, measure)))
    accumulated(entry, microSteps, weightName, maskedRows(entry), 'sum', 'hand over')
  return measures.map((measure) => {
    const { name, value } = measure
    const handed = ranks > 1 || name === totalLoss
    const mean = accumulated(entry, microSteps, name, value, 'mean', handed ? 'hand over' : 'keep')
    if (ranks === 1) entry.sink('metric', name, mean)
    return { ...measure, type: entry.b.type(value) }
  })
}

const isWeighted = ({ ranks, wholeBatch }: Ranked, { overMasked }: Pick<Measure, 'overMasked'>): boolean =>
  ranks > 1 && wholeBatch && overMasked === true

/** In `update`: the total loss, the same on every rank. */
export function takeMeasures(entry: Entry, step: Ranked, measured: readonly HandedOver[]): ValueId {
  if (step.ranks === 1) return entry.carried(totalLoss, f32())
  const means = new Map<string, ValueId>()
  for (const weighted of [false, true]) {
    const own = measured.filter((measure) => isWeighted(step, measure) === weighted)
    if (own.length === 0) continue
    const values = own.map(({ name, type }) => entry.carried(name, type))
    const weights = weighted ? [entry.carried(weightName, i32())] : []
    entry.b.module = 'measures'
    const attrs = { ranks: step.ranks, how: 'mean', weighted } as const
    const results = entry.b.op('all_reduce', [...values, ...weights], attrs)
    for (const [i, { name }] of own.entries()) means.set(name, results[i] as ValueId)
  }
  for (const { name } of measured) entry.sink('metric', name, means.get(name) as ValueId)
  return means.get(totalLoss) as ValueId
}
