import type { IRecognitionException, IToken } from 'chevrotain'
import type { Span } from '../diagnostics/diagnostic.js'
import { type Extent, isCloser, isOpener, isWord, onNewLine, type Tokens } from './layout.js'
import { after, tokenSpan } from './spans.js'
import * as t from './tokens.js'
import { isVirtual } from './virtual.js'

export type StatementKind = 'import' | 'param' | 'drop' | 'header' | 'assignment'

/** A statement that the grammar refused, with everything that its diagnostic may want to say. */
export interface Refused {
  readonly kind: StatementKind
  readonly error: IRecognitionException
  readonly tokens: Tokens
  readonly extent: Extent
  /** Index behind the last token that the grammar was given. */
  readonly end: number
  readonly file: string
}

export interface Found {
  /** Index into the tokens of the file. */
  readonly at: number
  readonly token: IToken
  /** Ready to print: "`)`", "the end of the line". */
  readonly shown: string
  readonly span: Span
  /** True where the statement ended before what was expected came. */
  readonly ended: boolean
}

export function whatWasFound({ error, tokens, extent, end, file }: Refused): Found {
  let at = end
  if (error.token.tokenType !== t.EndOfFile)
    for (at = extent.start; at < end && tokens[at] !== error.token; at++);
  const token = tokens[at]!
  if (at < end && !isVirtual(token))
    return { at, token, shown: t.showToken(token), span: tokenSpan(token, file), ended: false }
  const last = at > 0 ? tokenSpan(tokens[at - 1]!, file) : tokenSpan(token, file)
  if (token.tokenType === t.EndOfFile)
    return { at, token, shown: 'the end of the file', span: after(last), ended: true }
  if (isVirtual(token) || onNewLine(tokens, at))
    return { at, token, shown: 'the end of the line', span: after(last), ended: true }
  return { at, token, shown: t.showToken(token), span: tokenSpan(token, file), ended: true }
}

/** The innermost bracket that is open at `at`, within the statement. */
export function openBracket({ tokens, extent }: Refused, at: number): number | null {
  const stack: number[] = []
  for (let i = extent.start; i < at; i++) {
    if (isOpener(tokens[i]!)) stack.push(i)
    else if (isCloser(tokens[i]!)) stack.pop()
  }
  return stack.at(-1) ?? null
}

export const closerOf = (opener: IToken) => (opener.image === '(' ? ')' : ']')
export const isReserved = (token: IToken) => t.reservedWords.includes(token.tokenType)

export function beginsValue(token: IToken): boolean {
  return (
    isWord(token) ||
    isOpener(token) ||
    token.tokenType === t.NumberLiteral ||
    token.tokenType === t.BadNumber ||
    token.tokenType === t.TextLiteral
  )
}

export const comparisons: ReadonlySet<unknown> = new Set([
  t.EqualsEquals,
  t.NotEquals,
  t.LessEquals,
  t.GreaterEquals,
  t.Less,
  t.Greater,
])

export function endOf(tokens: Tokens, at: number): string {
  const token = tokens[at]!
  if (token.tokenType === t.EndOfFile) return 'the end of the file'
  return isVirtual(token) || onNewLine(tokens, at) ? 'the end of the line' : t.showToken(token)
}
