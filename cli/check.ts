import type { Command } from 'commander'
import { checkFile } from '../compiler/compile.js'
import { nodeHost, type SourceHost } from '../compiler/resolve/host.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import { inOrder, summary } from '../diagnostics/order.js'
import { renderSarif } from '../diagnostics/render/sarif.js'
import { exit } from './exit.js'
import {
  addFileOptions,
  addFormatOption,
  type FileFlags,
  type FormatFlags,
  fileOptions,
  formatOption,
} from './options.js'
import { hasErrors, renderDiagnostics } from './print.js'
import { readSource, standardInput } from './source.js'
import { version } from './version.js'

type Format = 'human' | 'short' | 'json' | 'sarif'

interface Options extends FileFlags, FormatFlags {
  readonly denyWarnings?: boolean
}

export function define(command: Command): void {
  addFormatOption(
    addFileOptions(command.argument('<files...>', 'FILE or FILE#experiment; - reads standard input')),
    ['human', 'short', 'json', 'sarif'] satisfies Format[],
  )
    .option('--deny-warnings', 'exit with 1 on warnings too')
    .addHelpText(
      'after',
      '\nOf more than 50 diagnostics the gravest are shown; json, short and sarif have all.',
    )
    .action((files: string[], options: Options) => {
      process.exitCode = check(files, options)
    })
}

/** The diagnostics are this command's result: they go to standard output. */
function check(files: readonly string[], options: Options): number {
  const format = formatOption<Format>(options)
  const { set, params } = fileOptions(options)
  const texts = new Map<string, string>()
  const found: Diagnostic[] = []
  for (const entry of files) {
    const resolution = checkFile(entry === '-' ? standardInput : entry, host(entry), {
      set,
      params,
      env: process.env,
    })
    for (const [name, text] of resolution.files) texts.set(name, text)
    for (const diagnostic of resolution.diagnostics) found.push(diagnostic)
  }
  const diagnostics = inOrder(found)
  if (format === 'sarif') process.stdout.write(`${renderSarif(diagnostics, version())}\n`)
  else process.stdout.write(renderDiagnostics(diagnostics, process.stdout, { format, texts }))
  if (format === 'human')
    process.stdout.write(
      diagnostics.length > 0 ? `\n${summary(diagnostics)}\n` : `${files.join(', ')}: no faults\n`,
    )
  // a file that is not there is a mistake in the command, not in a file
  if (diagnostics.some((d) => d.code === 'DINO0220')) return exit.usage
  if (hasErrors(diagnostics)) return exit.findings
  return options.denyWarnings && diagnostics.some((d) => d.severity === 'warning') ? exit.findings : exit.good
}

/** Files of the working directory, with standard input as one of them. */
function host(entry: string): SourceHost {
  const files = nodeHost()
  if (entry !== '-') return files
  const text = readSource('-')
  return { ...files, read: (path) => (path === standardInput ? text : files.read(path)) }
}
