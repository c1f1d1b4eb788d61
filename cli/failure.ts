import { pathToFileURL } from 'node:url'
import { CommanderError } from 'commander'
import pc from 'picocolors'
import { diagnose } from '../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import { packageRoot } from '../diagnostics/package-root.js'
import { writeFault } from '../runtime/durable.js'
import { exit } from './exit.js'
import { reportDiagnostics, usesColor } from './print.js'
import { UsageError } from './usage-error.js'
import { version } from './version.js'

/**
 * The last resort of every command: says on standard error what ended it and returns the exit status. A user's mistake
 * is a diagnostic or a usage error; anything else is a bug of dinoc's own (DINO9999), without its stack unless
 * DINO_DEBUG is set.
 */
export function reportFailure(error: unknown, args: readonly string[]): number {
  const format = wantsJson(args) ? 'json' : 'human'
  if (error instanceof DiagnosticError) {
    reportDiagnostics(error.diagnostics, format)
    return exit.usage
  }
  if (error instanceof UsageError) {
    reportUsage(error.message, error.help)
    return exit.usage
  }
  if (error instanceof CommanderError) {
    // commander has printed its help where that is all there is to say
    if (error.code === 'commander.help') return exit.usage
    const [, message, meant] = /^(?:error: )?([^\n]*)(?:\n\(Did you mean (?:one of )?(.*)\?\))?/s.exec(
      error.message,
    )!
    const command = args[0]?.startsWith('-') || error.code === 'commander.unknownCommand' ? '' : `${args[0]} `
    reportUsage(
      message!.replaceAll("'", '`'),
      meant ? [`did you mean ${meant}?`] : [`dinoc ${command}--help lists what there is`],
    )
    return exit.usage
  }
  const fault = error instanceof Error && 'path' in error ? writeFault(error, String(error.path)) : error
  if (fault instanceof DiagnosticError) {
    reportDiagnostics(fault.diagnostics, format)
    return exit.usage
  }
  reportDiagnostics([internalError(error, args)], format)
  if (process.env.DINO_DEBUG && error instanceof Error) process.stderr.write(`\n${error.stack}\n`)
  return exit.usage
}

function wantsJson(args: readonly string[]): boolean {
  const at = args.indexOf('--format')
  return args.includes('--json') || args.includes('--format=json') || (at >= 0 && args[at + 1] === 'json')
}

function reportUsage(message: string, help: readonly string[]): void {
  const colors = pc.createColors(usesColor(process.stderr))
  process.stderr.write(`${colors.bold(colors.red('error'))}${colors.bold(`: ${message}`)}\n`)
  for (const line of help) process.stderr.write(`  ${colors.blue('=')} ${colors.bold('help:')} ${line}\n`)
}

/** DINO9999 with a report to send: what happened and where in dinoc, nothing of the user's data. */
export function internalError(error: unknown, args: readonly string[]): Diagnostic {
  const what = error instanceof Error ? error.message.split('\n')[0]! : String(error)
  const report = [
    `dinoc ${version()}, node ${process.version}, ${process.platform} ${process.arch}`,
    `dinoc ${args.join(' ')}`,
    `${error instanceof Error ? error.name : typeof error}: ${what}`,
    ...framesOf(error),
  ]
  return diagnose(
    'DINO9999',
    null,
    { what: what || 'no message' },
    {
      notes: [
        'this is a bug in dinoc, whatever the file says',
        `a report for the maintainers:\n${report.join('\n')}`,
      ],
      help: [
        'open an issue with the lines above and the file, if you can share it',
        'DINO_DEBUG=1 shows the whole stack',
      ],
    },
  )
}

/** The innermost places in dinoc's own code, paths from the root of the package. */
function framesOf(error: unknown): string[] {
  if (!(error instanceof Error) || !error.stack) return []
  const root = pathToFileURL(packageRoot()).pathname
  const frame = new RegExp(
    `at (?:(\\S+) \\()?(?:file://)?${escaped(root)}/(?:dist/)?(${ownFolders}/[^():]*:\\d+)`,
  )
  return error.stack
    .split('\n')
    .slice(1)
    .map((line) => frame.exec(line))
    .filter((match) => match !== null)
    .slice(0, 3)
    .map((match) => `  at ${match[1] ?? 'top level'} (${match[2]})`)
}
const ownFolders = '(?:cli|compiler|grammar|diagnostics|runtime)'
const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
