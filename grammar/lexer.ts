import type { IToken } from 'chevrotain'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../diagnostics/diagnostic.js'
import type { Comment } from './ast.js'
import { Lexer } from './chevrotain.js'
import { tokenSpan, within } from './spans.js'
import { readText } from './text.js'
import {
  allTokens,
  BadName,
  BadNumber,
  Comma,
  HashComment,
  Name,
  Semicolon,
  SingleQuoted,
  Stray,
  TextLiteral,
  UnclosedComment,
  UnclosedText,
} from './tokens.js'

const lexer = new Lexer(allTokens, {
  positionTracking: 'full',
  ensureOptimizations: false,
  skipValidations: true,
  deferDefinitionErrorsHandling: true,
})

export interface Lexed {
  /** What the parser reads: faulty tokens are left out, or replaced by what was probably meant. */
  readonly tokens: readonly IToken[]
  readonly comments: readonly Comment[]
  /** DINO00xx in the order of the text; several may stand in one statement. */
  readonly faults: readonly LexicalFault[]
}

export interface LexicalFault {
  /** Faults of braces (braces.ts) stand in the same list; a fault of the grammar in their statement hides them. */
  readonly kind: 'character' | 'brace'
  readonly diagnostic: Diagnostic
  /** The whole of the faulty token, of which the diagnostic may show a part. */
  readonly span: Span
  /** The whole of the faulty token as written. */
  readonly image: string
  /** What the token hides from the parser: the rest of its line behind a text or comment that is not closed. */
  readonly swallowed: string
}

/** The plain token stream, faulty tokens included and comments beside it: together with white space they tile the text. */
export function tokenize(text: string): { tokens: IToken[]; comments: IToken[] } {
  const result = lexer.tokenize(text)
  return { tokens: result.tokens, comments: result.groups.comments ?? [] }
}

/** Text to tokens, comments and the faults of single characters, numbers and texts. */
export function lex(text: string, file: string): Lexed {
  const raw = tokenize(text)
  const tokens: IToken[] = []
  const comments: Comment[] = raw.comments.map((token) => comment(token, text, file))
  const faults: LexicalFault[] = []
  let strayEnd = -1
  for (const token of raw.tokens) {
    const span = tokenSpan(token, file)
    const fault = (diagnostic: Diagnostic, swallowed = '') =>
      faults.push({ kind: 'character', diagnostic, span, image: token.image, swallowed })
    switch (token.tokenType) {
      case Stray: {
        // a run of them (`&&`) is one fault
        if (strayEnd !== span.start) fault(stray(token.image, span))
        strayEnd = span.end
        break
      }
      case BadName: {
        const at = token.image.search(/[^\0-\x7f]/)
        const letter = String.fromCodePoint(token.image.codePointAt(at)!)
        fault(stray(letter, within(span, at, letter.length)))
        tokens.push({ ...token, tokenType: Name, tokenTypeIdx: Name.tokenTypeIdx! })
        break
      }
      case Semicolon:
        fault(stray(';', span))
        tokens.push({ ...token, tokenType: Comma, tokenTypeIdx: Comma.tokenTypeIdx! })
        break
      case HashComment:
        fault(stray('#', within(span, 0, 1)), token.image.slice(1))
        break
      case SingleQuoted:
        fault(stray("'", within(span, 0, 1)))
        tokens.push({ ...token, tokenType: TextLiteral, tokenTypeIdx: TextLiteral.tokenTypeIdx! })
        break
      case UnclosedComment:
        fault(
          diagnose(
            'DINO0003',
            within(span, 0, 2),
            {},
            {
              label: 'opened here',
              help: ['close it with `*/`, or begin it with `//` to comment out this line only'],
            },
          ),
          token.image,
        )
        comments.push(comment(token, text, file))
        break
      case UnclosedText:
        fault(
          diagnose(
            'DINO0002',
            within(span, 0, 1),
            {},
            {
              label: 'opened here',
              notes: ['a text ends on the line on which it begins'],
              help: ['close it with `"`'],
            },
          ),
          token.image,
        )
        tokens.push({ ...token, tokenType: TextLiteral, tokenTypeIdx: TextLiteral.tokenTypeIdx! })
        break
      case TextLiteral:
        for (const found of readText(token.image, span).faults) fault(found)
        tokens.push(token)
        break
      case BadNumber:
        fault(malformed(token.image, span))
        tokens.push(token)
        break
      default:
        if (token.tokenType.name === 'NumberLiteral' && !Number.isFinite(numberValue(token.image)))
          fault(diagnose('DINO0007', span, { written: token.image }))
        tokens.push(token)
    }
  }
  return { tokens, comments: comments.sort((a, b) => a.span.start - b.span.start), faults }
}

