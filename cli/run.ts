import fs from 'node:fs'
import { mkdir } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import pc from 'picocolors'
import { diagnose } from '../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import { openRunDevice } from '../runtime/devices/registry.js'
import type { RunOutcome } from '../runtime/events.js'
import type { Job } from '../runtime/job.js'
import { acquireLock, type Lock } from '../runtime/lock.js'
import { preflight } from '../runtime/preflight.js'
import { experimentDirectory, lockPath, runFiles } from '../runtime/run-directory.js'
import { smokeSpec } from '../runtime/smoke.js'
import { type ExecutionSettings, executeJobs } from './execute.js'
import { exit } from './exit.js'
import {
  compileJobs,
  oncePerVariant,
  type PickedVariant,
  pickVariants,
  refuseOverBudget,
  targetOf,
} from './jobs.js'
import {
  addFileOptions,
  addFormatOption,
  addRanksOption,
  type FileFlags,
  type FormatFlags,
  fileOptions,
  formatOption,
  type RanksFlag,
} from './options.js'
import { columnsOf, renderDiagnostics, reportDiagnostics, usesColor } from './print.js'
import { tableOf } from './results.js'
import { addDeviceOptions, countOption, type DeviceFlags, listOption, runCommand } from './run-options.js'
import { shellLine } from './shell.js'
import { stopOnSignals } from './stop.js'
import { failedLines, failedVariants } from './terminal/failed-lines.js'
import { imageReports } from './terminal/image-reports.js'
import { resultLines } from './terminal/result-lines.js'
import { openJsonView, openLiveView, openPlainView, type RunView } from './terminal/run-view.js'

interface Options extends DeviceFlags, FileFlags, FormatFlags, RanksFlag {
  readonly runs: string
  readonly only?: string
  readonly seed?: string
  readonly smoke?: boolean
  readonly jobs: string
}

export function define(command: Command): void {
  const withFile = command.argument('<file>', 'FILE, FILE#experiment or FILE#experiment.variant')
  addDeviceOptions(addFormatOption(addRanksOption(addFileOptions(withFile))))
    .option('--runs <dir>', 'where runs are kept', 'runs')
    .option('--only <variants>', 'only these variants, separated by commas; full is the unedited experiment')
    .option('--seed <numbers>', 'only these seeds, separated by commas')
    .option('--smoke', 'two steps of each phase in a temporary folder: does everything work?')
    .option('--jobs <n>', 'runs side by side; threads are divided between them', '1')
    .action(async (file: string, options: Options) => {
      process.exitCode = await run(file, options)
    })
}

async function run(file: string, options: Options): Promise<number> {
  const json = formatOption(options) === 'json'
  const { picked, diagnostics } = pickVariants(file, fileOptions({ ...options }), {
    only: options.only === undefined ? null : listOption(options.only),
    seeds:
      options.seed === undefined ? null : listOption(options.seed).map((s) => countOption('--seed', s, 0)),
  })
  for (const { variant } of picked)
    if (variant.resolved.data === null)
      throw new DiagnosticError([
        diagnose(
          'DINO1039',
          null,
          { experiment: variant.resolved.name },
          { help: ['data { train = NAME.train }'] },
        ),
      ])
  const [first] = picked
  if (first === undefined) {
    process.stderr.write(`${file} defines no experiment: nothing to run\n`)
    return exit.good
  }
  const { hardware } = first.variant.resolved
  const threads =
    options.threads === undefined ? hardware.threads : countOption('--threads', options.threads, 1)
  const opened = await openRunDevice(options.device ?? null, hardware.device, { threads })
  const { device } = opened
  const description = `${device.name} (${device.capabilities().description})`
  const target = targetOf(device)
  // Runs open it again, each with its own threads, when there is something to do.
  await device.close()

  const { jobs: whole, compiled } = compileJobs(picked, target)
  refuseOverBudget(compiled, device.capabilities().memoryBytes)
  const root = options.smoke ? fs.mkdtempSync(join(os.tmpdir(), 'dinoc-smoke-')) : options.runs
  const jobs = options.smoke ? whole.map((job) => ({ ...job, spec: smokeSpec(job.spec) })) : whole
  const settings: ExecutionSettings = {
    runsRoot: root,
    mode: 'train',
    device: device.name,
    threads,
    loaders: options.loaders === undefined ? hardware.loaders : countOption('--loaders', options.loaders, 1),
    command: runCommand(file, options),
    evaluationImages: options.smoke ? (jobs[0]?.spec.features[0]?.batch ?? 32) : null,
  }
  const atOnce = countOption('--jobs', options.jobs, 1)
  const locks = new Map<string, Lock>()
  const colors = pc.createColors(usesColor(process.stderr))
  // Hours of one variant are not spent before another one's missing folder is met.
  const warnings = [...diagnostics, ...oncePerVariant(jobs, preflight)]
  if (opened.instead !== null)
    warnings.push(diagnose('DINO1041', null, { reason: opened.instead }, { help: ['dinoc devices'] }))
  if (!json) reportDiagnostics(warnings)
  try {
    for (const name of new Set(jobs.map((job) => job.spec.experiment))) {
      await mkdir(experimentDirectory(root, name), { recursive: true })
      locks.set(name, await acquireLock(lockPath(root, name)))
    }
    const render = (diagnostic: Diagnostic): string =>
      renderDiagnostics([diagnostic], process.stderr, { format: 'human' }).trimEnd()
    const context = { jobs, title: titleOf(picked, jobs, description), colors, atOnce, render }
    const view = json
      ? openJsonView(context, (text) => process.stdout.write(text))
      : process.stderr.isTTY && process.env.TERM !== 'dumb'
        ? openLiveView(context, process.stderr)
        : openPlainView(context, (text) => process.stderr.write(text))
    if (json) for (const diagnostic of warnings) view.diagnostic(diagnostic, null)
    const stop = stopOnSignals(
      () => view.note('stopping after this step: checkpoint first. Once more stops now'),
      () => {
        view.close()
        for (const lock of locks.values()) lock.release()
      },
    )
    const reports = imageReports()
    const outcomes = await executeJobs(
      jobs,
      settings,
      atOnce,
      (job) => locks.get(job.spec.experiment) ?? null,
      stop,
      (job, event) => {
        view.event(job, event)
        // As JSON every event has been printed, diagnostics included.
        if (json) return
        const { spec } = jobs[job]!
        // The directory of a smoke test is gone when one would look there.
        const names = options.smoke ? '--json' : runFiles(root, spec).log
        for (const diagnostic of reports(event, names))
          view.diagnostic(diagnostic, `${spec.variant} seed ${spec.seed}`)
      },
    )
    view.close()
    stop.close()
    if (!options.smoke) await conclude(picked, jobs, outcomes, root, json, view)
    else if (!json && outcomes.every((o) => o?.status === 'finished'))
      process.stdout.write(`smoke test passed: ${jobs.length} of ${jobs.length} runs, ${device.name}\n`)
    return stop.exitStatus() ?? statusOf(outcomes)
  } finally {
    for (const lock of locks.values()) lock.release()
    if (options.smoke) fs.rmSync(root, { recursive: true, force: true })
  }
}

