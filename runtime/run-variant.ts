import type { RunSpec } from '../compiler/plan/run-spec.js'
import { diagnose } from '../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import { type Checkpoint, compareCheckpoint, newestCheckpoint, restoreCheckpoint } from './checkpoint.js'
import { damagedFiles } from './damage.js'
import { replaceJson } from './durable.js'
import { describeEnvironment } from './environment.js'
import { type EvalFile, readEvalFile } from './eval/eval-file.js'
import { emptyRecord, type PreparedEvaluation, prepareEvaluations } from './eval/evaluate.js'
import { refuseUnsupported } from './eval/protocol.js'
import type { RunOutcome } from './events.js'
import { initialState } from './initialize.js'
import type { Job, RunData, Settings } from './job.js'
import { isEvaluation, mergeEvaluations, openLog, readLog } from './metrics-log.js'
import { forgetPeak, processPeakBytes } from './process-memory.js'
import { train } from './run.js'
import {
  claimDirectory,
  identityIn,
  noteInLog,
  type RunFiles,
  type RunRecord,
  readRecord,
  runFiles,
  runIdentity,
  writeInputs,
  writeRecord,
} from './run-directory.js'
import type { Clock } from './schedule.js'
import {
  type Measurement,
  measure,
  peakRssBytes,
  recordOf,
  type Session,
  save,
  shapesOf,
  throughput,
  trainingOf,
} from './session.js'
import { openEventFile, silentEvents } from './tfevents.js'
import { timeline, totalSteps } from './timeline.js'

/**
 * Brings one run to its end from wherever it is: nothing to do, a new evaluation to measure, a checkpoint to resume
 * from, or the beginning. Mistakes and failures come back as the outcome, never as an exception, so that other
 * variants go on. The caller holds the lock on the experiment's directory.
 */
export async function runVariant(job: Job, settings: Settings): Promise<RunOutcome> {
  if (settings.mode === 'evaluate') return bringToEnd(job, settings)
  const files = runFiles(settings.runsRoot, job.spec)
  let noted: Promise<void> = Promise.resolve()
  const note = ({ code, severity, message, notes }: Diagnostic): void => {
    noted = noted.then(() => noteInLog(files, { event: severity, code, message, notes }))
  }
  const outcome = await bringToEnd(job, {
    ...settings,
    emit(event) {
      settings.emit(event)
      if (event.type === 'diagnostic') note(event.diagnostic)
      if (event.type === 'done' && event.outcome.failure !== null) note(event.outcome.failure)
    },
  })
  await noted
  return outcome
}

async function bringToEnd(job: Job, settings: Settings): Promise<RunOutcome> {
  const started = performance.now()
  const ended = (outcome: Omit<RunOutcome, 'seconds'>): RunOutcome => {
    const whole = { ...outcome, seconds: (performance.now() - started) / 1000 }
    settings.emit({ type: 'done', outcome: whole })
    return whole
  }
  const earlierPeakBytes = forgetPeak() ? 0 : processPeakBytes()
  let data: RunData | null = null
  try {
    refuseUnsupported(job.spec.evaluations)
    data = await settings.openData(job, (diagnostic) => settings.emit({ type: 'diagnostic', diagnostic }))
    const identity = runIdentity(job.spec, data.identity)
    const claimed = await (settings.mode === 'train'
      ? claimDirectory(settings.runsRoot, job.spec, identity)
      : expectRun(settings, job.spec, identity))
    for (const diagnostic of claimed.diagnostics) settings.emit({ type: 'diagnostic', diagnostic })
    const limit = settings.evaluationImages
    const evaluations = await prepareEvaluations(job.spec, identity, data.images, limit)
    const files = runFiles(settings.runsRoot, job.spec)
    const evalFile = await readEvalFile(files.evaluation)
    if (claimed.record?.status === 'finished' && evaluations.every((e) => isMeasured(evalFile, e))) {
      const { step, steps, imagesPerSecond, peakRssBytes } = claimed.record
      return ended({ status: 'reused', step, steps, imagesPerSecond, peakRssBytes, failure: null })
    }
    const found = { identity, files, before: claimed.record, evaluations, earlierPeakBytes }
    return ended(await carryOn(job, settings, data, found))
  } catch (error) {
    const failure = asDiagnostic(error)
    return ended({ status: 'failed', step: 0, steps: 0, imagesPerSecond: null, peakRssBytes: 0, failure })
  } finally {
    await data?.close()
  }
}

/** The run that an evaluation is asked for; DINO1045 where it is not there. */
async function expectRun(
  { runsRoot, command }: Settings,
  spec: RunSpec,
  identity: string,
): Promise<{ record: RunRecord | null; diagnostics: Diagnostic[] }> {
  const files = runFiles(runsRoot, spec)
  const stands = await identityIn(files)
  if (stands === identity) return { record: await readRecord(files), diagnostics: [] }
  const run = `${spec.experiment}.${spec.variant} seed ${spec.seed}`
  const state = stands === null ? 'is not trained yet' : `was trained with other settings (${stands})`
  throw new DiagnosticError([diagnose('DINO1045', null, { run, state }, { help: [`${command} trains it`] })])
}

