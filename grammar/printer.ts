import type { IToken } from 'chevrotain'
import type { Block, Comment, Item, SourceFile, Statement } from './ast.js'
import { tokenize } from './lexer.js'
import { commentText, type Piece, printRun, step } from './print-run.js'
import * as t from './tokens.js'

/** One-line blocks stay on one line up to this many columns. */
const width = 160

/** What `fmt` needs to know of a file: its tokens, its comments, and the line breaks that the user chose. */
interface Source {
  readonly tokens: readonly IToken[]
  readonly comments: readonly Comment[]
}

/**
 * The canonical layout: two spaces for each block, one statement a line, single spaces between symbols, nothing
 * aligned. Blocks, lists and calls that stood on one line stay there; blank lines are kept, one at most. Prints tokens
 * and comments with the tree as a guide, so no comment is ever lost. `file` must be free of faults.
 */
export function format(file: SourceFile): string {
  const source: Source = { tokens: tokenize(file.text).tokens, comments: file.comments }
  const lines = body(source, file.items, 0, file.text.length, 0)
  return lines.length > 0 ? `${lines.join('\n')}\n` : ''
}

type Element = { readonly statement: Item | Statement } | { readonly comment: Comment }
const spanOf = (element: Element) => ('comment' in element ? element.comment : element.statement).span

/** The lines of a body between two offsets. A comment behind its `{` is not among them. */
function body(
  source: Source,
  statements: readonly (Item | Statement)[],
  start: number,
  end: number,
  level: number,
): string[] {
  const lines: string[] = []
  const indent = step.repeat(level)
  let previousLine = -1
  for (const element of elements(source, statements, start, end)) {
    const { startLine, endLine } = spanOf(element)
    const blank = previousLine >= 0 && startLine > previousLine + 1 ? [''] : []
    if ('statement' in element) lines.push(...blank, ...printStatement(source, element.statement, level))
    else if (startLine === previousLine) lines.push(`${lines.pop()} ${commentText(element.comment)}`)
    else lines.push(...blank, indent + commentText(element.comment))
    previousLine = endLine
  }
  return lines
}

/** Statements, and the comments between them, in the order of the text. */
function elements(
  source: Source,
  statements: readonly (Item | Statement)[],
  start: number,
  end: number,
): Element[] {
  const found: Element[] = []
  let from = start
  for (const statement of statements) {
    for (const comment of inside(source.comments, from, statement.span.start)) found.push({ comment })
    found.push({ statement })
    from = statement.span.end
  }
  for (const comment of inside(source.comments, from, end)) found.push({ comment })
  return found
}

/** The comments between two offsets. */
function inside(comments: readonly Comment[], start: number, end: number): Comment[] {
  const found: Comment[] = []
  const from = firstFrom(comments.length, (i) => comments[i]!.span.start >= start)
  for (let i = from; i < comments.length && comments[i]!.span.end <= end; i++) found.push(comments[i]!)
  return found
}

function printStatement(source: Source, statement: Item | Statement, level: number): string[] {
  const indent = step.repeat(level)
  if (statement.kind !== 'block')
    return (indent + printRun(pieces(source, statement.span.start, statement.span.end), level)).split('\n')

  const open = openBrace(source, statement)
  const header = indent + printHeader(source, statement, open, level)
  if (statement.span.startLine === statement.span.endLine) {
    const line = `${header} ${oneLine(source, statement, open)}`
    if (line.length <= width) return [line]
  }
  const close = statement.span.end - 1
  // comments on the line of the `{` stay there
  let start = open + 1
  let beside = ''
  const firstStatement = statement.body[0]?.span.start ?? close
  for (const comment of inside(source.comments, start, firstStatement)) {
    if (comment.ownLine || comment.span.startLine !== lineOf(source, open)) break
    beside += ` ${commentText(comment)}`
    start = comment.span.end
  }
  const lines = body(source, statement.body, start, close, level + 1)
  if (lines.length === 0 && !beside) return `${header} { }`.split('\n')
  return [...`${header} {${beside}`.split('\n'), ...lines, `${indent}}`]
}

function printHeader(source: Source, block: Block, open: number, level: number): string {
  return printRun(pieces(source, block.span.start, open), level)
}

/** `{ a = 1, b = 2 }`, from a block that stood on one line: only block comments can be in it. */
function oneLine(source: Source, block: Block, open: number): string {
  let text = ''
  let separator = ' '
  for (const element of elements(source, block.body, open + 1, block.span.end - 1)) {
    if ('comment' in element) {
      // behind a statement, its comma comes first
      text += `${separator}${commentText(element.comment)}`
      separator = ' '
      continue
    }
    const { statement } = element
    text += separator
    if (statement.kind === 'block') {
      const inner = openBrace(source, statement)
      text += `${printHeader(source, statement, inner, 0)} ${oneLine(source, statement, inner)}`
    } else text += printRun(pieces(source, statement.span.start, statement.span.end), 0)
    separator = ', '
  }
  return `{${text} }`
}

function pieces(source: Source, start: number, end: number): Piece[] {
  const found: { at: number; piece: Piece }[] = []
  for (let i = firstToken(source.tokens, start); source.tokens[i] && source.tokens[i]!.startOffset < end; i++)
    found.push({ at: source.tokens[i]!.startOffset, piece: { token: source.tokens[i]! } })
  // a comment right before the `{` of a header belongs to the header
  for (const comment of inside(source.comments, start, end))
    found.push({ at: comment.span.start, piece: { comment } })
  return found.sort((a, b) => a.at - b.at).map(({ piece }) => piece)
}

/** Offset of the `{` that opens the body. */
function openBrace(source: Source, block: Block): number {
  for (let i = firstToken(source.tokens, block.headerSpan.end); source.tokens[i]; i++)
    if (source.tokens[i]!.tokenType === t.LCurly) return source.tokens[i]!.startOffset
  throw new Error('the block of a file without faults has a brace')
}

function lineOf(source: Source, offset: number): number {
  return source.tokens[firstToken(source.tokens, offset)]!.startLine!
}

/** Index of the first token that begins at or behind an offset. */
function firstToken(tokens: readonly IToken[], offset: number): number {
  return firstFrom(tokens.length, (i) => tokens[i]!.startOffset >= offset)
}

/** The first index from which on a condition holds (binary search), `length` if it never does. */
function firstFrom(length: number, holds: (i: number) => boolean): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}
