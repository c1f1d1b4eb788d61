import type { Plan, PlanInput } from '../../compiler/plan/plan.js'
import type { RunPhase, RunSpec } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { HostTensor } from '../devices/device.js'
import { hashName, stream } from '../philox.js'
import type { PhaseSpan } from '../timeline.js'
import { type BatchMasks, batchMasks, largestBlock, maskRows, maskWeights } from './masking.js'

/** The inputs of a step that are not images. */
export interface HostInputs {
  /** By micro-batch, rank 0's first: masks, kept subsets, factors. */
  readonly micro: readonly Readonly<Record<string, HostTensor>>[]
  /** Once a step: schedules and counters. */
  readonly step: Readonly<Record<string, HostTensor>>
  /** Masked patches over the batch. */
  readonly maskedRows: number
}

type Kind = PlanInput['generator']['kind']
/** Which inputs hold for the whole step, which are drawn for each micro-step, and which hold images. */
const scopes: Readonly<Record<Kind, 'step' | 'micro' | 'images'>> = {
  schedule: 'step',
  adam_step: 'step',
  crops: 'images',
  images: 'images',
  labels: 'images',
  mask: 'micro',
  mask_rows: 'micro',
  mask_weights: 'micro',
  row_count: 'micro',
  kept_subset: 'micro',
  keep_factors: 'micro',
  first_micro_step: 'micro',
}

/**
 * Makes the inputs of a phase's plan for any step: everything is keyed by (seed, step, micro-step, purpose), nothing
 * remembered between steps.
 */
export function hostInputs(spec: RunSpec, span: PhaseSpan, plan: Plan): (step: number) => HostInputs {
  for (const input of plan.inputs) {
    const { kind } = input.generator
    const maskless = kind.startsWith('mask') || kind === 'row_count'
    if (kind === 'images' || kind === 'labels' || (maskless && spec.masking === null))
      throw new DiagnosticError([diagnose('DINO1018', null, { input: input.name, kind })])
  }
  const perStep = plan.inputs.filter((input) => scopes[input.generator.kind] === 'step')
  const perMicro = plan.inputs.filter((input) => scopes[input.generator.kind] === 'micro')
  const masked = perMicro.some(({ generator: { kind } }) => kind.startsWith('mask') || kind === 'row_count')
  return (step) => {
    const values = span.values(step)
    const micro: Record<string, HostTensor>[] = []
    let maskedRows = 0
    for (let m = 0; m < spec.ranks * plan.microSteps; m++) {
      const masks = masked ? drawMasks(spec, span.phase, step, m) : null
      maskedRows += masks?.rows ?? 0
      micro.push(
        Object.fromEntries(
          perMicro.map((input) => [input.name, microInput(spec, plan, input, step, m, masks)]),
        ),
      )
    }
    return {
      micro,
      step: Object.fromEntries(
        perStep.map(({ name, generator }): [string, HostTensor] => {
          if (generator.kind === 'adam_step') return [name, Int32Array.of(step - span.momentsStart + 1)]
          if (generator.kind !== 'schedule') throw new RangeError(`${generator.kind} holds for no whole step`)
          const value = values[generator.name]
          if (value === undefined)
            throw new DiagnosticError([
              diagnose('DINO1018', null, { input: name, kind: `schedule ${generator.name}` }),
            ])
          return [name, Float32Array.of(value)]
        }),
      ),
      maskedRows,
    }
  }
}

/**
 * The masks of a micro-batch: over the global crops of each of its groups of images, drawn as a rank of the reference
 * draws them.
 */
export function drawMasks(
  spec: Pick<RunSpec, 'seed' | 'ranks' | 'batch' | 'crops' | 'masking'>,
  phase: Pick<RunPhase, 'resolutionPx' | 'patchPx'>,
  step: number,
  micro: number,
): BatchMasks {
  const globals = spec.crops.find((crop) => crop.group === 'global')
  if (!globals || !spec.masking) throw new RangeError('masks need global crops and a masking block')
  const { images, microSteps, imageGroups } = spec.batch
  const groupImages = images / (spec.ranks * microSteps * imageGroups)
  const options = {
    crops: globals.count * groupImages,
    grid: phase.resolutionPx / phase.patchPx,
    maxPatches: largestBlock(phase.resolutionPx, phase.patchPx),
    masking: spec.masking,
  }
  const drawn = Array.from({ length: imageGroups }, (_, g) =>
    batchMasks(stream(spec.seed, step, micro * imageGroups + g, 'mask'), options),
  )
  return joinMasks(drawn, groupImages)
}

