import type { Augment } from '../../compiler/plan/run-spec.js'
import { Random } from '../philox.js'
import { Augmenter, type Image, normalizationTables, type View, writePlanes } from './augment.js'
import { type Decoding, decodeFile, toChannels } from './decode.js'
import { type ImageCacheMemory, openImageCache } from './image-cache.js'
import { roundHalfEven } from './masking.js'
import { openNativeViews } from './native-views.js'
import { Resampler } from './resample.js'
import type { PackedImages } from './source.js'

/** What a loader thread must know once; plain data that can be sent to it. */
export interface RenderSetup {
  readonly seed: number
  readonly augment: Augment
  readonly channels: number
  readonly sources: readonly {
    readonly root: string | null
    readonly decoding: Decoding
    readonly packed: PackedImages | null
  }[]
  readonly cache: ImageCacheMemory | null
}

/** An image to read: its number in the dataset, and its place in its source. */
export interface ImageRequest {
  readonly image: number
  readonly source: number
  readonly index: number
  /** Relative to the source's root; empty for packed images. */
  readonly name: string
}

/** Where the views of a training batch go. */
export interface BatchLayout {
  readonly imagesPerMicroBatch: number
  /** Floats that one micro-batch takes: all its crops. */
  readonly microBatchFloats: number
  /** `offset`: floats from the start of the micro-batch to the view of its first image; one view after the other. */
  readonly views: readonly (View & { readonly offset: number })[]
}

export type RenderTask =
  /** All views of some images of a training batch. `slot` is the place in the batch. */
  | {
      readonly kind: 'train'
      readonly step: number
      readonly layout: BatchLayout
      readonly out: SharedArrayBuffer
      readonly images: readonly (ImageRequest & { readonly slot: number })[]
    }
  /**
   * Whole images for an evaluation, one after the other from `first` on: the shorter side to `resizePx`, the middle
   * `px` x `px` cut out, normalised; `[channels, px, px]` each.
   */
  | {
      readonly kind: 'evaluate'
      readonly px: number
      readonly resizePx: number
      readonly out: SharedArrayBuffer
      readonly first: number
      readonly images: readonly ImageRequest[]
    }
  /** Whole images at `px` x `px`, whatever their aspect: bytes / 255. */
  | {
      readonly kind: 'thumbnail'
      readonly px: number
      readonly out: SharedArrayBuffer
      readonly first: number
      readonly images: readonly ImageRequest[]
    }
  /** Only whether the images can be read. */
  | { readonly kind: 'probe'; readonly images: readonly ImageRequest[] }

/** An image of a task that could not be read, by its place in the task's list. */
export interface Failure {
  readonly at: number
  readonly reason: string
}

export type Renderer = (task: RenderTask) => Promise<readonly Failure[]>

/** Does tasks on the calling thread; a loader thread is this and a mailbox. */
export function createRenderer(setup: RenderSetup): Renderer {
  const { channels } = setup
  const resampler = new Resampler()
  const tables = normalizationTables(setup.augment, channels)
  const augmenter = new Augmenter(setup.augment, channels, openNativeViews(tables))
  const cache = setup.cache && openImageCache(setup.cache)
  const random = new Random({ seed: setup.seed, step: 0, slot: 0, purpose: 'augment' })
  let scratch = new Uint8Array(0)

  async function read(request: ImageRequest): Promise<Image> {
    const source = setup.sources[request.source]!
    if (source.packed) {
      const { pixels, width, height, channels: from } = source.packed
      const bytes = width * height * from
      const data = new Uint8Array(pixels, request.index * bytes, bytes)
      return { data: toChannels(data, from, source.decoding), width, height, channels }
    }
    const known = cache?.get(request.image, channels)
    if (known) return known
    const decoded = await decodeFile(`${source.root}/${request.name}`, source.decoding)
    cache?.put(request.image, decoded)
    return decoded
  }

  function resized(image: Image, width: number, height: number): Uint8Array {
    if (scratch.length < width * height * channels) scratch = new Uint8Array(width * height * channels)
    const box = { left: 0, top: 0, width: image.width, height: image.height }
    resampler.resize(image.data, image.width, channels, box, width, height, scratch)
    return scratch
  }

  function whole(image: Image, px: number, resizePx: number, out: Float32Array, offset: number) {
    const shorter = Math.min(image.width, image.height)
    const side = (length: number) =>
      length === shorter ? resizePx : Math.trunc((resizePx * length) / shorter)
    const [width, height] = [side(image.width), side(image.height)]
    const bytes = resized(image, width, height)
    const [left, top] = [roundHalfEven((width - px) / 2), roundHalfEven((height - px) / 2)]
    for (let y = 0; y < px; y++)
      bytes.copyWithin(
        y * px * channels,
        ((top + y) * width + left) * channels,
        ((top + y) * width + left + px) * channels,
      )
    writePlanes(bytes, px, px, channels, false, tables, out, offset)
  }

  return async (task) => {
    const failures: Failure[] = []
    const images = await Promise.all(
      task.images.map((request, at) =>
        read(request).catch((error: unknown) => {
          failures.push({ at, reason: reasonOf(error) })
          return null
        }),
      ),
    )
    const out = task.kind === 'probe' ? null : new Float32Array(task.out)
    for (const [at, image] of images.entries()) {
      if (!image || !out) continue
      switch (task.kind) {
        case 'train': {
          const { slot } = task.images[at]!
          const { imagesPerMicroBatch, microBatchFloats, views } = task.layout
          const start = Math.floor(slot / imagesPerMicroBatch) * microBatchFloats
          random.reset(setup.seed, task.step, slot, 'augment')
          for (const view of views) {
            const row = (slot % imagesPerMicroBatch) * channels * view.size * view.size
            augmenter.view(image, view, random, out, start + view.offset + row)
          }
          break
        }
        case 'evaluate':
          whole(image, task.px, task.resizePx, out, (task.first + at) * channels * task.px * task.px)
          break
        case 'thumbnail': {
          const bytes = resized(image, task.px, task.px)
          const values = task.px * task.px * channels
          for (let i = 0; i < values; i++) out[(task.first + at) * values + i] = bytes[i]! / 255
          break
        }
        case 'probe':
          break
        default:
          throw task satisfies never
      }
    }
    return failures.sort((a, b) => a.at - b.at)
  }
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n')[0]!
}
