import type { IToken } from 'chevrotain'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../diagnostics/diagnostic.js'
import type { Assignment, Block, Comment, Drop, Import, Item, Param, SourceFile, Statement } from './ast.js'
import { braceTooMany, notClosed, openerBelow, openerMissing } from './brace-faults.js'
import { balance } from './braces.js'
import { explain } from './faults.js'
import { guess, guessHeader, poison } from './guess.js'
import { type Extent, extent, isCloser, isOpener, onNewLine, startsStatement, type Tokens } from './layout.js'
import { type LexicalFault, lex } from './lexer.js'
import { conditionInValue, settleCondition } from './nested.js'
import { isHarmless, PendingFaults } from './pending-faults.js'
import { isUnclosedText, linesOfUnpairedQuotes } from './quotes.js'
import type { StatementKind } from './refused.js'
import { join, tokenSpan } from './spans.js'
import { type Header, StatementParser } from './statement-parser.js'
import * as t from './tokens.js'
import { isVirtual } from './virtual.js'

export interface Parsed {
  readonly file: SourceFile
  /** DINO00xx and DINO01xx, in the order of the text, at most one for each statement. */
  readonly diagnostics: Diagnostic[]
}

/** Blocks and brackets deeper than this are refused: nobody reads them, and recursion has an end. */
const deepest = 100
/** Each operator of `1 + 2 + 3` has all before it as its left side. */
const deepestOperators = 1000
const operators: ReadonlySet<unknown> = new Set([t.Plus, t.Minus, t.Star, t.Slash])

const grammar = new StatementParser()

/**
 * Text to tree. A fault ends with its statement: the text is first cut into statements by braces, newlines and commas
 * (layout.ts), each is parsed by itself, and the rest of the file is read whatever a fault looks like. What cannot be
 * read leaves a bad value, a poisoned header or `incomplete` behind, so that later stages stay silent about it.
 */
export function parse(text: string, file: string): Parsed {
  const { tokens, comments, faults } = lex(text, file)
  const whole = wholeSpan(text, file)
  const balanced = balance([...tokens, endOfFile(whole)], faults)
  const confused = linesOfUnpairedQuotes(tokens, faults)
  const all = [
    ...faults.filter((f) => isUnclosedText(f.diagnostic) || !confused.has(f.span.startLine)),
    ...balanced.tooMany.map((token) => braceTooMany(token, file)),
  ]
  const reader = new FileReader(
    balanced.tokens,
    comments,
    all.sort((a, b) => a.span.start - b.span.start),
    file,
  )
  const { statements, incomplete } = reader.body(0, false)
  const explained = new Set(
    reader.diagnostics
      .filter((d) => isUnclosedText(d) && confused.has(d.primary!.span.startLine))
      .map((d) => d.primary!.span.startLine),
  )
  return {
    file: { file, text, items: statements as Item[], comments, span: whole, incomplete },
    diagnostics: reader.diagnostics
      .filter((d) => isUnclosedText(d) || !explained.has(d.primary!.span.startLine))
      .sort((a, b) => a.primary!.span.start - b.primary!.span.start),
  }
}

interface Body {
  readonly statements: readonly (Item | Statement)[]
  readonly incomplete: boolean
}

/** A position in the tokens of one file, and the diagnostics so far. */
class FileReader {
  readonly diagnostics: Diagnostic[] = []
  private at = 0
  private readonly pending: PendingFaults
  /** Offsets of `{` that belong to faulty statements: each may have taken the `}` of a block around it. */
  private readonly strayOpeners: number[] = []
  /** Comments that hold a `}`. */
  private readonly closing: readonly Comment[]
  /** Lines of the first `told` diagnostics. */
  private readonly faultyLines = new Set<number>()
  private told = 0
  /** Of the first word of the last statement that broke off. */
  private halfColumn = 0

  constructor(
    private readonly tokens: Tokens,
    comments: readonly Comment[],
    faults: readonly LexicalFault[],
    private readonly file: string,
  ) {
    this.closing = comments.filter(({ text }) => text.includes('}'))
    this.pending = new PendingFaults(faults, tokens)
    grammar.file = file
  }

