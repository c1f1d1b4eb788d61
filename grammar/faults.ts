import type { IRecognitionException, IToken } from 'chevrotain'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../diagnostics/diagnostic.js'
import { isVirtual } from './braces.js'
import { type Extent, isCloser, isOpener, isWord, onNewLine, type Tokens } from './layout.js'
import { after, tokenSpan } from './spans.js'
import * as t from './tokens.js'

export type StatementKind = 'import' | 'param' | 'drop' | 'header' | 'assignment'

/** A statement that the grammar refused, with everything that its diagnostic may want to say. */
export interface Refused {
  readonly kind: StatementKind
  readonly error: IRecognitionException
  readonly tokens: Tokens
  readonly extent: Extent
  /** Index behind the last token that the grammar was given. */
  readonly end: number
  readonly file: string
}

interface Found {
  /** Index into the tokens of the file. */
  readonly at: number
  readonly token: IToken
  /** Ready to print: "`)`", "the end of the line". */
  readonly shown: string
  readonly span: Span
  /** True where the statement ended before what was expected came. */
  readonly ended: boolean
}

/** Every way in which the grammar refuses a statement, in words: expected X, found Y, and what to type. */
export function explain(refused: Refused): Diagnostic {
  const { kind, error, tokens, extent, file } = refused
  const found = whatWasFound(refused)
  const previous = found.at > extent.start ? tokens[found.at - 1]! : null
  const rule = error.context.ruleStack.at(-1) ?? ''
  const rules = error.context.ruleStack

  const opener = openBracket(refused, found.at)
  if (opener !== null && (found.ended || tokens[found.at]!.startLine! > tokens[opener]!.startLine!)) {
    if (extent.unclosed.includes(opener)) return notClosed(refused, opener, found)
  }
  if (isCloser(found.token) && !found.ended) {
    if (opener === null) return closesNothing(found)
    const closer = closerOf(tokens[opener]!)
    if (closer !== found.token.image)
      return diagnose(
        'DINO0114',
        found.span,
        { closer: found.token.image, expected: `\`${closer}\`` },
        {
          labels: [{ span: tokenSpan(tokens[opener]!, file), message: 'opened here' }],
        },
      )
  }
  if (kind === 'import') return importFault(refused, found)
  if (kind === 'assignment' && !rules.includes('value') && error.name !== 'NotAllInputParsedException')
    return noEquals(refused, found, previous)
  if (
    isReserved(found.token) &&
    !found.ended &&
    !(found.token.tokenType === t.OverWord && kind === 'header')
  ) {
    const reserved = reservedWord(refused, found, previous)
    if (reserved) return reserved
  }
  if (kind === 'param' && !rules.includes('value') && error.name !== 'NotAllInputParsedException')
    return paramFault(refused, found)
  if (error.name === 'NoViableAltException' && rule !== 'path' && rule !== 'fromWord')
    return valueMissing(refused, found, previous)
  if (opener !== null) return commaTooMany(found, previous) ?? insideBrackets(refused, found, opener)
  if (kind === 'header') return headerFault(refused, found, previous)
  if (rule === 'path')
    return diagnose(
      'DINO0107',
      found.span,
      {
        expected:
          previous?.tokenType === t.Dot ? 'a name after `.`' : kind === 'drop' ? 'what to drop' : 'a name',
        found: found.shown,
      },
      kind === 'drop' ? { help: ['name the block or field, for example `drop loss.koleo`'] } : {},
    )
  return leftOver(refused, found, previous)
}

