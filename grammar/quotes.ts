import type { Diagnostic } from '../diagnostics/diagnostic.js'
import type { Tokens } from './layout.js'
import type { LexicalFault } from './lexer.js'
import * as t from './tokens.js'

export const isUnclosedText = (diagnostic: Diagnostic) => diagnostic.code === 'DINO0002'

const beforeText: ReadonlySet<unknown> = new Set([t.Equals, t.LParen, t.LSquare, t.Comma, t.Colon])
const behindText: ReadonlySet<unknown> = new Set([t.Comma, t.RParen, t.RSquare, t.RCurly, t.LCurly])

/**
 * Lines on which a quote too many has turned texts inside out: what else seems wrong there is only that. A text shows
 * it by what stands before or behind it.
 */
export function linesOfUnpairedQuotes(tokens: Tokens, faults: readonly LexicalFault[]): ReadonlySet<number> {
  const unclosed = new Set(faults.filter((f) => isUnclosedText(f.diagnostic)).map((f) => f.span.startLine))
  const confused = new Set<number>()
  if (unclosed.size === 0) return confused
  tokens.forEach((token, i) => {
    if (token.tokenType !== t.TextLiteral || !unclosed.has(token.startLine!)) return
    const previous = tokens[i - 1]
    const next = tokens[i + 1]
    const fitsBefore = previous && (beforeText.has(previous.tokenType) || previous.image === 'from')
    const fitsBehind = !next || next.startLine! > token.endLine! || behindText.has(next.tokenType)
    if (!fitsBefore || !fitsBehind) confused.add(token.startLine!)
  })
  return confused
}
