import type { IToken } from 'chevrotain'
import type { Comment } from './ast.js'
import * as t from './tokens.js'

export const step = '  '

/** A token or a comment. */
export type Piece = { readonly comment: Comment } | { readonly token: IToken }

/** What stands between brackets, with them. */
interface Group {
  readonly open: IToken
  readonly close: IToken
  readonly nodes: readonly Node[]
  /** Items stand on lines of their own: the text had a line break behind the opening bracket, or a comment asks for it. */
  readonly broken: boolean
  /** A list, the arguments of a call, the names of an import: commas between items, and one behind the last if broken. */
  readonly listLike: boolean
}
type Node = Piece | Group

/**
 * Prints the tokens and comments of one statement without a body, or of a header up to its `{`. The first line is not
 * indented, later ones as for a statement at `level`.
 */
export function printRun(pieces: readonly Piece[], level: number): string {
  return inline(grouped(pieces), level)
}

/** A comment on its own: line ends as the printer writes them, nothing invisible at the end. */
export function commentText(comment: Comment): string {
  return comment.text.replaceAll(/\r\n?/g, '\n').trimEnd()
}

function grouped(pieces: readonly Piece[]): Node[] {
  let at = 0
  const read = (): Node[] => {
    const nodes: Node[] = []
    for (; at < pieces.length; at++) {
      const piece = pieces[at]!
      if (!('token' in piece)) nodes.push(piece)
      else if (isClosing(piece.token)) return nodes
      else if (!isOpening(piece.token)) nodes.push(piece)
      else {
        const open = piece.token
        at++
        const inner = read()
        const close = pieces[at]
        if (!close || !('token' in close)) throw new Error('brackets of a file without faults are paired')
        const first = inner[0]
        const breaks = first !== undefined && startLine(first) > open.endLine!
        nodes.push({
          open,
          close: close.token,
          nodes: inner,
          broken: breaks || inner.some((n) => 'comment' in n && (isLineComment(n) || n.comment.ownLine)),
          listLike: open.tokenType !== t.LParen || isCallee(nodes.at(-1)),
        })
      }
    }
    return nodes
  }
  return read()
}

const isOpening = (token: IToken) =>
  token.tokenType === t.LParen || token.tokenType === t.LSquare || token.tokenType === t.LCurly
const isClosing = (token: IToken) =>
  token.tokenType === t.RParen || token.tokenType === t.RSquare || token.tokenType === t.RCurly

function isCallee(node: Node | undefined): boolean {
  return node !== undefined && 'token' in node && node.token.tokenType === t.Name
}

function isLineComment(node: Node): boolean {
  return 'comment' in node && node.comment.text.startsWith('//')
}

function startLine(node: Node): number {
  return 'comment' in node
    ? node.comment.span.startLine
    : 'token' in node
      ? node.token.startLine!
      : node.open.startLine!
}

function endLine(node: Node): number {
  return 'comment' in node
    ? node.comment.span.endLine
    : 'token' in node
      ? node.token.endLine!
      : node.close.endLine!
}

function typeOf(node: Node | undefined): unknown {
  return node && 'token' in node ? node.token.tokenType : null
}

/** Nodes one after the other; lines break only behind `//`, around comments on their own line, and before `|>`. */
function inline(nodes: readonly Node[], level: number): string {
  const hanging = `\n${step.repeat(level + 1)}`
  const pipesBreak = nodes.some(
    (n, i) => typeOf(n) === t.PipeTo && i > 0 && startLine(n) > endLine(nodes[i - 1]!),
  )
  let text = ''
  nodes.forEach((node, i) => {
    const previous = nodes[i - 1]
    if (previous) {
      const breaks =
        isLineComment(previous) ||
        ('comment' in node && node.comment.ownLine) ||
        (pipesBreak && typeOf(node) === t.PipeTo)
      text += breaks ? hanging : gap(nodes, i)
    }
    if ('comment' in node) text += commentText(node.comment)
    else if ('token' in node) text += node.token.image
    else text += group(node, text.includes('\n') ? level + 1 : level)
  })
  return text
}

