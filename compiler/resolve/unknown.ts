import type { Span } from '../../diagnostics/diagnostic.js'
import { alternatives, didYouMean, listed, nearest } from '../../diagnostics/nearest.js'
import type { Name } from '../../grammar/ast.js'
import { kinds, pathOf, referenceNames } from '../../grammar/schema/vocabulary.js'
import { dotted, type Located } from './locate.js'
import type { Report } from './report.js'
import { blockTitle, type Node } from './tree.js'

/** A field that the block does not have: one of another type, a misspelt one, or one from elsewhere. */
export function unknownField(node: Node, name: Name, rest: readonly Name[], report: Report): void {
  const block = node.block!
  const title = blockTitle(node)
  if (rest.length > 0 && block.fields.has(name.text)) {
    report.give(
      'DINO0302',
      rest[0]!.span,
      { field: dotted(rest), block: `\`${dotted([name])}\`` },
      {
        label: 'not a block',
        notes: [`\`${name.text}\` of ${title} is a single value`],
      },
    )
    return
  }
  const owners = [...node.kind.types.values()].filter((t) => t !== block && t.fields.has(name.text))
  if (owners.length > 0) {
    const kind = node.kind.kind
    report.give(
      'DINO0303',
      name.span,
      {
        field: name.text,
        block: title,
        owner: alternatives(
          owners.map((o) => `${kind}${node.kind.form === 'typed' ? ' ' : ': '}${o.type}`),
        ).replaceAll('``', '`'),
      },
      {
        label: 'of another type',
        labels: node.at === null ? [] : [{ span: node.at, message: `this is ${title}` }],
      },
    )
    return
  }
  const fields = [...block.fields.keys()]
  const renamed = [...block.fields.values()].find((f) => f.yaml.includes(name.text))?.name
  const reference = renamed === undefined ? referenceNames.get(name.text) : undefined
  const blocks = node.kind.inside.filter((k) => kinds.has(k))
  const near =
    renamed !== undefined
      ? [renamed]
      : reference !== undefined
        ? []
        : nearest(name.text, [...fields, ...blocks])
  for (const meant of near.slice(0, 1)) node.silenced.add(meant)
  report.give(
    'DINO0302',
    name.span,
    { field: name.text, block: title },
    {
      label: 'unknown field',
      notes: near.length > 0 || fields.length < 2 ? [] : [`fields of ${title}: ${fields.join(', ')}`],
      help: near.length > 0 ? [`did you mean ${alternatives(near)}?`] : elsewhere(name.text),
    },
  )
}

/** The same name in other blocks, or in the reference code's configuration. */
function elsewhere(name: string): string[] {
  const reference = referenceNames.get(name)
  if (reference !== undefined) return [`the reference code's \`${name}\` is \`${reference}\` here`]
  const others: string[] = []
  for (const kind of kinds.values())
    for (const block of kind.types.values())
      if (block.fields.has(name) && kind.kind !== 'experiment') others.push(`${pathOf(kind, block)}.${name}`)
  // What trains comes before what measures.
  const ordered = [...new Set(others)].sort(
    (a, b) => Number(a.startsWith('eval.')) - Number(b.startsWith('eval.')),
  )
  if (ordered.length > 0) return [`there is ${alternatives(ordered.slice(0, 3))}`]
  const near = nearest(name, referenceNames.keys())[0]
  return near === undefined
    ? []
    : [`the reference code's \`${near}\` is \`${referenceNames.get(near)}\` here`]
}

/** A path into a block that is not there. */
export function reportNothing(
  root: Node,
  found: Located & { what: 'nothing' },
  at: Span,
  report: Report,
): void {
  if (root.incomplete || found.parent.incomplete || root.silenced.has(found.path.split('.')[0]!)) return
  const near = didYouMean(found.path, found.known)
  report.give(
    'DINO0219',
    at,
    { path: found.path },
    {
      label: 'not there',
      notes: near.length > 0 || found.known.length === 0 ? [] : [`there is ${listed(found.known)}`],
      help: near,
    },
  )
}
