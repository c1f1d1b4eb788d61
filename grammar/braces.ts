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
  /** Braces that were left out: `{` that open nothing, `}` that close nothing. */
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
 * text is indented, unless several lines and a header without its `{` show that they balance by accident.
 */
export function balance(tokens: Tokens): Balanced {
  const inImport = importBraces(tokens)
  const whole = { start: 0, end: tokens.length }
  const few = leastRepair(tokens, inImport, whole)
  if (few.oddities === 0) return few
  // Statements at the left margin begin afresh, so that a brace is looked for where it is missing.
  const parts = margins(tokens).map((region) => bestRepair(tokens, inImport, region))
  const oddities = parts.reduce((sum, part) => sum + part.oddities, 0)
  const repairs = parts.reduce((sum, part) => sum + part.repairs, 0)
  const lostOpeners = parts.reduce((sum, part) => sum + part.lostOpeners, 0)
  const surplus = count(tokens, inImport, whole)
  const trusted =
    surplus === 'balanced'
      ? few.oddities > 1 && oddities === 0 && lostOpeners > 0
      : repairs <= Math.abs(surplus) + 8
  if (!trusted || oddities >= few.oddities) return few
  return { tokens: parts.flatMap((part) => part.tokens), tooMany: parts.flatMap((part) => part.tooMany) }
}

/** Token indices of a part of the file, the end exclusive. */
interface Region {
  readonly start: number
  readonly end: number
}

/** The parts of the file that begin with a statement at the left margin. */
function margins(tokens: Tokens): Region[] {
  const starts = [0]
  for (let i = 1; i < tokens.length - 1; i++) {
    const atMargin = tokens[i]!.startColumn === 1 && tokens[i]!.tokenType !== t.RCurly
    if (atMargin && onNewLine(tokens, i) && startsStatement(tokens, i)) starts.push(i)
  }
  return starts.map((start, k) => ({ start, end: starts[k + 1] ?? tokens.length }))
}

/** As few repairs as the numbers of braces ask for. */
function leastRepair(tokens: Tokens, inImport: ReadonlySet<number>, region: Region): Repaired {
  const surplus = count(tokens, inImport, region)
  if (surplus === 'balanced') return repair(tokens, inImport, region, 0, 0)
  return repair(tokens, inImport, region, Math.max(0, surplus), Math.max(0, -surplus))
}

