import fs from 'node:fs'
import type { Command } from 'commander'
import pc from 'picocolors'
import { configIdentity } from '../compiler/resolve/identity.js'
import { checkpointNames } from '../runtime/checkpoint.js'
import { readEvalFile } from '../runtime/eval/eval-file.js'
import { primaryMetric } from '../runtime/eval/results.js'
import { lockOwner } from '../runtime/lock.js'
import { lockPath, type RunFiles, type RunRecord, readRecord, runFiles } from '../runtime/run-directory.js'
import { exit } from './exit.js'
import { pickVariants } from './jobs.js'
import {
  addFileOptions,
  addFormatOption,
  type FileFlags,
  type FormatFlags,
  fileOptions,
  formatOption,
} from './options.js'
import { usesColor } from './print.js'
import { runCommand } from './run-options.js'
import { aligned, score } from './terminal/figures.js'
import { visibleLength } from './terminal/screen.js'

interface Options extends FileFlags, FormatFlags {
  readonly runs: string
}

export function define(command: Command): void {
  addFormatOption(
    addFileOptions(command.argument('<file>', 'FILE, FILE#experiment or FILE#experiment.variant')),
  )
    .option('--runs <dir>', 'where runs are kept', 'runs')
    .action(async (file: string, options: Options) => {
      process.exitCode = await status(file, options)
    })
}

/** `other`: the directory holds a run with other settings, which `run` would move aside. */
export type RunState = 'finished' | 'running' | 'interrupted' | 'failed' | 'waiting' | 'other'

export interface RunStatusLine {
  readonly experiment: string
  readonly variant: string
  readonly seed: number
  readonly state: RunState
  readonly step: number
  readonly steps: number | null
  /** The newest checkpoint's. */
  readonly resumesFrom: number | null
  readonly metric: { readonly name: string; readonly value: number; readonly step: number } | null
  readonly failure: { readonly code: string; readonly message: string } | null
}

async function status(file: string, options: Options): Promise<number> {
  const { picked } = pickVariants(file, fileOptions({ ...options }), { only: null, seeds: null })
  const runs: RunStatusLine[] = []
  for (const { family, variant, seeds } of picked)
    for (const seed of seeds) {
      const { resolved } = variant
      const files = runFiles(options.runs, { experiment: family.name, variant: resolved.variant, seed })
      const owned = lockOwner(lockPath(options.runs, family.name)) !== null
      const evaluations = Object.entries(resolved.eval).map(([name, { k }]) => ({ name, k }))
      const primary = primaryMetric(resolved.primary, evaluations)
      const found = await stateOf(files, configIdentity(resolved, seed), owned)
      const metric = primary && found.state !== 'other' ? await metricOf(files, primary) : null
      runs.push({ experiment: family.name, variant: resolved.variant, seed, ...found, metric })
    }
  if (formatOption(options) === 'json')
    process.stdout.write(`${JSON.stringify({ formatVersion: 1, runs })}\n`)
  else
    for (const name of new Set(runs.map((r) => r.experiment)))
      print(
        runCommand(file, options),
        runs.filter((r) => r.experiment === name),
      )
  return exit.good
}

type Found = Pick<RunStatusLine, 'state' | 'step' | 'steps' | 'resumesFrom' | 'failure'>

async function stateOf(files: RunFiles, identity: string, owned: boolean): Promise<Found> {
  const record = await readRecord(files)
  const [newest] = await checkpointNames(files.checkpoints)
  if (record === null) {
    // Checkpoints without a record: it is damaged, and `run` goes on from them.
    const [step, resumesFrom] = newest === undefined ? [0, null] : [lastStep(files), Number(newest.slice(5))]
    const state = newest === undefined ? 'waiting' : owned ? 'running' : 'interrupted'
    return { state, step, steps: null, resumesFrom, failure: null }
  }
  const { steps, failure } = record
  const state = stateNow(record, identity, owned)
  const resumesFrom = newest === undefined || state === 'finished' ? null : Number(newest.slice(5))
  const step =
    state === 'running' || state === 'interrupted' ? Math.max(record.step, lastStep(files)) : record.step
  return {
    state,
    step,
    steps,
    resumesFrom,
    failure: failure && { code: failure.code, message: failure.message },
  }
}