function group(node: Group, level: number): string {
  const braces = node.open.tokenType === t.LCurly
  if (node.nodes.length === 0) return node.open.image + node.close.image
  if (!node.broken) {
    const items = split(node).map((item) => inline([...item.nodes, ...item.behind], level))
    const inner = items.join(', ')
    return braces ? `{ ${inner} }` : `${node.open.image}${inner}${node.close.image}`
  }
  const indent = `\n${step.repeat(level + 1)}`
  let text = node.open.image
  for (const item of split(node)) {
    // comments behind the last token of an item stand behind its comma
    const last = item.nodes.findLastIndex((n) => !('comment' in n))
    const content = item.nodes.slice(0, last + 1)
    const comments = item.nodes.slice(last + 1)
    let lead = Math.max(
      0,
      content.findIndex((n) => !('comment' in n)),
    )
    // a comment right before the item stays on its line
    while (
      lead > 0 &&
      !isLineComment(content[lead - 1]!) &&
      endLine(content[lead - 1]!) === startLine(content[lead]!)
    )
      lead--
    for (const n of content.slice(0, lead)) text += indent + inline([n], level + 1)
    if (content.length > 0)
      text += indent + inline(content.slice(lead), level + 1) + (node.listLike ? ',' : '')
    let behindLine = content.length === 0 || isLineComment(content.at(-1)!)
    for (const n of [...comments, ...item.behind]) {
      const ownLine = behindLine || ('comment' in n && n.comment.ownLine)
      text += (ownLine ? indent : ' ') + inline([n], level + 1)
      behindLine = ownLine || isLineComment(n)
    }
  }
  return `${text}\n${step.repeat(level)}${node.close.image}`
}

interface ListItem {
  readonly nodes: Node[]
  /** Comments that follow the item's comma on its line. */
  readonly behind: Node[]
}

/** The items between commas; what is no list is one item. */
function split(node: Group): ListItem[] {
  const items: ListItem[] = []
  let current: ListItem = { nodes: [], behind: [] }
  let commaLine = -1
  for (const [i, inner] of node.nodes.entries()) {
    const next = node.nodes[i + 1]
    const endsLine = next === undefined || startLine(next) > endLine(inner) || 'comment' in next
    if (node.listLike && typeOf(inner) === t.Comma) {
      items.push(current)
      current = { nodes: [], behind: [] }
      commaLine = endLine(inner)
    } else if ('comment' in inner && current.nodes.length === 0 && startLine(inner) === commaLine && endsLine)
      items.at(-1)!.behind.push(inner)
    else current.nodes.push(inner)
  }
  if (current.nodes.length > 0) items.push(current)
  return items
}

/** Words of counting stand apart from their number, signs of measure touch it; other words stay as written. */
const apart: ReadonlySet<string> = new Set(['img', 'step', 'steps', 'epoch', 'epochs', 'pass', 'passes'])
const touching: ReadonlySet<string> = new Set('% px x m s min h d KiB MiB GiB KB MB GB'.split(' '))

/** The space before node `i` on its line. */
function gap(nodes: readonly Node[], i: number): string {
  const left = nodes[i - 1]!
  const right = nodes[i]!
  const leftType = typeOf(left)
  const rightType = typeOf(right)
  if ('comment' in left || 'comment' in right) return ' '
  if (leftType === t.Dot || leftType === t.DotDot || rightType === t.Dot || rightType === t.DotDot) return ''
  if (rightType === t.Comma || rightType === t.Colon) return ''
  if ('open' in right)
    return right.open.tokenType === t.LParen && leftType === t.Name ? '' : minusGap(nodes, i)
  if (
    leftType === t.NumberLiteral &&
    (rightType === t.Name || rightType === t.Percent) &&
    'token' in left &&
    'token' in right
  ) {
    const written = right.token.startOffset === left.token.endOffset! + 1 ? '' : ' '
    // `10k` ends there: `10kpx` would be another number
    if (/[kMG]$/.test(left.token.image) || apart.has(right.token.image)) return ' '
    return touching.has(right.token.image) ? '' : written
  }
  return minusGap(nodes, i)
}

/** A minus that has nothing to its left touches its operand. */
function minusGap(nodes: readonly Node[], i: number): string {
  if (typeOf(nodes[i - 1]) !== t.Minus) return ' '
  const before = nodes.slice(0, i - 1).findLast((n) => !('comment' in n))
  return before === undefined || ('token' in before && signBefore.has(before.token.tokenType)) ? '' : ' '
}

/** Behind these a minus is a sign. */
const signBefore: ReadonlySet<unknown> = new Set([
  t.Equals,
  t.Comma,
  t.Colon,
  t.ArrowTo,
  t.PipeTo,
  t.DotDot,
  t.Plus,
  t.Minus,
  t.Star,
  t.Slash,
  t.OverWord,
  t.WhereWord,
  t.AndWord,
  t.OrWord,
  t.NotWord,
  t.EqualsEquals,
  t.NotEquals,
  t.Less,
  t.LessEquals,
  t.Greater,
  t.GreaterEquals,
])
