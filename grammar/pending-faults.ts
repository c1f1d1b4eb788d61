import type { IToken } from 'chevrotain'
import { onNewLine, type Tokens } from './layout.js'
import type { LexicalFault } from './lexer.js'
import * as t from './tokens.js'
import { isVirtual } from './virtual.js'

/** The faults of one statement: that of its characters wins over one of its grammar, which wins over one of its braces. */
export interface Taken {
  readonly character: LexicalFault | null
  readonly brace: LexicalFault | null
}

/** Faults of characters and braces in the order of the text, handed out to the statements in which they stand. */
export class PendingFaults {
  private next = 0
  /** Unclosed texts and comments that swallowed a brace: each explains one brace that is missing. */
  private readonly swallowed: LexicalFault[]

  constructor(
    private readonly faults: readonly LexicalFault[],
    private readonly tokens: Tokens,
  ) {
    this.swallowed = faults.filter((fault) => /[{}]/.test(fault.swallowed))
  }

  /** Faults that stand alone on lines before token `i`: statements of their own. */
  before(i: number): LexicalFault[] {
    const token = this.tokens[i]!
    const ends = token.tokenType === t.EndOfFile || token.tokenType === t.RCurly
    const found: LexicalFault[] = []
    for (; this.next < this.faults.length; this.next++) {
      const fault = this.faults[this.next]!
      if (fault.span.start >= token.startOffset && !isVirtual(token)) break
      if (isVirtual(token) && fault.span.start > token.startOffset) break
      if (!ends && fault.span.endLine >= token.startLine!) break
      found.push(fault)
    }
    return found
  }

  /** The faults of a statement that ends before token `end`, the rest of its last line included. */
  take(end: number): Taken {
    return this.takeUntil(this.limit(end))
  }

  takeUntil(offset: number): Taken {
    let character: LexicalFault | null = null
    let brace: LexicalFault | null = null
    for (; this.next < this.faults.length; this.next++) {
      const fault = this.faults[this.next]!
      if (fault.span.start >= offset) break
      if (fault.kind === 'character') character ??= fault
      else brace ??= fault
    }
    return { character, brace }
  }

  /** Whether an unclosed text or comment between two offsets hides a brace; each does so once. */
  explains(from: number, to: number, brace: '{' | '}'): boolean {
    const at = this.swallowed.findIndex(
      (f) => f.span.start >= from && f.span.start <= to && f.swallowed.includes(brace),
    )
    if (at >= 0) this.swallowed.splice(at, 1)
    return at >= 0
  }

  private limit(end: number): number {
    let real = end
    while (isVirtual(this.tokens[real]!)) real++
    const next = this.tokens[real]!
    const last = this.lastBefore(end)
    if (next.tokenType === t.EndOfFile) return this.firstBelow(last, Number.POSITIVE_INFINITY)
    const separates = next.tokenType === t.Comma && !onNewLine(this.tokens, real)
    return this.firstBelow(last, separates ? next.endOffset! + 1 : next.startOffset)
  }

  private lastBefore(end: number): IToken | undefined {
    return this.tokens[end - 1]
  }

  /** The offset of the first fault that stands on a line of its own below `last`, `limit` if there is none before it. */
  private firstBelow(last: IToken | undefined, limit: number): number {
    for (let i = this.next; i < this.faults.length && this.faults[i]!.span.start < limit; i++)
      if (this.faults[i]!.span.startLine > (last?.endLine ?? 1)) return this.faults[i]!.span.start
    return limit
  }
}

/** Faults beside which the statement is still whole: a `;`, a stray brace, a comment in another language's way. */
export function isHarmless(fault: LexicalFault): boolean {
  return fault.kind === 'brace' || fault.diagnostic.code === 'DINO0003' || /^[;#]/.test(fault.image)
}
