import type { IToken } from 'chevrotain'
import * as t from './tokens.js'

/**
 * Where statements begin and end: over tokens, before any grammar. Newlines are read off the line numbers.
 * `tokens` ends with an end-of-file token, so that every index that these functions look at exists.
 */
export type Tokens = readonly IToken[]

/** Whether a line break stands between a token and the one before it (one inside a comment counts). */
export function onNewLine(tokens: Tokens, i: number): boolean {
  return i === 0 || i >= tokens.length || tokens[i]!.startLine! > tokens[i - 1]!.endLine!
}

const starters: ReadonlySet<unknown> = new Set([t.ImportWord, t.ParamWord, t.DropWord])
const openers: ReadonlyMap<unknown, unknown> = new Map([
  [t.LParen, t.RParen],
  [t.LSquare, t.RSquare],
])
const closers: ReadonlySet<unknown> = new Set([t.RParen, t.RSquare])
const literals: ReadonlySet<unknown> = new Set([t.TextLiteral, t.NumberLiteral, t.BadNumber])
const words: ReadonlySet<unknown> = new Set([t.Name, t.NameAt, ...t.reservedWords])

export const isOpener = (token: IToken) => openers.has(token.tokenType)
export const isCloser = (token: IToken) => closers.has(token.tokenType)
export const isWord = (token: IToken) => words.has(token.tokenType)

/**
 * Whether a statement begins at `i`, as far as a reader can tell after a fault: `path =`, `kind ... {`, `drop`,
 * `import`, `param`, or the end of the body. On a fresh line a name that misses its dot, or a reserved word in the
 * place of a name, counts as a path, so that it gets a diagnostic of its own.
 */
export function startsStatement(tokens: Tokens, i: number): boolean {
  const first = tokens[i]!
  if (first.tokenType === t.EndOfFile || first.tokenType === t.RCurly || starters.has(first.tokenType))
    return true
  if (!isWord(first))
    return onNewLine(tokens, i) && literals.has(first.tokenType) && tokens[i + 1]!.tokenType === t.Equals
  if (first.tokenType === t.OverWord || first.tokenType === t.WhereWord || first.tokenType === t.ExtendsWord)
    return tokens[i + 1]!.tokenType === t.Equals
  return setsField(tokens, i) || reachesBrace(tokens, i)
}

/** `path =` */
function setsField(tokens: Tokens, i: number): boolean {
  if (!isWord(tokens[i]!)) return false
  let j = i + 1
  while (tokens[j]!.tokenType === t.Dot && isWord(tokens[j + 1]!)) j += 2
  return tokens[j]!.tokenType === t.Equals
}

/** Whether the line that begins at `i` comes to a `{` before anything that no header holds. */
function reachesBrace(tokens: Tokens, i: number): boolean {
  let depth = 0
  for (let j = i; ; j++) {
    const token = tokens[j]!
    if (j > i && depth === 0 && onNewLine(tokens, j)) return false
    if (token.tokenType === t.LCurly) return j > i
    if (token.tokenType === t.EndOfFile || token.tokenType === t.RCurly || token.tokenType === t.Equals)
      return false
    if (token.tokenType === t.Comma && depth === 0) return false
    if (isOpener(token)) depth++
    else if (isCloser(token) && --depth < 0) return false
  }
}

/** One statement cut out of the text. All are token indices; ends are exclusive. */
export interface Extent {
  readonly start: number
  /** Where the statement ends if it has no fault: at a newline, comma, brace or the end of the file. */
  readonly end: number
  /** Where it ends if it has one: where the next statement surely begins. */
  readonly faultEnd: number
  /** The `{` at `faultEnd`, if that is what stands there; `end` is the same where the header reaches it. */
  readonly brace: number | null
  /** Brackets that nothing closes before `faultEnd`. */
  readonly unclosed: readonly number[]
}