function isMeasured(file: EvalFile | null, prepared: PreparedEvaluation): boolean {
  const record = file?.evaluations[prepared.evaluation.name]
  return record?.identity === prepared.identity && record.untrained !== null && record.trained !== null
}

type Found = Pick<Session, 'identity' | 'files' | 'before' | 'evaluations' | 'earlierPeakBytes'>

/** A run that is not finished, or has a new evaluation. */
async function carryOn(
  job: Job,
  settings: Settings,
  data: RunData,
  { identity, files, before, evaluations, earlierPeakBytes }: Found,
): Promise<Omit<RunOutcome, 'seconds'>> {
  const { spec } = job
  const clock: Clock = { epoch: spec.epoch, passSteps: Math.ceil(data.trainingImages / spec.batch.images) }
  const shapes = shapesOf(spec)
  const { checkpoint, diagnostics } = await newestCheckpoint(files.checkpoints, shapes)
  for (const diagnostic of diagnostics) settings.emit({ type: 'diagnostic', diagnostic })
  const spans = timeline(spec, clock)
  const unfinished = settings.mode === 'evaluate' && checkpoint?.manifest.step !== totalSteps(spans)
  if (unfinished && checkpoint === null) {
    const run = `${spec.experiment}.${spec.variant} seed ${spec.seed}`
    throw new DiagnosticError([
      diagnose(
        'DINO1045',
        null,
        { run, state: 'has no checkpoint yet' },
        { help: [`${settings.command} goes on with it`] },
      ),
    ])
  }
  const device = await settings.openDevice(spec)
  const state = await device.state({ tensors: spec.state })
  const fromStep = checkpoint?.manifest.step ?? 0
  const events = unfinished ? silentEvents : await openEventFile(files.directory, fromStep)
  for (const diagnostic of await damagedFiles(files)) settings.emit({ type: 'diagnostic', diagnostic })
  const { evalFile, fresh } = await openEvalFile(files, identity, evaluations, fromStep)
  const session: Session = {
    ...{ job, settings, files, identity, dataIdentity: data.identity, data, device, state, shapes, clock },
    ...{ spans, evaluations, events, fromStep, before, evalFile, fresh },
    ...{ saved: checkpoint === null ? -1 : fromStep, monitors: checkpoint?.manifest.monitors ?? {} },
    ...{
      logs: null,
      failure: null,
      measuredImages: 0,
      measuredSeconds: 0,
      sampledRssBytes: before?.peakRssBytes ?? 0,
      earlierPeakBytes,
    },
  }
  try {
    if (unfinished) return await measureUnfinished(session, checkpoint!)
    await writeInputs(files, spec, job.plans, job.resolved)
    const { threads, loaders, command } = settings
    await replaceJson(files.environment, describeEnvironment(device, threads, loaders, command))
    await writeRecord(files, recordOf(session, 'running', fromStep))
    const steps = totalSteps(session.spans)
    const { name } = device
    if (checkpoint !== null) {
      warnOfOtherDevice(session, checkpoint)
      if (fromStep < steps)
        await noteInLog(files, { event: 'resumed', step: fromStep, device: name, pid: process.pid })
    }
    settings.emit({ type: 'started', steps, fromStep, device: name })
    if (!(await prepareState(session, checkpoint))) return await conclude(session, fromStep)
    session.logs = {
      metrics: await openLog(files.metrics, fromStep),
      health: await openLog(files.health, fromStep),
    }
    const done = await train(trainingOf(session), fromStep)
    return await conclude(session, done)
  } catch (error) {
    session.failure = asDiagnostic(error)
    await writeRecord(files, recordOf(session, 'failed', Math.max(0, session.saved))).catch(() => {})
    return outcomeOf(session, 'failed', Math.max(0, session.saved))
  } finally {
    await session.logs?.metrics.close()
    await session.logs?.health.close()
    await events.close()
    await state.close()
  }
}

/** The newest state of a run that is not at its end: measured and told, nothing written. */
async function measureUnfinished(
  session: Session,
  checkpoint: Checkpoint,
): Promise<Omit<RunOutcome, 'seconds'>> {
  await restoreCheckpoint(checkpoint, session.state, session.shapes)
  const measured = await measure(session, session.evaluations, session.fromStep, 'tell')
  return outcomeOf(session, measured === null ? 'interrupted' : 'reused', session.fromStep)
}

/**
 * The state as it is after `fromStep` updates, with what must be measured on the way: the untrained network, and new
 * evaluations of a run that was finished. False where a signal cut that short.
 */
