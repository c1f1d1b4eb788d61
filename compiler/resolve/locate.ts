import type { Span } from '../../diagnostics/diagnostic.js'
import type { Name } from '../../grammar/ast.js'
import { type KindDef, kindNamed } from '../../grammar/schema/vocabulary.js'
import { type Node, newNode } from './tree.js'

/** What a path leads to. */
export type Located =
  | { readonly what: 'field'; readonly node: Node; readonly name: Name }
  | {
      readonly what: 'block'
      readonly parent: Node
      readonly key: string
      readonly kind: KindDef
      readonly node: Node | null
    }
  | { readonly what: 'kind'; readonly kind: KindDef }
  | { readonly what: 'inValue'; readonly node: Node }
  /** Nothing there: how much of the path does not exist. */
  | {
      readonly what: 'nothing'
      readonly path: string
      readonly known: readonly string[]
      readonly parent: Node
    }
  | { readonly what: 'silent' }

/** Follows a path from the root; `create` makes blocks on the way that exist without being written. */
export function locate(root: Node, path: readonly Name[], create: boolean): Located {
  let node = root
  for (let i = 0; i < path.length; ) {
    const segment = path[i]!.text
    const left = path.length - i
    if (node.block === null) return { what: 'silent' }
    if (node.value !== null) return { what: 'inValue', node }
    if (node.block.fields.has(segment) && left === 1) return { what: 'field', node, name: path[i]! }
    let key: string
    let kind: KindDef
    if (node.kind.kind === 'schedule' && segment !== 'phase') {
      if (node.block.fields.has(segment)) return { what: 'field', node, name: path[i]! }
      if (left === 1 && !node.children.has(segment)) return { what: 'field', node, name: path[i]! }
      key = segment
      kind = kindNamed('phase')
      i += 1
    } else if (node.kind.inside.includes(segment)) {
      kind = kindNamed(segment)
      if (kind.form === 'named' || kind.form === 'edits') {
        if (left === 1) return { what: 'kind', kind }
        key = `${segment}.${path[i + 1]!.text}`
        i += 2
      } else {
        key = segment
        i += 1
      }
    } else return { what: 'field', node, name: path[i]! }
    const parent: Node = node
    const child: Node | null =
      parent.children.get(key) ?? (create && i < path.length ? implicitChild(parent, key) : null)
    if (i === path.length) return { what: 'block', parent, key, kind, node: child }
    if (child === null) {
      const siblings = [...parent.children.values()].filter((c) => c.kind === kind).map((c) => c.path)
      return {
        what: 'nothing',
        path: path
          .slice(0, i)
          .map((n) => n.text)
          .join('.'),
        known: siblings,
        parent,
      }
    }
    node = child
  }
  return { what: 'silent' }
}

/** A block that exists without being written: `optimize`, `crops.local`, `teacher`; null where there is none. */
export function implicitChild(node: Node, segment: string): Node | null {
  if (!node.kind.inside.includes(segment)) return null
  const kind = kindNamed(segment)
  if (kind.form === 'named' || kind.form === 'edits' || (kind.form === 'typed' && kind.absent)) return null
  const path = node.path === '' ? segment : `${node.path}.${segment}`
  const child = newNode(kind, kind.types.get(kind.defaultType!)!, path, null)
  node.children.set(segment, child)
  return child
}

export function dotted(path: readonly Name[]): string {
  return path.map((n) => n.text).join('.')
}

/** Where a path stands in the text. */
export function pathSpan(path: readonly Name[], at: Span): Span {
  // Names of an enclosing block's header may stand far before: point at those that lie on the edit itself.
  const own = path.filter((n) => n.span.file === at.file && n.span.startLine === path.at(-1)!.span.startLine)
  const first = own[0]!.span
  const last = path.at(-1)!.span
  return first.start <= last.start
    ? { ...first, end: last.end, endLine: last.endLine, endColumn: last.endColumn }
    : last
}