/** Cuts out the statement that begins at `start`. The braces of an `import` count as brackets. */
export function extent(tokens: Tokens, start: number): Extent {
  const closed = closedBrackets(tokens)
  const stack: number[] = []
  let end = -1
  let faultEnd = -1
  let brace: number | null = null
  for (let i = start; faultEnd < 0; i++) {
    const token = tokens[i]!
    if (i > start && onNewLine(tokens, i)) {
      const closesImport = token.tokenType === t.RCurly && importBraceIn(tokens, stack) >= 0
      const aligned = stack.length === 0 && beginsLineLike(tokens, i, start)
      if (!closesImport && (startsStatement(tokens, i) || aligned)) faultEnd = i
      else if (stack.length === 0 && token.tokenType !== t.PipeTo && end < 0) end = i
    }
    if (faultEnd >= 0) break
    if (token.tokenType === t.EndOfFile) faultEnd = i
    else if (token.tokenType === t.LCurly && !isImportBrace(tokens, i)) {
      faultEnd = i
      brace = i
    } else if (token.tokenType === t.RCurly && importBraceIn(tokens, stack) < 0) faultEnd = i
    else if (token.tokenType === t.Comma && startsStatement(tokens, i + 1)) {
      const opener = stack.at(-1)
      if (opener === undefined || (!closed.has(opener) && endsUnclosed(tokens, opener, i))) faultEnd = i
    } else if (token.tokenType === t.Comma && stack.length === 0 && end < 0) end = i
    else nest(tokens, stack, i)
  }
  if (end < 0 || end > faultEnd) end = faultEnd
  return { start, end, faultEnd, brace, unclosed: stack }
}

/**
 * `on = f(1, weight = 2 }`: in a bracket that nothing closes, a comma before `path =` on its line ends the statement,
 * unless the bracket begins with `path =` itself: then an argument was meant.
 */
function endsUnclosed(tokens: Tokens, opener: number, comma: number): boolean {
  if (onNewLine(tokens, comma + 1) || isImportBrace(tokens, opener)) return false
  return setsField(tokens, comma + 1) && !setsField(tokens, opener + 1)
}

/** Opens or closes brackets at `i` and returns those closed; one of the wrong kind closes the innermost. */
function nest(tokens: Tokens, stack: number[], i: number): readonly number[] {
  const token = tokens[i]!
  if (isOpener(token) || isImportBrace(tokens, i)) stack.push(i)
  else if (token.tokenType === t.RCurly) return stack.splice(Math.max(0, importBraceIn(tokens, stack)))
  else if (isCloser(token)) {
    const at = lastIndex(stack, (open) => openers.get(tokens[open]!.tokenType) === token.tokenType)
    if (at >= 0) return stack.splice(at)
    if (stack.length > 0 && !isImportBrace(tokens, stack.at(-1)!)) return stack.splice(-1)
  }
  return []
}

const importBraceIn = (tokens: Tokens, stack: readonly number[]) =>
  lastIndex(stack, (open) => isImportBrace(tokens, open))

/** The last index that fits, not looking further than brackets may be nested. */
function lastIndex(stack: readonly number[], fits: (open: number) => boolean): number {
  for (let i = stack.length - 1; i >= 0 && i > stack.length - 200; i--) if (fits(stack[i]!)) return i
  return -1
}

const closedByTokens = new WeakMap<Tokens, ReadonlySet<number>>()

/** The brackets of a file that something closes before a brace or a new statement ends them. */
function closedBrackets(tokens: Tokens): ReadonlySet<number> {
  const known = closedByTokens.get(tokens)
  if (known) return known
  const closed = new Set<number>()
  const stack: number[] = []
  tokens.forEach((token, i) => {
    const ends =
      token.tokenType === t.LCurly
        ? !isImportBrace(tokens, i)
        : token.tokenType === t.RCurly
          ? importBraceIn(tokens, stack) < 0
          : onNewLine(tokens, i) && startsStatement(tokens, i)
    if (ends) stack.length = 0
    for (const open of nest(tokens, stack, i)) closed.add(open)
  })
  closedByTokens.set(tokens, closed)
  return closed
}

/**
 * Whether a word at `i` stands in the column of the faulty statement's first token, both at the beginning of their
 * lines: nobody goes on with a statement there, so what follows is a statement of its own, whatever is wrong with it.
 */
function beginsLineLike(tokens: Tokens, i: number, start: number): boolean {
  return (
    isWord(tokens[i]!) && onNewLine(tokens, start) && tokens[i]!.startColumn === tokens[start]!.startColumn
  )
}

export function isImportBrace(tokens: Tokens, i: number): boolean {
  return tokens[i]!.tokenType === t.LCurly && i > 0 && tokens[i - 1]!.tokenType === t.ImportWord
}
