import type { TokenType } from 'chevrotain'
import { createToken, EOF, Lexer } from './chevrotain.js'

/**
 * The token types, in the order in which the lexer tries them. Newlines are no tokens: whether a line break stands
 * before a token shows in its line number. Faulty tokens have types of their own, so that nothing is ever dropped;
 * lexer.ts turns them into diagnostics and into the token that was probably meant.
 */

/** A word: `backbone`, and as the last of a path also `top1@20`. */
export const Name = createToken({ name: 'Name', pattern: /[A-Za-z_][A-Za-z0-9_]*/ })
export const NameAt = createToken({ name: 'NameAt', pattern: /[A-Za-z_][A-Za-z0-9_]*@[0-9]+/ })

function reserved(word: string): TokenType {
  return createToken({
    name: word[0]!.toUpperCase() + word.slice(1),
    pattern: word,
    longer_alt: [NameAt, Name],
  })
}
export const ImportWord = reserved('import')
export const ParamWord = reserved('param')
export const DropWord = reserved('drop')
export const ExtendsWord = reserved('extends')
export const OverWord = reserved('over')
export const WhereWord = reserved('where')
export const AndWord = reserved('and')
export const OrWord = reserved('or')
export const NotWord = reserved('not')

export const reservedWords: readonly TokenType[] = [
  ImportWord,
  ParamWord,
  DropWord,
  ExtendsWord,
  OverWord,
  WhereWord,
  AndWord,
  OrWord,
  NotWord,
]

/** A word with letters that names cannot have: reported, then read as a name, so that its statement keeps its form. */
const foreignWord = /[\p{L}\p{M}_][\p{L}\p{M}\p{Nd}_]*/uy
/** One of each class of characters that Chevrotain's lexer tells apart: 0-255, then blocks of 255. */
const anyCharacter: number[] = Array.from({ length: 256 + 257 }, (_, i) =>
  i < 256 ? i : Math.max(256, (i - 255) * 255),
)
export const BadName = createToken({
  name: 'BadName',
  start_chars_hint: anyCharacter,
  line_breaks: false,
  pattern: (text, offset) => {
    foreignWord.lastIndex = offset
    const word = foreignWord.exec(text)
    return word && /[^\0-\x7f]/.test(word[0]) ? word : null
  },
})