  private get token(): IToken {
    return this.tokens[this.at]!
  }

  private span(index: number): Span {
    return tokenSpan(this.tokens[index]!, this.file)
  }

  private give(diagnostic: Diagnostic | null | undefined, silent: boolean): void {
    if (diagnostic && !silent) this.diagnostics.push(diagnostic)
  }

  /** Statements up to the `}` that closes the body, or the end of the file; neither is consumed. Level 0 is the file. */
  body(level: number, silent: boolean): Body {
    const statements: (Item | Statement)[] = []
    let incomplete = false
    let separable = false
    /** A lone word, or a param that broke off: the next line is most likely its other half. */
    let halved = false
    for (;;) {
      let line = -1
      for (const fault of this.pending.before(this.at)) {
        if (fault.span.startLine !== line && !this.isExplained(fault)) this.give(fault.diagnostic, silent)
        line = fault.span.startLine
        incomplete = incomplete || !isHarmless(fault)
      }
      if (this.token.tokenType === t.EndOfFile || (this.token.tokenType === t.RCurly && level > 0)) break
      if (this.token.tokenType === t.RCurly) this.at++
      else if (this.token.tokenType === t.Comma) {
        if (!separable || onNewLine(this.tokens, this.at)) this.commasTooMany(silent)
        else this.at++
        separable = false
      } else {
        const { startColumn } = this.token
        const result = this.statement(level, silent, halved)
        if (result.halved) this.halfColumn = startColumn!
        statements.push(...result.statements)
        incomplete = incomplete || result.incomplete
        halved = result.halved
        separable = true
      }
    }
    return { statements, incomplete }
  }

  private commasTooMany(silent: boolean): void {
    const span = this.span(this.at)
    const { character } = this.pending.takeUntil(span.end)
    while (this.token.tokenType === t.Comma) this.at++
    const comma = diagnose(
      'DINO0108',
      span,
      { where: 'before' },
      {
        help: ['delete it: a comma stands between two statements, or behind the last one'],
        fixes: [{ title: 'delete the comma', span, replacement: '' }],
      },
    )
    this.give(character?.diagnostic ?? comma, silent)
  }

  private statement(level: number, silent: boolean, halved: boolean): Read {
    const cut = extent(this.tokens, this.at)
    const kind = this.kindOf(cut)
    return kind === 'header'
      ? this.block(cut, level, silent, halved)
      : this.simple(kind, cut, level, silent, halved)
  }

  private kindOf(cut: Extent): StatementKind {
    const first = this.token.tokenType
    const isField = this.tokens[this.at + 1]!.tokenType === t.Equals
    if (first === t.ImportWord && !isField) return 'import'
    if (first === t.ParamWord && !isField) return 'param'
    if (first === t.DropWord && !isField) return 'drop'
    if (cut.brace !== null && cut.end === cut.brace) {
      const sets = this.tokens.slice(cut.start, cut.brace).some((token) => token.tokenType === t.Equals)
      if (!sets) return 'header'
    }
    return 'assignment'
  }

  /** A statement without a body: import, param, drop or assignment. */
  private simple(
    kind: Exclude<StatementKind, 'header'>,
    cut: Extent,
    level: number,
    silent: boolean,
    halved: boolean,
  ): Read {
    const top = level === 0
    const { parsed, fault } = this.parsed(kind, cut)
    const end = fault ? cut.faultEnd : cut.end
    const { character, brace } = this.pending.take(end)
    this.at = end
    const misplaced = fault || character ? null : this.misplaced(kind, cut, top)
    const hidden = silent || (misplaced !== null && halved)
    this.give(character?.diagnostic ?? fault ?? misplaced ?? this.unexplained(brace)?.diagnostic, hidden)
    const rest = fault && cut.brace === end ? this.bodyOfFault(cut, level) : []
    if (misplaced) return { statements: [], incomplete: false, halved: false }
    if (fault) {
      const guessed = guess(kind, this.tokens, cut.start, cut.end, this.file)
      const fits = guessed && top === (guessed.kind === 'import' || guessed.kind === 'param')
      return {
        statements: fits ? [guessed, ...rest] : rest,
        incomplete: !fits,
        halved: this.isHalf(kind, cut, end),
      }
    }
    const whole = character && parsed ? poison(parsed, character) : parsed
    return { statements: whole ? [whole] : [], incomplete: whole === null, halved: false }
  }

