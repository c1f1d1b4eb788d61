import { setImmediate } from 'node:timers/promises'
import type { Plan } from '../compiler/plan/plan.js'
import type { Device, Executable, HostTensor, State } from './devices/device.js'
import type { PhaseSpan } from './timeline.js'

/** Everything the host makes for one step, ready to be copied to the device. */
export interface StepBatch {
  /** Inputs by micro-batch: `microSteps` of rank 0, then those of the next rank. */
  readonly micro: readonly Readonly<Record<string, HostTensor>>[]
  /** Inputs that hold for the whole step: schedules and counters. */
  readonly step: Readonly<Record<string, HostTensor>>
  /** Masked patches over the batch. */
  readonly maskedRows: number
}

export interface StepSource {
  next(): Promise<StepBatch>
  close(): Promise<void>
}

export type Metrics = Readonly<Record<string, HostTensor>>

/** One step's outcome, read while the device already works on the next. */
export interface StepResult {
  /** Updates done before it. */
  readonly step: number
  readonly span: PhaseSpan
  readonly maskedRows: number
  /** After `update`, over the whole step: plans carry sums through the micro-steps. */
  readonly metrics: Metrics
  /** From the end of the step before to the end of this one, evaluations and checkpoints between them left out. */
  readonly seconds: number
  /** Of those, waiting for data. */
  readonly waitedSeconds: number
}

/** What stands between two steps: nothing, a checkpoint or the end, evaluations (with plans of their own). */
export type Pause = 'no' | 'brief' | 'evaluate'

export interface Training {
  readonly device: Device
  readonly state: State
  readonly spans: readonly PhaseSpan[]
  plan(span: PhaseSpan): Plan
  /** On entering a phase whose moments start from zero. */
  resetMoments(): Promise<void>
  openInputs(span: PhaseSpan, step: number): Promise<StepSource>
  /** Whether something is to be done between the steps, now that `step` updates are done. */
  pauses(step: number): Pause
  /** Does it: evaluations, a checkpoint. False stops. */
  between(step: number): Promise<boolean>
  /** The number of updates that the state has, where the run must end here; null to go on. */
  report(result: StepResult): Promise<number | null>
}

/**
 * The training loop: phases, steps, programs; it knows nothing of the recipe. A step's metrics are looked at while
 * `accumulate` of the next one runs, and always before its `update`, so that the state never moves past a bad loss.
 * Returns the number of updates done.
 */
export async function train(training: Training, fromStep: number): Promise<number> {
  let step = fromStep
  if (!(await training.between(step))) return step
  for (const span of training.spans) {
    if (step >= span.end) continue
    if (step === span.momentsStart) await training.resetMoments()
    const plan = training.plan(span)
    const { microSteps } = plan
    const load = () => training.device.load(plan, training.state)
    let executable: Executable | null = await load()
    const inputs = await training.openInputs(span, step)
    const report = async ({ metrics, ...rest }: Pending): Promise<number | null> =>
      training.report({ ...rest, metrics: await metrics })
    try {
      let pending: Pending | null = null
      let clock = performance.now()
      while (true) {
        const pause = training.pauses(step)
        if (step === span.end || pause !== 'no') {
          const end = pending && (await report(pending))
          pending = null
          if (end !== null) return end
          // An evaluation's plan and this one need not be there at once: between steps nothing stays in its memory.
          if (pause === 'evaluate') {
            await executable?.close()
            executable = null
          }
          if (!(await training.between(step))) return step
          if (step === span.end) break
          clock = performance.now()
        }
        executable ??= await load()
        const waiting = performance.now()
        const batch = await inputs.next()
        const waitedSeconds = (performance.now() - waiting) / 1000
        for (let index = 0; index < microSteps; index++) {
          for (const [rank, micro] of microBatches(batch, index, microSteps).entries())
            await executable.writeInputs(index === 0 ? { ...micro, ...batch.step } : micro, rank)
          const running = executable.run('accumulate')
          running.catch(() => {})
          const end = pending && (await report(pending))
          pending = null
          await running
          if (end !== null) return end
        }
        await executable.run('update')
        const metrics = executable.metrics()
        // Awaited a step later: a failure until then is not an unhandled one.
        metrics.catch(() => {})
        const seconds = (performance.now() - clock) / 1000
        pending = { step, span, maskedRows: batch.maskedRows, metrics, seconds, waitedSeconds }
        clock = performance.now()
        step++
        // Signals and timers come through even where the device computes on this thread.
        await setImmediate()
      }
    } finally {
      await inputs.close()
      await executable?.close()
    }
  }
  return step
}

/** What each rank sees in one micro-step. */
export function microBatches<T>(
  { micro }: { readonly micro: readonly T[] },
  index: number,
  microSteps: number,
): T[] {
  return micro.filter((_, q) => q % microSteps === index)
}

interface Pending extends Omit<StepResult, 'metrics'> {
  readonly metrics: Promise<Metrics>
}
