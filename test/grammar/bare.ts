import type { SourceFile } from '../../grammar/ast.js'

/** The tree without places: two texts of the same meaning have the same bare tree and the same comments. */
export function bare(file: SourceFile): unknown {
  return {
    items: withoutSpans(file.items),
    comments: file.comments.map((c) => c.text.replaceAll(/\r\n?/g, '\n').trimEnd()).sort(),
  }
}

function withoutSpans(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withoutSpans)
  if (typeof node !== 'object' || node === null) return node
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key]) => key !== 'span' && key !== 'headerSpan')
      .map(([key, value]) => [key, withoutSpans(value)]),
  )
}
