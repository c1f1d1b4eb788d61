import type { Span } from '../../diagnostics/diagnostic.js'
import { parse } from '../../grammar/parser.js'
import { kindNamed } from '../../grammar/schema/vocabulary.js'
import { settingFile } from './command-line.js'
import { type Body, readBody } from './edits.js'
import type { Module } from './modules.js'
import { shifted, shiftSpan } from './params.js'
import type { Report } from './report.js'

/** `--set` as a body; each setting is a text of its own. */
export function readSettings(
  set: readonly string[],
  module: Module,
  files: Map<string, string>,
  report: Report,
): Body | null {
  if (set.length === 0) return null
  const statements = set.flatMap((setting) => {
    const name = settingFile(setting)
    files.set(name, setting)
    const prefix = 'experiment set { '
    const parsed = parse(`${prefix}${setting} }`, name)
    for (const found of parsed.diagnostics) {
      report.errors++
      const back = (span: Span): Span => clamp(shiftSpan(span, prefix.length), setting)
      report.diagnostics.push({
        ...found,
        primary: found.primary && { ...found.primary, span: back(found.primary.span) },
        labels: found.labels.map((label) => ({ ...label, span: back(label.span) })),
        fixes: [],
      })
    }
    const [block] = parsed.file.items
    return block?.kind === 'block' ? shifted(block.body, prefix.length) : []
  })
  return readBody(
    statements,
    kindNamed('experiment'),
    { index: 900, what: 'set', name: '--set', module },
    false,
    report,
  )
}

function clamp(span: Span, text: string): Span {
  const end = Math.min(span.end, text.length)
  const start = Math.min(span.start, end)
  return {
    ...span,
    start,
    end,
    startColumn: Math.min(span.startColumn, text.length + 1),
    endColumn: Math.min(span.endColumn, text.length + 1),
  }
}
