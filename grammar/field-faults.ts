import type { IToken } from 'chevrotain'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import { isWord, onNewLine } from './layout.js'
import { endOf, type Found, isReserved, type Refused } from './refused.js'
import { after, tokenSpan } from './spans.js'
import * as t from './tokens.js'

/** An assignment that never came to its `=`: another sign, none at all, or no statement. */
export function noEquals(
  { tokens, extent, end, file }: Refused,
  found: Found,
  previous: IToken | null,
): Diagnostic {
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
  // what was most likely meant as the value, if it is short enough to repeat
  const behind = isSign(found.token) ? rest.slice(1) : rest
  const text = behind.map((token, i) => gapBefore(behind, i) + token.image).join('')
  const written = behind.length > 0 && behind.length <= 2 ? text : '...'
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
    return wrongSign(field, found, written, '`:` gives a block its type, and an argument its name')
  if (found.token.tokenType === t.EqualsEquals)
    return wrongSign(field, found, written, '`==` compares, and `=` sets')
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
    { help: [`write \`${field} = ${written}\``] },
  )
}

const gapBefore = (tokens: readonly IToken[], i: number) =>
  i > 0 && tokens[i]!.startOffset > tokens[i - 1]!.endOffset! + 1 ? ' ' : ''

const isSign = (token: IToken) => token.tokenType === t.Colon || token.tokenType === t.EqualsEquals

function wrongSign(field: string, found: Found, value: string, note: string): Diagnostic {
  return diagnose(
    'DINO0115',
    found.span,
    { field, found: found.shown },
    {
      notes: [note],
      help: [`write \`${field} = ${value}\``],
      fixes: [{ title: 'write `=`', span: found.span, replacement: ' =' }],
    },
  )
}
