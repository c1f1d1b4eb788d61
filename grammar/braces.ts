import type { IToken } from 'chevrotain'
import {
  isCloser,
  isImportBrace,
  isOpener,
  isWord,
  onNewLine,
  startsStatement,
  type Tokens,
} from './layout.js'
import * as t from './tokens.js'

export interface Balanced {
  /** The same tokens with every brace in a pair: braces too many left out, missing ones put in (`isVirtual`). */
  readonly tokens: Tokens
  /** `}` that close nothing. */
  readonly tooMany: readonly IToken[]
}

/** A brace that is not in the text: an empty token right behind the token before it. */
const virtualBraces = new WeakSet<IToken>()
export const isVirtual = (token: IToken) => virtualBraces.has(token)

function virtual(type: typeof t.LCurly, previous: IToken): IToken {
  const token: IToken = {
    image: '',
    tokenType: type,
    tokenTypeIdx: type.tokenTypeIdx!,
    startOffset: previous.endOffset! + 1,
    endOffset: previous.endOffset!,
    startLine: previous.endLine!,
    endLine: previous.endLine!,
    startColumn: previous.endColumn! + 1,
    endColumn: previous.endColumn!,
  }
  virtualBraces.add(token)
  return token
}

interface Open {
  /** Column of the first token on the line of the header. */
  readonly indent: number
  readonly line: number
}

/**
 * Pairs braces. Where they do not balance, indentation tells which block lacks one or has one too many: a block ends
 * before the first line that is not indented deeper than its header. Balanced braces are left alone, however the
 * text is indented, unless a header without its `{` shows that they balance by accident.
 */
