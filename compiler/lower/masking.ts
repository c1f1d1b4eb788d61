import type { Masking } from '../resolve/resolved.js'

/**
 * How many patches the masks of a step may cover, by the reference's collate_data_and_cast (data/collate.py,
 * golden fixture 08-collate). Of `crops` global crops int(crops * probability) are masked; the i-th of them asks for
 * int(N * u) patches with u in [p_i, p_i+1], p = linspace(ratio) in float32.
 */
export function maskedRowsBound(masking: Masking, crops: number, patches: number): number {
  const masked = Math.trunc(crops * masking.probability)
  const edges = linspaceFloat32(masking.ratio.min, masking.ratio.max, masked + 1)
  return edges.slice(1).reduce((sum, edge) => sum + Math.trunc(Math.fround(patches * edge)), 0)
}

/** The expected number, which the cost model counts: probability times mean ratio (RECIPE.md E4). */
export function expectedMaskedRows(masking: Masking, crops: number, patches: number): number {
  return crops * patches * masking.probability * 0.5 * (masking.ratio.min + masking.ratio.max)
}

/** torch.linspace in float32: from the left in the first half, from the right in the second. */
function linspaceFloat32(from: number, to: number, count: number): number[] {
  const f = Math.fround
  if (count === 1) return [f(from)]
  const step = f(f(f(to) - f(from)) / (count - 1))
  return Array.from({ length: count }, (_, i) =>
    i < count / 2 ? f(f(from) + f(step * i)) : f(f(to) - f(step * (count - 1 - i))),
  )
}