function statusOf(outcomes: readonly (RunOutcome | null)[]): number {
  const failed = outcomes.filter(
    (o) => o === null || o.status === 'failed' || o.status === 'interrupted',
  ).length
  if (failed === 0) return exit.good
  return failed === outcomes.length ? exit.runFailed : exit.someFailed
}

/** `quickstart   2 variants x 2 seeds, 2 ranks of native (AVX-512, 2 threads)` */
function titleOf(picked: readonly PickedVariant[], jobs: readonly Job[], device: string): string {
  const names = [...new Set(picked.map(({ family }) => family.name))].join(', ')
  const seeds = new Set(jobs.map((job) => job.spec.seed)).size
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
  const ranks = [...new Set(jobs.map((job) => job.spec.ranks))].sort((a, b) => a - b)
  const on = ranks.at(-1) === 1 ? device : `${ranks.join(' or ')} ranks of ${device}`
  return `${names}   ${count(picked.length, 'variant')} x ${count(seeds, 'seed')}, ${on}`
}

/** For each experiment: its result table, its report, and what is left to do. */
async function conclude(
  picked: readonly PickedVariant[],
  jobs: readonly Job[],
  outcomes: readonly (RunOutcome | null)[],
  root: string,
  json: boolean,
  view: RunView,
): Promise<void> {
  const families = [...new Set(picked.map(({ family }) => family))]
  for (const family of families) {
    const table = await tableOf(
      picked.filter((p) => p.family === family),
      root,
    )
    const report = await reportOf(
      experimentDirectory(root, family.name),
      family.variants.map((v) => v.resolved.variant),
      view,
    )
    const failed = failedVariants(family.name, jobs, outcomes)
    if (json) {
      process.stdout.write(
        `${JSON.stringify({ formatVersion: 1, type: 'result', experiment: family.name, table, failed, report })}\n`,
      )
      continue
    }
    const head = families.length > 1 ? [family.name] : []
    const lines = [...head, ...(table === null ? [] : resultLines(table, columnsOf(process.stdout)))]
    lines.push(...failedLines(failed))
    if (report !== null) lines.push(`report   ${report}`)
    process.stdout.write(`${lines.join('\n')}\n`)
  }
  if (json) return
  const done = outcomes.filter((o) => o?.status === 'finished' || o?.status === 'reused').length
  const left = jobs.length - done
  const rest = left === 0 ? 'nothing left to do' : `${left} left to do`
  process.stdout.write(
    `again    ${shellLine(['dinoc', ...process.argv.slice(2)])}     (${rest}: ${done} of ${jobs.length} finished)\n`,
  )
}

/** A report that cannot be made takes nothing from the runs. Where none began, they have said why: no word of a report. */
async function reportOf(directory: string, order: readonly string[], view: RunView): Promise<string | null> {
  try {
    const { writeReport } = await import('./report.js')
    return await writeReport(directory, order)
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error
    for (const diagnostic of error.diagnostics)
      if (diagnostic.code !== 'DINO1070') view.diagnostic(diagnostic, 'report')
    return null
  }
}
