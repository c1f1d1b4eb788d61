import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import type { RunSpec } from '../compiler/plan/run-spec.js'
import { diagnose } from '../diagnostics/catalogue.js'
import { openRunData } from '../runtime/data/run-data.js'
import type { Device } from '../runtime/devices/device.js'
import { openForRun } from '../runtime/distributed/open.js'
import type { RunEvent, RunOutcome } from '../runtime/events.js'
import type { Job } from '../runtime/job.js'
import type { Lock } from '../runtime/lock.js'
import { runVariant } from '../runtime/run-variant.js'

/** How jobs are run, whichever process runs them: plain data. */
export interface ExecutionSettings {
  readonly runsRoot: string
  readonly mode: 'train' | 'evaluate'
  readonly device: string
  /** Of all jobs together; null: all cores. */
  readonly threads: number | null
  readonly loaders: number | null
  readonly evaluationImages: number | null
  /** What trains these runs, as one types it. */
  readonly command: string
}

/** What a signal asked for. `now` also ends what is under way. */
export interface StopSwitch {
  readonly stopping: () => boolean
  /** Called once when stopping begins, and again when it must be at once. */
  onStop(listener: (now: boolean) => void): void
}

export type Watch = (job: number, event: RunEvent) => void

/** Runs one job in this process on an open device. */
export function runHere(
  job: Job,
  settings: ExecutionSettings,
  device: (spec: RunSpec) => Promise<Device>,
  stopping: () => boolean,
  emit: (event: RunEvent) => void,
): Promise<RunOutcome> {
  return runVariant(job, {
    ...settings,
    openDevice: device,
    openData: ({ spec, plans }, log) =>
      openRunData({ spec, plan: (span) => plans[span.phase.plan]!, log, threads: settings.loaders }),
    stopping,
    emit,
  })
}

/**
 * All jobs, `atOnce` side by side: one after the other in this process, or each in a process of its own with its share
 * of the threads. A failed one does not hold up the others; once stopping, no further one starts. The outcome of a job
 * that never started is null.
 */
export async function executeJobs(
  jobs: readonly Job[],
  settings: ExecutionSettings,
  atOnce: number,
  lockOf: (job: Job) => Lock | null,
  stop: StopSwitch,
  watch: Watch,
): Promise<(RunOutcome | null)[]> {
  const outcomes: (RunOutcome | null)[] = jobs.map(() => null)
  const queue = jobs.entries()
  const shared = shareThreads(settings, Math.min(atOnce, jobs.length))
  const devices = sharedDevices(settings)
  const work = async (): Promise<void> => {
    for (const [index, job] of queue) {
      if (stop.stopping()) return
      const emit = (event: RunEvent): void => watch(index, event)
      outcomes[index] =
        atOnce > 1
          ? await runInProcess(job, shared, lockOf(job), stop, emit)
          : await runHere(job, settings, devices.open, stop.stopping, emit)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(atOnce, jobs.length) }, work))
  } finally {
    await devices.close()
  }
  return outcomes
}

/** One device for all jobs that divide their state alike, opened by the first that needs it. */
export function sharedDevices({ device, threads }: ExecutionSettings): {
  open(spec: RunSpec): Promise<Device>
  close(): Promise<void>
} {
  const opened = new Map<string, Promise<Device>>()
  return {
    open({ ranks, shards }) {
      const key = JSON.stringify([ranks, shards])
      const known = opened.get(key) ?? openForRun(device, { threads }, { ranks, shards })
      opened.set(key, known)
      return known
    },
    async close() {
      for (const device of opened.values()) await device.then((d) => d.close()).catch(() => {})
    },
  }
}

/** Threads divided between jobs that run side by side, at least one each. */
function shareThreads(settings: ExecutionSettings, atOnce: number): ExecutionSettings {
  const threads = settings.threads ?? availableParallelism()
  return { ...settings, threads: Math.max(1, Math.floor(threads / Math.max(1, atOnce))) }
}

/** From the parent: first the job, later perhaps `stop`. From the child: events, the last one is `done`. */
export type ToChild =
  | { readonly type: 'job'; readonly job: Job; readonly settings: ExecutionSettings }
  | { readonly type: 'stop' }

function runInProcess(
  job: Job,
  settings: ExecutionSettings,
  lock: Lock | null,
  stop: StopSwitch,
  emit: (event: RunEvent) => void,
): Promise<RunOutcome> {
  const file = new URL(
    import.meta.url.endsWith('.ts') ? './job-process.ts' : './job-process.js',
    import.meta.url,
  )
  const child = fork(file, [], { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  if (child.pid !== undefined) lock?.addHelper(child.pid)
  child.send({ type: 'job', job, settings } satisfies ToChild)
  stop.onStop((now) => {
    if (now) child.kill('SIGKILL')
    else if (child.connected) child.send({ type: 'stop' } satisfies ToChild)
  })
  return new Promise((resolve) => {
    let outcome: RunOutcome | null = null
    child.on('message', (event: RunEvent) => {
      if (event.type === 'done') outcome = event.outcome
      emit(event)
    })
    child.on('error', () => {})
    child.on('close', (code, signal) => {
      if (outcome !== null) {
        resolve(outcome)
        return
      }
      const { experiment, variant, seed } = job.spec
      const how =
        signal === null
          ? `exit status ${code}`
          : `signal ${signal}${signal === 'SIGKILL' ? ' (often: out of memory)' : ''}`
      const failure = diagnose('DINO1046', null, { run: `${experiment}.${variant} seed ${seed}`, how })
      const died: RunOutcome = {
        ...{
          status: 'failed',
          step: 0,
          steps: 0,
          seconds: 0,
          imagesPerSecond: null,
          peakRssBytes: 0,
          failure,
        },
      }
      emit({ type: 'done', outcome: died })
      resolve(died)
    })
  })
}
