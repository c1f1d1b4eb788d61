import type { Plan } from '../compiler/plan/plan.js'
import type { RunSpec } from '../compiler/plan/run-spec.js'
import { hostInputs } from './data/host-inputs.js'
import type { Device, HostTensor } from './devices/device.js'
import { initialState } from './initialize.js'
import { stream } from './philox.js'
import { processPeakBytes } from './process-memory.js'
import { microBatches } from './run.js'
import type { Clock } from './schedule.js'
import { type PhaseSpan, timeline } from './timeline.js'

/** What a training step takes on a device, with inputs of the experiment's shapes and no data on disk. */
export interface BenchResult {
  readonly device: string
  /** Median over the timed steps. */
  readonly secondsPerStep: number
  readonly imagesPerSecond: number
  readonly modelFlopsPerStep: number
  readonly gflops: number
  readonly peakRssBytes: number
  /** Seconds a step by part of the network and stage, where the device measures; slowest first. */
  readonly parts: readonly { readonly name: string; readonly seconds: number }[]
}

export interface BenchRequest {
  readonly spec: RunSpec
  readonly phase: string
  readonly plan: Plan
  readonly device: Device
  /** Timed, after `warmup` that are not. */
  readonly steps: number
  readonly warmup: number
}

export async function bench(request: BenchRequest): Promise<BenchResult> {
  const { spec, plan, device } = request
  const span = spanOf(spec, request.phase)
  const state = await device.state({ tensors: spec.state })
  for (const [name, values] of initialState(spec.state, spec.seed)) await state.write(name, values)
  const executable = await device.load(plan, state)
  try {
    const inputsAt = hostInputs(spec, span, plan)
    const images = syntheticImages(plan, spec.seed)
    const seconds: number[] = []
    for (let i = 0; i < request.warmup + request.steps; i++) {
      const { micro, step } = inputsAt(span.start + (i % (span.end - span.start)))
      if (i === request.warmup) await executable.profile?.()
      const from = performance.now()
      for (let index = 0; index < plan.microSteps; index++) {
        for (const [rank, values] of microBatches({ micro }, index, plan.microSteps).entries())
          await executable.writeInputs({ ...images, ...values, ...(index === 0 ? step : {}) }, rank)
        await executable.run('accumulate')
      }
      await executable.run('update')
      await executable.metrics()
      if (i >= request.warmup) seconds.push((performance.now() - from) / 1000)
    }
    const secondsPerStep = median(seconds)
    return {
      device: device.name,
      secondsPerStep,
      imagesPerSecond: spec.batch.images / secondsPerStep,
      modelFlopsPerStep: spec.ranks * plan.modelFlopsPerStep,
      gflops: (spec.ranks * plan.modelFlopsPerStep) / secondsPerStep / 1e9,
      peakRssBytes: processPeakBytes(),
      parts: partsOf((await executable.profile?.()) ?? [], request.steps),
    }
  } finally {
    await executable.close()
    await state.close()
  }
}

/** Lengths in passes need images; any number does where only shapes matter. */
function spanOf(spec: RunSpec, phase: string): PhaseSpan {
  const clock: Clock = { epoch: spec.epoch, passSteps: 100 }
  const span = timeline(spec, clock).find((s) => s.phase.name === phase)
  if (span === undefined) throw new RangeError(`the run spec has no phase ${phase}`)
  return span
}

/** Normalised noise: what crops look like to the arithmetic. */
function syntheticImages(plan: Plan, seed: number): Record<string, HostTensor> {
  const images: Record<string, HostTensor> = {}
  for (const [index, { name, tensor, generator }] of plan.inputs.entries()) {
    if (generator.kind !== 'crops') continue
    const random = stream(seed, 0, index, 'synthetic')
    const count = plan.tensors[tensor]!.shape.reduce((a, b) => a * b, 1)
    images[name] = Float32Array.from({ length: count }, () => random.normal())
  }
  return images
}

type Profile = readonly { readonly module: string; readonly stage: string; readonly seconds: number }[]

function partsOf(profile: Profile, steps: number): BenchResult['parts'] {
  const sums = new Map<string, number>()
  for (const { module, stage, seconds } of profile) {
    const name = stage === 'update' ? 'update' : `${partName(module)} ${stage}`
    sums.set(name, (sums.get(name) ?? 0) + seconds)
  }
  return [...sums]
    .map(([name, seconds]) => ({ name, seconds: seconds / steps }))
    .sort((a, b) => b.seconds - a.seconds)
}

/** `student.backbone.blocks.3.attn` -> `student.backbone.attn`: blocks are alike. */
function partName(module: string): string {
  const parts = module.split('.')
  const blocks = parts.indexOf('blocks')
  if (blocks >= 0) return [...parts.slice(0, blocks), ...parts.slice(blocks + 2, blocks + 3)].join('.')
  return parts.slice(0, 2).join('.')
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
