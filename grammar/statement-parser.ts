import type { IToken, ParserMethod } from 'chevrotain'
import type { Span } from '../diagnostics/diagnostic.js'
import type {
  Argument,
  Assignment,
  Binary,
  Block,
  Condition,
  Drop,
  Import,
  Name,
  Param,
  Path,
  Quantity,
  Text,
  Value,
} from './ast.js'
import { EmbeddedActionsParser } from './chevrotain.js'
import { numberValue } from './lexer.js'
import { join, tokenSpan } from './spans.js'
import { readText } from './text.js'
import * as t from './tokens.js'

/** What stands before the `{` of a block. */
export type Header = Pick<Block, 'keyword' | 'name' | 'type' | 'extends' | 'over' | 'where' | 'headerSpan'>

/**
 * A condition in parentheses where the grammar wants a value. It lives only until nested.ts has either made a
 * condition of it or reported it; the tree that `parse` returns holds none.
 */
export interface Nested {
  readonly kind: 'nested'
  readonly condition: Condition
  readonly span: Span
}
const asValue = (nested: Nested) => nested as unknown as Value
export const asNested = (value: Value): Nested | null =>
  (value.kind as string) === 'nested' ? (value as unknown as Nested) : null

/** What a fault expected: token type names, from whichever of Chevrotain's messages applies. */
const expectations = {
  buildMismatchTokenMessage: ({ expected }: { expected: { name: string } }) => expected.name,
  buildNotAllInputParsedMessage: () => 'nothing',
  buildNoViableAltMessage: () => 'alternative',
  buildEarlyExitMessage: () => 'alternative',
}

/**
 * The grammar of single statements over tokens that know no newlines: layout.ts has cut the text into statements
 * before. One instance parses one statement at a time (`input = tokens`), with the actions that build the tree.
 * A block's header is parsed up to its `{`; its body is a list of statements again.
 */
export class StatementParser extends EmbeddedActionsParser {
  /** The path as the user wrote it; part of every span. */
  file = ''

  constructor() {
    super(t.allTokens, {
      maxLookahead: 2,
      recoveryEnabled: false,
      skipValidations: true,
      errorMessageProvider: expectations,
    })
    this.performSelfAnalysis()
  }

  private span(token: IToken): Span {
    return tokenSpan(token, this.file)
  }

  private named(token: IToken): Name {
    return { text: token.image, span: this.span(token) }
  }

  /** `import { a, b } from "./sources.dino"` */
  readonly importItem: ParserMethod<[], Import> = this.RULE('importItem', () => {
    const names: Name[] = []
    const word = this.CONSUME(t.ImportWord)
    this.CONSUME(t.LCurly)
    const first = this.CONSUME(t.Name)
    this.ACTION(() => names.push(this.named(first)))
    this.MANY({
      GATE: () => this.LA(2).tokenType !== t.RCurly,
      DEF: () => {
        this.CONSUME(t.Comma)
        const next = this.CONSUME2(t.Name)
        this.ACTION(() => names.push(this.named(next)))
      },
    })
    this.OPTION(() => this.CONSUME2(t.Comma))
    this.CONSUME(t.RCurly)
    this.SUBRULE(this.fromWord)
    const from = this.SUBRULE(this.text)
    return this.ACTION(
      (): Import => ({
        kind: 'import',
        names,
        from,
        span: join(this.span(word), from.span),
        poisoned: false,
      }),
    )
  })

  /** `from` is an ordinary word everywhere else, so it has no token type of its own. */
  private readonly fromWord: ParserMethod<[], void> = this.RULE('fromWord', () => {
    this.OR([{ GATE: () => this.LA(1).image === 'from', ALT: () => this.CONSUME(t.Name) }])
  })

  /** `param root: path = env("DATA_ROOT")` */
  readonly paramItem: ParserMethod<[], Param> = this.RULE('paramItem', () => {
    const word = this.CONSUME(t.ParamWord)
    const name = this.CONSUME(t.Name)
    this.CONSUME(t.Colon)
    const type = this.CONSUME2(t.Name)
    this.CONSUME(t.Equals)
    const value = this.SUBRULE(this.value)
    return this.ACTION(
      (): Param => ({
        kind: 'param',
        name: this.named(name),
        type: this.named(type),
        value,
        span: join(this.span(word), value.span),
        poisoned: false,
      }),
    )
  })

