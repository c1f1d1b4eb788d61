import { tensorBytes } from '../../compiler/plan/cost-memory.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { markdown, type Row, type Section } from './figures.js'
import { mebibytes, planOf, stepOf } from './step.js'

/** Logits and targets that a plan stores, with fused prototypes and with `fuse = off`. */
export function prototypes(): Section {
  return {
    title: 'Prototypes',
    note: 'Logits and targets at their peak in the plan of vits14_step, `optimize.fuse` on and off.',
    tables: [markdown({ sides: ['fused', 'composed'], rows: [prototypesRow(4), prototypesRow(16)] })],
  }
}

export function prototypesRow(images: number): Row {
  const published = ['head.dino.prototypes=131072', 'head.ibot.prototypes=131072']
  const bytes = (fuse: 'on' | 'off') =>
    logitBytes(
      stepOf('vits14_step.full', [...published, `schedule.batch=${images} img`, `optimize.fuse=${fuse}`]),
    )
  return {
    name: `131,072 prototypes, ${images} images`,
    unit: 'MiB',
    pairs: [[mebibytes(bytes('on')), mebibytes(bytes('off'))]],
    wanted: { most: 0.25 },
  }
}

/** Most bytes of [rows, prototypes] tensors alive at one step of the plan. */
export function logitBytes(experiment: ResolvedExperiment): number {
  const heads = Object.values(experiment.head)
  const counts = heads.flatMap((head) => (head.type === 'mlp' ? [head.prototypes] : []))
  const alive = new Map<number, number>()
  const seen = new Set<string>()
  for (const tensor of planOf(experiment).tensors) {
    const { shape, place, live } = tensor
    if (place.kind !== 'arena' || shape.length !== 2 || !counts.includes(shape[1]!)) continue
    // What is computed in place is one buffer.
    for (let step = live[0]; step <= live[1]; step++) {
      const key = `${place.arena} ${place.offset} ${step}`
      if (seen.has(key)) continue
      seen.add(key)
      alive.set(step, (alive.get(step) ?? 0) + tensorBytes(tensor))
    }
  }
  return Math.max(0, ...alive.values())
}