function stateNow(record: RunRecord, identity: string, owned: boolean): RunState {
  if (record.configIdentity !== identity) return 'other'
  if (record.status === 'running' && !owned) return 'interrupted'
  return record.status
}

/** Updates done by the last whole line of metrics.jsonl: a killed process wrote no record. Only the tail is read. */
function lastStep(files: RunFiles): number {
  try {
    const handle = fs.openSync(files.metrics, 'r')
    try {
      const { size } = fs.fstatSync(handle)
      const tail = Buffer.alloc(Math.min(size, 65536))
      fs.readSync(handle, tail, 0, tail.length, size - tail.length)
      for (const line of tail.toString('utf8').split('\n').reverse()) {
        const parsed = parsedLine(line)
        if (parsed !== null) return 'loss' in parsed ? parsed.step + 1 : parsed.step
      }
    } finally {
      fs.closeSync(handle)
    }
  } catch {
    // Nothing written yet.
  }
  return 0
}

function parsedLine(text: string): { readonly step: number } | null {
  try {
    const value = JSON.parse(text) as { step?: unknown } | null
    return typeof value?.step === 'number' ? { ...value, step: value.step } : null
  } catch {
    return null
  }
}

async function metricOf(
  files: RunFiles,
  { evaluation, metric }: { readonly evaluation: string; readonly metric: string },
): Promise<RunStatusLine['metric']> {
  const record = (await readEvalFile(files.evaluation))?.evaluations[evaluation]
  const last = record?.history.at(-1)
  const value = last?.metrics[metric]
  return last === undefined || value === undefined ? null : { name: metric, value, step: last.step }
}

function print(again: string, runs: readonly RunStatusLine[]): void {
  const colors = pc.createColors(usesColor(process.stdout))
  const count = (state: RunState): number => runs.filter((r) => r.state === state).length
  const others = (['running', 'interrupted', 'failed', 'waiting', 'other'] as const)
    .filter((state) => count(state) > 0)
    .map((state) => `${count(state)} ${state === 'other' ? 'with other settings' : state}`)
  const head = [`${count('finished')} of ${runs.length} runs finished`, ...others].join(', ')
  const paint: { readonly [S in RunState]: (text: string) => string } = {
    finished: colors.green,
    running: (text) => text,
    interrupted: colors.yellow,
    failed: colors.red,
    waiting: colors.dim,
    other: colors.dim,
  }
  const rows = runs.map((run) => [
    `  ${run.variant}`,
    `seed ${run.seed}`,
    paint[run.state](run.state === 'other' ? 'other settings' : run.state),
    run.steps === null ? '' : `${run.step}/${run.steps}`,
    remark(run, again),
  ])
  const lines = aligned(
    rows,
    [{ align: 'left' }, { align: 'left' }, { align: 'left' }, { align: 'right' }, { align: 'left', gap: 3 }],
    visibleLength,
  )
  process.stdout.write(`${[`${colors.bold(runs[0]!.experiment)}   ${head}`, ...lines].join('\n')}\n`)
}

function remark(run: RunStatusLine, again: string): string {
  const metric = run.metric === null ? '' : `${run.metric.name} ${score(run.metric.value)}`
  switch (run.state) {
    case 'finished':
    case 'running':
      return metric
    case 'interrupted':
      return run.resumesFrom === null ? again : `resumes from step ${run.resumesFrom}: ${again}`
    case 'failed':
      return run.failure === null ? '' : `${run.failure.code} ${run.failure.message}`
    case 'waiting':
      return ''
    case 'other':
      return `${again} moves it aside`
    default:
      return run.state satisfies never
  }
}
