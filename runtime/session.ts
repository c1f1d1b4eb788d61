import type { Monitor, RunSpec } from '../compiler/plan/run-spec.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import { type Checkpoint, type Shapes, writeCheckpoint } from './checkpoint.js'
import type { Device, State } from './devices/device.js'
import { replaceJson } from './durable.js'
import type { EvalFile, Measured } from './eval/eval-file.js'
import {
  type EvaluationContext,
  type EvaluationResult,
  evaluate,
  type PreparedEvaluation,
} from './eval/evaluate.js'
import { exhibit, type GalleryFile, readGallery } from './eval/gallery.js'
import type { EvaluationLine, LineTime } from './events.js'
import type { Job, RunData, Settings } from './job.js'
import { evaluationScalars, lineScalars, stepMeasures, trainingLine } from './lines.js'
import type { EvaluationHealth, Log } from './metrics-log.js'
import { evaluationMeasures, type MonitorCounts, watch } from './monitors.js'
import { nonFinite } from './non-finite.js'
import { collectGarbage, processPeakBytes } from './process-memory.js'
import type { StepResult, Training } from './run.js'
import { type RunFiles, type RunRecord, writeRecord } from './run-directory.js'
import { type Clock, toSteps } from './schedule.js'
import type { EventFile } from './tfevents.js'
import { type PhaseSpan, phaseBefore, totalSteps } from './timeline.js'

/** A run with everything it holds open. The fields that change are all here, none elsewhere. */
export interface Session {
  readonly job: Job
  readonly settings: Settings
  readonly files: RunFiles
  readonly identity: string
  readonly dataIdentity: string
  readonly data: RunData
  readonly device: Device
  readonly state: State
  readonly shapes: Shapes
  readonly clock: Clock
  readonly spans: readonly PhaseSpan[]
  readonly evaluations: readonly PreparedEvaluation[]
  /** Names of those that this run never had, or had with another protocol. */
  readonly fresh: ReadonlySet<string>
  readonly events: EventFile
  /** Opened when training starts: what came before belongs at the head of the file. */
  logs: { readonly metrics: Log; readonly health: Log } | null
  /** What an earlier process left. */
  readonly before: RunRecord | null
  /** Updates that the state had when this process took over. */
  readonly fromStep: number
  evalFile: EvalFile
  /** The step of the newest checkpoint; -1: none. */
  saved: number
  monitors: MonitorCounts
  failure: Diagnostic | null
  /** The first step of a process and of a phase warms up and is not counted. */
  measuredImages: number
  measuredSeconds: number
  /** The largest of the samples; what this process and those before it are known to have needed. */
  sampledRssBytes: number
  /** What earlier runs of this process had raised its peak to, where that cannot be forgotten; else 0. */
  readonly earlierPeakBytes: number
}

/** What the training loop asks for, answered from the session. */
export function trainingOf(session: Session): Training {
  const { job, settings, spans } = session
  const steps = totalSteps(spans)
  const checkpointEvery = Math.max(1, toSteps(job.spec.checkpoint.every, session.clock))
  const checkpointDue = (step: number): boolean =>
    session.saved !== step && (step === steps || step % checkpointEvery === 0)
  return {
    device: session.device,
    state: session.state,
    spans,
    plan: (span) => job.plans[span.phase.plan]!,
    resetMoments: () => resetMoments(session),
    openInputs: (span, step) => session.data.open(span, step),
    pauses: (step) => {
      if (dueEvaluations(session, step).length > 0) return 'evaluate'
      return settings.stopping() || checkpointDue(step) ? 'brief' : 'no'
    },
    async between(step) {
      const due = dueEvaluations(session, step)
      if (due.length > 0) {
        const measured = await measure(session, due, step)
        if (measured !== null) {
          session.logs?.health.append(measured.health)
          session.logs?.metrics.append(measured.line)
        }
      }
      if (checkpointDue(step) || settings.stopping() || session.failure !== null) await save(session, step)
      return session.failure === null && !settings.stopping()
    },
    report: (result) => report(session, result),
  }
}

async function resetMoments({ job, state }: Session): Promise<void> {
  for (const tensor of job.spec.state)
    if (tensor.role === 'moment')
      await state.write(tensor.name, new Float32Array(tensor.shape.reduce((a, b) => a * b, 1)))
}

