import type { IToken } from 'chevrotain'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import { closesNothing, commaTooMany, insideBrackets, notClosed } from './bracket-faults.js'
import { noEquals } from './field-faults.js'
import { isCloser, onNewLine, startsStatement } from './layout.js'
import {
  beginsValue,
  closerOf,
  comparisons,
  type Found,
  isReserved,
  openBracket,
  type Refused,
  whatWasFound,
} from './refused.js'
import { before, tokenSpan } from './spans.js'
import * as t from './tokens.js'

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
  const second = tokens[extent.start + 1]
  if (kind === 'header' && found.at === extent.start + 2 && second && isReserved(second))
    return diagnose(
      'DINO0110',
      tokenSpan(second, file),
      { word: second.image, expected: 'a name' },
      { help: ['choose another name'] },
    )
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
  return leftOver(refused, found)
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

function valueMissing({ kind, tokens }: Refused, found: Found, previous: IToken | null): Diagnostic {
  const comma = commaTooMany(found, previous)
  if (comma) return comma
  const help: string[] = []
  if (previous?.tokenType === t.PipeTo && found.ended) help.push('put `|>` at the beginning of the next line')
  else if (found.ended && onNewLine(tokens, found.at) && previous && previous.tokenType !== t.Equals)
    help.push('a statement goes on over lines inside ( ) and [ ], and before `|>`')
  if (found.token.tokenType === t.LCurly && kind === 'assignment')
    help.push('a block has no `=` before its `{`')
  return diagnose(
    'DINO0103',
    found.span,
    { after: previous ? t.showToken(previous) : '', found: found.shown },
    { help },
  )
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
function leftOver({ kind, tokens, extent }: Refused, found: Found): Diagnostic {
  const { token, span, shown } = found
  if (comparisons.has(token.tokenType)) return diagnose('DINO0116', span, { operator: token.image })
  if (beginsValue(token) && !found.ended) {
    const fix = {
      title: 'insert a comma',
      span: before(span),
      replacement: ', ',
    }
    return diagnose(
      'DINO0104',
      span,
      { expected: 'a comma or a new line', found: shown },
      {
        label: startsStatement(tokens, found.at)
          ? 'another statement begins here'
          : 'this follows a whole statement',
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
