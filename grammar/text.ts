import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../diagnostics/diagnostic.js'
import type { TextPart } from './ast.js'
import { within } from './spans.js'

const escapes: Readonly<Record<string, string>> = { $: '$', '"': '"', '\\': '\\', n: '\n' }

/**
 * Reads what stands between the quotes of a text: literals with their escapes undone, and `${name}` for params.
 * `span` is that of the whole token on its line, quotes included. Faults come in order; the parts are a best guess.
 */
export function readText(written: string, span: Span): { parts: TextPart[]; faults: Diagnostic[] } {
  const parts: TextPart[] = []
  const faults: Diagnostic[] = []
  let literal = ''
  const flush = () => {
    if (literal) parts.push({ kind: 'literal', text: literal })
    literal = ''
  }
  const closed = written.length > 1 && written.endsWith('"')
  const end = closed ? written.length - 1 : written.length
  let i = 1
  while (i < end) {
    const c = written[i]!
    if (c === '\\') {
      const next = String.fromCodePoint(written.codePointAt(i + 1) ?? 32)
      const meant = escapes[next]
      if (meant === undefined && i + 1 < end) {
        faults.push(
          diagnose(
            'DINO0005',
            within(span, i, 1 + next.length),
            { written: `\\${next}` },
            {
              label: 'unknown escape',
              help: ['write `\\\\` for a backslash; the escapes are `\\$`, `\\"`, `\\\\` and `\\n`'],
              fixes: [{ title: 'double the backslash', span: within(span, i, 1), replacement: '\\\\' }],
            },
          ),
        )
      }
      literal += meant ?? next
      i += 1 + next.length
    } else if (c === '$' && written[i + 1] === '{') {
      const name = /^[A-Za-z_][A-Za-z0-9_]*/.exec(written.slice(i + 2, end))?.[0] ?? ''
      const close = i + 2 + name.length
      if (name && written[close] === '}') {
        flush()
        parts.push({ kind: 'param', name: { text: name, span: within(span, i + 2, name.length) } })
        i = close + 1
      } else {
        const found =
          close >= end ? 'the end of the text' : `\`${String.fromCodePoint(written.codePointAt(close)!)}\``
        faults.push(
          diagnose(
            'DINO0006',
            within(span, i, Math.max(2, close - i)),
            { found },
            {
              label: 'an insertion begins here',
              help: [
                `write \`$\{name}\` with the name of a param, or \`\\$\{\` where the two characters are meant`,
              ],
            },
          ),
        )
        literal += '${'
        i += 2
      }
    } else {
      literal += c
      i++
    }
  }
  flush()
  return { parts, faults }
}
