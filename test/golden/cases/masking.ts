import { maskedRowsBound } from '../../../compiler/lower/masking.js'
import type { Masking } from '../../../compiler/resolve/resolved.js'
import {
  batchMasks,
  blockMask,
  largestBlock,
  maskRows,
  maskWeights,
  ratioBounds,
  maskedRowsBound as runtimeBound,
} from '../../../runtime/data/masking.js'
import { stream } from '../../../runtime/philox.js'
import { type Fixture, get, type Json, number, numbers, record } from '../fixture.js'
import type { Report } from '../report.js'

/** 08: by what the case holds: replayable traces, distribution facts, or a collated batch. */
export async function checkMasking(fixture: Fixture, _: unknown, report: Report): Promise<void> {
  if (Array.isArray(fixture.json.traces)) checkTraces(fixture, report)
  else if (Array.isArray(fixture.json.results)) checkStatistics(fixture, report)
  else checkCollation(fixture, report)
}

function generator(config: Json) {
  const [height, width] = numbers(config.input_size) as [number, number]
  const aspect = number(config.min_aspect)
  return {
    height,
    width,
    minPatches: number(config.min_num_patches),
    maxPatches: number(config.max_num_patches),
    minAspect: aspect,
    maxAspect: config.max_aspect === undefined ? 1 / aspect : quotient(config.max_aspect),
  }
}

/** A number, or two written "1/0.3". */
function quotient(value: unknown): number {
  if (typeof value === 'number') return value
  const [above = Number.NaN, below = 1] = String(value).split('/').map(Number)
  return above / below
}

/** Each draw is asked for with the recorded bounds and answered with the recorded value. */
function checkTraces(fixture: Fixture, report: Report): void {
  const options = generator(fixture.config)
  for (const [i, item] of (fixture.json.traces as unknown[]).entries()) {
    const trace = record(item)
    const draws = trace.draws as [string, number, number, number][]
    let at = 0
    const wrong: string[] = []
    const next = (kind: string, low: number, high: number) => {
      const draw = draws[at++]
      if (draw === undefined) {
        wrong.push(`draw ${at} is one too many`)
        return low
      }
      const same = (a: number, b: number) => Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b))
      if (draw[0] !== kind || !same(low, draw[1]) || !same(high, draw[2]))
        wrong.push(`draw ${at} is ${kind}(${low}, ${high}), recorded ${draw.slice(0, 3).join(' ')}`)
      return draw[3]
    }
    const mask = blockMask(
      {
        uniform: (low, high) => next('uniform', low, high),
        integer: (low, high) => next('randint', low, high),
      },
      { ...options, target: number(trace.target) },
    )
    if (at < draws.length) wrong.push(`${at} draws of ${draws.length}`)
    const recorded = (trace.mask as string[]).join('')
    report.that(`trace ${i}`, wrong.length === 0, wrong.slice(0, 3).join('; '))
    report.that(
      `trace ${i} mask`,
      Array.from(mask).join('') === recorded,
      'another mask than the recorded one',
    )
  }
}

/** Means over as many draws of our own, within five standard errors of both samples. */
function checkStatistics(fixture: Fixture, report: Report): void {
  const options = generator(fixture.config)
  const draws = number(fixture.config.draws_per_target)
  for (const [name, value] of Object.entries(record(fixture.json.max_num_patches_examples))) {
    const [, px, patch] = /^(\d+)px\/(\d+)$/.exec(name) ?? []
    const found = largestBlock(Number(px), Number(patch))
    report.that(`largest block ${name}`, found === number(value), `${found}, expected ${number(value)}`)
  }
  for (const item of fixture.json.results as unknown[]) {
    const expected = record(item)
    const target = number(expected.target)
    const found = draw(options, target, draws)
    const check = (what: string, actual: number, key: string, allowed: (wanted: number) => number) => {
      if (typeof expected[key] !== 'number') return
      const wanted = expected[key]
      const most = allowed(wanted)
      const ok = Math.abs(actual - wanted) <= most
      report.that(`target ${target} ${what}`, ok, `${actual}, expected ${wanted} ± ${most}`)
    }
    const shareError = (p: number) => 5 * Math.sqrt((2 * p * (1 - p)) / draws) + 1e-3
    const meanError = 5 * Math.SQRT2 * (number(expected.count_std) / Math.sqrt(draws))
    check('count mean', found.mean, 'count_mean', () => meanError + 1e-3)
    check('count std', found.std, 'count_std', (std) => 0.15 * std + 0.02)
    check('share of full counts', found.full, 'fraction_equal_to_target', shareError)
    check('coverage of corners', found.corner, 'coverage_corner_mean', shareError)
    check('coverage of edges', found.edge, 'coverage_edge_mean', shareError)
    check('coverage of the center', found.center, 'coverage_center_4x4_mean', shareError)
    report.that(`target ${target} largest count`, found.most <= target, `${found.most} patches masked`)
  }
}

