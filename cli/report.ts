import { existsSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Command } from 'commander'
import { renderReport } from '../compiler/codegen/report.js'
import { diagnose } from '../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import { damagedFiles } from '../runtime/damage.js'
import { replaceFile } from '../runtime/durable.js'
import { experimentDirectory, filesIn } from '../runtime/run-directory.js'
import { exit } from './exit.js'
import {
  addFileOptions,
  addFormatOption,
  type FileFlags,
  type FormatFlags,
  fileOptions,
  formatOption,
} from './options.js'
import { reportDiagnostics } from './print.js'
import { changesOf } from './report/changes.js'
import { collectRuns, runDirectories } from './report/collect.js'
import { reportModel } from './report/model.js'
import { resolveEntry } from './resolve-file.js'
import { UsageError } from './usage-error.js'

interface Options extends FileFlags, FormatFlags {
  readonly runs: string
}

export function define(command: Command): void {
  const what = 'FILE, FILE#experiment, or directories of experiments: runs/quickstart'
  addFormatOption(addFileOptions(command.argument('<experiments...>', what)))
    .option('--runs <dir>', 'where the runs of a file are kept', 'runs')
    .action(async (given: readonly string[], options: Options) => {
      const format = formatOption(options)
      for (const { directory, order } of experimentsOf(given, options)) {
        // First: what is damaged beyond a report may be all there is.
        reportDiagnostics(await damageIn(experimentOf(directory)), format)
        const path = await writeReport(directory, order)
        const line =
          format === 'json' ? JSON.stringify({ formatVersion: 1, report: path }) : `report   ${path}`
        process.stdout.write(`${line}\n`)
      }
      process.exitCode = exit.good
    })
}

/** The directories that the command line names, themselves or by the files that run there. */
function experimentsOf(
  given: readonly string[],
  options: Options,
): readonly { readonly directory: string; readonly order: readonly string[] }[] {
  const settings = fileOptions({ ...options })
  if (!given.some(isFile) && (settings.set.length > 0 || Object.keys(settings.params).length > 0))
    throw new UsageError('--set and --param are of a file, and no file is given', ['dinoc report FILE'])
  return given.flatMap((one) => {
    if (!isFile(one)) return [{ directory: one, order: [] }]
    const { experiments } = resolveEntry(one, settings)
    if (experiments.length === 0) throw new UsageError(`${one} defines no experiment`)
    return experiments.map(({ name, variants }) => ({
      directory: experimentDirectory(options.runs, name),
      order: variants.map(({ resolved }) => resolved.variant),
    }))
  })
}

/** `FILE`, `FILE#experiment`: also one that is not there, if it is called so. */
function isFile(given: string): boolean {
  const stat = (path: string) => statSync(path, { throwIfNoEntry: false })
  if (stat(given)?.isDirectory()) return false
  const file = given.replace(/#[^#]*$/, '')
  return file.endsWith('.dino') || stat(file)?.isFile() === true
}

/**
 * Writes `report.html` of an experiment's directory (also given as that of one of its runs) from what its runs left
 * behind, finished or not. Variants stand in `order`, else by name. DINO1070 where there is no run.
 */
export async function writeReport(given: string, order: readonly string[] = []): Promise<string> {
  const directory = experimentOf(given)
  const runs = await collectRuns(directory, order)
  if (runs.length === 0)
    throw new DiagnosticError([
      diagnose(
        'DINO1070',
        null,
        { directory },
        { help: ['dinoc run FILE', 'dinoc report FILE --runs DIR', 'dinoc report runs/EXPERIMENT'] },
      ),
    ])
  const model = await reportModel(runs, changesOf(runs))
  const path = join(directory, 'report.html')
  await replaceFile(path, renderReport(model))
  return path
}

async function damageIn(directory: string): Promise<Diagnostic[]> {
  const runs = await runDirectories(directory)
  return (await Promise.all(runs.map((run) => damagedFiles(filesIn(run))))).flat()
}

/** `runs/quickstart/full/seed-0` belongs to `runs/quickstart`. */
function experimentOf(given: string): string {
  const isRun = existsSync(join(given, 'run.json')) && statSync(given).isDirectory()
  return isRun && basename(given).startsWith('seed-') ? dirname(dirname(given)) : given
}
