import type { Label } from '../../../diagnostics/diagnostic.js'
import { unlessPoisoned } from '../poison.js'
import { blame, type Rule, type RuleContext, whose, written } from './rule.js'

interface Sized {
  readonly what: string
  readonly path: string
  readonly size: number
}

/** Every image side of the experiment, over crops, phases, evaluations and pictures, once for each place. */
function sizesOf({ e }: RuleContext): Sized[] {
  const found: Sized[] = []
  const add = (what: string, path: string, size: () => number) => {
    const value = unlessPoisoned(size)
    if (value !== undefined) found.push({ what, path, size: value })
  }
  add('crop size', 'crops.global.size', () => e.crops.global.size)
  if (unlessPoisoned(() => e.crops.local.count > 0) ?? true)
    add('crop size', 'crops.local.size', () => e.crops.local.size)
  unlessPoisoned(() => {
    for (const phase of e.schedule.phases) {
      add('crop size', `schedule.${phase.name}.resolution`, () => phase.resolution)
      if (e.crops.local.count > 0)
        add('crop size', `schedule.${phase.name}.local_resolution`, () => phase.localResolution)
    }
  })
  for (const name of Object.keys(e.eval))
    add('image size', `eval.${name}.resolution`, () => e.eval[name]!.resolution)
  for (const name of Object.keys(e.visualize))
    add('image size', `visualize.${name}.resolution`, () => e.visualize[name]!.resolution as number)
  return found
}

/** DINO0502: the side of every image is a multiple of the patch size. */
export const cropPatch: Rule = (context) => {
  const { e, report } = context
  const { patch } = e.backbone
  const own = sizesOf(context).filter((s) => written(context, s.path) || s.path.startsWith('crops.'))
  const faulty = own.filter((s) => s.size % patch !== 0)
  const byPlace = new Map<string, Sized[]>()
  for (const sized of faulty) {
    const { at } = blame(context, [sized.path, 'backbone.patch'])
    const key = `${at.file}:${at.start}`
    byPlace.set(key, [...(byPlace.get(key) ?? []), sized])
  }
  for (const group of byPlace.values()) {
    const first = group[0]!
    const blamed = blame(context, [...group.map((s) => s.path), 'backbone.patch'])
    const patchToBlame = blamed.path === 'backbone.patch'
    const describe = (path: string): string => {
      const sized = group.find((s) => s.path === path)
      return sized === undefined
        ? `patch size ${patch} px ${whose(context, 'backbone.patch')}`
        : `${sized.what} ${sized.size} px ${whose(context, path)}`
    }
    const labels: Label[] = blamed.others.map(({ path, at }) => ({ span: at, message: describe(path) }))
    report.give(
      'DINO0502',
      blamed.at,
      { what: first.what, size: first.size, patch },
      {
        label: patchToBlame
          ? `patch size becomes ${patch} px here`
          : blamed.path === null
            ? ''
            : `${first.what} becomes ${first.size} px here`,
        labels,
        notes: [...new Set(group.map((s) => s.size))].map(
          (size) =>
            `${size} / ${patch} leaves ${size % patch}, so the last row and column of patches would be cut off`,
        ),
        help: [helpFor(context, group, patch)],
        fixes:
          group.length === 1 && blamed.path === first.path
            ? [
                {
                  title: `use ${nearSizes(first.size, patch)[0]}px`,
                  span: blamed.at,
                  replacement: `${nearSizes(first.size, patch)[0]}px`,
                },
              ]
            : [],
      },
    )
  }
}

/** The legal sizes below and above. */
function nearSizes(size: number, patch: number): number[] {
  const below = Math.floor(size / patch) * patch
  return below === 0 ? [patch] : [below, below + patch]
}

function helpFor(context: RuleContext, group: readonly Sized[], patch: number): string {
  const sizes = [...new Set(group.map((s) => s.size))]
  const offers = sizes.map((size) =>
    nearSizes(size, patch)
      .map((s) => `${s}px (${s / patch} x ${s / patch} patches)`)
      .join(' or '),
  )
  const before = context.origins.get('backbone.patch')?.overrode[0]
  const earlier = before === undefined ? Number.NaN : Number.parseInt(context.text(before), 10)
  const keep = sizes.every((size) => size % earlier === 0) ? `, or keep patch = ${earlier}px` : ''
  return `use ${sizes.length === 1 ? offers[0] : sizes.map((size, i) => `${offers[i]} for ${size}px`).join('; ')}${keep}`
}