  private parsed(
    kind: Exclude<StatementKind, 'header'>,
    cut: Extent,
  ): { parsed: Import | Param | Drop | Assignment | null; fault: Diagnostic | null } {
    const deep = this.tooDeep(cut.start, cut.end)
    if (deep) return { parsed: null, fault: deep }
    grammar.input = this.tokens.slice(cut.start, cut.end) as IToken[]
    const parsed = read(kind)
    const error = grammar.errors[0]
    if (error) {
      const refused = { kind, error, tokens: this.tokens, extent: cut, end: cut.end, file: this.file }
      return { parsed: null, fault: explain(refused) }
    }
    if (cut.brace !== null && cut.end === cut.brace) {
      const found = { expected: 'a comma or a new line', found: '`{`' }
      return {
        parsed,
        fault: diagnose('DINO0107', this.span(cut.end), found, {
          help: ['a block has no `=` before its `{`'],
        }),
      }
    }
    const valued = parsed.kind === 'assignment' || parsed.kind === 'param'
    return { parsed, fault: valued ? conditionInValue(parsed.value) : null }
  }

  /** Whether a faulty statement broke off at its line's end in a way that leaves another half on the next line. */
  private isHalf(kind: StatementKind, cut: Extent, end: number): boolean {
    if (kind === 'param' || kind === 'import') return true
    const oneWord = cut.end === cut.start + 1 && cut.end === end
    return oneWord || this.tokens.slice(cut.start, end).some((token) => clauses.has(token.tokenType))
  }

  private tooDeep(start: number, end: number): Diagnostic | null {
    let depth = 0
    /** Operators since the last comma of each open bracket: those nest, those of another item do not. */
    const nested = [0]
    for (let i = start; i < end; i++) {
      const type = this.tokens[i]!.tokenType
      const opens = isOpener(this.tokens[i]!)
      if (opens || type === t.NotWord) depth++
      else if (isCloser(this.tokens[i]!)) depth--
      if (opens) nested.push(0)
      else if (isCloser(this.tokens[i]!)) nested.splice(Math.max(1, nested.length - 1))
      else if (type === t.Comma) nested[nested.length - 1] = 0
      else if (operators.has(type)) nested[nested.length - 1]!++
      if (depth > deepest) return diagnose('DINO0118', this.span(i), { what: 'brackets', deepest })
      if (nested.at(-1)! > deepestOperators)
        return diagnose('DINO0118', this.span(i), { what: 'operators', deepest: deepestOperators })
    }
    return null
  }

  private misplaced(kind: Exclude<StatementKind, 'header'>, cut: Extent, top: boolean): Diagnostic | null {
    const atTop = kind === 'import' || kind === 'param'
    if (atTop === top) return null
    const span = join(this.span(cut.start), this.span(Math.max(cut.start, cut.end - 1)))
    const what = kind === 'assignment' ? 'a field' : kind === 'import' ? 'an import' : `a \`${kind}\``
    const place = atTop ? 'inside a block' : 'outside every block'
    const help = atTop
      ? ['move it to the top level of the file, outside every `{ }`']
      : ['put it inside the experiment that it belongs to']
    const notes = atTop ? [] : ['only `import`, `param` and blocks stand at the top level of a file']
    return diagnose('DINO0117', span, { what, place }, { notes, help })
  }

