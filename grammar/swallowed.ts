import type { IToken } from 'chevrotain'
import type { Tokens } from './layout.js'
import type { LexicalFault } from './lexer.js'
import * as t from './tokens.js'
import { virtual } from './virtual.js'

/** With the braces at the ends of lines that an unclosed text or comment has swallowed. */
export function withSwallowed(tokens: Tokens, faults: readonly LexicalFault[]): Tokens {
  const result: IToken[] = []
  let next = 0
  for (const token of tokens) {
    for (; next < faults.length && faults[next]!.span.end <= token.startOffset; next++) {
      const previous = result.at(-1)
      if (!previous) continue
      const { opens, closes } = swallowedAtEnd(faults[next]!)
      for (let i = 0; i < closes; i++) result.push(virtual(t.RCurly, previous))
      if (opens) result.push(virtual(t.LCurly, previous))
    }
    result.push(token)
  }
  return result
}

/** Braces at the end of the swallowed part of a line that nothing within it pairs. */
function swallowedAtEnd({ image, swallowed }: LexicalFault): { opens: boolean; closes: number } {
  // a comment in another language's way is no code
  if (image.startsWith('#')) return { opens: false, closes: 0 }
  const text = swallowed.trimEnd()
  const trailing = /[}\s]*$/.exec(text)![0]
  let open = 0
  for (const character of text.slice(0, text.length - trailing.length)) {
    if (character === '{') open++
    else if (character === '}') open = Math.max(0, open - 1)
  }
  return { opens: text.endsWith('{'), closes: Math.max(0, trailing.replaceAll(/\s/g, '').length - open) }
}
