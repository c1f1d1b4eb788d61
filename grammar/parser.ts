import type { IToken } from 'chevrotain'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../diagnostics/diagnostic.js'
import type {
  Assignment,
  Block,
  Drop,
  Import,
  Item,
  Name,
  Param,
  Path,
  SourceFile,
  Statement,
  Text,
} from './ast.js'
import { balance, isVirtual } from './braces.js'
import { explain, type StatementKind } from './faults.js'
import { type Extent, extent, onNewLine, type Tokens } from './layout.js'
import { type LexicalFault, lex } from './lexer.js'
import { conditionInValue, settleCondition } from './nested.js'
import { after, join, tokenSpan } from './spans.js'
import { type Header, StatementParser } from './statement-parser.js'
import { readText } from './text.js'
import * as t from './tokens.js'

export interface Parsed {
  readonly file: SourceFile
  /** DINO00xx and DINO01xx, in the order of the text, at most one for each statement. */
  readonly diagnostics: Diagnostic[]
}

const grammar = new StatementParser()

/**
 * Text to tree. A fault ends with its statement: the text is first cut into statements by braces, newlines and commas
 * (layout.ts), each is parsed by itself, and the rest of the file is read whatever a fault looks like. What cannot be
 * read leaves a bad value, a poisoned header or `incomplete` behind, so that later stages stay silent about it.
 */
