import type { IToken } from 'chevrotain'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../diagnostics/diagnostic.js'
import type { Extent, Tokens } from './layout.js'
import type { LexicalFault } from './lexer.js'
import { after, tokenSpan } from './spans.js'
import * as t from './tokens.js'
import { isVirtual } from './virtual.js'

/** A brace that indentation has found to be one too many, as a fault of the statement in which it stands. */
export function braceTooMany(token: IToken, file: string): LexicalFault {
  const span = tokenSpan(token, file)
  const fixes = [{ title: `delete \`${token.image}\``, span, replacement: '' }]
  const diagnostic =
    token.tokenType === t.RCurly
      ? diagnose('DINO0102', span, {}, { label: 'one too many', help: ['delete it'], fixes })
      : diagnose(
          'DINO0105',
          span,
          { found: '`{`' },
          {
            label: 'no block begins here',
            help: ['delete it, or write `kind name {` for a block'],
            fixes,
          },
        )
  return { kind: 'brace', diagnostic, span, image: token.image, swallowed: '' }
}

/** `backbone vit` without its `{`: indentation has shown where it belongs. */
export function openerMissing(tokens: Tokens, cut: Extent, open: number, file: string): Diagnostic {
  const header = textOf(tokens, cut.start, open)
  const place = after(tokenSpan(tokens[open - 1]!, file))
  let next = open + 1
  while (isVirtual(tokens[next]!)) next++
  const below = tokens[next]!.startLine! > tokens[open - 1]!.endLine!
  const found = below ? 'the end of the line' : t.showToken(tokens[next]!)
  return diagnose(
    'DINO0109',
    place,
    { expected: `\`{\` after \`${header}\``, found },
    {
      help: [`write \`${header} {\``],
      fixes: [{ title: 'insert `{`', span: place, replacement: ' {' }],
    },
  )
}

/** `backbone vit`, and its `{` on the next line. */
export function openerBelow(tokens: Tokens, cut: Extent, header: Span, file: string): Diagnostic {
  const span = tokenSpan(tokens[cut.brace!]!, file)
  return diagnose(
    'DINO0109',
    span,
    { expected: '`{` on the line of its header', found: 'it on a line of its own' },
    {
      label: 'move this up',
      labels: [{ span: header, message: 'the header' }],
      help: [`write \`${textOf(tokens, cut.start, cut.brace!)} {\``],
    },
  )
}

/** A block whose `}` is missing: `close` is the brace that indentation has put in. */
export function notClosed(tokens: Tokens, cut: Extent, close: number, file: string): Diagnostic {
  const open = cut.brace!
  let next = close + 1
  while (isVirtual(tokens[next]!)) next++
  const ends =
    tokens[next]!.tokenType === t.EndOfFile ? 'the file ends here' : 'by its indentation the block ends here'
  let last = close - 1
  while (isVirtual(tokens[last]!)) last--
  return diagnose(
    'DINO0101',
    tokenSpan(tokens[open]!, file),
    { block: `\`${textOf(tokens, cut.start, open)} {\`` },
    {
      label: 'opened here',
      labels: [{ span: after(tokenSpan(tokens[last]!, file)), message: ends }],
      help: ['write `}` where the block ends'],
    },
  )
}

/** Tokens as written, white space between them one space. */
function textOf(tokens: Tokens, from: number, to: number): string {
  let text = ''
  for (let i = from; i < to; i++) {
    const gap = i > from && tokens[i]!.startOffset > tokens[i - 1]!.endOffset! + 1
    text += (gap ? ' ' : '') + tokens[i]!.image
  }
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
