import { isWord, onNewLine, type Tokens } from './layout.js'
import * as t from './tokens.js'

export interface Open {
  /** Column of the first token on the line of the header. */
  readonly indent: number
  readonly line: number
}

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
export function opensNothing(tokens: Tokens, i: number): boolean {
  const previous = tokens[i - 1]?.tokenType
  if (i === 0 || previous === t.LCurly) return true
  // a `{` at the end of its line most likely opens a block, whatever else is wrong there
  if (onNewLine(tokens, i + 1)) return previous === t.Equals
  if (atNoStatement.has(tokens[i + 1]!.tokenType) && !onNewLine(tokens, i + 2)) return true
  return !onNewLine(tokens, i) && beforeNoBlock.has(previous)
}

/** Whether indentation, or the rest of the line, says that the `}` at `i` is one too many. */
export function closesNothing(tokens: Tokens, i: number, stack: readonly Open[]): boolean {
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

/** Index of the first token on a line after that of `i`. */
export function lineEnd(tokens: Tokens, i: number): number {
  let j = i + 1
  while (tokens[j] && !onNewLine(tokens, j)) j++
  return j
}

/** `backbone vit` alone on its line, with deeper lines below it: its `{` is lost. */
export function isHeaderWithoutBrace(tokens: Tokens, i: number): boolean {
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
export function lostBraceOnLine(tokens: Tokens, i: number, top: Open | undefined): number {
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
