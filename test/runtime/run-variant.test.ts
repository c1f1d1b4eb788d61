import fs from 'node:fs'
import promises from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { EvalFile } from '../../runtime/eval/eval-file.js'
import type { RunEvent } from '../../runtime/events.js'
import { type HealthLine, isEvaluation, type MetricsLine, readLog } from '../../runtime/metrics-log.js'
import { type RunRecord, runFiles } from '../../runtime/run-directory.js'
import { runVariant } from '../../runtime/run-variant.js'
import { pretendData, pretendDevice, pretendJob, pretendSettings, type Wishes } from './pretend.js'

let root: string
beforeEach(() => {
  root = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-run-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  fs.rmSync(root, { recursive: true, force: true })
})

const files = (seed = 0) => runFiles(root, { experiment: 'pretend', variant: 'full', seed })
const metrics = async (from = root): Promise<object[]> =>
  (await readLog(runFiles(from, { experiment: 'pretend', variant: 'full', seed: 0 }).metrics)).map(
    ({ time, ...line }: MetricsLine) => line,
  )
const record = (): RunRecord => JSON.parse(fs.readFileSync(files().record, 'utf8')) as RunRecord
const evaluation = (): EvalFile => JSON.parse(fs.readFileSync(files().evaluation, 'utf8')) as EvalFile
const codes = (events: readonly RunEvent[]): string[] =>
  events.flatMap((e) => (e.type === 'diagnostic' ? [e.diagnostic.code] : []))

async function undisturbed(wishes: Wishes = {}): Promise<object[]> {
  const elsewhere = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-run-'))
  const outcome = await runVariant(pretendJob(wishes), pretendSettings(elsewhere))
  expect(outcome.failure).toBeNull()
  const lines = await metrics(elsewhere)
  fs.rmSync(elsewhere, { recursive: true })
  return lines
}

test('a whole run: lines in order, evaluations where they belong, files beside it', async () => {
  const settings = pretendSettings(root)
  const outcome = await runVariant(pretendJob(), settings)
  expect(outcome).toMatchObject({ status: 'finished', step: 12, steps: 12, failure: null })
  const lines = (await metrics()) as MetricsLine[]
  expect(lines.map((l) => ('eval' in l ? `eval ${l.step} ${l.phase}` : `${l.step} ${l.phase}`))).toEqual([
    ...[
      'eval 0 pretrain',
      '0 pretrain',
      '1 pretrain',
      '2 pretrain',
      '3 pretrain',
      'eval 4 pretrain',
      '4 pretrain',
    ],
    ...[
      '5 pretrain',
      '6 pretrain',
      '7 pretrain',
      'eval 8 pretrain',
      '8 hires',
      '9 hires',
      '10 hires',
      '11 hires',
    ],
    'eval 12 hires',
  ])
  expect(Object.keys(lines[1]!)).toEqual([
    ...[
      'step',
      'phase',
      'loss',
      'grad_norm',
      'masked_rows',
      'lr',
      'weight_decay',
      'teacher_temp',
      'momentum',
    ],
  ])
  expect(Object.keys((lines[1] as { loss: object }).loss)).toEqual(['ibot', 'total'])
  expect(
    fs
      .readdirSync(files().directory)
      .filter((n) => !n.startsWith('events'))
      .sort(),
  ).toEqual(
    [
      ...[
        'checkpoints',
        'environment.json',
        'eval.json',
        'gallery.json',
        'health.jsonl',
        'metrics.jsonl',
        'plan-hires.json',
      ],
      ...['plan-pretrain.json', 'features.json', 'resolved.json', 'run-spec.json', 'run.json'],
    ].sort(),
  )
  expect(record()).toMatchObject({ status: 'finished', step: 12, steps: 12, failure: null })
  const { knn } = evaluation().evaluations
  expect(knn!.history.map((h) => h.step)).toEqual([0, 4, 8, 12])
  // The image without a label stays out on both sides.
  expect(knn!.images).toEqual({ train: 8, test: 4, classes: 2, unlabelled: 2 })
  for (const measured of [knn!.untrained!, knn!.trained!, knn!.rawPixels!]) {
    expect(Object.keys(measured.metrics)).toEqual(['top1@1', 'top5@1'])
    expect(measured.correct['top1@1']).toMatch(/^[01]{4}$/)
  }
  expect(fs.readdirSync(files().checkpoints).sort()).toEqual(['step-00000009', 'step-00000012'])
})

