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
  /** By micro-step: masks, kept subsets, factors. */
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
    for (let m = 0; m < plan.microSteps; m++) {
      const masks = masked ? drawMasks(spec, span.phase, step, m) : null
      maskedRows += masks?.rows ?? 0
      micro.push(
        Object.fromEntries(
          perMicro.map((input) => [input.name, microInput(spec.seed, plan, input, step, m, masks)]),
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

/** The masks of a micro-batch: over its global crops, drawn as a rank of the reference draws them. */
export function drawMasks(
  spec: Pick<RunSpec, 'seed' | 'batch' | 'crops' | 'masking'>,
  phase: Pick<RunPhase, 'resolutionPx' | 'patchPx'>,
  step: number,
  micro: number,
): BatchMasks {
  const globals = spec.crops.find((crop) => crop.group === 'global')
  if (!globals || !spec.masking) throw new RangeError('masks need global crops and a masking block')
  return batchMasks(stream(spec.seed, step, micro, 'mask'), {
    crops: globals.count * (spec.batch.images / spec.batch.microSteps),
    grid: phase.resolutionPx / phase.patchPx,
    maxPatches: largestBlock(phase.resolutionPx, phase.patchPx),
    masking: spec.masking,
  })
}

function microInput(
  seed: number,
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
        ? Int32Array.of(micro === 0 ? 1 : 0)
        : Float32Array.of(micro === 0 ? 1 : 0)
    case 'kept_subset':
      return keptSubset(seed, step, micro, generator.site, generator.groups)
    case 'keep_factors':
      return keepFactors(seed, step, micro, generator.site, generator.rate, generator.groups)
    default:
      throw new RangeError(`${generator.kind} is not drawn for a micro-step`)
  }
}

/** `kept` of each group's sequences, ascending, as positions in the whole tensor (groups one after the other). */
export function keptSubset(
  seed: number,
  step: number,
  micro: number,
  site: string,
  groups: readonly { readonly name: string; readonly count: number; readonly kept: number }[],
): Int32Array {
  const positions: number[] = []
  let start = 0
  for (const { name, count, kept } of groups) {
    const chosen = siteStream(seed, step, micro, site, name).permutation(count).subarray(0, kept).sort()
    for (const position of chosen) positions.push(start + position)
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
): Float32Array {
  const factors: number[] = []
  for (const { name, count } of groups) {
    const random = siteStream(seed, step, micro, site, name)
    for (let i = 0; i < count; i++) factors.push(random.chance(rate) ? 0 : 1 / (1 - rate))
  }
  return Float32Array.from(factors)
}

function siteStream(seed: number, step: number, micro: number, site: string, group: string) {
  return stream(seed, step, hashName(`${micro}/${site}/${group}`), 'kept')
}