export function parse(text: string, file: string): Parsed {
  const { tokens, comments, faults } = lex(text, file)
  const whole = wholeSpan(text, file)
  const balanced = balance([...tokens, endOfFile(whole)])
  const reader = new FileReader(balanced.tokens, faults, file)
  const { statements, incomplete } = reader.body(true, false)
  reader.reportBracesTooMany(balanced.tooMany)
  return {
    file: { file, text, items: statements as Item[], comments, span: whole, incomplete },
    diagnostics: reader.diagnostics.sort((a, b) => a.primary!.span.start - b.primary!.span.start),
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
  private nextFault = 0
  /** Unclosed texts and comments that swallowed a brace, by offset: each explains one brace that is missing. */
  private readonly swallowed: LexicalFault[]

  constructor(
    private readonly tokens: Tokens,
    private readonly faults: readonly LexicalFault[],
    private readonly file: string,
  ) {
    this.swallowed = faults.filter((fault) => /[{}]/.test(fault.swallowed))
    grammar.file = file
  }

  private get token(): IToken {
    return this.tokens[this.at]!
  }

  private span(index: number): Span {
    return tokenSpan(this.tokens[index]!, this.file)
  }

  /** Statements up to the `}` that closes the body, or the end of the file; neither is consumed. */
  body(top: boolean, silent: boolean): Body {
    const statements: (Item | Statement)[] = []
    let incomplete = false
    let separable = false
    for (;;) {
      incomplete = this.faultsOnLinesBefore(this.token, silent) || incomplete
      if (this.token.tokenType === t.EndOfFile) break
      if (this.token.tokenType === t.RCurly) {
        if (!top) break
        this.at++
      } else if (this.token.tokenType === t.Comma) {
        if (!separable || onNewLine(this.tokens, this.at)) this.commaTooMany(silent)
        else this.at++
        separable = false
      } else {
        const result = this.statement(top, silent)
        if (result.statement) statements.push(...result.statement)
        incomplete = incomplete || result.incomplete
        separable = true
      }
    }
    return { statements, incomplete }
  }

  private commaTooMany(silent: boolean): void {
    const span = this.span(this.at)
    const lexical = this.takeFaults(span.end)
    while (this.token.tokenType === t.Comma) this.at++
    if (silent) return
    if (lexical) this.diagnostics.push(lexical.diagnostic)
    else
      this.diagnostics.push(
        diagnose(
          'DINO0108',
          span,
          { where: 'before' },
          {
            help: ['delete it: a comma stands between two statements, or behind the last one'],
            fixes: [{ title: 'delete the comma', span, replacement: '' }],
          },
        ),
      )
  }

  private statement(
    top: boolean,
    silent: boolean,
  ): { statement: (Item | Statement)[] | null; incomplete: boolean } {
    const cut = extent(this.tokens, this.at)
    const kind = this.kindOf(cut)
    return kind === 'header' ? this.block(cut, top, silent) : this.simple(kind, cut, top, silent)
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
    top: boolean,
    silent: boolean,
  ): { statement: (Item | Statement)[] | null; incomplete: boolean } {
    const runsIntoBrace = cut.brace !== null && cut.end === cut.brace
    grammar.input = this.tokens.slice(cut.start, cut.end) as IToken[]
    const parsed = this.read(kind)
    const error = grammar.errors[0]
    let fault: Diagnostic | null = null
    if (error)
      fault = explain({ kind, error, tokens: this.tokens, extent: cut, end: cut.end, file: this.file })
    else if (runsIntoBrace)
      fault = diagnose(
        'DINO0107',
        this.span(cut.end),
        { expected: 'a comma or a new line', found: '`{`' },
        {
          help: ['a block has no `=` before its `{`'],
        },
      )
    else if (parsed.kind === 'assignment' || parsed.kind === 'param') fault = conditionInValue(parsed.value)
    const end = fault ? cut.faultEnd : cut.end
    const lexical = this.takeFaults(this.faultLimit(end))
    this.at = end
    const rest: (Item | Statement)[] = []
    if (fault && cut.brace === end) rest.push(...this.bodyOfFault(cut))
    const misplaced = fault || lexical ? null : this.misplaced(kind, cut, top)
    const reported = lexical?.diagnostic ?? fault ?? misplaced
    if (reported && !silent) this.diagnostics.push(reported)
    if (misplaced) return { statement: null, incomplete: false }
    if (fault) {
      const guess = this.guess(kind, cut)
      const fits =
        guess &&
        (top
          ? guess.kind === 'import' || guess.kind === 'param'
          : guess.kind !== 'import' && guess.kind !== 'param')
      return { statement: fits ? [guess, ...rest] : rest, incomplete: !fits }
    }
    const whole = lexical ? poison(parsed, lexical) : parsed
    return { statement: whole && [whole], incomplete: whole === null }
  }

  private read(kind: Exclude<StatementKind, 'header'>): Import | Param | Drop | Assignment {
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

  private misplaced(kind: Exclude<StatementKind, 'header'>, cut: Extent, top: boolean): Diagnostic | null {
    const atTop = kind === 'import' || kind === 'param'
    if (atTop === top) return null
    const span = join(this.span(cut.start), this.span(Math.max(cut.start, cut.end - 1)))
    const what = kind === 'assignment' ? 'a field' : kind === 'import' ? 'an import' : `a \`${kind}\``
    return atTop
      ? diagnose(
          'DINO0117',
          span,
          { what, place: 'inside a block' },
          {
            help: [`move it to the top level of the file, outside every \`{ }\``],
          },
        )
      : diagnose(
          'DINO0117',
          span,
          { what, place: 'outside every block' },
          {
            help: [
              'put it inside the experiment that it belongs to',
              'only `import`, `param` and blocks stand at the top level',
            ],
          },
        )
  }

  private block(
    cut: Extent,
    top: boolean,
    silent: boolean,
  ): { statement: (Item | Statement)[] | null; incomplete: boolean } {
    const open = cut.brace!
    const braceOnNextLine = onNewLine(this.tokens, open) && open > cut.start && cut.unclosed.length === 0
    grammar.input = this.tokens.slice(cut.start, open) as IToken[]
    let header: Header | null = null
    let fault: Diagnostic | null = null
    if (open === cut.start)
      fault = diagnose(
        'DINO0105',
        this.span(open),
        { found: '`{`' },
        {
          label: 'a block has no header here',
          help: ['write the kind of the block before its `{`, on the same line'],
        },
      )
    else {
      header = grammar.header()
      const error = grammar.errors[0]
      if (error)
        fault = explain({
          kind: 'header',
          error,
          tokens: this.tokens,
          extent: cut,
          end: open,
          file: this.file,
        })
      else if (header.where) {
        const settled = settleCondition(header.where)
        header = { ...header, where: settled.condition }
        fault = settled.fault
      }
      if (!fault && isVirtual(this.tokens[open]!)) fault = this.braceMissing(cut, open)
    }
    const lexical = this.takeFaults(this.span(open).start)
    const faulty = fault !== null || lexical !== null
    const recovered = fault?.code === 'DINO0109' && isVirtual(this.tokens[open]!)
    if (!faulty && braceOnNextLine)
      fault = diagnose(
        'DINO0109',
        this.span(open),
        { expected: `\`{\` on the line of its header`, found: 'it on a line of its own' },
        {
          label: 'move this up',
          labels: [{ span: header!.headerSpan, message: 'the header' }],
          help: [`write \`${textOf(this.tokens, cut.start, open)} {\``],
        },
      )
    const reported = lexical?.diagnostic ?? fault
    if (reported && !silent) this.diagnostics.push(reported)
    this.at = open + 1
    const inner = this.body(false, silent || (faulty && !recovered))
    const close = this.at
    if (this.token.tokenType === t.RCurly) this.at++
    if (isVirtual(this.tokens[close]!) && !faulty && !this.isExplained(open, close, '}'))
      this.notClosed(cut, open, close)
    const poisoned = faulty && !recovered
    if (poisoned || !header) header = this.guessHeader(cut.start, open)
    if (!header) return { statement: null, incomplete: true }
    const block: Block = {
      ...header,
      kind: 'block',
      body: inner.statements.filter((s): s is Statement => s.kind !== 'import' && s.kind !== 'param'),
      span: join(this.span(cut.start), this.span(close)),
      poisoned,
      incomplete: inner.incomplete,
    }
    return { statement: [block], incomplete: false }
  }

  /** A fault has run into a `{`: what stands behind it is read over, silently, up to its `}`. */
  private bodyOfFault(cut: Extent): Block[] {
    const open = this.at
    this.at++
    const inner = this.body(false, true)
    const close = this.at
    if (this.token.tokenType === t.RCurly) this.at++
    // `depth = 4 head dino { ... }`: the words before the brace are most likely a header that lost its comma
    let from = open
    while (from > cut.start && this.tokens[from - 1]!.tokenType === t.Name && !onNewLine(this.tokens, from))
      from--
    const header = from < open && open - from <= 2 ? this.guessHeader(from, open) : null
    if (!header) return []
    return [
      {
        ...header,
        kind: 'block',
        body: inner.statements.filter((s): s is Statement => s.kind !== 'import' && s.kind !== 'param'),
        span: join(this.span(from), this.span(close)),
        poisoned: true,
        incomplete: true,
      },
    ]
  }

  private braceMissing(cut: Extent, open: number): Diagnostic {
    const header = textOf(this.tokens, cut.start, open)
    return diagnose(
      'DINO0109',
      after(this.span(open - 1)),
      {
        expected: `\`{\` after \`${header}\``,
        found: onNewLine(this.tokens, open + 1) ? 'the end of the line' : t.showToken(this.tokens[open + 1]!),
      },
      {
        help: [`write \`${header} {\``],
        fixes: [{ title: 'insert `{`', span: after(this.span(open - 1)), replacement: ' {' }],
      },
    )
  }

  private notClosed(cut: Extent, open: number, close: number): void {
    const header = textOf(this.tokens, cut.start, Math.min(open, cut.start + 2))
    const next = this.tokens[close + 1]
    const labels = [
      {
        span: after(this.span(close - 1)),
        message:
          next && next.tokenType !== t.EndOfFile
            ? 'by its indentation the block ends here'
            : 'the file ends here',
      },
    ]
    this.diagnostics.push(
      diagnose(
        'DINO0101',
        this.span(open),
        { block: `\`${header} {\`` },
        {
          label: 'opened here',
          labels,
          help: ['write `}` where the block ends'],
        },
      ),
    )
  }

  reportBracesTooMany(tooMany: readonly IToken[]): void {
    for (const token of tooMany) {
      const span = tokenSpan(token, this.file)
      const otherFault = this.diagnostics.some(
        (d) => d.primary?.span.startLine === span.startLine || d.primary?.span.endLine === span.startLine,
      )
      if (otherFault || this.takeSwallowed(0, span.start, '{')) continue
      this.diagnostics.push(
        diagnose(
          'DINO0102',
          span,
          {},
          {
            label: 'one too many',
            help: ['delete it'],
            fixes: [{ title: 'delete `}`', span, replacement: '' }],
          },
        ),
      )
    }
  }

  /** Whether an unclosed text or comment between two tokens hides the brace that is missing there. */
  private isExplained(open: number, close: number, brace: string): boolean {
    const next = this.tokens[close + 1]
    const end = next ? this.span(close + 1).start : Number.POSITIVE_INFINITY
    return this.takeSwallowed(this.span(open).start, end, brace)
  }

  private takeSwallowed(from: number, to: number, brace: string): boolean {
    const at = this.swallowed.findIndex(
      (f) => f.span.start >= from && f.span.start <= to && f.swallowed.includes(brace),
    )
    if (at < 0) return false
    this.swallowed.splice(at, 1)
    return true
  }

  /** Faults that stand alone on lines before a token: statements of their own, one diagnostic a line. */
  private faultsOnLinesBefore(token: IToken, silent: boolean): boolean {
    let any = false
    let line = -1
    for (; this.nextFault < this.faults.length; this.nextFault++) {
      const fault = this.faults[this.nextFault]!
      const belongsToToken =
        token.tokenType !== t.EndOfFile &&
        token.tokenType !== t.RCurly &&
        fault.span.endLine >= token.startLine!
      if (belongsToToken || fault.span.start >= token.startOffset) break
      if (fault.span.startLine !== line && !silent) this.diagnostics.push(fault.diagnostic)
      line = fault.span.startLine
      any = any || !isHarmless(fault)
    }
    return any
  }

  /** Consumes the faults up to an offset and returns the first. */
  private takeFaults(limit: number): LexicalFault | null {
    const first = this.faults[this.nextFault]
    if (!first || first.span.start >= limit) return null
    while (this.nextFault < this.faults.length && this.faults[this.nextFault]!.span.start < limit)
      this.nextFault++
    return first
  }

  /** Up to where faults belong to a statement that ends before token `end`: the rest of its line included. */
  private faultLimit(end: number): number {
    const next = this.tokens[end]!
    const separator = next.tokenType === t.Comma && !onNewLine(this.tokens, end)
    let limit = separator ? next.endOffset! + 1 : next.startOffset
    if (next.tokenType === t.EndOfFile) limit = Number.POSITIVE_INFINITY
    const lastLine = end > 0 ? this.tokens[end - 1]!.endLine! : 1
    for (let i = this.nextFault; i < this.faults.length; i++) {
      const fault = this.faults[i]!
      if (fault.span.start >= limit) break
      if (fault.span.startLine > lastLine) return fault.span.start
    }
    return limit
  }

  /** What a faulty statement most likely is about: its path, names or type, with a bad value. */
  private guess(
    kind: Exclude<StatementKind, 'header'>,
    cut: Extent,
  ): Import | Param | Drop | Assignment | null {
    const tokens = this.tokens.slice(cut.start, Math.max(cut.end, cut.start + 1))
    const last = this.span(Math.max(cut.start, cut.end - 1))
    const span = join(this.span(cut.start), last)
    const name = (token: IToken): Name => ({ text: token.image, span: tokenSpan(token, this.file) })
    const bad = { kind: 'bad', span } as const
    switch (kind) {
      case 'assignment': {
        const path = this.pathAt(cut.start, cut.end)
        return path && { kind, path, value: bad, span }
      }
      case 'drop':
        return null
      case 'param': {
        const at = tokens.findIndex((token) => token.tokenType === t.Name)
        if (at < 0) return null
        const colon = tokens.findIndex((token) => token.tokenType === t.Colon)
        const type = colon > 0 && tokens[colon + 1]?.tokenType === t.Name ? tokens[colon + 1]! : null
        const nothing: Name = { text: '', span: after(span) }
        return {
          kind,
          name: name(tokens[at]!),
          type: type ? name(type) : nothing,
          value: bad,
          span,
          poisoned: true,
        }
      }
      case 'import': {
        const names = tokens.filter((token) => token.tokenType === t.Name && token.image !== 'from').map(name)
        const path = tokens.find((token) => token.tokenType === t.TextLiteral)
        const pathSpan = path ? tokenSpan(path, this.file) : after(span)
        const from: Text = {
          kind: 'text',
          parts: path ? readText(path.image, pathSpan).parts : [],
          written: path?.image ?? '""',
          span: pathSpan,
        }
        return { kind, names, from, span, poisoned: true }
      }
      default:
        return kind satisfies never
    }
  }

  private pathAt(start: number, end: number): Path | null {
    const names: Name[] = []
    for (let i = start; i < end; i += 2) {
      const token = this.tokens[i]!
      if (token.tokenType !== t.Name && token.tokenType !== t.NameAt) break
      names.push({ text: token.image, span: this.span(i) })
      if (this.tokens[i + 1]?.tokenType !== t.Dot) break
    }
    return names.length > 0 ? { kind: 'path', names, span: join(names[0]!.span, names.at(-1)!.span) } : null
  }

  /** What can be read of a header that has a fault: its first words, its type and its parent. */
  private guessHeader(start: number, open: number): Header | null {
    const name = (i: number): Name => ({ text: this.tokens[i]!.image, span: this.span(i) })
    const isName = (i: number) => i < open && this.tokens[i]!.tokenType === t.Name
    if (!isName(start)) return null
    let colon = -1
    let parent = -1
    for (let i = start; i < open; i++) {
      if (this.tokens[i]!.tokenType === t.Colon && colon < 0) colon = i
      if (this.tokens[i]!.tokenType === t.ExtendsWord && parent < 0) parent = i
    }
    return {
      keyword: name(start),
      name: isName(start + 1) ? name(start + 1) : null,
      type: colon > 0 && isName(colon + 1) ? name(colon + 1) : null,
      extends: parent > 0 ? this.pathAt(parent + 1, open) : null,
      over: null,
      where: null,
      headerSpan: join(this.span(start), this.span(open - 1)),
    }
  }
}

/** Faults beside which the statement is still whole: a `;`, a comment in another language's way, one not closed. */
function isHarmless(fault: LexicalFault): boolean {
  return fault.diagnostic.code === 'DINO0003' || /^[;#]/.test(fault.image)
}

/** A statement with a fault in its characters: its value is not to be trusted, nor is its path if that has the fault. */
function poison(
  statement: Import | Param | Drop | Assignment,
  fault: LexicalFault,
): Import | Param | Drop | Assignment | null {
  if (isHarmless(fault) || fault.span.start >= statement.span.end) return statement
  switch (statement.kind) {
    case 'assignment':
      if (fault.span.start < statement.path.span.end) return null
      return { ...statement, value: { kind: 'bad', span: statement.value.span } }
    case 'import':
    case 'param':
      return { ...statement, poisoned: true }
    case 'drop':
      return null
    default:
      return statement satisfies never
  }
}

function textOf(tokens: Tokens, from: number, to: number): string {
  let text = ''
  for (let i = from; i < to; i++) {
    const token = tokens[i]!
    const gap = i > from && token.startOffset > tokens[i - 1]!.endOffset! + 1
    text += (gap ? ' ' : '') + token.image
  }
  return text
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
