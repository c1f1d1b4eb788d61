import type { IToken } from 'chevrotain'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import { isOpener } from './layout.js'
import { beginsValue, closerOf, comparisons, type Found, type Refused } from './refused.js'
import { before, tokenSpan } from './spans.js'
import * as t from './tokens.js'

export function notClosed({ tokens, file }: Refused, opener: number, found: Found): Diagnostic {
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

export function closesNothing(found: Found): Diagnostic {
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

/** `[1,,2]`, `[,1]` */
export function commaTooMany(found: Found, previous: IToken | null): Diagnostic | null {
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

/** The grammar stopped between two values inside brackets. */
export function insideBrackets({ kind, tokens, file }: Refused, found: Found, opener: number): Diagnostic {
  if (kind !== 'header' && comparisons.has(found.token.tokenType))
    return diagnose('DINO0116', found.span, { operator: found.token.image })
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
            span: before(found.span),
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
