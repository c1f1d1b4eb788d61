import type { Plan } from '../../compiler/plan/plan.js'
import type { RunSpec } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { HostTensor } from '../devices/device.js'
import { stream } from '../philox.js'
import type { PhaseSpan } from '../timeline.js'
import { type Dataset, imageCount, locate, type Selection } from './dataset.js'
import { hostInputs } from './host-inputs.js'
import { imageOrder } from './order.js'
import type { RenderPool } from './pool.js'
import type { BatchLayout, ImageRequest, RenderTask } from './render.js'
import { imagePath, refuseTooMany, type UnreadableImages, unreadableShare } from './unreadable.js'

/** Everything the host makes for one step. */
export interface Batch {
  readonly step: number
  /** Inputs by micro-batch, rank 0's first. Valid until the call of `next` after the next one. */
  readonly micro: readonly Readonly<Record<string, HostTensor>>[]
  /** Inputs that hold for the whole step. */
  readonly once: Readonly<Record<string, HostTensor>>
  readonly maskedRows: number
  readonly images: number
  /** Images of this batch that could not be read and were replaced. */
  readonly corrupt: number
}

export interface Loader {
  next(): Promise<Batch>
  close(): Promise<void>
}

export interface LoaderOptions {
  readonly spec: RunSpec
  readonly span: PhaseSpan
  readonly plan: Plan
  readonly dataset: Dataset
  readonly selection: Selection
  readonly unreadable: UnreadableImages
  readonly pool: RenderPool
  /** First step of the run to load; the last is the phase's last. */
  readonly startStep: number
  /** Tasks that a batch is cut into. */
  readonly tasksPerBatch: number
  readonly log: (diagnostic: Diagnostic) => void
}

const batchesAhead = 3

/**
 * Training batches of one phase in order, rendered ahead by the pool into a ring of buffers. The image at (step, slot)
 * and all that is drawn for it depend on seed, step and slot alone, so batches are the same for any number of threads
 * and from any first step on.
 */
export function openLoader(options: LoaderOptions): Loader {
  const { spec, span, plan, dataset, selection, pool, unreadable } = options
  const { crops, layout } = layOut(spec, span, plan)
  const { microSteps } = plan
  const order = imageOrder(spec.seed, selection)
  const inputsAt = hostInputs(spec, span, plan)
  const total = imageCount(selection)
  const batchFloats = layout.microBatchFloats * spec.ranks * microSteps
  const ahead = Math.max(1, Math.min(batchesAhead, span.end - options.startStep))
  const ring = Array.from({ length: ahead }, () => new SharedArrayBuffer(batchFloats * 4))
  // Copies on this side, since devices need not accept shared memory.
  const plain = [0, 1].map(() => new Float32Array(batchFloats))
  const inFlight: { readonly step: number; readonly ready: Promise<Rendered> }[] = []
  let upcoming = options.startStep
  let closed = false

  interface Rendered {
    readonly buffer: SharedArrayBuffer
    /** Unreadable images that this batch met. */
    readonly met: ReadonlySet<number>
    /** For each place that another image took, the one that was meant for it. */
    readonly replaced: readonly number[]
  }

  function startNext() {
    if (closed || upcoming >= span.end) return
    const step = upcoming++
    const ready = render(step, ring[(step - options.startStep) % ahead]!)
    // Looked at in `next`; until then a failure is not an unhandled one.
    ready.catch(() => {})
    inFlight.push({ step, ready })
  }

  async function render(step: number, buffer: SharedArrayBuffer): Promise<Rendered> {
    const met = new Set<number>()
    const requests = Array.from({ length: spec.batch.images }, (_, slot) => {
      const { image, part } = order(step * spec.batch.images + slot)
      return { slot, part, image }
    })
    const size = Math.ceil(requests.length / options.tasksPerBatch)
    const chunks: (typeof requests)[] = []
    for (let at = 0; at < requests.length; at += size) chunks.push(requests.slice(at, at + size))
    await Promise.all(
      chunks.map(async (chunk) => {
        let open = chunk.map((request) => ({
          ...request,
          tries: replacements(spec.seed, step, request.slot),
        }))
        while (open.length > 0) {
          // What is known to be unreadable is replaced without another attempt.
          const images = open.map((request) => {
            let { image } = request
            while (unreadable.reasons.has(image)) {
              met.add(image)
              image = request.tries(selection.parts[request.part]!.images)
            }
            return { ...request, image }
          })
          const task: RenderTask = {
            kind: 'train',
            step,
            layout,
            out: buffer,
            images: images.map(({ slot, image }) => ({ ...requestOf(dataset, image), slot })),
          }
          const failures = await pool.run(task)
          for (const { at, reason } of failures) unreadable.reasons.set(images[at]!.image, reason)
          open = failures.map(({ at }) => images[at]!)
        }
      }),
    )
    const replaced = requests.map(({ image }) => image).filter((image) => met.has(image))
    return { buffer, met, replaced }
  }

  /** In order of steps, whichever thread met an image first. */
  function account({ met, replaced }: Rendered) {
    for (const image of [...met].sort((a, b) => a - b)) {
      if (unreadable.replaced.has(image)) continue
      unreadable.replaced.add(image)
      const path = imagePath(dataset, image)
      options.log(diagnose('DINO1017', null, { path, reason: unreadable.reasons.get(image)! }))
    }
    const refuse = (bad: Iterable<number>, read: number, share: number, what: string) =>
      refuseTooMany(dataset, spec.provenance, [...bad], read, share, what)
    refuse(unreadable.replaced, total, unreadableShare.images, 'training images')
    refuse(replaced, spec.batch.images, unreadableShare.batch, 'images of one batch')
  }

  for (let i = 0; i < ahead; i++) startNext()

  return {
    async next() {
      const first = inFlight.shift()
      if (!first) throw new RangeError(`phase ${span.phase.name} has no step ${upcoming}`)
      const { step } = first
      const rendered = await first.ready
      account(rendered)
      const values = plain[(step - options.startStep) % 2]!
      values.set(new Float32Array(rendered.buffer))
      // The buffer is free again.
      startNext()
      const made = inputsAt(step)
      return {
        step,
        micro: made.micro.map((inputs, m) => ({
          ...inputs,
          ...Object.fromEntries(
            crops.map(({ name, offset, floats }) => {
              const start = m * layout.microBatchFloats + offset
              return [name, values.subarray(start, start + floats)]
            }),
          ),
        })),
        once: made.step,
        maskedRows: made.maskedRows,
        images: spec.batch.images,
        corrupt: rendered.replaced.length,
      }
    },
    async close() {
      closed = true
      await Promise.allSettled(inFlight.splice(0).map(({ ready }) => ready))
    },
  }
}

