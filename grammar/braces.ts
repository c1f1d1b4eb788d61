import type { IToken } from 'chevrotain'
import {
  closesNothing,
  isHeaderWithoutBrace,
  lineEnd,
  lostBraceOnLine,
  type Open,
  opensNothing,
} from './brace-signs.js'
import { isCloser, isImportBrace, isOpener, onNewLine, startsStatement, type Tokens } from './layout.js'
import type { LexicalFault } from './lexer.js'
import { withSwallowed } from './swallowed.js'
import * as t from './tokens.js'
import { virtual } from './virtual.js'

export interface Balanced {
  /** The same tokens with every brace in a pair: braces too many left out, missing ones put in (`isVirtual`). */
  readonly tokens: Tokens
  /** Braces that were left out: `{` that open nothing, `}` that close nothing. */
  readonly tooMany: readonly IToken[]
}

/**
 * Pairs braces. Where they do not balance, indentation tells which block lacks one or has one too many: a block ends
 * before the first line that is not indented deeper than its header. Balanced braces are left alone, however the
 * text is indented, unless several lines and a header without its `{` show that they balance by accident.
 */
export function balance(tokens: Tokens, faults: readonly LexicalFault[] = []): Balanced {
  const plain = pair(tokens)
  if (plain.oddities === 0) return plain
  const restored = pair(withSwallowed(tokens, faults))
  return restored.oddities < plain.oddities ? restored : plain
}

function pair(tokens: Tokens): Repaired {
  const inImport = importBraces(tokens)
  const whole = { start: 0, end: tokens.length }
  const few = leastRepair(tokens, inImport, whole)
  if (few.oddities === 0) return few
  // Statements at the left margin begin afresh, so that a brace is looked for where it is missing.
  const parts = margins(tokens).map((region) => bestRepair(tokens, inImport, region))
  const sum = (of: (part: Repaired) => number) => parts.reduce((total, part) => total + of(part), 0)
  const best: Repaired = {
    tokens: parts.flatMap((part) => part.tokens),
    tooMany: parts.flatMap((part) => part.tooMany),
    repairs: sum((part) => part.repairs),
    lostOpeners: sum((part) => part.lostOpeners),
    oddities: sum((part) => part.oddities),
  }
  const surplus = count(tokens, inImport, whole)
  const trusted =
    surplus === 'balanced'
      ? few.oddities > 1 && best.oddities === 0 && best.lostOpeners > 0
      : best.repairs <= Math.abs(surplus) + 8
  return trusted && best.oddities < few.oddities ? best : few
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
