import { alternatives, didYouMean } from '../../diagnostics/nearest.js'
import type { BlockDef, KindDef } from '../../grammar/schema/vocabulary.js'
import type { Layer, Open } from './edits.js'
import { implicitChild } from './locate.js'
import type { Report } from './report.js'
import { type Node, newNode } from './tree.js'

/** Opens a block: one of the same type merges, one of another type replaces whole. */
export function applyOpen(root: Node, open: Open, layer: Layer, report: Report): void {
  const parent = openParent(root, open.path, open.kind)
  if (parent === null) return
  const key =
    open.kind.form === 'named' && open.kind.kind !== 'phase'
      ? open.path.slice(-2).join('.')
      : open.path.at(-1)!
  const name = open.kind.form === 'named' ? open.path.at(-1)! : null
  const present = parent.children.get(key)
  const type = typeOfOpen(open, name, present, report)
  const merges =
    present !== undefined &&
    present.value === null &&
    (present.block === null || type === null || present.block.type === type.type)
  if (merges) {
    present.overrode = present.at === null ? present.overrode : [present.at, ...present.overrode]
    present.at = open.at
    present.layer = layer
    if (type === null) present.block = null
    if (open.block.incomplete) present.incomplete = true
    return
  }
  const node = newNode(open.kind, type, open.path.join('.'), name)
  node.at = open.at
  node.layer = layer
  node.incomplete = open.block.incomplete
  if (present !== undefined)
    node.overrode = [
      ...(present.value !== null ? [present.value.at] : present.at !== null ? [present.at] : []),
      ...present.overrode,
    ]
  parent.children.set(key, node)
}

/** The block that a path leads to by single blocks, made where it is not there yet. */
function openParent(root: Node, path: readonly string[], kind: KindDef): Node | null {
  const own = kind.form === 'named' && kind.kind !== 'phase' ? 2 : 1
  let node = root
  for (const segment of path.slice(0, path.length - own)) {
    const next = node.children.get(segment) ?? implicitChild(node, segment)
    if (next === null) return null
    node = next
  }
  return node
}

function typeOfOpen(
  open: Open,
  name: string | null,
  present: Node | undefined,
  report: Report,
): BlockDef | null {
  const { kind } = open
  const written = open.type?.text
  if (written !== undefined) {
    const type = kind.types.get(written)
    if (type !== undefined) return type
    report.give(
      'DINO0304',
      open.type!.span,
      { kind: kind.kind, type: written },
      {
        label: 'unknown type',
        notes: [`types of \`${kind.kind}\`: ${[...kind.types.keys()].join(', ')}`],
        help: didYouMean(written, kind.types.keys()),
      },
    )
    return null
  }
  if (present !== undefined && present.value === null) return present.block
  if (kind.typeIsName) {
    const type = kind.types.get(name!)
    if (type !== undefined) return type
    report.give(
      'DINO0316',
      open.block.name!.span,
      { kind: kind.kind, name: name! },
      {
        label: 'no type has this name',
        notes: [`types of \`${kind.kind}\`: ${[...kind.types.keys()].join(', ')}`],
        help: [
          ...didYouMean(name!, kind.types.keys()),
          `or write \`${kind.kind} ${name}: ${[...kind.types.keys()][0]} { }\``,
        ],
      },
    )
    return null
  }
  if (kind.form === 'typed' && kind.types.size > 1 && kind.absent) {
    report.give(
      'DINO0314',
      open.block.keyword.span,
      {
        kind: kind.kind,
        example: alternatives([...kind.types.keys()].map((t) => `${kind.kind} ${t} { }`)),
      },
      { label: 'the type is missing' },
    )
    return null
  }
  return kind.types.get(kind.defaultType!) ?? null
}
