import type { IToken } from 'chevrotain'
import type { Assignment, Drop, Import, Name, Param, Path, Text } from './ast.js'
import type { Tokens } from './layout.js'
import type { LexicalFault } from './lexer.js'
import { isHarmless } from './pending-faults.js'
import type { StatementKind } from './refused.js'
import { after, join, tokenSpan } from './spans.js'
import type { Header } from './statement-parser.js'
import { readText } from './text.js'
import * as t from './tokens.js'

/**
 * What a faulty statement most likely is about, so that later stages know what not to miss: its path, names or type,
 * with a bad value. Null where nothing can be said.
 */
export function guess(
  kind: Exclude<StatementKind, 'header'>,
  tokens: Tokens,
  start: number,
  end: number,
  file: string,
): Import | Param | Drop | Assignment | null {
  const own = tokens.slice(start, Math.max(end, start + 1))
  const span = join(tokenSpan(own[0]!, file), tokenSpan(own.at(-1)!, file))
  const name = (token: IToken): Name => ({ text: token.image, span: tokenSpan(token, file) })
  const bad = { kind: 'bad', span } as const
  switch (kind) {
    case 'assignment': {
      const path = pathAt(tokens, start, end, file)
      if (path === null) return null
      const behind = start + path.names.length * 2 - 1
      const alone: Assignment = { kind, path, value: { kind: 'bad', span: path.span }, span }
      // `head.where = 4`: a path that breaks off names something in there
      if (tokens[behind]?.tokenType === t.Dot) return alone
      if (behind >= end || tokens[behind]!.tokenType !== t.Name) return { kind, path, value: bad, span }
      // `head ibot = tied(head.dino)`: a dot is missing; `head ibot 3` may be about anything in there
      const rest = pathAt(tokens, behind, end, file)!
      const sets = tokens[behind + rest.names.length * 2 - 1]?.tokenType === t.Equals
      const names = [...path.names, ...rest.names]
      const whole: Path = { kind: 'path', names, span: join(path.span, rest.span) }
      return sets ? { kind, path: whole, value: bad, span } : alone
    }
    case 'drop':
      return null
    case 'param': {
      const first = own.find((token) => token.tokenType === t.Name)
      if (!first) return null
      const colon = own.findIndex((token) => token.tokenType === t.Colon)
      const type = own[colon + 1]
      const typed = colon > 0 && type?.tokenType === t.Name
      const nothing: Name = { text: '', span: after(span) }
      return { kind, name: name(first), type: typed ? name(type) : nothing, value: bad, span, poisoned: true }
    }
    case 'import': {
      const names = own.filter((token) => token.tokenType === t.Name && token.image !== 'from').map(name)
      const path = own.find((token) => token.tokenType === t.TextLiteral)
      const pathSpan = path ? tokenSpan(path, file) : after(span)
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

function pathAt(tokens: Tokens, start: number, end: number, file: string): Path | null {
  const names: Name[] = []
  for (let i = start; i < end; i += 2) {
    const token = tokens[i]!
    if (token.tokenType !== t.Name && token.tokenType !== t.NameAt) break
    names.push({ text: token.image, span: tokenSpan(token, file) })
    if (tokens[i + 1]?.tokenType !== t.Dot) break
  }
  return names.length > 0 ? { kind: 'path', names, span: join(names[0]!.span, names.at(-1)!.span) } : null
}

/** What can be read of a header that has a fault: its first words, its type and its parent. */
export function guessHeader(tokens: Tokens, start: number, open: number, file: string): Header | null {
  const name = (i: number): Name => ({ text: tokens[i]!.image, span: tokenSpan(tokens[i]!, file) })
  const isName = (i: number) => i < open && tokens[i]!.tokenType === t.Name
  if (!isName(start)) return null
  let colon = -1
  let parent = -1
  for (let i = start; i < open; i++) {
    if (tokens[i]!.tokenType === t.Colon && colon < 0) colon = i
    if (tokens[i]!.tokenType === t.ExtendsWord && parent < 0) parent = i
  }
  return {
    keyword: name(start),
    name: isName(start + 1) ? name(start + 1) : null,
    type: colon > 0 && isName(colon + 1) ? name(colon + 1) : null,
    extends: parent > 0 ? pathAt(tokens, parent + 1, open, file) : null,
    over: null,
    where: null,
    headerSpan: join(tokenSpan(tokens[start]!, file), tokenSpan(tokens[open - 1]!, file)),
  }
}

/**
 * A statement with a fault in its characters: its value is not to be trusted, also where the fault stands behind it
 * (`50％`), nor is its path if that has the fault.
 */
export function poison(
  statement: Import | Param | Drop | Assignment,
  fault: LexicalFault,
): Import | Param | Drop | Assignment | null {
  if (isHarmless(fault)) return statement
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
