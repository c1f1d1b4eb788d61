import type { Plan } from '../../compiler/plan/plan.js'
import type { EvaluationImages } from '../data/evaluation-images.js'
import type { Device, State } from '../devices/device.js'

export interface FeatureRequest {
  readonly plan: Plan
  readonly resolutionPx: number
  /** `cls` [images, d], `patches` [images * n, d] */
  readonly outputs: readonly string[]
  /** Rows of the set, in the order of the result. */
  readonly images: readonly number[]
  /** Called after each batch with the images done; false abandons the rest. */
  readonly progress: (done: number) => boolean
}

/**
 * Runs a feature plan over images of a set. Binds to the training state and only reads it. Returns for each output
 * `[images, ...]` row after row, or null where it was abandoned.
 */
export async function extractFeatures(
  device: Device,
  state: State,
  set: EvaluationImages,
  request: FeatureRequest,
): Promise<Record<string, Float32Array> | null> {
  const { plan, images, outputs } = request
  const input = plan.inputs.find((i) => i.generator.kind === 'images')
  const program = plan.programs[0]
  if (input === undefined || program === undefined)
    throw new RangeError(`plan ${plan.name} takes no images: it extracts no features`)
  const executable = await device.load(plan, state)
  try {
    const features: Record<string, Float32Array> = {}
    const readFrom = (start: number, into?: Float32Array) =>
      set.read(batchAt(images, start, plan.images), request.resolutionPx, into)
    let reading = readFrom(0)
    let before: Float32Array | undefined
    for (let start = 0; start < images.length; start += plan.images) {
      const batch = await reading
      const next = start + plan.images
      // Decoding of the next batch goes on while this one is computed, into what held the one before.
      if (next < images.length) reading = readFrom(next, before)
      reading.catch(() => {})
      before = batch
      await executable.writeInputs({ [input.name]: batch })
      await executable.run(program.name)
      const count = Math.min(plan.images, images.length - start)
      for (const name of outputs) {
        const values = await executable.output(name)
        const each = values.length / plan.images
        features[name] ??= new Float32Array(images.length * each)
        features[name].set(values.subarray(0, count * each), start * each)
      }
      if (!request.progress(start + count)) return null
    }
    return features
  } finally {
    await executable.close()
  }
}

/** A batch of exactly `count`: the last one is filled up with its own last image. */
function batchAt(images: readonly number[], start: number, count: number): number[] {
  const last = images.length - 1
  return Array.from({ length: count }, (_, i) => images[Math.min(start + i, last)]!)
}