test('what the monitors see of each evaluation stands in health.jsonl, in its place', async () => {
  const lines = async () => readLog<HealthLine>(files().health)
  await runVariant(pretendJob(), pretendSettings(root))
  const whole = await lines()
  const evaluated = whole.filter((line) => isEvaluation(line))
  expect(evaluated.map((line) => [line.step, line.phase])).toEqual([
    [0, 'pretrain'],
    [4, 'pretrain'],
    [8, 'pretrain'],
    [12, 'hires'],
  ])
  for (const { eval: seen } of evaluated)
    expect(Object.entries(seen).map(([name, measures]) => [name, Object.keys(measures)])).toEqual([
      ['knn', ['rank.cls', 'spread.cls']],
    ])
  expect(whole.findIndex((line) => isEvaluation(line) && line.step === 4)).toBe(
    whole.findIndex((line) => !isEvaluation(line) && line.step === 4) - 1,
  )
  // Interrupted and resumed, the same.
  fs.rmSync(root, { recursive: true })
  fs.mkdirSync(root)
  await runVariant(pretendJob(), pretendSettings(root, { stopAt: 5 }))
  await runVariant(pretendJob(), pretendSettings(root))
  expect(await lines()).toEqual(whole)
})

test('a finished run is not run again, and no device is opened', async () => {
  await runVariant(pretendJob(), pretendSettings(root))
  const before = fs.readFileSync(files().metrics, 'utf8')
  const settings = pretendSettings(root)
  const outcome = await runVariant(pretendJob(), {
    ...settings,
    openDevice: async () => {
      throw new Error('no device needed')
    },
  })
  expect(outcome).toMatchObject({ status: 'reused', step: 12, failure: null })
  expect(fs.readFileSync(files().metrics, 'utf8')).toBe(before)
})

test.each([1, 3, 4, 5, 8, 11, 12])(
  'stopped after step %i and continued, a run writes the same metrics',
  async (stopAt) => {
    const first = pretendSettings(root, { stopAt })
    const outcome = await runVariant(pretendJob(), first)
    expect(outcome.status).toBe('interrupted')
    // One more step may be on its way when the signal is seen; it is never lost.
    expect(outcome.step).toBeGreaterThanOrEqual(stopAt)
    expect(codes(first.events)).toEqual(['DINO1047'])
    expect(record().status).toBe('interrupted')
    const opened: number[] = []
    const second = pretendSettings(root, { data: pretendData((step) => opened.push(step)) })
    expect(await runVariant(pretendJob(), second)).toMatchObject({ status: 'finished', step: 12 })
    expect(opened[0] ?? 12).toBe(outcome.step)
    expect(await metrics()).toEqual(await undisturbed())
    expect(evaluation().evaluations.knn!.history.map((h) => h.step)).toEqual([0, 4, 8, 12])
  },
)

test('what lies beyond the last checkpoint is cut and repeated: as after kill -9', async () => {
  await runVariant(pretendJob(), pretendSettings(root, { stopAt: 7 }))
  // A process killed now leaves more lines than the newest whole checkpoint, and a record that says "running".
  const state = fs.readdirSync(files().checkpoints).sort().at(-1)!
  expect(state).toBe('step-00000008')
  fs.rmSync(join(files().checkpoints, state), { recursive: true })
  fs.appendFileSync(files().metrics, '{"step": 8, "phase": "hi')
  fs.writeFileSync(files().record, JSON.stringify({ ...record(), status: 'running' }))
  expect(await runVariant(pretendJob(), pretendSettings(root))).toMatchObject({ status: 'finished' })
  expect(await metrics()).toEqual(await undisturbed())
})