  /** `experiment b extends a`, `grid masks over tied where ...`: what stands before a `{`. */
  readonly header: ParserMethod<[], Header> = this.RULE('header', () => {
    const keyword = this.CONSUME(t.Name)
    let name: IToken | null = null
    let type: IToken | null = null
    let parent: Path | null = null
    let over: Path | null = null
    let where: Condition | null = null
    this.OPTION(() => {
      name = this.CONSUME2(t.Name)
    })
    this.OPTION2(() => {
      this.CONSUME(t.Colon)
      type = this.CONSUME3(t.Name)
    })
    this.OPTION3(() => {
      this.CONSUME(t.ExtendsWord)
      parent = this.SUBRULE(this.path)
    })
    this.OPTION4(() => {
      this.CONSUME(t.OverWord)
      over = this.SUBRULE2(this.path)
    })
    this.OPTION5(() => {
      this.CONSUME(t.WhereWord)
      where = this.SUBRULE(this.condition)
    })
    return this.ACTION(
      (): Header => ({
        keyword: this.named(keyword),
        name: name && this.named(name),
        type: type && this.named(type),
        extends: parent,
        over,
        where,
        headerSpan: join(this.span(keyword), this.span(this.LA(0))),
      }),
    )
  })

  /** `schedule.batch = 64 img` */
  readonly assignment: ParserMethod<[], Assignment> = this.RULE('assignment', () => {
    const path = this.SUBRULE(this.path)
    this.CONSUME(t.Equals)
    const value = this.SUBRULE(this.value)
    return this.ACTION(
      (): Assignment => ({ kind: 'assignment', path, value, span: join(path.span, value.span) }),
    )
  })

  /** `drop loss.koleo` */
  readonly drop: ParserMethod<[], Drop> = this.RULE('drop', () => {
    const word = this.CONSUME(t.DropWord)
    const path = this.SUBRULE(this.path)
    return this.ACTION((): Drop => ({ kind: 'drop', path, span: join(this.span(word), path.span) }))
  })

  /** Only the last name may end in `@` and digits. */
  readonly path: ParserMethod<[], Path> = this.RULE('path', () => {
    const names: Name[] = []
    const add = (token: IToken) => this.ACTION(() => names.push(this.named(token)))
    this.OR([
      { ALT: () => add(this.CONSUME(t.NameAt)) },
      {
        ALT: () => {
          add(this.CONSUME(t.Name))
          this.MANY({
            GATE: () => this.LA(0).tokenType !== t.NameAt,
            DEF: () => {
              this.CONSUME(t.Dot)
              this.OR2([
                { ALT: () => add(this.CONSUME2(t.NameAt)) },
                { ALT: () => add(this.CONSUME2(t.Name)) },
              ])
            },
          })
        },
      },
    ])
    return this.ACTION((): Path => ({ kind: 'path', names, span: join(names[0]!.span, names.at(-1)!.span) }))
  })

  /** value = pipe; the levels below are in the order of LANGUAGE's precedences, loosest first. */
  readonly value: ParserMethod<[], Value> = this.RULE('value', () => {
    const stages: Value[] = [this.SUBRULE(this.arrow)]
    this.MANY(() => {
      this.CONSUME(t.PipeTo)
      stages.push(this.SUBRULE2(this.arrow))
    })
    return this.ACTION(
      (): Value =>
        stages.length === 1
          ? stages[0]!
          : { kind: 'pipe', stages, span: join(stages[0]!.span, stages.at(-1)!.span) },
    )
  })

  private readonly arrow: ParserMethod<[], Value> = this.RULE('arrow', () => {
    const from = this.SUBRULE(this.range)
    let to: Value | null = null
    let over: Value | null = null
    this.OPTION(() => {
      this.CONSUME(t.ArrowTo)
      to = this.SUBRULE2(this.range)
    })
    this.OPTION2(() => {
      this.CONSUME(t.OverWord)
      over = this.SUBRULE3(this.range)
    })
    return this.ACTION((): Value => {
      const last = over ?? to
      return last ? { kind: 'arrow', from, to, over, span: join(from.span, last.span) } : from
    })
  })

  private readonly range: ParserMethod<[], Value> = this.RULE('range', () => {
    const min = this.SUBRULE(this.sum)
    let max: Value | null = null
    this.OPTION(() => {
      this.CONSUME(t.DotDot)
      max = this.SUBRULE2(this.sum)
    })
    return this.ACTION((): Value => (max ? { kind: 'range', min, max, span: join(min.span, max.span) } : min))
  })