async function prepareState(session: Session, checkpoint: Checkpoint | null): Promise<boolean> {
  const { job, state, shapes, files, fromStep } = session
  const missing = (which: 'untrained' | 'trained'): PreparedEvaluation[] =>
    session.evaluations.filter((e) => session.evalFile.evaluations[e.evaluation.name]![which] === null)
  const measured: Measurement[] = []
  const untrained = missing('untrained')
  if (checkpoint === null || untrained.length > 0)
    for (const [name, values] of initialState(job.spec.state, job.spec.seed)) await state.write(name, values)
  if (checkpoint === null) {
    // A disk or a format that fails does so now, not after hours.
    const first = await save(session, 0)
    if (first !== null) await compareCheckpoint(first, state, shapes)
  }
  if (untrained.length > 0) {
    const found = await measure(session, untrained, 0)
    if (found === null) return false
    measured.push(found)
  }
  if (checkpoint !== null) await restoreCheckpoint(checkpoint, state, shapes)
  const steps = totalSteps(session.spans)
  const trained = fromStep === steps ? missing('trained') : []
  if (trained.length > 0) {
    const found = await measure(session, trained, steps)
    if (found === null) return false
    measured.push(found)
    const late = trained
      .filter(({ evaluation: e }) => e.protocol.every !== null && session.fresh.has(e.name))
      .map((e) => e.evaluation.name)
    if (late.length > 0)
      session.settings.emit({
        type: 'diagnostic',
        diagnostic: diagnose('DINO1048', null, { evaluations: late.join(', ') }),
      })
  }
  if (measured.length > 0) {
    const health = measured.map((found) => found.health)
    await mergeEvaluations(files.health, health, session.fresh)
    // Last: what stands there is not measured again.
    const lines = measured.map(({ line }) => line)
    await mergeEvaluations(files.metrics, lines, session.fresh)
  }
  return true
}

/** Saves what is not saved yet and says how the run ended. */
async function conclude(session: Session, step: number): Promise<Omit<RunOutcome, 'seconds'>> {
  const steps = totalSteps(session.spans)
  if (session.logs !== null) await save(session, step)
  await session.logs?.metrics.sync()
  await session.logs?.health.sync()
  const measured = session.evaluations.every((e) => isMeasured(session.evalFile, e))
  const status = session.failure !== null ? 'failed' : step === steps && measured ? 'finished' : 'interrupted'
  await writeRecord(session.files, recordOf(session, status, step))
  if (status === 'interrupted') {
    await noteInLog(session.files, { event: 'interrupted', step, steps, pid: process.pid })
    const diagnostic = diagnose('DINO1047', null, { step, steps, resume: Math.max(0, session.saved) })
    session.settings.emit({ type: 'diagnostic', diagnostic })
  }
  return outcomeOf(session, status, step)
}

function outcomeOf(
  session: Session,
  status: RunOutcome['status'],
  step: number,
): Omit<RunOutcome, 'seconds'> {
  return {
    status,
    step,
    steps: totalSteps(session.spans),
    imagesPerSecond: throughput(session),
    peakRssBytes: peakRssBytes(session),
    failure: session.failure,
  }
}

function warnOfOtherDevice(session: Session, { manifest }: Checkpoint): void {
  const call = (device: string, isa: string): string => (isa === '' ? device : `${device} (${isa})`)
  const was = call(manifest.device, manifest.isa)
  const now = call(session.device.name, session.device.capabilities().isa ?? '')
  const sameNumerics = manifest.numericsVersion === session.job.spec.numericsVersion
  if (was === now && sameNumerics) return
  const diagnostic = diagnose('DINO1034', null, { was, now, step: manifest.step })
  session.settings.emit({ type: 'diagnostic', diagnostic })
}

/**
 * Results of this run and of today's protocols; what was measured otherwise starts anew. The history is what
 * metrics.jsonl has up to the step from which the run goes on.
 */
async function openEvalFile(
  files: RunFiles,
  identity: string,
  evaluations: readonly PreparedEvaluation[],
  fromStep: number,
): Promise<{ evalFile: EvalFile; fresh: Set<string> }> {
  const fresh = new Set<string>()
  const before = await readEvalFile(files.evaluation)
  const lines = (await readLog(files.metrics)).filter(isEvaluation).filter((line) => line.step <= fromStep)
  const records = before?.run === identity ? { ...before.evaluations } : {}
  for (const prepared of evaluations) {
    const { name } = prepared.evaluation
    const known = records[name]
    if (known?.identity !== prepared.identity) {
      records[name] = await emptyRecord(prepared)
      // What a log has of an evaluation whose results are lost is this run's all the same.
      if (before !== null || !lines.some((line) => line.eval[name] !== undefined)) fresh.add(name)
      continue
    }
    const history = lines
      .filter((line) => line.eval[name] !== undefined)
      .map((line) => ({ step: line.step, metrics: line.eval[name]! }))
    const has = (step: number): boolean => history.some((h) => h.step === step)
    records[name] = { ...known, history, untrained: has(0) ? known.untrained : null }
  }
  return { evalFile: { formatVersion: 1, run: identity, evaluations: records }, fresh }
}

function asDiagnostic(error: unknown): Diagnostic {
  if (error instanceof DiagnosticError) return error.diagnostics[0]!
  const what = error instanceof Error ? error.message : String(error)
  const stack = error instanceof Error && error.stack !== undefined ? [error.stack] : []
  return diagnose('DINO9999', null, { what }, { notes: stack })
}