test('a damaged newest checkpoint: a warning, the older one, the same metrics', async () => {
  await runVariant(pretendJob(), pretendSettings(root, { stopAt: 7 }))
  const path = join(files().checkpoints, 'step-00000008', 'state.safetensors')
  fs.truncateSync(path, fs.statSync(path).size - 5)
  const settings = pretendSettings(root)
  expect(await runVariant(pretendJob(), settings)).toMatchObject({ status: 'finished' })
  expect(codes(settings.events)).toEqual(['DINO1033'])
  expect(await metrics()).toEqual(await undisturbed())
})

test.each([
  ['cut short', '{"formatVersion": 1, "id'],
  ['missing', null],
])('a record that is %s: the checkpoints say whose run it is, nothing is trained again', async (_, text) => {
  await runVariant(pretendJob(), pretendSettings(root))
  const before = record()
  if (text === null) fs.rmSync(files().record)
  else fs.writeFileSync(files().record, text)
  const other = pretendSettings(root, { mode: 'evaluate' })
  fs.cpSync(root, `${root}-copy`, { recursive: true })
  const evaluated = { ...other, runsRoot: `${root}-copy` }
  expect(await runVariant(pretendJob(), evaluated)).toMatchObject({ failure: null, step: 12 })
  fs.rmSync(`${root}-copy`, { recursive: true })

  const settings = pretendSettings(root)
  expect(await runVariant(pretendJob(), settings)).toMatchObject({ status: 'finished', step: 12 })
  expect(settings.events.filter(({ type }) => type === 'step')).toEqual([])
  expect(codes(settings.events)).toEqual(['DINO1053'])
  expect(record()).toMatchObject({ identity: before.identity, status: 'finished', step: 12 })
  expect(fs.existsSync(join(root, 'pretend', '.earlier'))).toBe(false)
})

test('a run cut down while its record is damaged goes on from its newest checkpoint', async () => {
  await runVariant(pretendJob(), pretendSettings(root, { stopAt: 7 }))
  fs.writeFileSync(files().record, '')
  const settings = pretendSettings(root)
  expect(await runVariant(pretendJob(), settings)).toMatchObject({ status: 'finished' })
  expect(codes(settings.events)).toEqual(['DINO1053'])
  expect(await metrics()).toEqual(await undisturbed())
})

test('another instruction set resumes with a warning', async () => {
  await runVariant(pretendJob(), pretendSettings(root, { stopAt: 5 }))
  const settings = pretendSettings(root, { device: pretendDevice({ isa: 'stone' }) })
  expect(await runVariant(pretendJob(), settings)).toMatchObject({ status: 'finished' })
  expect(codes(settings.events)).toEqual(['DINO1034'])
})

test('a loss that is not finite names its term and step, and the last good state is kept', async () => {
  let poison: number | null = 7
  const device = pretendDevice({ poison: () => poison })
  const outcome = await runVariant(pretendJob(), pretendSettings(root, { device }))
  expect(outcome).toMatchObject({ status: 'failed', step: 7 })
  expect(outcome.failure).toMatchObject({ code: 'DINO1036', severity: 'error' })
  expect(outcome.failure!.message).toBe(
    'non-finite loss `ibot` (NaN) at step 7; the last good state is kept at step 7',
  )
  expect(fs.readdirSync(files().checkpoints)).toContain('step-00000007')
  expect(record()).toMatchObject({ status: 'failed', step: 7, failure: { code: 'DINO1036' } })
  // The state before the bad step is what an undisturbed run has there.
  poison = null
  const again = pretendSettings(root, { device: pretendDevice() })
  expect(await runVariant(pretendJob(), again)).toMatchObject({ status: 'finished' })
  expect(await metrics()).toEqual(await undisturbed())
})