function whatWasFound({ error, tokens, extent, end, file }: Refused): Found {
  let at = end
  if (error.token.tokenType !== t.EndOfFile)
    for (at = extent.start; at < end && tokens[at] !== error.token; at++);
  const token = tokens[at]!
  if (at < end) return { at, token, shown: t.showToken(token), span: tokenSpan(token, file), ended: false }
  const last = at > 0 ? tokenSpan(tokens[at - 1]!, file) : tokenSpan(token, file)
  if (token.tokenType === t.EndOfFile)
    return { at, token, shown: 'the end of the file', span: after(last), ended: true }
  if (isVirtual(token) || onNewLine(tokens, at))
    return { at, token, shown: 'the end of the line', span: after(last), ended: true }
  return { at, token, shown: t.showToken(token), span: tokenSpan(token, file), ended: true }
}

/** The innermost bracket that is open at `at`, within the statement. */
function openBracket({ tokens, extent }: Refused, at: number): number | null {
  const stack: number[] = []
  for (let i = extent.start; i < at; i++) {
    if (isOpener(tokens[i]!)) stack.push(i)
    else if (isCloser(tokens[i]!)) stack.pop()
  }
  return stack.at(-1) ?? null
}

const closerOf = (opener: IToken) => (opener.image === '(' ? ')' : ']')
const isReserved = (token: IToken) => t.reservedWords.includes(token.tokenType)

function beginsValue(token: IToken): boolean {
  return (
    isWord(token) ||
    isOpener(token) ||
    token.tokenType === t.NumberLiteral ||
    token.tokenType === t.BadNumber ||
    token.tokenType === t.TextLiteral
  )
}

const comparisons: ReadonlySet<unknown> = new Set([
  t.EqualsEquals,
  t.NotEquals,
  t.LessEquals,
  t.GreaterEquals,
  t.Less,
  t.Greater,
])

function notClosed({ tokens, file }: Refused, opener: number, found: Found): Diagnostic {
  const token = tokens[opener]!
  const closer = closerOf(token)
  return diagnose(
    'DINO0106',
    tokenSpan(token, file),
    { bracket: token.image, closer },
    {
      label: 'opened here',
      labels: [{ span: found.span, message: `expected \`${closer}\` before this` }],
      help: [`close it with \`${closer}\``],
    },
  )
}

function closesNothing(found: Found): Diagnostic {
  return diagnose(
    'DINO0114',
    found.span,
    { closer: found.token.image, expected: '' },
    {
      label: 'nothing is open here',
      help: ['delete it'],
      fixes: [{ title: `delete \`${found.token.image}\``, span: found.span, replacement: '' }],
    },
  )
}

function importFault({ error, tokens, extent }: Refused, found: Found): Diagnostic {
  const braceSeen = tokens[extent.start + 1]!.tokenType === t.LCurly
  const rule = error.context.ruleStack.at(-1)
  let expected = 'the end of the line after the import'
  if (rule === 'text') expected = 'the path of a file in double quotes after `from`'
  else if (rule === 'fromWord') expected = '`from` and the path of a file'
  else if (!braceSeen) expected = '`{` after `import`'
  else if (error.name !== 'NotAllInputParsedException')
    expected = tokens[found.at - 1]!.tokenType === t.Name ? '`,` or `}`' : 'a name'
  return diagnose(
    'DINO0111',
    found.span,
    { expected, found: found.shown },
    {
      help: ['an import reads `import { name, other } from "./file.dino"`'],
    },
  )
}

function paramFault({ tokens, extent }: Refused, found: Found): Diagnostic {
  const place = found.at - extent.start
  const name = tokens[extent.start + 1]
  const expected =
    place <= 1
      ? 'the name of the param'
      : place === 2
        ? '`:` and a type'
        : place === 3
          ? 'a type after `:`'
          : '`=` and a default value'
  const shown = place > 1 && name ? name.image : 'root'
  return diagnose(
    'DINO0112',
    found.span,
    { expected, found: found.shown },
    {
      help: [`a param has a type and a default: \`param ${shown}: path = "data"\``],
    },
  )
}