  private readonly sum: ParserMethod<[], Value> = this.RULE('sum', () => {
    let left = this.SUBRULE(this.product)
    this.MANY(() => {
      const op = this.OR([{ ALT: () => this.CONSUME(t.Plus) }, { ALT: () => this.CONSUME(t.Minus) }])
      const right = this.SUBRULE2(this.product)
      left = this.ACTION(() => binary(op, left, right))
    })
    return left
  })

  private readonly product: ParserMethod<[], Value> = this.RULE('product', () => {
    let left = this.SUBRULE(this.unary)
    this.MANY(() => {
      const op = this.OR([{ ALT: () => this.CONSUME(t.Star) }, { ALT: () => this.CONSUME(t.Slash) }])
      const right = this.SUBRULE2(this.unary)
      left = this.ACTION(() => binary(op, left, right))
    })
    return left
  })

  private readonly unary: ParserMethod<[], Value> = this.RULE('unary', () => {
    let minus: IToken | null = null
    this.OPTION(() => {
      minus = this.CONSUME(t.Minus)
    })
    const operand = this.SUBRULE(this.primary)
    return this.ACTION(
      (): Value =>
        minus ? { kind: 'negative', operand, span: join(this.span(minus), operand.span) } : operand,
    )
  })

  private readonly primary: ParserMethod<[], Value> = this.RULE('primary', () =>
    this.OR<Value>([
      { ALT: () => this.SUBRULE(this.quantity) },
      { ALT: () => this.SUBRULE(this.text) },
      { ALT: () => this.SUBRULE(this.list) },
      { ALT: () => this.SUBRULE(this.call) },
      { ALT: () => this.SUBRULE(this.path) },
      { ALT: () => this.SUBRULE(this.parenthesised) },
    ]),
  )

  /** A number and, on its line, its unit: a word that is not reserved and that begins nothing else. */
  private readonly quantity: ParserMethod<[], Value> = this.RULE('quantity', () => {
    const number = this.OR([
      { ALT: () => this.CONSUME(t.NumberLiteral) },
      { ALT: () => this.CONSUME(t.BadNumber) },
    ])
    let unit: IToken | null = null
    this.OPTION({
      GATE: () =>
        this.LA(1).startLine === this.LA(0).endLine && !beginsSomethingElse.has(this.LA(2).tokenType),
      DEF: () => {
        unit = this.OR2([{ ALT: () => this.CONSUME(t.Name) }, { ALT: () => this.CONSUME(t.Percent) }])
      },
    })
    return this.ACTION((): Value => {
      const span = unit ? join(this.span(number), this.span(unit)) : this.span(number)
      if (number.tokenType === t.BadNumber) return { kind: 'bad', span }
      const quantity: Quantity = {
        kind: 'quantity',
        value: numberValue(number.image),
        written: number.image,
        unit: unit && this.named(unit),
        span,
      }
      return Number.isFinite(quantity.value) ? quantity : { kind: 'bad', span }
    })
  })

  private readonly text: ParserMethod<[], Text> = this.RULE('text', () => {
    const token = this.CONSUME(t.TextLiteral)
    return this.ACTION((): Text => {
      const span = this.span(token)
      return { kind: 'text', parts: readText(token.image, span).parts, written: token.image, span }
    })
  })

  private readonly list: ParserMethod<[], Value> = this.RULE('list', () => {
    const items: Value[] = []
    const open = this.CONSUME(t.LSquare)
    this.OPTION(() => {
      items.push(this.SUBRULE(this.value))
      this.MANY({
        GATE: () => this.LA(2).tokenType !== t.RSquare,
        DEF: () => {
          this.CONSUME(t.Comma)
          items.push(this.SUBRULE2(this.value))
        },
      })
      this.OPTION2(() => this.CONSUME2(t.Comma))
    })
    const close = this.CONSUME(t.RSquare)
    return this.ACTION((): Value => ({ kind: 'list', items, span: join(this.span(open), this.span(close)) }))
  })

  private readonly call: ParserMethod<[], Value> = this.RULE('call', () => {
    const args: Argument[] = []
    const name = this.CONSUME(t.Name)
    this.CONSUME(t.LParen)
    this.OPTION(() => {
      args.push(this.SUBRULE(this.argument))
      this.MANY({
        GATE: () => this.LA(2).tokenType !== t.RParen,
        DEF: () => {
          this.CONSUME(t.Comma)
          args.push(this.SUBRULE2(this.argument))
        },
      })
      this.OPTION2(() => this.CONSUME2(t.Comma))
    })
    const close = this.CONSUME(t.RParen)
    return this.ACTION(
      (): Value => ({
        kind: 'call',
        name: this.named(name),
        args,
        span: join(this.span(name), this.span(close)),
      }),
    )
  })