export function balance(tokens: Tokens): Balanced {
  const inImport = importBraces(tokens)
  const surplus = count(tokens, inImport)
  const free = repair(tokens, inImport, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
  const trusted = free.oddities === 0 && free.repairs <= (surplus === 'balanced' ? 0 : Math.abs(surplus)) + 4
  if (surplus === 'balanced') return trusted && free.lostOpeners > 0 ? free : { tokens, tooMany: [] }
  // As few repairs as the numbers of braces ask for, if the result agrees with the indentation.
  const few = repair(tokens, inImport, Math.max(0, surplus), Math.max(0, -surplus))
  return few.oddities > 0 && trusted ? free : few
}

interface Repaired extends Balanced {
  readonly repairs: number
  /** Headers whose `{` was put in. */
  readonly lostOpeners: number
  /** Lines whose indentation contradicts the result. */
  readonly oddities: number
}

/** Pairs braces by indentation, with at most `missing` braces put in and `extra` left out (or openers put in). */
function repair(tokens: Tokens, inImport: ReadonlySet<number>, missing: number, extra: number): Repaired {
  const result: IToken[] = []
  const tooMany: IToken[] = []
  const stack: Open[] = []
  let repairs = 0
  let lostOpeners = 0
  let oddities = 0
  let indent = 1
  let depth = 0
  /** Index of the token before which a lost `{` goes in. */
  let lostBefore = -1

  const close = () => {
    stack.pop()
    result.push(virtual(t.RCurly, result.at(-1)!))
    missing--
    repairs++
  }

  tokens.forEach((token, i) => {
    const leading = onNewLine(tokens, i)
    const column = token.startColumn!
    const closesBlock = token.tokenType === t.RCurly && !inImport.has(i)
    if (token.tokenType === t.EndOfFile) {
      while (stack.length > 0) close()
      result.push(token)
      return
    }
    const starts = leading && startsStatement(tokens, i)
    if (starts) depth = 0
    if (leading && depth === 0) {
      const lost = !closesBlock && extra > 0 && isHeaderWithoutBrace(tokens, i)
      if (lost) lostBefore = lineEnd(tokens, i)
      if (lost || (starts && !closesBlock)) {
        while (missing > 0 && stack.length > 0 && stack.at(-1)!.indent >= column) close()
        if (stack.length > 0 && stack.at(-1)!.indent >= column) oddities++
      }
      indent = column
    }
    if (closesBlock) {
      if (leading)
        while (
          missing > 0 &&
          stack.length > 0 &&
          stack.at(-1)!.indent > column &&
          stack.some((b) => b.indent === column)
        )
          close()
      const top = stack.at(-1)
      const surplusHere =
        !top ||
        (extra > 0 &&
          (leading ? top.indent < column : top.line < token.startLine! && closedLater(tokens, i, top)))
      if (surplusHere) {
        tooMany.push(token)
        extra--
        repairs++
        return
      }
      if (leading && top.indent !== column) oddities++
      stack.pop()
    } else if (token.tokenType === t.LCurly && !inImport.has(i))
      stack.push({ indent, line: token.startLine! })
    else if (isOpener(token)) depth++
    else if (isCloser(token)) depth = Math.max(0, depth - 1)
    if (extra > 0 && lostBefore < 0) lostBefore = lostBraceOnLine(tokens, i, stack.at(-1))
    result.push(token)
    if (lostBefore === i + 1) {
      stack.push({ indent, line: token.startLine! })
      result.push(virtual(t.LCurly, token))
      extra--
      repairs++
      lostOpeners++
      lostBefore = -1
    }
  })
  return { tokens: result, tooMany, repairs, lostOpeners, oddities }
}

/** The braces of imports are brackets: they end with their statement, whatever blocks do. */
function importBraces(tokens: Tokens): ReadonlySet<number> {
  const found = new Set<number>()
  for (let i = 0; i < tokens.length; i++) {
    if (!isImportBrace(tokens, i)) continue
    found.add(i)
    for (let j = i + 1; ; j++) {
      const token = tokens[j]!
      if (token.tokenType === t.RCurly) {
        found.add(j)
        break
      }
      if (token.tokenType === t.EndOfFile || token.tokenType === t.LCurly) break
      if (onNewLine(tokens, j) && startsStatement(tokens, j)) break
    }
  }
  return found
}

/** Openers minus closers; `balanced` where they also come in an order that pairs them. */
function count(tokens: Tokens, inImport: ReadonlySet<number>): number | 'balanced' {
  let depth = 0
  let below = false
  tokens.forEach((token, i) => {
    if (inImport.has(i)) return
    if (token.tokenType === t.LCurly) depth++
    else if (token.tokenType === t.RCurly) depth--
    if (depth < 0) below = true
  })
  return depth === 0 && !below ? 'balanced' : depth
}

/** Index of the first token on a line after that of `i`. */
function lineEnd(tokens: Tokens, i: number): number {
  let j = i + 1
  while (tokens[j] && !onNewLine(tokens, j)) j++
  return j
}

/** `backbone vit` alone on its line, with deeper lines below it: its `{` is lost. */
function isHeaderWithoutBrace(tokens: Tokens, i: number): boolean {
  if (tokens[i]!.tokenType !== t.Name) return false
  const end = lineEnd(tokens, i)
  for (let j = i; j < end; j++) {
    const type = tokens[j]!.tokenType
    if (!isWord(tokens[j]!) && type !== t.Colon && type !== t.Dot) return false
  }
  const next = tokens[end]
  if (!next || next.tokenType === t.EndOfFile || next.tokenType === t.LCurly) return false
  return next.startColumn! > tokens[i]!.startColumn!
}

/** `head ibot prototypes = 512, hidden = 256 }` on a line that closes more than it opens: before which token the `{` is lost. */
function lostBraceOnLine(tokens: Tokens, i: number, top: Open | undefined): number {
  const previous = tokens[i - 1]?.tokenType
  const first = onNewLine(tokens, i) || previous === t.LCurly || previous === t.Comma
  if (!first || tokens[i]!.tokenType !== t.Name) return -1
  let path = i
  let j = i
  for (; ; j++) {
    const token = tokens[j]!
    if (token.tokenType === t.Equals) break
    if (j > i && onNewLine(tokens, j)) return -1
    if (token.tokenType === t.Dot) continue
    if (token.tokenType !== t.Name && token.tokenType !== t.Colon) return -1
    if (tokens[j - 1]?.tokenType !== t.Dot) path = j
  }
  if (path === i) return -1
  let net = 0
  const end = lineEnd(tokens, i)
  for (let k = i; k < end; k++) {
    if (tokens[k]!.tokenType === t.LCurly) net++
    else if (tokens[k]!.tokenType === t.RCurly) net--
    if (net < 0 && (!top || top.line < tokens[i]!.startLine!)) return path
  }
  return -1
}

/** Whether the block finds a `}` of its own further down, at the start of a line and under its header. */
function closedLater(tokens: Tokens, i: number, top: Open): boolean {
  for (let j = i + 1; j < tokens.length; j++) {
    const token = tokens[j]!
    if (!onNewLine(tokens, j) || token.tokenType === t.EndOfFile) continue
    if (token.startColumn! <= top.indent)
      return token.tokenType === t.RCurly && token.startColumn === top.indent
  }
  return false
}