  private block(cut: Extent, level: number, silent: boolean, halved: boolean): Read {
    const open = cut.brace!
    const lostOpener = isVirtual(this.tokens[open]!)
    const { header, fault } = this.header(cut)
    const { character, brace } = lostOpener
      ? this.pending.take(open)
      : this.pending.takeUntil(this.span(open).start)
    const faulty = fault !== null || character !== null
    const aside =
      lostOpener && !fault
        ? openerMissing(this.tokens, cut, open, this.file)
        : onNewLine(this.tokens, open) && header && cut.unclosed.length === 0
          ? openerBelow(this.tokens, cut, header.headerSpan, this.file)
          : null
    // the second half of a header that broke off on the line above; nobody begins it in the same column
    const deeper = this.tokens[cut.start]!.startColumn! > this.halfColumn
    const second = halved && deeper && (fault !== null || cut.end === cut.start + 1)
    const hidden = silent || (second && !character)
    this.give(character?.diagnostic ?? fault ?? aside ?? this.unexplained(brace)?.diagnostic, hidden)
    const poisoned = faulty || second
    this.at = open + 1
    const inner = this.inner(level + 1, silent || poisoned)
    const close = this.at - 1
    if (isVirtual(this.tokens[close]!)) {
      if (!faulty && !this.isBraceTaken(open, close))
        this.give(notClosed(this.tokens, cut, close, this.file), false)
    } else if (faulty) this.strayOpeners.push(this.span(open).start)
    if (fault && open === cut.start) this.skipRest(level)

    const known = poisoned ? guessHeader(this.tokens, cut.start, open, this.file) : header
    if (!known) return { statements: [], incomplete: true, halved: false }
    const span = join(this.span(cut.start), this.span(close))
    const block: Block = {
      ...known,
      kind: 'block',
      body: blockBody(inner),
      span,
      poisoned,
      incomplete: inner.incomplete,
    }
    return { statements: [block], incomplete: false, halved: false }
  }

  private header(cut: Extent): { header: Header | null; fault: Diagnostic | null } {
    const open = cut.brace!
    if (open === cut.start) {
      const fault = diagnose(
        'DINO0105',
        this.span(open),
        { found: '`{`' },
        {
          label: 'a block has no header here',
          help: ['write the kind of the block before its `{`, on the same line'],
        },
      )
      return { header: null, fault }
    }
    const deep = this.tooDeep(cut.start, open)
    if (deep) return { header: null, fault: deep }
    grammar.input = this.tokens.slice(cut.start, open) as IToken[]
    const header = grammar.header()
    const error = grammar.errors[0]
    if (error) {
      const refused = {
        kind: 'header',
        error,
        tokens: this.tokens,
        extent: cut,
        end: open,
        file: this.file,
      } as const
      return { header: null, fault: explain(refused) }
    }
    if (!header.where) return { header, fault: null }
    const { condition, fault } = settleCondition(header.where)
    return { header: { ...header, where: condition }, fault }
  }

  /** The body behind a `{`, and its `}`. */
  private inner(level: number, silent: boolean): Body {
    if (level > deepest) {
      this.give(diagnose('DINO0118', this.span(this.at - 1), { what: 'blocks', deepest }), silent)
      for (let depth = 1; ; this.at++) {
        if (this.token.tokenType === t.LCurly) depth++
        else if (this.token.tokenType === t.RCurly && --depth === 0) break
      }
      this.pending.takeUntil(this.span(this.at).start)
      this.at++
      return { statements: [], incomplete: true }
    }
    const body = this.body(level, silent)
    if (this.token.tokenType === t.RCurly) this.at++
    return body
  }

  /** A fault has run into a `{`: what stands behind it is read over, silently, up to its `}`. */
  private bodyOfFault(cut: Extent, level: number): Block[] {
    const open = this.at
    this.at++
    const inner = this.inner(level + 1, true)
    const close = this.at - 1
    if (!isVirtual(this.tokens[close]!)) this.strayOpeners.push(this.span(open).start)
    this.skipRest(level)
    // `depth = 4 head dino { ... }`: the words before the brace are most likely a header that lost its comma
    let from = open
    while (from > cut.start && this.tokens[from - 1]!.tokenType === t.Name && !onNewLine(this.tokens, from))
      from--
    const header = from < open && open - from <= 2 ? guessHeader(this.tokens, from, open, this.file) : null
    if (!header) return []
    const span = join(this.span(from), this.span(close))
    return [{ ...header, kind: 'block', body: blockBody(inner), span, poisoned: true, incomplete: true }]
  }