test('a monitor warns, another stops the run and its state is kept', async () => {
  const monitor = {
    ...{
      name: 'late',
      metric: 'entropy.dino',
      below: null,
      above: 4.5,
      patience: 2,
      action: 'warn' as const,
    },
    ...{ from: { value: 0, unit: 'step' as const }, explanation: 'entropy is the step here' },
  }
  const stop = { ...monitor, name: 'later', above: 7.5, action: 'stop' as const }
  const settings = pretendSettings(root)
  const outcome = await runVariant(pretendJob({ monitors: [monitor, stop] }), settings)
  expect(codes(settings.events)).toEqual(['DINO1037'])
  expect(outcome).toMatchObject({ status: 'failed', step: 10, failure: { code: 'DINO1038' } })
  expect(fs.readdirSync(files().checkpoints)).toContain('step-00000010')
  const log = fs.readFileSync(files().log, 'utf8').trim().split('\n')
  expect(log.map((entry) => (JSON.parse(entry) as { code: string }).code)).toEqual(['DINO1037', 'DINO1038'])
})

test('rank and spread of the features are watched at evaluations', async () => {
  const monitor = {
    ...{ name: 'rank', metric: 'rank.cls', below: 1000, above: null, patience: 1, action: 'warn' as const },
    ...{ from: { value: 5, unit: 'step' as const }, explanation: 'few directions' },
  }
  const settings = pretendSettings(root)
  await runVariant(pretendJob({ monitors: [monitor] }), settings)
  const messages = settings.events.flatMap((e) => (e.type === 'diagnostic' ? [e.diagnostic.message] : []))
  expect(messages.map((m) => m.replace(/is [\d.]+/, 'is X'))).toEqual([
    '`rank.cls` is X, below 1000, at step 8',
  ])
})

test('a full disk fails the run with earlier checkpoints whole; with room it goes on to the same metrics', async () => {
  const open = promises.open
  let writes = 0
  vi.spyOn(promises, 'open').mockImplementation(async (path, flags) => {
    const handle = await open(path, flags)
    if (String(path).endsWith('state.safetensors') && flags === 'w' && ++writes === 3)
      handle.writeFile = async () => {
        throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      }
    return handle
  })
  const outcome = await runVariant(pretendJob(), pretendSettings(root))
  expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'DINO1032' } })
  expect(record()).toMatchObject({ status: 'failed', step: 3 })
  vi.restoreAllMocks()
  expect(await runVariant(pretendJob(), pretendSettings(root))).toMatchObject({ status: 'finished' })
  expect(await metrics()).toEqual(await undisturbed())
})

test('a checkpoint that does not read back fails before the first step', async () => {
  const device = pretendDevice()
  const settings = pretendSettings(root, {
    device: {
      ...device,
      async state(spec) {
        const state = await device.state(spec)
        let reads = 0
        return {
          ...state,
          read: async (name) => (await state.read(name)).map((v) => v + (reads++ > 1 ? 1 : 0)),
        }
      },
    },
  })
  expect(await runVariant(pretendJob(), settings)).toMatchObject({
    status: 'failed',
    failure: { code: 'DINO1035' },
  })
  expect(settings.events.some((e) => e.type === 'step')).toBe(false)
})

test('a new evaluation reuses the trained run: its state and metrics lines stay', async () => {
  await runVariant(pretendJob({ evaluateEvery: null }), pretendSettings(root))
  const settings = pretendSettings(root)
  const outcome = await runVariant(
    pretendJob({ evaluateEvery: null, evaluations: ['knn', 'other'] }),
    settings,
  )
  expect(outcome.status).toBe('finished')
  expect(settings.events.some((e) => e.type === 'step')).toBe(false)
  expect(await metrics()).toEqual(await undisturbed({ evaluateEvery: null, evaluations: ['knn', 'other'] }))
  const { knn, other } = evaluation().evaluations
  expect(other!.trained!.metrics).toEqual(knn!.trained!.metrics)
  expect(other!.untrained!.metrics).toEqual(knn!.untrained!.metrics)
  expect(outcome.imagesPerSecond).toBe(record().imagesPerSecond)
})

