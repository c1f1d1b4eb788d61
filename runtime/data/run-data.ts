import { availableParallelism, totalmem } from 'node:os'
import sharp from 'sharp'
import type { Plan } from '../../compiler/plan/plan.js'
import type { DataReference, RunSpec } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { HostTensor } from '../devices/device.js'
import type { PhaseSpan } from '../timeline.js'
import { parseColour } from './background.js'
import { type Dataset, imageCount, locate, openDataset, type Selection, select } from './dataset.js'
import { type EvaluationImages, openEvaluationImages } from './evaluation-images.js'
import { defaultCacheDirectory, trainingIdentity } from './identity.js'
import { allocateImageCache, type ImageCacheMemory } from './image-cache.js'
import { openLoader } from './loader.js'
import { openPool } from './pool.js'
import type { RenderSetup } from './render.js'
import { noneUnreadable } from './unreadable.js'

/** All that a run reads from its sources, behind one door; closing it ends the loader threads. */
export interface OpenData {
  /** Hash of names, sizes and contents of the training images. */
  readonly identity: string
  readonly trainingImages: number
  open(span: PhaseSpan, step: number): Promise<TrainingSteps>
  images(reference: DataReference): Promise<EvaluationImages>
  /** Different images that could not be read so far. */
  corruptImages(): number
  close(): Promise<void>
}

export interface TrainingSteps {
  next(): Promise<{
    readonly micro: readonly Readonly<Record<string, HostTensor>>[]
    readonly step: Readonly<Record<string, HostTensor>>
    readonly maskedRows: number
    readonly corrupt: number
  }>
  close(): Promise<void>
}

export interface DataOptions {
  readonly spec: RunSpec
  /** The plan of a phase. */
  readonly plan: (span: PhaseSpan) => Plan
  readonly log: (diagnostic: Diagnostic) => void
  /** Loader threads; null: as the run spec says, else by the machine. */
  readonly threads?: number | null
  /** Where content hashes are remembered; null: nowhere. */
  readonly cacheDirectory?: string | null
  /** Bytes of decoded images to keep in memory. */
  readonly imageCacheBytes?: number
}

/** DINO10xx where a source cannot be read, or where the run names no training data. */
export async function openRunData(options: DataOptions): Promise<OpenData> {
  const { spec, log } = options
  const reference = spec.data.train
  if (!reference) throw new DiagnosticError([diagnose('DINO1039', null, { experiment: spec.experiment })])
  const evaluations = spec.evaluations.flatMap(({ protocol }) => [protocol.train, protocol.test])
  const dataset = openDataset(spec, [reference, ...evaluations.filter((r) => r !== null)])
  const selection = select(dataset, reference)
  const cacheDirectory =
    options.cacheDirectory === undefined ? defaultCacheDirectory() : options.cacheDirectory
  const identity = await trainingIdentity(dataset, selection, cacheDirectory)
  const threads = options.threads ?? spec.loaders ?? defaultLoaders()
  const budget = options.imageCacheBytes ?? Math.min(2 ** 30, totalmem() / 8)
  const setup: RenderSetup = {
    seed: spec.seed,
    augment: spec.augment,
    channels: spec.channels,
    sources: dataset.sources.map(({ root, channels, background, packed }) => ({
      root,
      packed,
      decoding: { channels, background: parseColour(background)! },
    })),
    cache: await imageCache(dataset, selection, spec.channels, budget),
  }
  const pool = openPool(setup, threads)
  const unreadable = noneUnreadable()
  const sets = new Map<string, Promise<EvaluationImages>>()
  return {
    identity,
    trainingImages: imageCount(selection),
    async open(span, step) {
      const loader = openLoader({
        spec,
        span,
        plan: options.plan(span),
        dataset,
        selection,
        unreadable,
        pool,
        startStep: step,
        tasksPerBatch: 2 * threads,
        log,
      })
      return {
        async next() {
          const { micro, once, maskedRows, corrupt: replaced } = await loader.next()
          return { micro, step: once, maskedRows, corrupt: replaced }
        },
        close: () => loader.close(),
      }
    },
    images(wanted) {
      const key = JSON.stringify(wanted)
      const known = sets.get(key)
      if (known) return known
      const { channels, provenance } = spec
      const context = { dataset, channels, provenance, pool, unreadable, cacheDirectory, log }
      const opened = openEvaluationImages(context, select(dataset, wanted))
      sets.set(key, opened)
      return opened
    },
    corruptImages: () => unreadable.reasons.size,
    close: () => pool.close(),
  }
}

/** A thread renders several hundred views of 64 px a second: enough beside four threads of a device. */
export function defaultLoaders(): number {
  return Math.max(1, Math.min(8, Math.floor(availableParallelism() / 4)))
}

const sampled = 16

/**
 * Memory for decoded images where the training set fits into the budget, judged by the sizes of a few of its images;
 * else null. Packed images need none.
 */
async function imageCache(
  dataset: Dataset,
  selection: Selection,
  channels: number,
  budget: number,
): Promise<ImageCacheMemory | null> {
  const files = selection.parts.flatMap(({ images }) =>
    dataset.sources[locate(dataset, images[0]!).source]!.packed ? [] : [images],
  )
  const count = files.reduce((sum, images) => sum + images.length, 0)
  if (count === 0 || dataset.count * 16 > budget / 16) return null
  const pixels: number[] = []
  for (let i = 0; i < sampled; i++) {
    let at = Math.floor((i * count) / sampled)
    for (const images of files) {
      if (at >= images.length) {
        at -= images.length
        continue
      }
      const { source, index } = locate(dataset, images[at]!)
      const { root, names } = dataset.sources[source]!
      // An unreadable one is met again, and reported, where it is used.
      const size = await sharp(`${root}/${names[index]}`)
        .metadata()
        .catch(() => null)
      if (size) pixels.push(size.width * size.height)
      break
    }
  }
  if (pixels.length === 0) return null
  const mean = pixels.reduce((sum, n) => sum + n, 0) / pixels.length
  // Room for images of an evaluation too, and for an estimate that was too low.
  const bytes = 1.25 * (dataset.count * (mean * channels + 8))
  return bytes > budget ? null : allocateImageCache(dataset.count, bytes)
}