function draw(options: ReturnType<typeof generator>, target: number, draws: number) {
  const { height, width } = options
  const counts: number[] = []
  const covered = { corner: 0, edge: 0, center: 0 }
  for (let i = 0; i < draws; i++) {
    const mask = blockMask(stream(0, i, target, 'mask'), { ...options, target })
    counts.push(mask.reduce((sum, bit) => sum + bit, 0))
    const share = (inside: (y: number, x: number) => boolean) => {
      let [cells, masked] = [0, 0]
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++)
          if (inside(y, x)) {
            cells++
            masked += mask[y * width + x] as number
          }
      return masked / cells
    }
    const border = (at: number, size: number) => at === 0 || at === size - 1
    const middle = (at: number, size: number) => Math.abs(at - (size - 1) / 2) < 2
    covered.corner += share((y, x) => border(y, height) && border(x, width)) / draws
    covered.edge += share((y, x) => border(y, height) !== border(x, width)) / draws
    covered.center += share((y, x) => middle(y, height) && middle(x, width)) / draws
  }
  const mean = counts.reduce((a, b) => a + b, 0) / draws
  const std = Math.sqrt(counts.reduce((a, b) => a + (b - mean) ** 2, 0) / draws)
  const full = counts.filter((count) => count === target).length / draws
  return { ...covered, mean, std, full, most: Math.max(...counts) }
}

/** Mask counts asked for, their upper bound, and what is read from collated masks. */
function checkCollation(fixture: Fixture, report: Report): void {
  const { config, json } = fixture
  const patches = number(config.n_tokens)
  const crops = 2 * number(config.samples)
  const [min, max] = numbers(config.mask_ratio_min_max) as [number, number]
  const masking: Masking = {
    type: 'block',
    probability: number(config.mask_sample_probability),
    ratio: { min, max },
    aspect: { min: 0.3, max: 1 / 0.3 },
    minPatches: 4,
    apply: true,
  }
  const bounds = Array.from(ratioBounds(crops, masking))
  report.bounded('probs', numbers(json.probs), bounds, () => 0)
  for (const [who, bound] of [
    ['compiler', maskedRowsBound(masking, crops, patches)],
    ['runtime', runtimeBound(crops, patches, masking)],
  ] as const)
    report.that(`upperbound, ${who}`, bound === number(json.upperbound), `${bound}`)

  const masks = get(fixture.tensors, 'collated_masks').data as Uint8Array
  const counts = Int32Array.from({ length: crops }, (_, crop) =>
    masks.slice(crop * patches, (crop + 1) * patches).reduce((sum, bit) => sum + bit, 0),
  )
  report.bounded(
    'masked_patches_per_crop_after_shuffle',
    numbers(json.masked_patches_per_crop_after_shuffle),
    counts,
    () => 0,
  )
  const rows = number(json.n_masked_patches)
  report.tensor(get(fixture.tensors, 'mask_indices_list'), maskRows(masks, patches, 0, new Int32Array(rows)))
  report.tensor(get(fixture.tensors, 'masks_weight'), maskWeights(counts, new Float32Array(rows)))

  // Our own batches: as many crops are masked, none asks for more than its slice of the ratios allows.
  const most = numbers(json.requested_max_per_slot)
  const grid = Math.sqrt(patches)
  const maxPatches = number(config.max_num_patches)
  for (let i = 0; i < 50; i++) {
    const batch = batchMasks(stream(0, i, 0, 'mask'), { crops, grid, maxPatches, masking })
    const asked = Array.from(batch.counts)
      .filter((count) => count > 0)
      .sort((a, b) => b - a)
    const allowed = most.filter((count) => count > 0).sort((a, b) => b - a)
    const ok =
      asked.length <= allowed.length && asked.every((count, slot) => count <= (allowed[slot] as number))
    report.that(`batch ${i}`, ok && batch.rows <= number(json.upperbound), `counts ${asked}`)
  }
}