  /** What follows a fault's `}` on its line still belongs to the fault, unless a statement begins there. */
  private skipRest(level: number): void {
    while (
      this.token.tokenType !== t.Comma &&
      !onNewLine(this.tokens, this.at) &&
      !startsStatement(this.tokens, this.at)
    ) {
      const rest = extent(this.tokens, this.at)
      this.pending.take(rest.faultEnd)
      this.at = rest.faultEnd
      if (rest.brace !== rest.faultEnd) return
      this.at++
      this.inner(level + 1, true)
    }
  }

  /** Whether some other fault explains that the block between two tokens lacks its `}`. */
  private isBraceTaken(open: number, close: number): boolean {
    let next = close + 1
    while (this.tokens[next] && isVirtual(this.tokens[next]!)) next++
    const from = this.span(open).start
    const to = this.tokens[next] ? this.span(next).start : Number.POSITIVE_INFINITY
    const stray = this.strayOpeners.findIndex((offset) => offset > from && offset < to)
    if (stray >= 0) this.strayOpeners.splice(stray, 1)
    return stray >= 0 || this.pending.explains(from, to, '}') || this.isInComment(from, to)
  }

  /** A fault may turn the rest of its line into a comment: `"hf://...` without its first quote. */
  private isInComment(from: number, to: number): boolean {
    for (; this.told < this.diagnostics.length; this.told++)
      this.faultyLines.add(this.diagnostics[this.told]!.primary?.span.startLine ?? 0)
    for (let i = firstAfter(this.closing, from); i < this.closing.length; i++) {
      const { start, startLine } = this.closing[i]!.span
      if (start >= to) return false
      if (this.faultyLines.has(startLine)) return true
    }
    return false
  }

  private unexplained(fault: LexicalFault | null): LexicalFault | null {
    return fault && !this.isExplained(fault) ? fault : null
  }

  /** A `}` too many is explained by an unclosed text or comment before it that has swallowed its `{`. */
  private isExplained(fault: LexicalFault): boolean {
    return fault.kind === 'brace' && fault.image === '}' && this.pending.explains(0, fault.span.start, '{')
  }
}

/** The first of some comments, in the order of the text, that begins behind an offset. */
function firstAfter(comments: readonly Comment[], offset: number): number {
  let [low, high] = [0, comments.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (comments[middle]!.span.start > offset) high = middle
    else low = middle + 1
  }
  return low
}

const clauses: ReadonlySet<unknown> = new Set([t.ExtendsWord, t.OverWord, t.WhereWord])

interface Read {
  readonly statements: readonly (Item | Statement)[]
  /** True where the statement left nothing behind by which later stages could know what it was about. */
  readonly incomplete: boolean
  /** True where the statement broke off so that the next line may be its other half. */
  readonly halved: boolean
}

function read(kind: Exclude<StatementKind, 'header'>): Import | Param | Drop | Assignment {
  switch (kind) {
    case 'import':
      return grammar.importItem()
    case 'param':
      return grammar.paramItem()
    case 'drop':
      return grammar.drop()
    case 'assignment':
      return grammar.assignment()
    default:
      return kind satisfies never
  }
}

function blockBody(body: Body): Statement[] {
  return body.statements.filter((s): s is Statement => s.kind !== 'import' && s.kind !== 'param')
}

function wholeSpan(text: string, file: string): Span {
  const lines = text.split(/\r\n|\r|\n/)
  return {
    file,
    start: 0,
    end: text.length,
    startLine: 1,
    startColumn: 1,
    endLine: lines.length,
    endColumn: lines.at(-1)!.length + 1,
  }
}

function endOfFile(whole: Span): IToken {
  return {
    image: '',
    tokenType: t.EndOfFile,
    tokenTypeIdx: t.EndOfFile.tokenTypeIdx!,
    startOffset: whole.end,
    endOffset: whole.end - 1,
    startLine: whole.endLine,
    endLine: whole.endLine,
    startColumn: whole.endColumn,
    endColumn: whole.endColumn - 1,
  }
}
