import type { Gallery } from '../../compiler/codegen/report.js'
import type { Exhibit, GalleryFile } from '../../runtime/eval/gallery.js'
import type { CollectedRun } from './collect.js'

/** Variants whose feature maps are shown. */
const mostStrips = 5

/** Pictures of the first run of each variant that has them; neighbours of the first variant alone. */
export function galleryOf(runs: readonly CollectedRun[]): Gallery | null {
  const first = runs.find((r) => r.gallery?.trained) ?? runs.find((r) => r.gallery?.untrained)
  if (!first?.gallery) return null
  return { maps: mapsOf(first, first.gallery, runs), neighbours: neighboursOf(first, first.gallery) }
}

function mapsOf(
  { variant, seed }: CollectedRun,
  { untrained, trained, evaluation }: GalleryFile,
  runs: readonly CollectedRun[],
): Gallery['maps'] {
  const base = trained ?? untrained
  if (base === null || base.maps.length === 0) return null
  const labels = base.maps.map(({ label }) => label).join('\n')
  const strip = (name: string, { maps }: Exhibit) => ({
    name,
    pictures: maps.map(({ map, label }) => ({ uri: map, label: `features of ${label}, ${name}` })),
  })
  const others = [...new Set(runs.map((r) => r.variant))].flatMap((name) => {
    const found = runs.find(
      (r) => r.variant === name && r.gallery?.trained && r.gallery.evaluation === evaluation,
    )
    const exhibit = found?.gallery?.trained
    return exhibit?.maps.map(({ label }) => label).join('\n') === labels ? [{ name, exhibit: exhibit! }] : []
  })
  const left = others.length - mostStrips
  return {
    caption:
      'The first three principal components of the patch features as red, green and blue: patches of one colour look ' +
      `alike to the backbone. Colours do not compare from strip to strip. Untrained: ${variant} seed ${seed}.` +
      (left > 0 ? ` ${left} more ${left === 1 ? 'variant is' : 'variants are'} not shown.` : ''),
    strips: [
      { name: 'image', pictures: base.maps.map(({ uri, label }) => ({ uri, label })) },
      ...(untrained ? [strip('untrained', untrained)] : []),
      ...others.slice(0, mostStrips).map(({ name, exhibit }) => strip(name, exhibit)),
    ],
  }
}

function neighboursOf(
  { variant, seed }: CollectedRun,
  { untrained, trained, evaluation }: GalleryFile,
): Gallery['neighbours'] {
  const blocks = [
    untrained && { name: `${variant}, untrained`, rows: untrained.neighbours },
    trained && { name: `${variant}, trained`, rows: trained.neighbours },
  ].filter((block) => block !== null)
  if (blocks.every(({ rows }) => rows.length === 0)) return null
  return {
    caption:
      `Test images of ${evaluation} (dashed frame), and beside each its nearest neighbours among the training images, nearest ` +
      `first, in a green frame where the label agrees. Seed ${seed}.`,
    blocks,
  }
}
