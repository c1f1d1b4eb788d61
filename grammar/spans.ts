import type { IToken } from 'chevrotain'
import type { Span } from '../diagnostics/diagnostic.js'

/** Chevrotain's `endOffset` and `endColumn` are inclusive; a `Span`'s ends are exclusive. */
export function tokenSpan(token: IToken, file: string): Span {
  return {
    file,
    start: token.startOffset,
    end: token.endOffset! + 1,
    startLine: token.startLine!,
    startColumn: token.startColumn!,
    endLine: token.endLine!,
    endColumn: token.endColumn! + 1,
  }
}

/** From the start of `a` to the end of `b`. */
export function join(a: Span, b: Span): Span {
  return {
    file: a.file,
    start: a.start,
    end: b.end,
    startLine: a.startLine,
    startColumn: a.startColumn,
    endLine: b.endLine,
    endColumn: b.endColumn,
  }
}

/** The empty span right after `span`: where something is missing. */
export function after(span: Span): Span {
  return { ...span, start: span.end, startLine: span.endLine, startColumn: span.endColumn }
}

/** The empty span right before `span`. */
export function before(span: Span): Span {
  return { ...span, end: span.start, endLine: span.startLine, endColumn: span.startColumn }
}

/** Part of a span that lies on one line: `length` units from `offset` units after its start. */
export function within(span: Span, offset: number, length: number): Span {
  const start = span.start + offset
  const startColumn = span.startColumn + offset
  return {
    file: span.file,
    start,
    end: start + length,
    startLine: span.startLine,
    startColumn,
    endLine: span.startLine,
    endColumn: startColumn + length,
  }
}