/** An assignment that never came to its `=`: another sign, none at all, or no statement. */
function noEquals({ tokens, extent, end, file }: Refused, found: Found, previous: IToken | null): Diagnostic {
  const first = tokens[extent.start]!
  if (found.at === extent.start) {
    if (isReserved(first))
      return diagnose(
        'DINO0110',
        found.span,
        { word: first.image, expected: 'a statement' },
        {
          help: [`\`${first.image}\` cannot be the name of a field`],
        },
      )
    const operator = [t.Plus, t.Minus, t.Star, t.Slash, t.ArrowTo, t.DotDot].includes(first.tokenType)
    return diagnose(
      'DINO0105',
      found.span,
      { found: found.shown },
      {
        notes: operator ? ['a statement ends with its line, except inside ( ) and [ ], and before `|>`'] : [],
        help: ['a statement is `field = value`, `kind name { ... }` or `drop path`'],
      },
    )
  }
  if (previous?.tokenType === t.Dot) {
    if (isReserved(found.token) && !found.ended)
      return diagnose('DINO0110', found.span, { word: found.token.image, expected: 'a name after `.`' })
    return diagnose('DINO0107', found.span, { expected: 'a name after `.`', found: found.shown })
  }
  const field = tokens
    .slice(extent.start, found.at)
    .map((token) => token.image)
    .join('')
  const rest = tokens.slice(found.at, end)
  const onlyWords = rest.every(
    (token) => isWord(token) || token.tokenType === t.Colon || token.tokenType === t.Dot,
  )
  if (found.ended) {
    if (found.token.tokenType === t.LCurly && !onNewLine(tokens, found.at))
      return diagnose('DINO0109', found.span, { expected: 'the header of a block', found: `\`${field} {\`` })
    return diagnose(
      'DINO0105',
      tokenSpan(first, file),
      { found: `\`${field}\` alone` },
      {
        label: 'neither a field nor a block',
        help: [`write \`${field} = ...\` for a field, or \`${field} { ... }\` for a block`],
      },
    )
  }
  if (found.token.tokenType === t.Colon && rest.length > 1 && !rest.slice(1).every((token) => isWord(token)))
    return wrongSign(field, found, '`:` gives a block its type, and an argument its name')
  if (found.token.tokenType === t.EqualsEquals) return wrongSign(field, found, '`==` compares, and `=` sets')
  if (isWord(found.token) || found.token.tokenType === t.Colon) {
    if (onlyWords) {
      const header = tokens
        .slice(extent.start, end)
        .map((token) => token.image)
        .join(' ')
        .replace(' :', ':')
        .replaceAll(' . ', '.')
      const missing = after(tokenSpan(tokens[end - 1]!, file))
      return diagnose(
        'DINO0109',
        missing,
        { expected: `\`{\` after \`${header}\``, found: endOf(tokens, end) },
        { help: [`write \`${header} { ... }\` for a block, or \`${field} = ...\` for a field`] },
      )
    }
    const equals = rest.findIndex((token) => token.tokenType === t.Equals)
    if (
      equals > 0 &&
      rest
        .slice(0, equals)
        .every((token) => isWord(token) || token.tokenType === t.Dot || token.tokenType === t.Colon)
    ) {
      const dotted = [field, ...rest.slice(0, equals).map((token) => token.image)]
        .join('.')
        .replaceAll(/\.[.:]+\./g, '.')
      return diagnose(
        'DINO0109',
        found.span,
        { expected: `\`{\`, \`.\` or \`=\` after \`${field}\``, found: found.shown },
        {
          help: [`write \`${dotted} = ...\`, or \`${field} ... { ... }\` for a block`],
        },
      )
    }
  }
  return diagnose(
    'DINO0115',
    found.span,
    { field, found: found.shown },
    { help: [`write \`${field} = ...\``] },
  )
}

function wrongSign(field: string, found: Found, note: string): Diagnostic {
  return diagnose(
    'DINO0115',
    found.span,
    { field, found: found.shown },
    {
      notes: [note],
      help: [`write \`${field} = ...\``],
      fixes: [{ title: 'write `=`', span: found.span, replacement: ' =' }],
    },
  )
}

