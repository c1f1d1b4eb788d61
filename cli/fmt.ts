import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { parse } from '../grammar/parser.js'
import { format } from '../grammar/printer.js'
import { exit } from './exit.js'
import { addFormatOption, type FormatFlags, formatOption } from './options.js'
import { renderDiagnostics } from './print.js'
import { readSource, standardInput } from './source.js'
import { UsageError } from './usage-error.js'

interface Options extends FormatFlags {
  readonly check?: boolean
}

export function define(command: Command): void {
  addFormatOption(
    command
      .argument('<files...>', 'files to lay out; - reads standard input and prints the result')
      .option('--check', 'change nothing; exit with 1 if a file would change'),
  )
    .addHelpText('after', '\nA file with a fault in its syntax is reported and left as it is.')
    .action((files: string[], options: Options) => {
      process.exitCode = fmt(files, options)
    })
}

/** Lays out each file; one with faults is reported and left alone, the others are still done. */
function fmt(files: readonly string[], options: Options): number {
  const json = formatOption(options) === 'json'
  if (json && !options.check && files.includes('-'))
    throw new UsageError('standard output cannot hold both the text and JSON', [
      'leave out --json, or add --check',
    ])
  const texts = files.map((file) => ({ file, text: readSource(file) }))
  const done: { file: string; changed: boolean }[] = []
  for (const { file, text } of texts) {
    const name = file === '-' ? standardInput : file
    const { file: tree, diagnostics } = parse(text, name)
    if (diagnostics.length > 0) {
      const rendered = { format: formatOption(options), texts: new Map([[name, text]]) }
      process.stderr.write(renderDiagnostics(diagnostics, process.stderr, rendered))
      continue
    }
    const laidOut = format(tree)
    const changed = laidOut !== text
    done.push({ file, changed })
    if (options.check) continue
    if (file === '-') process.stdout.write(laidOut)
    else if (changed) writeAtomically(realpathSync(file), laidOut)
  }
  const changed = done.filter((f) => f.changed)
  if (json) process.stdout.write(`${JSON.stringify({ formatVersion: 1, files: done })}\n`)
  else if (options.check) for (const { file } of changed) process.stdout.write(`${file}\n`)
  else for (const { file } of changed) if (file !== '-') process.stderr.write(`laid out ${file}\n`)
  if (done.length < texts.length) return exit.usage
  return options.check && changed.length > 0 ? exit.findings : exit.good
}

/** Through a temporary file beside it, so that a reader, or a crash, finds the old text or the new one. */
function writeAtomically(path: string, text: string): void {
  const temporary = join(dirname(path), `.${randomUUID()}.tmp`)
  try {
    writeFileSync(temporary, text, { mode: statSync(path).mode })
    const handle = openSync(temporary, 'r')
    fsyncSync(handle)
    closeSync(handle)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw new UsageError(`cannot write ${path}: ${(error as Error).message}`)
  }
}
