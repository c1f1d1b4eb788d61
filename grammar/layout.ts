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
  let j = i + 1
  while (tokens[j]!.tokenType === t.Dot && isWord(tokens[j + 1]!)) j += 2
  if (tokens[j]!.tokenType === t.Equals) return true
  return reachesBrace(tokens, i)
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
  const stack: number[] = []
  const commas: { at: number; opener: number }[] = []
  let end = -1
  let faultEnd = -1
  let brace: number | null = null
  for (let i = start; faultEnd < 0; i++) {
    const token = tokens[i]!
    const importBrace = isImportBrace(tokens, i)
    if (i > start && onNewLine(tokens, i)) {
      const closesImport = token.tokenType === t.RCurly && stack.some((s) => isImportBrace(tokens, s))
      const aligned = stack.length === 0 && beginsLineLike(tokens, i, start)
      if (!closesImport && (startsStatement(tokens, i) || aligned)) faultEnd = i
      else if (stack.length === 0 && token.tokenType !== t.PipeTo && end < 0) end = i
    }
    if (faultEnd >= 0) break
    if (token.tokenType === t.EndOfFile) faultEnd = i
    else if (token.tokenType === t.LCurly && !importBrace) {
      faultEnd = i
      brace = i
    } else if (token.tokenType === t.RCurly) {
      const at = stack.findLastIndex((s) => isImportBrace(tokens, s))
      if (at < 0) faultEnd = i
      else stack.length = at
    } else if (token.tokenType === t.Comma) {
      const next = startsStatement(tokens, i + 1)
      if (stack.length === 0) {
        if (next) faultEnd = i
        else if (end < 0) end = i
      } else if (next && !onNewLine(tokens, i + 1) && tokens[i + 1]!.tokenType !== t.RCurly)
        commas.push({ at: i, opener: stack.at(-1)! })
    } else if (isOpener(token) || importBrace) stack.push(i)
    else if (isCloser(token)) {
      const at = stack.findLastIndex((s) => openers.get(tokens[s]!.tokenType) === token.tokenType)
      if (at >= 0) stack.length = at
      else if (stack.length > 0 && !isImportBrace(tokens, stack.at(-1)!)) stack.pop()
    }
  }
  // `on = f(1, weight = 2 }`: in a bracket that nothing closes, a comma before `path =` ends the statement, unless
  // the bracket begins with `path =` itself: then an argument was meant
  const split = commas.find((c) => stack.includes(c.opener) && !startsStatement(tokens, c.opener + 1))
  if (split && brace === null) faultEnd = split.at
  if (end < 0 || end > faultEnd) end = faultEnd
  return { start, end, faultEnd, brace, unclosed: stack }
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
