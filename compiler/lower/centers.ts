import type { FuncBuilder } from '../ir/builder.js'
import type { ValueId } from '../ir/types.js'
import { accumulated, type Entry } from './entry.js'
import { f32, i32 } from './network.js'
import type { ComparedObjective, StepShape } from './step.js'
import { maskedRows } from './views.js'

/**
 * A center follows the teacher's logits, center <- m * center + (1 - m) * mean, lazily: the targets of a step use the
 * center after the step before (loss/dino_clstoken_loss.py). It moves once a step, by the mean over micro-batches,
 * and stays where a step has no masked patch at all.
 */
export const centerName = (loss: string): string => `center.${loss}`

/** Teacher logits [R, K] -> their mean [K]. */
export function batchCenter(b: FuncBuilder, z: ValueId, rows: ValueId | null): ValueId {
  return b.one('mean_rows', [z, rows], {})
}

/** What of a target the center needs. */
interface Centered {
  readonly objective: Pick<ComparedObjective, 'name' | 'loss' | 'prototypes' | 'span'>
  readonly batchCenter: ValueId | null
}

export function handOverCenter(entry: Entry, microSteps: number, target: Centered): void {
  if (target.batchCenter === null) return
  const { name, loss } = target.objective
  entry.b.module = `loss.${name}`
  accumulated(entry, microSteps, `mean.${name}`, target.batchCenter, 'mean', 'hand over')
  if (loss.on === 'masked_patches')
    accumulated(entry, microSteps, `rows.${name}`, maskedRows(entry), 'sum', 'hand over')
}

/** Over ranks the mean of their means, as the reference takes it; with `wholeBatch` that of all rows. */
export function moveCenter(
  entry: Entry,
  { ranks, wholeBatch }: Pick<StepShape, 'ranks' | 'wholeBatch'>,
  target: Centered,
  finite: ValueId,
): void {
  const { name, loss, prototypes, span } = target.objective
  if (loss.centering.type !== 'softmax') return
  entry.b.module = `loss.${name}`
  entry.b.span = span
  const center = entry.state(centerName(name), f32(prototypes))
  let mean = entry.carried(`mean.${name}`, f32(prototypes))
  let rows = loss.on === 'masked_patches' ? entry.carried(`rows.${name}`, i32()) : null
  if (ranks > 1) {
    const weight = wholeBatch ? rows : null
    mean = entry.b.op('all_reduce', weight === null ? [mean] : [mean, weight], {
      ranks,
      how: 'mean',
      weighted: weight !== null,
    })[0] as ValueId
    if (rows !== null)
      rows = entry.b.op('all_reduce', [rows], { ranks, how: 'sum', weighted: false })[0] as ValueId
  }
  const moved = entry.b.one('update_center', [center, mean, finite, rows], {
    momentum: loss.centering.momentum,
  })
  entry.sink('state', centerName(name), moved)
}
