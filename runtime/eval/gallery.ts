import sharp from 'sharp'
import type { EvaluationImages } from '../data/evaluation-images.js'
import { readJson } from '../durable.js'
import type { EvaluationContext, PreparedEvaluation } from './evaluate.js'
import { extractFeatures } from './features.js'
import { nearest, normalizeRows } from './knn.js'
import { componentColours } from './pca.js'
import type { LabelledFeatures } from './protocol.js'

/**
 * `gallery.json` of a run: a few test images as the features see them, untrained and trained. Pictures are data URIs
 * of PNG, so that a report needs nothing beside it.
 */
export interface GalleryFile {
  readonly formatVersion: 1
  /** The evaluation whose images these are. */
  readonly evaluation: string
  readonly untrained: Exhibit | null
  readonly trained: Exhibit | null
}

export interface Exhibit {
  readonly step: number
  readonly maps: readonly (Picture & { readonly map: string })[]
  readonly neighbours: readonly {
    readonly query: Picture
    readonly found: readonly (Picture & { readonly same: boolean })[]
  }[]
}

export interface Picture {
  readonly uri: string
  readonly label: string
}

/** How the pixels of EvaluationImages were normalised: to be undone for showing. */
export interface Normalisation {
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

const shownImages = 6
const shownNeighbours = 6
const thumbnailPx = 64

export async function readGallery(path: string): Promise<GalleryFile | null> {
  const file = (await readJson(path)) as GalleryFile | null
  return file !== null && file.formatVersion === 1 ? file : null
}

/**
 * Feature maps and nearest neighbours of a few test images, evenly spaced over the test set; null where it was
 * abandoned. `features` are those of the evaluation itself, in the order of its images.
 */
export async function exhibit(
  context: EvaluationContext,
  prepared: PreparedEvaluation,
  features: { readonly train: LabelledFeatures; readonly test: LabelledFeatures },
  normalisation: Normalisation,
  step: number,
): Promise<Exhibit | null> {
  const { train, test, features: plan } = prepared
  const count = Math.min(shownImages, test.images.length)
  const rows = Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * test.images.length) / count))
  const images = rows.map((row) => test.images[row]!)
  const found = await extractFeatures(context.device, context.state, test.set, {
    plan: context.plan(plan),
    resolutionPx: plan.resolutionPx,
    outputs: ['patches'],
    images,
    progress: (done) => context.progress(done, count),
  })
  const patches = found?.patches
  if (patches === undefined) return null
  const { width } = features.test
  const grid = Math.round(Math.sqrt(patches.length / count / width))
  const colours = componentColours(patches, width)
  const show = (set: EvaluationImages, list: readonly number[]) => thumbnails(set, list, normalisation)
  const pictures = await show(test.set, images)
  const maps = await Promise.all(
    pictures.map(async (picture, i) => ({
      ...picture,
      map: await pngOf(colours.subarray(i * grid * grid * 3, (i + 1) * grid * grid * 3), grid, 3),
    })),
  )
  const near = nearest(
    normalizeRows(features.train.features, width),
    normalizeRows(selectRows(features.test.features, width, rows), width),
    width,
    shownNeighbours,
  )
  const neighbours = await Promise.all(
    pictures.map(async (query, i) => {
      const at = Array.from(near.indices.subarray(i * near.k, (i + 1) * near.k))
      const shown = await show(
        train.set,
        at.map((row) => train.images[row]!),
      )
      const label = features.test.labels[rows[i]!]
      return {
        query,
        found: shown.map((picture, j) => ({ ...picture, same: features.train.labels[at[j]!] === label })),
      }
    }),
  )
  return { step, maps, neighbours }
}

function selectRows(features: Float32Array, width: number, rows: readonly number[]): Float32Array {
  const out = new Float32Array(rows.length * width)
  for (const [i, row] of rows.entries()) out.set(features.subarray(row * width, (row + 1) * width), i * width)
  return out
}

async function thumbnails(
  set: EvaluationImages,
  images: readonly number[],
  { mean, std }: Normalisation,
): Promise<Picture[]> {
  const pixels = await set.read(images, thumbnailPx)
  const area = thumbnailPx * thumbnailPx
  const channels = pixels.length / images.length / area
  return Promise.all(
    images.map(async (image, i) => {
      const bytes = new Uint8Array(area * channels)
      for (let c = 0; c < channels; c++)
        for (let p = 0; p < area; p++) {
          const value = pixels[(i * channels + c) * area + p]! * (std[c] ?? 1) + (mean[c] ?? 0)
          bytes[p * channels + c] = Math.round(255 * Math.min(Math.max(value, 0), 1))
        }
      const label = set.classes[set.labels[image]!] ?? set.names[image]!
      return { uri: await pngOf(bytes, thumbnailPx, channels), label }
    }),
  )
}

async function pngOf(bytes: Uint8Array, px: number, channels: number): Promise<string> {
  const raw = { width: px, height: px, channels: channels === 1 ? 1 : 3 } as const
  const png = await sharp(bytes, { raw }).png({ compressionLevel: 9, palette: false }).toBuffer()
  return `data:image/png;base64,${png.toString('base64')}`
}