function endOf(tokens: Tokens, at: number): string {
  const token = tokens[at]!
  if (token.tokenType === t.EndOfFile) return 'the end of the file'
  return isVirtual(token) || onNewLine(tokens, at) ? 'the end of the line' : t.showToken(token)
}

/** A reserved word where a name or value belongs; null where the word is in its place and the fault is another. */
function reservedWord({ kind, error }: Refused, found: Found, previous: IToken | null): Diagnostic | null {
  const word = found.token.image
  const give = (expected: string) =>
    diagnose('DINO0110', found.span, { word, expected }, { help: ['choose another name'] })
  if (previous?.tokenType === t.Dot) return give('a name after `.`')
  if (kind === 'header') {
    const isClause =
      found.token.tokenType === t.ExtendsWord ||
      found.token.tokenType === t.OverWord ||
      found.token.tokenType === t.WhereWord
    if (previous?.tokenType === t.Colon) return give('a type after `:`')
    return isClause ? null : give("a name or `{` in the block's header")
  }
  if (kind === 'param' && !error.context.ruleStack.includes('value')) return give('a name')
  if (error.name === 'NoViableAltException' || error.context.ruleStack.at(-1) === 'path')
    return give(previous ? `a value after ${t.showToken(previous)}` : 'a value')
  return null
}

/** `[1,,2]`, `[,1]` */
function commaTooMany(found: Found, previous: IToken | null): Diagnostic | null {
  const isComma = (token: IToken | null) => token?.tokenType === t.Comma
  if (!found.ended && isComma(found.token) && previous && (isComma(previous) || isOpener(previous)))
    return diagnose(
      'DINO0108',
      found.span,
      { where: 'before' },
      {
        help: ['delete it, or write the value that is missing'],
        fixes: [{ title: 'delete the comma', span: found.span, replacement: '' }],
      },
    )
  return null
}

function valueMissing({ tokens }: Refused, found: Found, previous: IToken | null): Diagnostic {
  const comma = commaTooMany(found, previous)
  if (comma) return comma
  const help: string[] = []
  if (previous?.tokenType === t.PipeTo && found.ended) help.push('put `|>` at the beginning of the next line')
  else if (found.ended && onNewLine(tokens, found.at) && previous && previous.tokenType !== t.Equals)
    help.push('a statement goes on over lines inside ( ) and [ ], and before `|>`')
  if (found.token.tokenType === t.LCurly) help.push('a block has no `=` before its `{`')
  return diagnose(
    'DINO0103',
    found.span,
    { after: previous ? t.showToken(previous) : '', found: found.shown },
    { help },
  )
}

/** The grammar stopped between two values inside brackets. */
function insideBrackets({ tokens, file }: Refused, found: Found, opener: number): Diagnostic {
  const token = tokens[opener]!
  const closer = closerOf(token)
  const isCall = token.image === '(' && opener > 0 && tokens[opener - 1]!.tokenType === t.Name
  const several = isCall || token.image === '['
  const expected = several ? `\`,\` or \`${closer}\`` : `\`${closer}\``
  const labels = [{ span: tokenSpan(token, file), message: 'opened here' }]
  if (several && beginsValue(found.token))
    return diagnose(
      'DINO0104',
      found.span,
      { expected: '`,`', found: found.shown },
      {
        labels,
        fixes: [
          {
            title: 'insert a comma',
            span: {
              ...found.span,
              end: found.span.start,
              endLine: found.span.startLine,
              endColumn: found.span.startColumn,
            },
            replacement: ', ',
          },
        ],
      },
    )
  if (isCall && found.token.tokenType === t.Equals)
    return diagnose(
      'DINO0107',
      found.span,
      { expected: '`:` after the name of an argument', found: '`=`' },
      {
        help: [`write \`${tokens[found.at - 1]!.image}: ...\``],
        fixes: [{ title: 'write `:`', span: found.span, replacement: ':' }],
      },
    )
  return diagnose('DINO0107', found.span, { expected, found: found.shown }, { labels })
}

