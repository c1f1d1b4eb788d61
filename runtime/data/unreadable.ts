import type { RunSpec } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { placeOf } from '../provenance.js'
import { type Dataset, imageName, locate } from './dataset.js'

/** Images that turned out unreadable, over a whole run. */
export interface UnreadableImages {
  /** By the number of the image; also of those that only an evaluation has looked at. */
  readonly reasons: Map<number, string>
  /** Left out of an evaluation, and named as such. */
  readonly leftOut: Set<number>
  /** Met by training, which took others in their place and named them, whether an evaluation had met them or not. */
  readonly replaced: Set<number>
}

export const noneUnreadable = (): UnreadableImages => ({
  reasons: new Map(),
  leftOut: new Set(),
  replaced: new Set(),
})

/** Share of the training images, of an evaluation's and of one batch that may be unreadable; one image always may. */
export const unreadableShare = { images: 0.1, batch: 0.5 }

/** `what` was looked at: `training images`. DINO1007 where too many of `read` are in `bad`, at the source of the first. */
export function refuseTooMany(
  dataset: Dataset,
  provenance: RunSpec['provenance'],
  bad: readonly number[],
  read: number,
  share: number,
  what: string,
): void {
  if (bad.length <= Math.max(1, share * read)) return
  const { source } = dataset.sources[locate(dataset, bad[0]!).source]!
  throw new DiagnosticError([
    diagnose(
      'DINO1007',
      placeOf(provenance, `sources.${source}.path`),
      { unreadable: bad.length, read, what, percent: share * 100 },
      { notes: [...new Set(bad)].slice(0, 5).map((image) => imagePath(dataset, image)) },
    ),
  ])
}

/** The file of an image, or its name in what packs it. */
export function imagePath(dataset: Dataset, image: number): string {
  const { root } = dataset.sources[locate(dataset, image).source]!
  const name = imageName(dataset, image)
  return root === null ? name : `${root}/${name}`
}
