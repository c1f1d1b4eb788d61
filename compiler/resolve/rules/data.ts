import { sourcesOf } from './evaluations.js'
import { blame, marks, type Rule } from './rule.js'

/** DINO0523, DINO0524: training images and normalisation agree on the number of channels. */
export const channels: Rule = (context) => {
  const { e, report } = context
  const used = e.data === null ? [] : sourcesOf(e.data.train).flatMap((s) => e.sources[s.source] ?? [])
  const counts = [...new Set(used.map((source) => source.channels))]
  if (counts.length > 1) {
    const { at } = blame(context, ['data.train'])
    report.give(
      'DINO0523',
      at,
      { channels: counts.join(' and ') },
      {
        help: ['give every source the same `channels`'],
      },
    )
    return
  }
  const [count] = counts
  if (count === undefined) return
  for (const field of ['mean', 'std'] as const) {
    const listed = e.augment[field].length
    if (listed === count) continue
    const path = `augment.normalize.${field}`
    const sources = sourcesOf(e.data!.train).map((s) => `sources.${s.source}.channels`)
    const blamed = blame(context, [path, ...sources, 'data.train'])
    report.give(
      'DINO0524',
      blamed.at,
      { listed, channels: count, field: path },
      {
        ...marks(blamed, (p) =>
          p === path ? `${listed} value${listed === 1 ? '' : 's'}` : `images of ${count} channels`,
        ),
        help: [`list ${count} value${count === 1 ? '' : 's'}`],
      },
    )
  }
}

/** DINO0525: a blur kernel has a middle. */
export const blurKernel: Rule = (context) => {
  const { kernel } = context.e.augment.blur
  if (kernel % 2 === 1) return
  const { at } = blame(context, ['augment.blur.kernel'])
  context.report.give('DINO0525', at, { kernel }, { help: [`use ${kernel - 1 || 1} or ${kernel + 1}`] })
}