  /** `train: 80%`, `a.train: 30%`; a path without `:` is itself the value. */
  private readonly argument: ParserMethod<[], Argument> = this.RULE('argument', () => {
    const value = this.SUBRULE(this.value)
    let given: Value | null = null
    this.OPTION({
      GATE: () => value.kind === 'path',
      DEF: () => {
        this.CONSUME(t.Colon)
        given = this.SUBRULE2(this.value)
      },
    })
    return this.ACTION(
      (): Argument =>
        given && value.kind === 'path'
          ? { name: value, value: given, span: join(value.span, given.span) }
          : { name: null, value, span: value.span },
    )
  })

  /** A value, or inside `where` a condition: nested.ts says which was allowed. */
  private readonly parenthesised: ParserMethod<[], Value> = this.RULE('parenthesised', () => {
    const open = this.CONSUME(t.LParen)
    const inner = this.SUBRULE(this.condition)
    const close = this.CONSUME(t.RParen)
    return this.ACTION((): Value => {
      const span = join(this.span(open), this.span(close))
      if (inner.kind === 'value') return { kind: 'group', value: inner.value, span }
      return asValue({ kind: 'nested', condition: inner, span })
    })
  })

  readonly condition: ParserMethod<[], Condition> = this.RULE('condition', () => {
    const parts: Condition[] = [this.SUBRULE(this.conjunction)]
    this.MANY(() => {
      this.CONSUME(t.OrWord)
      parts.push(this.SUBRULE2(this.conjunction))
    })
    return this.ACTION(
      (): Condition =>
        parts.length === 1
          ? parts[0]!
          : { kind: 'or', parts, span: join(parts[0]!.span, parts.at(-1)!.span) },
    )
  })

  private readonly conjunction: ParserMethod<[], Condition> = this.RULE('conjunction', () => {
    const parts: Condition[] = [this.SUBRULE(this.negation)]
    this.MANY(() => {
      this.CONSUME(t.AndWord)
      parts.push(this.SUBRULE2(this.negation))
    })
    return this.ACTION(
      (): Condition =>
        parts.length === 1
          ? parts[0]!
          : { kind: 'and', parts, span: join(parts[0]!.span, parts.at(-1)!.span) },
    )
  })

  private readonly negation: ParserMethod<[], Condition> = this.RULE('negation', () =>
    this.OR<Condition>([
      {
        ALT: () => {
          const word = this.CONSUME(t.NotWord)
          const operand = this.SUBRULE(this.negation)
          return this.ACTION(
            (): Condition => ({ kind: 'not', operand, span: join(this.span(word), operand.span) }),
          )
        },
      },
      { ALT: () => this.SUBRULE(this.comparison) },
    ]),
  )

  private readonly comparison: ParserMethod<[], Condition> = this.RULE('comparison', () => {
    const left = this.SUBRULE(this.value)
    let op: IToken | null = null
    let right: Value | null = null
    this.OPTION(() => {
      op = this.OR([
        { ALT: () => this.CONSUME(t.EqualsEquals) },
        { ALT: () => this.CONSUME(t.NotEquals) },
        { ALT: () => this.CONSUME(t.LessEquals) },
        { ALT: () => this.CONSUME(t.GreaterEquals) },
        { ALT: () => this.CONSUME(t.Less) },
        { ALT: () => this.CONSUME(t.Greater) },
      ])
      right = this.SUBRULE2(this.value)
    })
    return this.ACTION((): Condition => {
      if (!op || !right) return { kind: 'value', value: left, span: left.span }
      return {
        kind: 'compare',
        op: (op as IToken).image as '==',
        left,
        right,
        span: join(left.span, (right as Value).span),
      }
    })
  })
}

/** What shows, right behind a word, that the word is not the unit of the number before it. */
const beginsSomethingElse: ReadonlySet<unknown> = new Set([t.Equals, t.Dot, t.LParen, t.Colon, t.LCurly])

function binary(op: IToken, left: Value, right: Value): Binary {
  return {
    kind: 'binary',
    op: op.image as Binary['op'],
    left,
    right,
    span: join(left.span, right.span),
  }
}