function headerFault({ tokens, extent }: Refused, found: Found, previous: IToken | null): Diagnostic {
  const words = tokens.slice(extent.start, found.at).map((token) => token.image)
  const clause = previous && [t.ExtendsWord, t.OverWord].includes(previous.tokenType) ? previous.image : null
  if (clause)
    return diagnose('DINO0109', found.span, {
      expected:
        clause === 'extends'
          ? 'the name of the parent after `extends`'
          : 'the name of a variant after `over`',
      found: found.shown,
    })
  if (previous?.tokenType === t.Colon)
    return diagnose('DINO0109', found.span, { expected: 'a type after `:`', found: found.shown })
  if (previous?.tokenType === t.Dot)
    return diagnose('DINO0109', found.span, { expected: 'a name after `.`', found: found.shown })
  if (found.token.tokenType === t.Dot && words.length === 1)
    return diagnose(
      'DINO0109',
      found.span,
      { expected: 'a name or `{`', found: '`.`' },
      {
        notes: ["a block's header has no dots"],
        help: [`write \`${words[0]} ${tokens[found.at + 1]!.image} { ... }\``],
      },
    )
  const where = tokens.slice(extent.start, found.at).some((token) => token.tokenType === t.WhereWord)
  if (where && comparisons.has(found.token.tokenType))
    return diagnose(
      'DINO0109',
      found.span,
      { expected: '`and`, `or` or `{`', found: found.shown },
      {
        help: ['comparisons do not chain: write `a < b and b < c`'],
      },
    )
  const isClause = [t.ExtendsWord, t.OverWord, t.WhereWord].includes(found.token.tokenType)
  const expected = where
    ? '`and`, `or` or `{`'
    : words.length === 1
      ? 'a name, `:` or `{`'
      : isClause
        ? `\`{\` before \`${found.token.image}\``
        : '`{`'
  return diagnose(
    'DINO0109',
    found.span,
    { expected, found: found.shown },
    {
      help: isClause
        ? ['the clauses of a header stand in the order `extends`, `over`, `where`, each once']
        : found.token.tokenType === t.TextLiteral
          ? ['names stand without quotes']
          : [],
    },
  )
}

/** A statement was complete, and something followed on its line. */
function leftOver({ kind, tokens, extent }: Refused, found: Found, previous: IToken | null): Diagnostic {
  const { token, span, shown } = found
  if (comparisons.has(token.tokenType)) return diagnose('DINO0116', span, { operator: token.image })
  if (beginsValue(token) && !found.ended) {
    const fix = {
      title: 'insert a comma',
      span: { ...span, end: span.start, endLine: span.startLine, endColumn: span.startColumn },
      replacement: ', ',
    }
    return diagnose(
      'DINO0104',
      span,
      { expected: 'a comma or a new line', found: shown },
      {
        label: previous
          ? `a new statement begins here, or ${t.showToken(previous)} is one word too early`
          : '',
        fixes: [fix],
      },
    )
  }
  const sawEquals = tokens.slice(extent.start, found.at).some((other) => other.tokenType === t.Equals)
  const help: string[] = []
  if (token.tokenType === t.Equals && sawEquals) help.push('a statement sets one field: write two statements')
  if (token.tokenType === t.DotDot) help.push('a range has two ends: `0.05..0.32`')
  if (token.tokenType === t.ArrowTo) help.push('join the pieces of a schedule with `|>`')
  if (token.tokenType === t.Equals && kind === 'drop')
    help.push('`drop` stands alone: it removes what it names')
  if (token.tokenType === t.LCurly) help.push('a block has no `=` before its `{`')
  return diagnose('DINO0107', span, { expected: 'a comma or a new line', found: shown }, { help })
}