const digits = '[0-9](?:_?[0-9])*'
const mantissa = `(?:${digits}(?:\\.${digits})?|\\.${digits})`
/** `12`, `131_072`, `.5`, `1e-5`, `10k` (k, M, G touch the number and end there: `40GiB` is 40 and a unit). */
export const NumberLiteral = createToken({
  name: 'NumberLiteral',
  pattern: new RegExp(`${mantissa}(?:[eE][+-]?[0-9]+)?(?:[kMG](?![A-Za-z0-9_]))?`),
})
/** The longest run of what belongs to a number: `3.0.1`, `1e-`, `1__0`, `5.`. Taken where it is longer than a number. */
const numberRun = /(?:[0-9]|\.[0-9])(?:[0-9_]|\.(?!\.)(?![A-Za-z_])|[eE][+-]?(?![A-Za-z])[0-9]*)*/y
const numberExact = new RegExp(NumberLiteral.PATTERN as RegExp, 'y')
export const BadNumber = createToken({
  name: 'BadNumber',
  start_chars_hint: ['.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  line_breaks: false,
  pattern: (text, offset) => {
    numberRun.lastIndex = offset
    const run = numberRun.exec(text)
    if (!run) return null
    numberExact.lastIndex = offset
    const exact = numberExact.exec(text)
    return exact && exact[0].length >= run[0].length ? null : run
  },
})

export const TextLiteral = createToken({ name: 'TextLiteral', pattern: /"(?:[^"\\\r\n]|\\[^\r\n])*"/ })
/** Counts as closed at the end of its line. */
export const UnclosedText = createToken({ name: 'UnclosedText', pattern: /"(?:[^"\\\r\n]|\\[^\r\n])*\\?/ })
export const SingleQuoted = createToken({ name: 'SingleQuoted', pattern: /'[^'\r\n]*'/ })

export const PipeTo = createToken({ name: 'PipeTo', pattern: '|>' })
export const ArrowTo = createToken({ name: 'ArrowTo', pattern: '->' })
export const DotDot = createToken({ name: 'DotDot', pattern: '..' })
export const Dot = createToken({ name: 'Dot', pattern: '.' })
export const EqualsEquals = createToken({ name: 'EqualsEquals', pattern: '==' })
export const NotEquals = createToken({ name: 'NotEquals', pattern: '!=' })
export const LessEquals = createToken({ name: 'LessEquals', pattern: '<=' })
export const GreaterEquals = createToken({ name: 'GreaterEquals', pattern: '>=' })
export const Less = createToken({ name: 'Less', pattern: '<' })
export const Greater = createToken({ name: 'Greater', pattern: '>' })
export const Equals = createToken({ name: 'Equals', pattern: '=' })
export const Comma = createToken({ name: 'Comma', pattern: ',' })
export const Colon = createToken({ name: 'Colon', pattern: ':' })
export const Plus = createToken({ name: 'Plus', pattern: '+' })
export const Minus = createToken({ name: 'Minus', pattern: '-' })
export const Star = createToken({ name: 'Star', pattern: '*' })
export const Slash = createToken({ name: 'Slash', pattern: '/' })
export const Percent = createToken({ name: 'Percent', pattern: '%' })
export const LParen = createToken({ name: 'LParen', pattern: '(' })
export const RParen = createToken({ name: 'RParen', pattern: ')' })
export const LSquare = createToken({ name: 'LSquare', pattern: '[' })
export const RSquare = createToken({ name: 'RSquare', pattern: ']' })
export const LCurly = createToken({ name: 'LCurly', pattern: '{' })
export const RCurly = createToken({ name: 'RCurly', pattern: '}' })

export const EndOfFile = EOF

export const LineComment = createToken({ name: 'LineComment', pattern: /\/\/[^\r\n]*/, group: 'comments' })
/** Where the text that was asked last has no `* /` any more: a file of unclosed comments is not searched for each. */
const unclosed = { text: '', from: 0 }
export const BlockComment = createToken({
  name: 'BlockComment',
  start_chars_hint: ['/'],
  line_breaks: true,
  group: 'comments',
  pattern: (text, offset) => {
    if (text[offset] !== '/' || text[offset + 1] !== '*') return null
    if (unclosed.text === text && offset >= unclosed.from) return null
    const end = text.indexOf('*/', offset + 2)
    if (end >= 0) return [text.slice(offset, end + 2)]
    unclosed.text = text
    unclosed.from = offset
    return null
  },
})
/** Counts as closed at the end of its line. */
export const UnclosedComment = createToken({ name: 'UnclosedComment', pattern: /\/\*[^\r\n]*/ })
/** A comment in another language's way: swallowed to the end of its line, so that its words are not read. */
export const HashComment = createToken({ name: 'HashComment', pattern: /#[^\r\n]*/ })
/** `;` where another language ends a statement: reported, then read as a comma. */
export const Semicolon = createToken({ name: 'Semicolon', pattern: ';' })
/** Any other character, whole code points. */
export const Stray = createToken({
  name: 'Stray',
  start_chars_hint: anyCharacter,
  pattern: /[\uD800-\uDBFF][\uDC00-\uDFFF]|[\s\S]/,
  line_breaks: false,
})

const WhiteSpace = createToken({
  name: 'WhiteSpace',
  pattern: /(?:[ \t\r\n]|\uFEFF)+/,
  group: Lexer.SKIPPED,
  line_breaks: true,
})

export const allTokens: TokenType[] = [
  WhiteSpace,
  LineComment,
  BlockComment,
  UnclosedComment,
  HashComment,
  BadName,
  ...reservedWords,
  NameAt,
  Name,
  BadNumber,
  NumberLiteral,
  TextLiteral,
  UnclosedText,
  SingleQuoted,
  PipeTo,
  ArrowTo,
  DotDot,
  Dot,
  EqualsEquals,
  NotEquals,
  LessEquals,
  GreaterEquals,
  Less,
  Greater,
  Equals,
  Comma,
  Semicolon,
  Colon,
  Plus,
  Minus,
  Star,
  Slash,
  Percent,
  LParen,
  RParen,
  LSquare,
  RSquare,
  LCurly,
  RCurly,
  Stray,
]

const shown: Readonly<Record<string, string>> = {
  TextLiteral: 'a text',
  NumberLiteral: 'a number',
  EOF: 'the end of the file',
}

/** How a diagnostic names a token: its characters, shortened, in backquotes. */
export function showToken(token: { image: string; tokenType: TokenType }): string {
  const fixed = shown[token.tokenType.name]
  if (fixed !== undefined && token.tokenType.name === 'EOF') return fixed
  const image = token.image.length > 24 ? `${token.image.slice(0, 21)}...` : token.image
  if (fixed !== undefined)
    return `${fixed} ${token.tokenType.name === 'TextLiteral' ? image : `\`${image}\``}`
  return `\`${image}\``
}
