import type { DataReference } from '../compiler/plan/run-spec.js'
import { diagnose } from '../diagnostics/catalogue.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'
import { newestCheckpoint, restoreCheckpoint } from './checkpoint.js'
import { extractFeatures } from './eval/features.js'
import { initialState } from './initialize.js'
import type { Job, Settings } from './job.js'
import { identityIn, runFiles, runIdentity } from './run-directory.js'
import type { StoredTensor } from './safetensors.js'
import { shapesOf } from './session.js'

export interface FeatureOrder {
  /** One of the job's feature plans. */
  readonly plan: string
  readonly images: DataReference
  readonly outputs: readonly ('cls' | 'patches')[]
  /** The network before training instead of the newest checkpoint. */
  readonly untrained: boolean
}

export interface FeatureFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  readonly metadata: Readonly<Record<string, string>>
  readonly step: number
  readonly images: number
}

/**
 * Features of whole images by a trained run: `cls` [images, d], `patches` [images, n, d], `labels` [images] (-1
 * without one); names and classes stand in the metadata. DINO1045 where the run is not there or has other settings.
 */
export async function runFeatures(job: Job, order: FeatureOrder, settings: Settings): Promise<FeatureFile> {
  const { spec } = job
  const plan = spec.features.find((f) => f.name === order.plan)
  if (plan === undefined) throw new RangeError(`the run spec has no feature plan ${order.plan}`)
  const data = await settings.openData(job, (diagnostic) => settings.emit({ type: 'diagnostic', diagnostic }))
  try {
    const identity = runIdentity(spec, data.identity)
    const files = runFiles(settings.runsRoot, spec)
    const fail = (state: string): DiagnosticError => {
      const run = `${spec.experiment}.${spec.variant} seed ${spec.seed}`
      return new DiagnosticError([
        diagnose('DINO1045', null, { run, state }, { help: [`${settings.command} trains it`] }),
      ])
    }
    const set = await data.images(order.images)
    const shapes = shapesOf(spec)
    const device = await settings.openDevice(spec)
    const state = await device.state({ tensors: spec.state })
    try {
      let step = 0
      if (order.untrained) {
        for (const [name, values] of initialState(spec.state, spec.seed)) await state.write(name, values)
      } else {
        const stands = await identityIn(files)
        if (stands === null) throw fail('is not trained yet')
        if (stands !== identity) throw fail(`was trained with other settings (${stands})`)
        const { checkpoint, diagnostics } = await newestCheckpoint(files.checkpoints, shapes)
        for (const diagnostic of diagnostics) settings.emit({ type: 'diagnostic', diagnostic })
        if (checkpoint === null) throw fail('has no checkpoint yet')
        await restoreCheckpoint(checkpoint, state, shapes)
        step = checkpoint.manifest.step
      }
      const images = [...set.names.keys()]
      const found = await extractFeatures(device, state, set, {
        plan: job.plans[plan.plan]!,
        resolutionPx: plan.resolutionPx,
        outputs: order.outputs,
        images,
        progress: (done) => {
          settings.emit({ type: 'evaluating', step, name: 'features', done, of: images.length })
          return !settings.stopping()
        },
      })
      const tensors = new Map<string, StoredTensor>()
      const width = widthOf(job, plan.of)
      for (const [name, data] of Object.entries(found ?? {})) {
        const rows = data.length / width
        const shape = name === 'cls' ? [rows, width] : [images.length, rows / images.length, width]
        tensors.set(name, { dtype: 'F32', shape, data })
      }
      tensors.set('labels', { dtype: 'I32', shape: [images.length], data: set.labels })
      return {
        tensors,
        metadata: {
          run: identity,
          step: String(step),
          network: plan.of,
          resolution_px: String(plan.resolutionPx),
          images: set.identity,
          names: JSON.stringify(set.names),
          classes: JSON.stringify(set.classes),
        },
        step,
        images: images.length,
      }
    } finally {
      await state.close()
    }
  } finally {
    await data.close()
  }
}

function widthOf(job: Job, of: string): number {
  const token = job.spec.state.find((tensor) => tensor.name === `${of}.backbone.cls_token`)
  return token?.shape.at(-1) ?? 1
}