test('a new evaluation with `every` says that it comes too late for the steps between', async () => {
  await runVariant(pretendJob(), pretendSettings(root))
  const settings = pretendSettings(root)
  expect((await runVariant(pretendJob({ evaluations: ['knn', 'other'] }), settings)).status).toBe('finished')
  expect(codes(settings.events)).toEqual(['DINO1048'])
  const shape = (await metrics()).flatMap((line) =>
    'eval' in line ? [Object.keys(line.eval as object)] : [],
  )
  expect(shape).toEqual([['knn', 'other'], ['knn'], ['knn'], ['knn', 'other']])
})

test('an evaluation that this version cannot make is refused before training', async () => {
  const job = pretendJob()
  const [knn] = job.spec.evaluations
  const linear = { ...knn!, protocol: { ...knn!.protocol, type: 'linear' as const } }
  const settings = pretendSettings(root)
  const outcome = await runVariant({ ...job, spec: { ...job.spec, evaluations: [linear] } }, settings)
  expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'DINO1044' } })
  expect(fs.existsSync(files().directory)).toBe(false)
})

test('evaluation never changes training: with and without it the same losses', async () => {
  const losses = async (wishes: Wishes): Promise<object[]> =>
    (await undisturbed(wishes)).filter((line) => !('eval' in line))
  expect(await losses({ evaluateEvery: 1 })).toEqual(await losses({ evaluations: [] }))
})

test('another configuration moves the run aside; another seed stands beside it and differs', async () => {
  await runVariant(pretendJob(), pretendSettings(root))
  const first = await metrics()
  await runVariant(pretendJob({ seed: 1 }), pretendSettings(root))
  expect((await readLog(files(1).metrics)).map(({ time, ...line }) => line)).not.toEqual(first)
  const settings = pretendSettings(root)
  await runVariant(pretendJob({ config: 'other' }), settings)
  expect(codes(settings.events)).toEqual(['DINO1031'])
  expect(fs.readdirSync(join(root, 'pretend', '.earlier')).length).toBe(1)
})

test('evaluating never trains: a finished run is measured, an unfinished one where it stands, else a diagnostic', async () => {
  const evaluating = (wishes: Wishes = {}) => {
    const settings = pretendSettings(root, { mode: 'evaluate' })
    return { settings, outcome: runVariant(pretendJob(wishes), settings) }
  }
  expect(await evaluating().outcome).toMatchObject({
    status: 'failed',
    failure: { code: 'DINO1045', help: ['dinoc run pretend.dino trains it'] },
  })
  expect(fs.existsSync(files().directory)).toBe(false)
  await runVariant(pretendJob(), pretendSettings(root, { stopAt: 5 }))
  const before = fs.readFileSync(files().metrics, 'utf8')
  const { settings, outcome } = evaluating()
  expect(await outcome).toMatchObject({ status: 'reused', step: 6, failure: null })
  expect(settings.events.flatMap((e) => (e.type === 'evaluation' ? [e.line.step] : []))).toEqual([6])
  expect(settings.events.some((e) => e.type === 'step')).toBe(false)
  expect(fs.readFileSync(files().metrics, 'utf8')).toBe(before)
  expect(await evaluating({ config: 'other' }).outcome).toMatchObject({ failure: { code: 'DINO1045' } })
  expect(fs.readFileSync(files().metrics, 'utf8')).toBe(before)
  await runVariant(pretendJob(), pretendSettings(root))
  expect(await evaluating({ evaluations: ['knn', 'new'] }).outcome).toMatchObject({ status: 'finished' })
  expect(evaluation().evaluations.new!.trained).not.toBeNull()
})

test('a mistake in the data is an outcome, not an exception', async () => {
  const settings = pretendSettings(root)
  const outcome = await runVariant(pretendJob(), {
    ...settings,
    openData: async () => {
      throw new Error('a bug')
    },
  })
  expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'DINO9999' } })
})
