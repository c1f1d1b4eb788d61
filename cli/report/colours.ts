import { palette, quietColour } from '../../compiler/codegen/charts.js'
import type { Curves } from '../../compiler/codegen/report.js'

/** Which variants have a colour of their own, the same one in every chart. */
export interface Colours {
  of(variant: string): string
  readonly legend: Curves['legend']
}

/**
 * Colours for the first variants of `variants` where there are enough; in a large grid for `full` (the first) and those
 * that differ most from it by `distance`, and one quiet colour for all others.
 */
export function coloursOf(variants: readonly string[], distance: (variant: string) => number): Colours {
  const [first, ...others] = variants
  const room = palette.length - 1
  const near = new Map(others.map((name) => [name, distance(name)]))
  const chosen =
    others.length <= room ? others : [...others].sort((a, b) => near.get(b)! - near.get(a)!).slice(0, room)
  const shown = variants.filter((name) => name === first || chosen.includes(name))
  const colours = new Map(shown.map((name, i) => [name, palette[i]!]))
  const left = variants.length - shown.length
  const rest = left === 1 ? 'another, which differs less from' : `${left} others, which differ less from`
  return {
    of: (variant) => colours.get(variant) ?? quietColour,
    legend: [
      ...shown.map((name) => ({ name, colour: colours.get(name)! })),
      ...(left === 0 ? [] : [{ name: `${rest} ${first}`, colour: quietColour }]),
    ],
  }
}
