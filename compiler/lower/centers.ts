import type { ValueId } from '../ir/types.js'
import { accumulated, type Entry } from './entry.js'
import { centerName, maskedRows, type Target } from './losses.js'
import { f32, i32 } from './network.js'

/**
 * A center follows the teacher's logits, center <- m * center + (1 - m) * mean, lazily: the targets of a step use the
 * center after the step before (loss/dino_clstoken_loss.py). It moves once a step, by the mean over micro-batches,
 * and stays where a step has no masked patch at all.
 */
export function handOverCenter(entry: Entry, microSteps: number, target: Target): void {
  if (target.batchCenter === null) return
  const { name, loss } = target.objective
  entry.b.module = `loss.${name}`
  accumulated(entry, microSteps, `mean.${name}`, target.batchCenter, 'mean', 'hand over')
  if (loss.on === 'masked_patches')
    accumulated(entry, microSteps, `rows.${name}`, maskedRows(entry), 'sum', 'hand over')
}

export function moveCenter(entry: Entry, target: Target, finite: ValueId): void {
  const { name, loss, prototypes } = target.objective
  if (loss.centering.type !== 'softmax') return
  entry.b.module = `loss.${name}`
  entry.b.span = target.objective.span
  const rows = loss.on === 'masked_patches' ? entry.carried(`rows.${name}`, i32()) : null
  const [moved] = entry.b.op(
    'update_center',
    [
      entry.state(centerName(name), f32(prototypes)),
      entry.carried(`mean.${name}`, f32(prototypes)),
      finite,
      rows,
    ],
    { momentum: loss.centering.momentum },
  )
  entry.sink('state', centerName(name), moved)
}