/** A step's line, its monitors; the number of updates that the state has, where the run must end. */
async function report(session: Session, result: StepResult): Promise<number | null> {
  const { settings, logs } = session
  const bad = nonFinite(result.metrics, result.step, session.job.spec.provenance)
  if (bad !== null) {
    session.failure = bad
    return result.step
  }
  const rss = process.memoryUsage.rss()
  session.sampledRssBytes = Math.max(session.sampledRssBytes, rss)
  const images = session.job.spec.batch.images
  const line = trainingLine(result, {
    ...clockNow(result.seconds),
    images_per_second: images / result.seconds,
    waited_seconds: result.waitedSeconds,
    rss_bytes: rss,
  })
  const measures = stepMeasures(result.metrics)
  logs?.metrics.append(line)
  logs?.health.append({ step: line.step, phase: line.phase, measures })
  session.events.scalars(line.step, { ...lineScalars(line), ...healthScalars(measures) })
  if (result.step !== session.fromStep && result.step !== result.span.start) {
    session.measuredImages += images
    session.measuredSeconds += result.seconds
  }
  const imagesPerSecond = throughput(session) ?? images / result.seconds
  settings.emit({ type: 'step', line, steps: totalSteps(session.spans), imagesPerSecond })
  watchMeasures(session, result.step, measures)
  return session.failure === null ? null : result.step + 1
}

/**
 * The peak of the process since the run began. Where the system counts it for the whole process alone, a run that needs
 * less than one before it is known by its samples, which miss what lies between two steps.
 */
export function peakRssBytes({ sampledRssBytes, earlierPeakBytes }: Session): number {
  const peak = processPeakBytes()
  return peak > earlierPeakBytes ? Math.max(peak, sampledRssBytes) : sampledRssBytes
}

/** Where this process trained nothing, what an earlier one measured. */
export function throughput(session: Session): number | null {
  const { measuredImages, measuredSeconds, before } = session
  return measuredSeconds > 0 ? measuredImages / measuredSeconds : (before?.imagesPerSecond ?? null)
}

function healthScalars(measures: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(measures).map(([name, value]) => [`health/${name.replace('.', '_')}`, value]),
  )
}

function watchMeasures(session: Session, step: number, measures: Readonly<Record<string, number>>): void {
  const from = (monitor: Monitor): number => toSteps(monitor.from, session.clock)
  const verdict = watch(session.job.spec.monitors, from, session.monitors, step, measures)
  session.monitors = verdict.counts
  for (const diagnostic of verdict.diagnostics) session.settings.emit({ type: 'diagnostic', diagnostic })
  session.failure ??= verdict.stop
}

/** Writes the state after `step` updates, and how far the run is. */
export async function save(session: Session, step: number): Promise<Checkpoint | null> {
  if (session.saved === step) return null
  const { job, device, files, logs } = session
  const from = performance.now()
  await logs?.metrics.sync()
  await logs?.health.sync()
  const written = await writeCheckpoint(
    files.checkpoints,
    session.state,
    session.shapes,
    {
      identity: session.identity,
      step,
      device: device.name,
      isa: device.capabilities().isa ?? '',
      numericsVersion: job.spec.numericsVersion,
      monitors: session.monitors,
    },
    job.spec.checkpoint.keep,
  )
  session.saved = step
  await writeRecord(files, recordOf(session, 'running', step))
  const seconds = (performance.now() - from) / 1000
  session.settings.emit({ type: 'checkpoint', step, bytes: written.bytes, seconds })
  return written
}

export function recordOf(session: Session, status: RunRecord['status'], step: number): RunRecord {
  const { spec } = session.job
  return {
    formatVersion: 1,
    identity: session.identity,
    configIdentity: spec.configIdentity,
    dataIdentity: session.dataIdentity,
    experiment: spec.experiment,
    variant: spec.variant,
    seed: spec.seed,
    status,
    step,
    steps: totalSteps(session.spans),
    failure: session.failure,
    imagesPerSecond: throughput(session),
    peakRssBytes: peakRssBytes(session),
  }
}

