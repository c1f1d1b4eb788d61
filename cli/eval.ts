import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import pc from 'picocolors'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import { surveyData } from '../runtime/data/survey.js'
import { openRunDevice } from '../runtime/devices/registry.js'
import type { EvaluationLine, RunOutcome } from '../runtime/events.js'
import { acquireLock } from '../runtime/lock.js'
import { experimentDirectory, lockPath } from '../runtime/run-directory.js'
import { executeJobs } from './execute.js'
import { exit } from './exit.js'
import { compileJobs, oncePerVariant, pickVariants, targetOf } from './jobs.js'
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
import { renderDiagnostics, reportDiagnostics, usesColor } from './print.js'
import { printResults } from './results.js'
import { addDeviceOptions, countOption, type DeviceFlags, listOption, runCommand } from './run-options.js'
import { stopOnSignals } from './stop.js'
import { diagnosticOf, imageReports } from './terminal/image-reports.js'

interface Options extends DeviceFlags, FileFlags, FormatFlags, RanksFlag {
  readonly runs: string
  readonly only?: string
  readonly seed?: string
}

export function define(command: Command): void {
  const withFile = command.argument('<file>', 'FILE, FILE#experiment or FILE#experiment.variant')
  addDeviceOptions(addFormatOption(addRanksOption(addFileOptions(withFile))))
    .option('--runs <dir>', 'where runs are kept', 'runs')
    .option('--only <variants>', 'only these variants, separated by commas; full is the unedited experiment')
    .option('--seed <numbers>', 'only these seeds, separated by commas')
    .action(async (file: string, options: Options) => {
      process.exitCode = await evaluate(file, options)
    })
}

/** Measures what is trained under the evaluations that the file has now; never trains. */
async function evaluate(file: string, options: Options): Promise<number> {
  const json = formatOption(options) === 'json'
  const { picked, diagnostics } = pickVariants(file, fileOptions({ ...options }), {
    only: options.only === undefined ? null : listOption(options.only),
    seeds:
      options.seed === undefined ? null : listOption(options.seed).map((s) => countOption('--seed', s, 0)),
  })
  const [first] = picked
  if (first === undefined) return exit.good
  const { hardware } = first.variant.resolved
  const threads =
    options.threads === undefined ? hardware.threads : countOption('--threads', options.threads, 1)
  const { device } = await openRunDevice(options.device ?? null, hardware.device, { threads })
  const { jobs } = compileJobs(picked, targetOf(device))
  await device.close()
  const warnings = oncePerVariant(jobs, (spec) => surveyData(spec).warnings)
  reportDiagnostics([...diagnostics, ...warnings], json ? 'json' : 'human')
  const settings = {
    ...{ runsRoot: options.runs, mode: 'evaluate' as const, device: device.name, threads },
    loaders: options.loaders === undefined ? hardware.loaders : countOption('--loaders', options.loaders, 1),
    evaluationImages: null,
    command: runCommand(file, options),
  }
  const colors = pc.createColors(usesColor(process.stderr))
  const locks = []
  const told = new Map<number, EvaluationLine[]>()
  const stop = stopOnSignals(
    () => process.stderr.write('stopping\n'),
    () => {},
  )
  try {
    // Where nothing was trained there is nothing to own, and no directory is made.
    for (const name of new Set(jobs.map((job) => job.spec.experiment)))
      if (existsSync(experimentDirectory(options.runs, name)))
        locks.push(await acquireLock(lockPath(options.runs, name)))
    const reports = imageReports()
    const render = (diagnostic: Diagnostic): string =>
      renderDiagnostics([diagnostic], process.stderr, { format: json ? 'json' : 'human' })
    const outcomes = await executeJobs(
      jobs,
      settings,
      1,
      () => null,
      stop,
      (index, event) => {
        const { experiment, variant, seed } = jobs[index]!.spec
        if (json && event.type === 'evaluation')
          process.stdout.write(
            `${JSON.stringify({ formatVersion: 1, experiment, variant, seed, ...event.line })}\n`,
          )
        if (event.type === 'evaluation') told.set(index, [...(told.get(index) ?? []), event.line])
        if (json) {
          const diagnostic = diagnosticOf(event)
          if (diagnostic !== null) process.stderr.write(render(diagnostic))
          return
        }
        for (const diagnostic of reports(event, '--json'))
          process.stderr.write(`${colors.dim(`${variant} seed ${seed}: `)}${render(diagnostic)}`)
      },
    )
    // What stands in the directory of a refused run belongs to other settings.
    const refused = new Set(
      jobs.filter((_, index) => outcomes[index]?.failure !== null).map(({ spec }) => keyOf(spec)),
    )
    const measured = picked.map((one) => ({
      ...one,
      seeds: one.seeds.filter((seed) => {
        const { name, variant } = one.variant.resolved
        return !refused.has(keyOf({ experiment: name, variant, seed }))
      }),
    }))
    await printResults(measured, options.runs, json)
    if (!json)
      printUnfinished(
        jobs.map(({ spec }) => `${spec.variant} seed ${spec.seed}`),
        outcomes,
        told,
      )
    return stop.exitStatus() ?? statusOf(outcomes)
  } finally {
    stop.close()
    for (const lock of locks) lock.release()
  }
}

function keyOf(run: {
  readonly experiment: string
  readonly variant: string
  readonly seed: number
}): string {
  return JSON.stringify([run.experiment, run.variant, run.seed])
}

/** Runs that are not at their end stay out of the table: their numbers belong to another step. */
function printUnfinished(
  names: readonly string[],
  outcomes: readonly (RunOutcome | null)[],
  told: ReadonlyMap<number, readonly EvaluationLine[]>,
): void {
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome === null || outcome.failure !== null || outcome.step === outcome.steps) continue
    for (const line of told.get(index) ?? [])
      for (const [name, metrics] of Object.entries(line.eval)) {
        const values = Object.entries(metrics).map(([metric, value]) => `${metric} ${value.toFixed(3)}`)
        process.stdout.write(
          `  ${names[index]}  step ${line.step}/${outcome.steps}  ${name}  ${values.join('  ')}\n`,
        )
      }
  }
}

function statusOf(outcomes: readonly (RunOutcome | null)[]): number {
  const failed = outcomes.filter((outcome) => outcome === null || outcome.failure !== null).length
  if (failed === 0) return exit.good
  return failed === outcomes.length ? exit.runFailed : exit.someFailed
}
