import type { IToken } from 'chevrotain'
import type { LCurly } from './tokens.js'

/** A brace that is not in the text: an empty token right behind the token before it. */
const virtualBraces = new WeakSet<IToken>()
export const isVirtual = (token: IToken) => virtualBraces.has(token)

export function virtual(type: typeof LCurly, previous: IToken): IToken {
  const token: IToken = {
    image: '',
    tokenType: type,
    tokenTypeIdx: type.tokenTypeIdx!,
    startOffset: previous.endOffset! + 1,
    endOffset: previous.endOffset!,
    startLine: previous.endLine!,
    endLine: previous.endLine!,
    startColumn: previous.endColumn! + 1,
    endColumn: previous.endColumn!,
  }
  virtualBraces.add(token)
  return token
}