/** Those that are measured after `step` updates and have not been yet. */
function dueEvaluations(session: Session, step: number): PreparedEvaluation[] {
  if (step === 0) return []
  const last = step === totalSteps(session.spans)
  return session.evaluations.filter(({ evaluation }) => {
    const every = evaluation.protocol.every
    const due = last || (every !== null && step % Math.max(1, toSteps(every, session.clock)) === 0)
    return due && !session.evalFile.evaluations[evaluation.name]!.history.some((h) => h.step === step)
  })
}

/** What an evaluation adds to metrics.jsonl and to health.jsonl. */
export interface Measurement {
  readonly line: EvaluationLine
  readonly health: EvaluationHealth
}

/** Measures, keeps the results in eval.json, and gives the lines for the logs; null where it was abandoned. */
export async function measure(
  session: Session,
  due: readonly PreparedEvaluation[],
  step: number,
  whatFor: 'keep' | 'tell' = 'keep',
): Promise<Measurement | null> {
  const { job, settings, spans } = session
  const from = performance.now()
  const results: Record<string, Measured> = {}
  const seen: Record<string, Readonly<Record<string, number>>> = {}
  for (const prepared of due) {
    const { name } = prepared.evaluation
    const context: EvaluationContext = {
      device: session.device,
      state: session.state,
      plan: (features) => job.plans[features.plan]!,
      progress(done, of) {
        settings.emit({ type: 'evaluating', step, name, done, of })
        return !settings.stopping()
      },
    }
    const result = await evaluate(context, prepared)
    if (result === null) return null
    if (whatFor === 'keep' && !(await keepPictures(session, context, prepared, result, step))) return null
    results[name] = result.measured
    seen[name] = result.measures
  }
  // Before the plan of a phase takes its memory.
  collectGarbage()
  const phase = phaseBefore(spans, step).phase.name
  const health: EvaluationHealth = { step, phase, eval: seen }
  const line: EvaluationLine = {
    step,
    phase,
    eval: Object.fromEntries(Object.entries(results).map(([name, { metrics }]) => [name, metrics])),
    time: clockNow((performance.now() - from) / 1000),
  }
  settings.emit({ type: 'evaluation', line })
  if (whatFor === 'tell') return { line, health }
  const measures = evaluationMeasures(health)
  await keepResults(session, step, results)
  session.events.scalars(step, { ...evaluationScalars(line), ...healthScalars(measures) })
  if (step > 0) watchMeasures(session, step, measures)
  return { line, health }
}

/** Pictures for the report, of the first evaluation, untrained and at the end; false where it was abandoned. */
async function keepPictures(
  session: Session,
  context: EvaluationContext,
  prepared: PreparedEvaluation,
  { features }: EvaluationResult,
  step: number,
): Promise<boolean> {
  const { name } = prepared.evaluation
  const last = step === totalSteps(session.spans)
  if (name !== session.evaluations[0]?.evaluation.name || !(step === 0 || last)) return true
  const shown = await exhibit(context, prepared, features, session.job.spec.augment, step)
  if (shown === null) return false
  const before = await readGallery(session.files.gallery)
  const gallery: GalleryFile = {
    formatVersion: 1,
    evaluation: name,
    untrained: step === 0 ? shown : (before?.untrained ?? null),
    trained: last ? shown : (before?.trained ?? null),
  }
  await replaceJson(session.files.gallery, gallery)
  return true
}

async function keepResults(session: Session, step: number, results: Record<string, Measured>): Promise<void> {
  const last = totalSteps(session.spans)
  const evaluations = { ...session.evalFile.evaluations }
  for (const [name, measured] of Object.entries(results)) {
    const record = evaluations[name]!
    const history = [...record.history.filter((h) => h.step !== step), { step, metrics: measured.metrics }]
    evaluations[name] = {
      ...record,
      untrained: step === 0 ? measured : record.untrained,
      trained: step === last ? measured : record.trained,
      history: history.sort((a, b) => a.step - b.step),
    }
  }
  session.evalFile = { ...session.evalFile, evaluations }
  await replaceJson(session.files.evaluation, session.evalFile)
}

function clockNow(seconds: number): LineTime {
  return { clock: new Date().toISOString(), seconds: Number(seconds.toFixed(4)) }
}

export function shapesOf(spec: RunSpec): Shapes {
  return new Map(spec.state.map((tensor) => [tensor.name, tensor.storedShape]))
}