/** The fewest repairs, or a few more if only those agree with the indentation. */
function bestRepair(tokens: Tokens, inImport: ReadonlySet<number>, region: Region): Repaired {
  const surplus = count(tokens, inImport, region)
  const few = leastRepair(tokens, inImport, region)
  if (few.oddities === 0) return few
  const free = repair(tokens, inImport, region, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
  if (free.oddities > 0) return few
  if (surplus === 'balanced') return few.oddities > 1 && free.lostOpeners > 0 ? free : few
  return free.repairs <= Math.abs(surplus) + 4 ? free : few
}

interface Repaired extends Balanced {
  readonly repairs: number
  /** Headers whose `{` was put in. */
  readonly lostOpeners: number
  /** Lines whose indentation contradicts the result. */
  readonly oddities: number
}

/**
 * Pairs braces by indentation. `missing` says how many more `{` than `}` may be evened out (by putting in `}`, or
 * leaving out `{`), `extra` how many more `}` than `{`.
 */
function repair(
  tokens: Tokens,
  inImport: ReadonlySet<number>,
  region: Region,
  missing: number,
  extra: number,
): Repaired {
  const result: IToken[] = []
  const tooMany: IToken[] = []
  const stack: Open[] = []
  let repairs = 0
  let lostOpeners = 0
  let oddities = 0
  let indent = 1
  let depth = 0
  let sawEquals = false
  /** Index of the token before which a lost `{` goes in. */
  let lostBefore = -1

  const close = () => {
    stack.pop()
    result.push(virtual(t.RCurly, result.at(-1)!))
    missing--
    repairs++
  }
  const leaveOut = (token: IToken) => {
    tooMany.push(token)
    repairs++
  }

  for (let i = region.start; i < region.end; i++) {
    const token = tokens[i]!
    const type = token.tokenType
    const leading = onNewLine(tokens, i)
    const column = token.startColumn!
    const isBrace = !inImport.has(i)
    const closesBlock = type === t.RCurly && isBrace
    if (type === t.EndOfFile) break
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
    if ((leading && depth === 0) || type === t.Comma || type === t.RCurly) sawEquals = false
    if (closesBlock) {
      if (leading)
        while (missing > 0 && stack.length > 0 && stack.at(-1)!.indent > column && isIndentOf(stack, column))
          close()
      const top = stack.at(-1)
      if (!top || (extra > 0 && closesNothing(tokens, i, stack))) {
        extra--
        leaveOut(token)
        continue
      }
      if (leading && top.indent !== column) oddities++
      stack.pop()
    } else if (type === t.LCurly && isBrace) {
      if (missing > 0 && (sawEquals || opensNothing(tokens, i))) {
        missing--
        leaveOut(token)
        continue
      }
      stack.push({ indent, line: token.startLine! })
    } else if (isOpener(token)) depth++
    else if (isCloser(token)) depth = Math.max(0, depth - 1)
    else if (type === t.Equals && depth === 0) sawEquals = true
    if (type === t.LCurly) sawEquals = false
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
  }
  while (stack.length > 0) close()
  const last = tokens[region.end - 1]!
  if (last.tokenType === t.EndOfFile) result.push(last)
  return { tokens: result, tooMany, repairs, lostOpeners, oddities }
}

const isIndentOf = (stack: readonly Open[], column: number) => stack.some((open) => open.indent === column)

/** Behind these no header stands, and before these no statement. */
const beforeNoBlock: ReadonlySet<unknown> = new Set([
  t.Equals,
  t.Comma,
  t.LParen,
  t.LSquare,
  t.Colon,
  t.Dot,
  t.DotDot,
  t.ArrowTo,
  t.PipeTo,
  t.Plus,
  t.Minus,
  t.Star,
  t.Slash,
])
const atNoStatement: ReadonlySet<unknown> = new Set([
  t.Equals,
  t.Colon,
  t.RParen,
  t.RSquare,
  t.Dot,
  t.DotDot,
  t.ArrowTo,
  t.PipeTo,
  t.Star,
  t.Slash,
  t.ExtendsWord,
  t.WhereWord,
])

/** `weights = { "a.safetensors"`, `embed {{`, `urls { = "a"`: a `{` that no header leads to, or no statement follows. */
function opensNothing(tokens: Tokens, i: number): boolean {
  const previous = tokens[i - 1]?.tokenType
  if (i === 0 || previous === t.LCurly) return true
  // a `{` at the end of its line most likely opens a block, whatever else is wrong there
  if (onNewLine(tokens, i + 1)) return previous === t.Equals
  if (atNoStatement.has(tokens[i + 1]!.tokenType) && !onNewLine(tokens, i + 2)) return true
  return !onNewLine(tokens, i) && beforeNoBlock.has(previous)
}

/** Whether indentation, or the rest of the line, says that the `}` at `i` is one too many. */
function closesNothing(tokens: Tokens, i: number, stack: readonly Open[]): boolean {
  const token = tokens[i]!
  const top = stack.at(-1)!
  if (onNewLine(tokens, i)) return top.indent < token.startColumn!
  if (top.line < token.startLine!) return closedLater(tokens, i, top)
  // `local { count = 8 } , size = 98px }`: the last `}` of the line is the one that was meant
  let open = stack.filter((o) => o.line === token.startLine).length - 1
  const end = lineEnd(tokens, i)
  for (let j = i + 1; j < end; j++) {
    if (tokens[j]!.tokenType === t.LCurly) open++
    else if (tokens[j]!.tokenType === t.RCurly && --open < 0) return true
  }
  // `curation lvd { }` with deeper lines below, and a `}` of its own behind them
  const next = tokens[end]
  return next !== undefined && next.startColumn! > top.indent && closedLater(tokens, i, top)
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
function count(tokens: Tokens, inImport: ReadonlySet<number>, region: Region): number | 'balanced' {
  let depth = 0
  let below = false
  for (let i = region.start; i < region.end; i++) {
    if (inImport.has(i)) continue
    if (tokens[i]!.tokenType === t.LCurly) depth++
    else if (tokens[i]!.tokenType === t.RCurly) depth--
    if (depth < 0) below = true
  }
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
    const { tokenType: type, image } = tokens[j]!
    // an unclosed text may have swallowed the brace
    const swallowed = type === t.TextLiteral && image.trimEnd().endsWith('{')
    if (!isWord(tokens[j]!) && type !== t.Colon && type !== t.Dot && !swallowed) return false
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