/** Draws stand-ins for an unreadable image: the t-th of (seed, step, slot), uniform over the same part. */
function replacements(seed: number, step: number, slot: number): (images: Uint32Array) => number {
  const random = stream(seed, step, slot, 'replacement')
  let tries = 0
  return (images) => {
    if (++tries > 1000)
      throw new DiagnosticError([
        diagnose('DINO1007', null, {
          unreadable: tries - 1,
          read: tries - 1,
          what: 'images drawn for one place',
          percent: unreadableShare.batch * 100,
        }),
      ])
    return images[random.integer(0, images.length - 1)]!
  }
}

export function requestOf(dataset: Dataset, image: number): ImageRequest {
  const { source, index } = locate(dataset, image)
  const { names, packed } = dataset.sources[source]!
  return { image, source, index, name: packed ? '' : names[index]! }
}

interface CropInput {
  readonly name: string
  /** Floats from the start of a micro-batch. */
  readonly offset: number
  readonly floats: number
}

/** The crop inputs of the plan one after the other; in each, all images of the first crop, then of the second, ... */
export function layOut(
  spec: RunSpec,
  span: PhaseSpan,
  plan: Plan,
): { crops: CropInput[]; layout: BatchLayout } {
  const imagesPerMicroBatch = spec.batch.images / (spec.ranks * plan.microSteps)
  const crops: CropInput[] = []
  const views: BatchLayout['views'][number][] = []
  let offset = 0
  for (const { name, tensor, generator } of plan.inputs) {
    if (generator.kind !== 'crops') continue
    const group = spec.crops.find((crop) => crop.group === generator.group)
    const size = generator.group === 'global' ? span.phase.resolutionPx : span.phase.localResolutionPx
    const floats = (group?.count ?? 0) * imagesPerMicroBatch * spec.channels * size * size
    const expected = plan.tensors[tensor]!.shape.reduce((product, n) => product * n, 1)
    if (!group || floats !== expected)
      throw new DiagnosticError([
        diagnose(
          'DINO1018',
          null,
          { input: name, kind: `crops ${generator.group}` },
          {
            notes: [`the plan takes ${expected} numbers, the run spec's crops give ${floats}`],
          },
        ),
      ])
    crops.push({ name, offset, floats })
    for (let crop = 0; crop < group.count; crop++)
      views.push({
        kind: generator.group === 'local' ? 2 : crop === 0 ? 0 : 1,
        size,
        scale: group.scale,
        offset: offset + (crop * floats) / group.count,
      })
    offset += floats
  }
  return { crops, layout: { imagesPerMicroBatch, microBatchFloats: offset, views } }
}
