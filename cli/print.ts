import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { WriteStream } from 'node:tty'
import pc from 'picocolors'
import { commandLineText } from '../compiler/resolve/command-line.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import { inOrder, summary } from '../diagnostics/order.js'
import { packageRoot } from '../diagnostics/package-root.js'
import { linesOf, renderHuman } from '../diagnostics/render/human.js'
import { renderJson } from '../diagnostics/render/json.js'
import { renderShort } from '../diagnostics/render/short.js'

/** Whether a stream shows colours: a terminal, unless NO_COLOR is set to anything; FORCE_COLOR insists. */
export function usesColor(stream: { isTTY?: boolean }): boolean {
  if (process.env.NO_COLOR) return false
  if (process.env.FORCE_COLOR) return process.env.FORCE_COLOR !== '0'
  return stream.isTTY === true && process.env.TERM !== 'dumb'
}

/** Columns of a stream, at most 120, 100 where it is no terminal. */
export function columnsOf(stream: Partial<Pick<WriteStream, 'columns' | 'isTTY'>>): number {
  return stream.isTTY && stream.columns ? Math.max(40, Math.min(stream.columns, 120)) : 100
}

/** The text of a file that a diagnostic names: of the working directory, a preset of the package, or an option. */
export function sourceText(file: string): string | null {
  const typed = commandLineText(file)
  if (typed !== null) return typed
  for (const path of [file, ...(file.startsWith('std/') ? [join(packageRoot(), 'experiments', file)] : [])]) {
    try {
      return readFileSync(path, 'utf8')
    } catch {}
  }
  return null
}

export interface PrintOptions {
  readonly format: 'human' | 'short' | 'json'
  /** Texts that are not on disk (standard input), by the name that diagnostics use. */
  readonly texts?: ReadonlyMap<string, string>
}

/**
 * Diagnostics in order, each once, as text that ends with a newline; empty where there are none. For people at most 50,
 * the gravest, and how many more there are; machines get all.
 */
export function renderDiagnostics(
  diagnostics: readonly Diagnostic[],
  stream: Partial<Pick<WriteStream, 'columns' | 'isTTY'>>,
  { format, texts }: PrintOptions,
): string {
  const ordered = inOrder(diagnostics)
  if (ordered.length === 0) return ''
  switch (format) {
    case 'json':
      return `${ordered.map(renderJson).join('\n')}\n`
    case 'short':
      return `${ordered.map(renderShort).join('\n')}\n`
    case 'human': {
      const cache = new Map<string, readonly string[] | null>()
      const lines = (file: string) => {
        if (!cache.has(file)) {
          const text = texts?.get(file) ?? sourceText(file)
          cache.set(file, text === null ? null : linesOf(text))
        }
        return cache.get(file)!
      }
      const options = { lines, color: usesColor(stream), width: columnsOf(stream) }
      const shown = gravest(ordered, shownAtMost)
      const rest = ordered.length - shown.length
      const more = rest === 0 ? [] : [`${rest} more; --format json lists all\n`]
      return [...shown.map((d) => `${renderHuman(d, options)}\n`), ...more].join('\n')
    }
    default:
      return format satisfies never
  }
}

/** Nobody reads more of them at once, and a terminal keeps no more. */
const shownAtMost = 50

/** At most `count`: errors before warnings before notes, the first of each; in the order given. */
function gravest(diagnostics: readonly Diagnostic[], count: number): readonly Diagnostic[] {
  if (diagnostics.length <= count) return diagnostics
  const bySeverity = (['error', 'warning', 'note'] as const).flatMap((severity) =>
    diagnostics.filter((d) => d.severity === severity),
  )
  const kept = new Set(bySeverity.slice(0, count))
  return diagnostics.filter((d) => kept.has(d))
}

/** Diagnostics to standard error, as every command but `check` gives them, with a count behind them. */
export function reportDiagnostics(
  diagnostics: readonly Diagnostic[],
  format: PrintOptions['format'] = 'human',
): void {
  process.stderr.write(renderDiagnostics(diagnostics, process.stderr, { format }))
  const count = summary(inOrder(diagnostics))
  if (format === 'human' && count)
    process.stderr.write(`\n${pc.createColors(usesColor(process.stderr)).bold(count)}\n`)
}

export const hasErrors = (diagnostics: readonly Diagnostic[]) =>
  diagnostics.some((d) => d.severity === 'error')
