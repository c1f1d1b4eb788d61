import { existsSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Command } from 'commander'
import { renderReport } from '../compiler/codegen/report.js'
import { diagnose } from '../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import { damagedFiles } from '../runtime/damage.js'
import { replaceFile } from '../runtime/durable.js'
import { filesIn } from '../runtime/run-directory.js'
import { exit } from './exit.js'
import { addFormatOption, formatOption } from './options.js'
import { reportDiagnostics } from './print.js'
import { changesOf } from './report/changes.js'
import { collectRuns } from './report/collect.js'
import { reportModel } from './report/model.js'

export function define(command: Command): void {
  addFormatOption(command.argument('<directories...>', 'directories of experiments: runs/quickstart')).action(
    async (directories: readonly string[], options: { format?: string; json?: boolean }) => {
      for (const directory of directories) {
        const path = await writeReport(directory)
        reportDiagnostics(await damageIn(dirname(path)), formatOption(options) === 'json' ? 'json' : 'human')
        const line =
          formatOption(options) === 'json'
            ? JSON.stringify({ formatVersion: 1, report: path })
            : `report   ${path}`
        process.stdout.write(`${line}\n`)
      }
      process.exitCode = exit.good
    },
  )
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
      diagnose('DINO1070', null, { directory }, { help: ['dinoc run FILE', 'dinoc report runs/EXPERIMENT'] }),
    ])
  const model = await reportModel(runs, changesOf(runs))
  const path = join(directory, 'report.html')
  await replaceFile(path, renderReport(model))
  return path
}

async function damageIn(directory: string): Promise<Diagnostic[]> {
  const runs = await collectRuns(directory)
  return (await Promise.all(runs.map((run) => damagedFiles(filesIn(run.directory))))).flat()
}

/** `runs/quickstart/full/seed-0` belongs to `runs/quickstart`. */
function experimentOf(given: string): string {
  const isRun = existsSync(join(given, 'run.json')) && statSync(given).isDirectory()
  return isRun && basename(given).startsWith('seed-') ? dirname(dirname(given)) : given
}