const factors: Readonly<Record<string, number>> = { k: 1e3, M: 1e6, G: 1e9 }

/** `131_072` is 131072, `10k` is 10000. */
export function numberValue(written: string): number {
  const plain = written.replaceAll('_', '')
  const factor = factors[plain.at(-1)!]
  return factor === undefined ? Number(plain) : Number(`${plain.slice(0, -1)}`) * factor
}

function comment(token: IToken, text: string, file: string): Comment {
  const span = tokenSpan(token, file)
  const lineStart = span.start - span.startColumn + 1
  return { text: token.image, span, ownLine: /^[\s\uFEFF]*$/.test(text.slice(lineStart, span.start)) }
}

/** What people write out of habit from elsewhere, and what dino has instead. */
const habits: Readonly<Record<string, string>> = {
  ';': 'statements end with their line, or with a comma',
  '#': 'comments begin with `//`',
  "'": 'texts stand in double quotes, "..."',
  '`': 'texts stand in double quotes, "..."',
  '\u201c': 'texts stand in straight double quotes, "..."',
  '\u201d': 'texts stand in straight double quotes, "..."',
  '\u00d7': 'write `*` for a product, `x` for a factor (0.2x)',
  '\u2192': 'write `->`',
  '\u2264': 'write `<=`',
  '\u2265': 'write `>=`',
  '\u2260': 'write `!=`',
  '\u2026': 'write `..`',
  '\u2013': 'write `-`',
  '\u2212': 'write `-`',
  '&': 'write `and`',
  '|': 'write `or` in a condition, `|>` between the pieces of a schedule',
  '!': 'write `not`',
  '\u00a0': 'this is a no-break space; write a plain one',
  $: 'a param is named without `$`, except inside a text: "${root}/images"',
  '@': '`@` and digits end the name of a metric, with nothing between: `eval.knn.top1@20`',
  '^': 'there is no power',
  '\\': 'a statement goes on over lines inside ( ) and [ ], and before `|>`',
}

function stray(character: string, span: Span): Diagnostic {
  const codePoint = character.codePointAt(0)!
  const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character)
  const shown = printable
    ? `\`${character}\``
    : `the character U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`
  const habit = habits[character]
  const letter = /^[\p{L}\p{M}]$/u.test(character)
  return diagnose(
    'DINO0001',
    span,
    { shown, what: letter ? 'names are made of the letters a-z and A-Z, digits and `_`' : '' },
    habit === undefined ? {} : { help: [habit] },
  )
}

function malformed(written: string, span: Span): Diagnostic {
  const points = written.split('.').length - 1
  const why =
    points > 1
      ? 'it has more than one decimal point'
      : /[eE][+-]?$/.test(written)
        ? 'digits are missing after the exponent sign'
        : /__|_$|_\.|\._|_[eE]/.test(written)
          ? 'a `_` stands between two digits, alone'
          : written.endsWith('.')
            ? 'digits are missing after the decimal point'
            : 'it does not end where a number can end'
  const help = points > 1 ? ['write one decimal point, or a range with two: `0.05..0.32`'] : []
  return diagnose('DINO0004', span, { written, why }, { help })
}