/** Masks of groups of images one after the other -> of all images, crop by crop. */
function joinMasks(drawn: readonly BatchMasks[], groupImages: number): BatchMasks {
  const [first] = drawn
  if (first === undefined || drawn.length === 1) return first as BatchMasks
  const crops = first.counts.length
  const patches = first.masks.length / crops
  const masks = new Uint8Array(drawn.length * first.masks.length)
  const counts = new Int32Array(drawn.length * crops)
  for (const [g, group] of drawn.entries())
    for (let crop = 0; crop < crops; crop++) {
      const row = rowOf(crop, g, groupImages, drawn.length)
      masks.set(group.masks.subarray(crop * patches, (crop + 1) * patches), row * patches)
      counts[row] = group.counts[crop]!
    }
  return { masks, counts, rows: drawn.reduce((sum, { rows }) => sum + rows, 0) }
}

/** Row = crop * images + image: where sequence `own` of image group g lies among those of all groups. */
function rowOf(own: number, g: number, groupImages: number, groups: number): number {
  return Math.floor(own / groupImages) * groupImages * groups + g * groupImages + (own % groupImages)
}

function microInput(
  { seed, batch }: Pick<RunSpec, 'seed' | 'batch'>,
  plan: Plan,
  { name, tensor, generator }: PlanInput,
  step: number,
  micro: number,
  masks: BatchMasks | null,
): HostTensor {
  const { shape } = plan.tensors[tensor]!
  const size = shape.reduce((product, n) => product * n, 1)
  const fits = (found: number) => {
    if (found > size) throw new RangeError(`input ${name} has ${size} elements, ${found} are needed`)
  }
  switch (generator.kind) {
    case 'mask':
      fits(masks!.masks.length)
      return Int32Array.from(masks!.masks)
    case 'mask_rows':
      fits(masks!.rows)
      return maskRows(masks!.masks, generator.patches, generator.prefix, new Int32Array(size))
    case 'mask_weights':
      fits(masks!.rows)
      return maskWeights(masks!.counts, new Float32Array(size))
    case 'row_count':
      return Int32Array.of(masks!.rows)
    case 'first_micro_step':
      return plan.tensors[tensor]!.dtype === 'i32'
        ? Int32Array.of(micro % plan.microSteps === 0 ? 1 : 0)
        : Float32Array.of(micro % plan.microSteps === 0 ? 1 : 0)
    case 'kept_subset':
      return keptSubset(seed, step, micro, generator.site, generator.groups, {
        count: batch.imageGroups,
        images: plan.images / batch.imageGroups,
      })
    case 'keep_factors':
      return keepFactors(seed, step, micro, generator.site, generator.rate, generator.groups, {
        count: batch.imageGroups,
        images: plan.images / batch.imageGroups,
      })
    default:
      throw new RangeError(`${generator.kind} is not drawn for a micro-step`)
  }
}

/** Equal parts of a micro-batch's images, each drawing for itself. */
export interface ImageGroups {
  readonly count: number
  /** Of each. */
  readonly images: number
}
const allTogether: ImageGroups = { count: 1, images: 1 }

/**
 * `kept` of each group's sequences, ascending, as positions in the whole tensor (groups one after the other); of image
 * groups each keeps its share.
 */
export function keptSubset(
  seed: number,
  step: number,
  micro: number,
  site: string,
  groups: readonly { readonly name: string; readonly count: number; readonly kept: number }[],
  parts: ImageGroups = allTogether,
): Int32Array {
  const positions: number[] = []
  let start = 0
  for (const { name, count, kept } of groups) {
    const chosen: number[] = []
    for (let g = 0; g < parts.count; g++) {
      const random = siteStream(seed, step, micro * parts.count + g, site, name)
      for (const own of random.permutation(count / parts.count).subarray(0, kept / parts.count))
        chosen.push(start + rowOf(own, g, parts.images, parts.count))
    }
    positions.push(...chosen.sort((a, b) => a - b))
    start += count
  }
  return Int32Array.from(positions)
}

/** For each sequence 0 with probability `rate`, else 1 / (1 - rate). */
export function keepFactors(
  seed: number,
  step: number,
  micro: number,
  site: string,
  rate: number,
  groups: readonly { readonly name: string; readonly count: number }[],
  parts: ImageGroups = allTogether,
): Float32Array {
  const factors = new Float32Array(groups.reduce((n, { count }) => n + count, 0))
  let start = 0
  for (const { name, count } of groups) {
    for (let g = 0; g < parts.count; g++) {
      const random = siteStream(seed, step, micro * parts.count + g, site, name)
      for (let own = 0; own < count / parts.count; own++)
        factors[start + rowOf(own, g, parts.images, parts.count)] = random.chance(rate) ? 0 : 1 / (1 - rate)
    }
    start += count
  }
  return factors
}

function siteStream(seed: number, step: number, micro: number, site: string, group: string) {
  return stream(seed, step, hashName(`${micro}/${site}/${group}`), 'kept')
}
