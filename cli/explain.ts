import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import pc from 'picocolors'
import type { Entry } from '../diagnostics/catalogue/entry.js'
import { catalogue } from '../diagnostics/catalogue.js'
import { didYouMean } from '../diagnostics/nearest.js'
import { packageRoot } from '../diagnostics/package-root.js'
import { wrapped } from '../diagnostics/render/wrapped.js'
import { exit } from './exit.js'
import { addFormatOption, formatOption } from './options.js'
import { columnsOf, usesColor } from './print.js'
import { UsageError } from './usage-error.js'

const entries = catalogue as unknown as Readonly<Record<string, Entry<never>>>

export function define(command: Command): void {
  addFormatOption(command.argument('[code]', 'DINO0502, or 502; without it, every code is listed')).action(
    (code: string | undefined, options: { format?: string; json?: boolean }) => {
      const json = formatOption(options) === 'json'
      process.stdout.write(code === undefined ? list(json) : page(code, json))
      process.exitCode = exit.good
    },
  )
}

function list(json: boolean): string {
  const codes = Object.entries(entries)
    .map(([code, { severity, title }]) => ({ code, severity, title }))
    .sort((a, b) => (a.code < b.code ? -1 : 1))
  if (json) return `${JSON.stringify({ formatVersion: 1, codes })}\n`
  return codes.map(({ code, severity, title }) => `${code}  ${severity.padEnd(8)} ${title}\n`).join('')
}

function page(written: string, json: boolean): string {
  const digits = /^(?:DINO)?(\d{1,4})$/i.exec(written)?.[1]
  const code = digits ? `DINO${digits.padStart(4, '0')}` : written
  const entry = entries[code]
  if (!entry)
    throw new UsageError(`there is no diagnostic \`${written}\``, didYouMean(code, Object.keys(entries)))
  const path = join(packageRoot(), 'docs', 'diagnostics', `${code}.md`)
  const text = existsSync(path) ? readFileSync(path, 'utf8') : `# ${code}: ${entry.title}\n`
  const { severity, title } = entry
  if (json) return `${JSON.stringify({ formatVersion: 1, code, severity, title, text })}\n`
  return terminalPage(text, { color: usesColor(process.stdout), width: columnsOf(process.stdout) })
}

/** Markdown as a terminal shows it: headings bold, code blocks indented, prose wrapped, inline code coloured. */
export function terminalPage(text: string, { color, width }: { color: boolean; width: number }): string {
  const colors = pc.createColors(color)
  let code = false
  return text
    .split('\n')
    .flatMap((line) => {
      if (line.startsWith('```')) {
        code = !code
        return []
      }
      if (code) return [line ? `    ${colors.cyan(line)}` : '']
      const heading = /^#+ (.*)$/.exec(line)
      if (heading) return [colors.bold(heading[1]!)]
      return proseLines(line, width).map((part) =>
        part.replaceAll(/`([^`]+)`/g, (whole, inner: string) => (color ? colors.cyan(inner) : whole)),
      )
    })
    .join('\n')
}

/** A paragraph or an item of a list, whose other lines stand under its text; inline code stays in one piece. */
function proseLines(line: string, width: number): string[] {
  if (line.trim() === '') return ['']
  const [mark = ''] = /^ *(?:[-*] |\d+\. )?/.exec(line) ?? []
  const words = line.slice(mark.length).match(/(?:`[^`]*`|[^\s`]|`)+/g) ?? []
  return wrapped(words, ' ', width - mark.length).map(
    (text, i) => (i === 0 ? mark : ' '.repeat(mark.length)) + text,
  )
}
