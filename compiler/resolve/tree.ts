import type { Span } from '../../diagnostics/diagnostic.js'
import { alternatives, didYouMean, nearest } from '../../diagnostics/nearest.js'
import type { Name, Value } from '../../grammar/ast.js'
import {
  type BlockDef,
  type FieldDef,
  type KindDef,
  kindNamed,
  kinds,
  pathOf,
  referenceNames,
} from '../../grammar/schema/vocabulary.js'
import type { Body, Dropping, Layer, Open, Setting } from './edits.js'
import type { Report } from './report.js'

/** What was said about one experiment, layer upon layer, before anything is evaluated. */
export interface Node {
  readonly kind: KindDef
  readonly path: string
  /** The type's fields; null where the type is not known and everything inside stays silent. */
  block: BlockDef | null
  readonly name: string | null
  readonly settings: Map<string, Entry>
  /** By the rest of the path: `backbone`, `loss.koleo`, `pretrain` inside `schedule`. */
  readonly children: Map<string, Node>
  /** The block as a value: `head.ibot = tied(head.dino)`. */
  value: Entry | null
  /** Where it was opened last, and before. */
  at: Span | null
  layer: Layer | null
  overrode: readonly Span[]
  /** Fields that an unknown name resembles: they are not reported as missing. */
  readonly silenced: Set<string>
  /** Where fields and blocks inside were dropped. */
  readonly dropped: Map<
    string,
    { readonly at: Span; readonly overrode: readonly Span[]; readonly layer: Layer }
  >
  /** True where statements were lost to a fault. */
  incomplete: boolean
}

export interface Entry {
  readonly value: Value
  readonly layer: Layer
  readonly at: Span
  readonly overrode: readonly Span[]
}

export function newNode(kind: KindDef, block: BlockDef | null, path: string, name: string | null): Node {
  return {
    kind,
    path,
    block,
    name,
    settings: new Map(),
    children: new Map(),
    value: null,
    at: null,
    layer: null,
    overrode: [],
    silenced: new Set(),
    dropped: new Map(),
    incomplete: false,
  }
}

/** A copy that can be edited without changing the original. */
export function copyNode(node: Node): Node {
  return {
    ...node,
    settings: new Map(node.settings),
    children: new Map([...node.children].map(([key, child]) => [key, copyNode(child)])),
    silenced: new Set(node.silenced),
    dropped: new Map(node.dropped),
  }
}

/** Applies a body: drops, then blocks, then paths. */
export function applyBody(root: Node, body: Body, report: Report): void {
  if (body.incomplete) root.incomplete = true
  for (const kind of body.mistaken) root.silenced.add(kind)
  for (const drop of body.drops) applyDrop(root, drop, body.layer, report)
  for (const open of body.opens) applyOpen(root, open, body.layer, report)
  const set: { node: Node; field: FieldDef; setting: Setting }[] = []
  for (const setting of body.sets) applySetting(root, setting, body.layer, set, report)
  for (const { node, field, setting } of set) checkExclusive(node, field, setting, set, report)
}

function applyOpen(root: Node, open: Open, layer: Layer, report: Report): void {
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

/** A block that exists without being written: `optimize`, `crops.local`, `teacher`; null where there is none. */
function implicitChild(node: Node, segment: string): Node | null {
  if (!node.kind.inside.includes(segment)) return null
  const kind = kindNamed(segment)
  if (kind.form === 'named' || kind.form === 'edits' || (kind.form === 'typed' && kind.absent)) return null
  const path = node.path === '' ? segment : `${node.path}.${segment}`
  const child = newNode(kind, kind.types.get(kind.defaultType!)!, path, null)
  node.children.set(segment, child)
  return child
}

type Located =
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

function locate(root: Node, path: readonly Name[], create: boolean): Located {
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

function dotted(path: readonly Name[]): string {
  return path.map((n) => n.text).join('.')
}

function pathSpan(path: readonly Name[], at: Span): Span {
  // Names of an enclosing block's header may stand far before: point at those that lie on the edit itself.
  const own = path.filter((n) => n.span.file === at.file && n.span.startLine === path.at(-1)!.span.startLine)
  const first = own[0]!.span
  const last = path.at(-1)!.span
  return first.start <= last.start
    ? { ...first, end: last.end, endLine: last.endLine, endColumn: last.endColumn }
    : last
}

function applySetting(
  root: Node,
  setting: Setting,
  layer: Layer,
  set: { node: Node; field: FieldDef; setting: Setting }[],
  report: Report,
): void {
  const { path } = setting
  const found = locate(root, path, true)
  switch (found.what) {
    case 'silent':
      return
    case 'inValue':
      report.give(
        'DINO0317',
        pathSpan(path, setting.at),
        { path: dotted(path), prefix: found.node.path, value: 'a value' },
        {
          labels: [{ span: found.node.value!.at, message: `\`${found.node.path}\` is this` }],
          help: [`replace it whole: \`${found.node.kind.kind} ${found.node.name} { ... }\``],
        },
      )
      return
    case 'nothing':
      reportNothing(root, found, pathSpan(path, setting.at), report)
      return
    case 'kind':
      report.give(
        'DINO0319',
        pathSpan(path, setting.at),
        { path: dotted(path) },
        {
          label: 'a kind of block',
          help: [`name one of them: \`${found.kind.kind}.NAME = ...\``],
        },
      )
      return
    case 'block': {
      const { parent, key, kind, node } = found
      if (kind.value === null) {
        report.give(
          'DINO0319',
          pathSpan(path, setting.at),
          { path: dotted(path) },
          {
            label: 'a block',
            help: [
              `write \`${kind.kind}${kind.form === 'named' ? ` ${key.split('.').at(-1)}` : kind.form === 'typed' ? ` ${kind.defaultType ?? [...kind.types.keys()][0]}` : ''} { ... }\``,
            ],
          },
        )
        return
      }
      const name = path.at(-1)!.text
      const next = newNode(kind, kind.types.get(kind.defaultType!) ?? null, dotted(path), name)
      const before =
        node === null
          ? []
          : node.value !== null
            ? [node.value.at, ...node.value.overrode]
            : node.at === null
              ? []
              : [node.at, ...node.overrode]
      next.value = { value: setting.value, layer, at: setting.at, overrode: before }
      next.at = setting.at
      next.layer = layer
      next.overrode = before
      parent.children.set(key, next)
      return
    }
    case 'field': {
      const field = fieldNamed(found.node, found.name, setting, report)
      if (field === null) return
      const before = found.node.settings.get(field.name)
      found.node.settings.set(field.name, {
        value: setting.value,
        layer,
        at: setting.at,
        overrode:
          before === undefined
            ? (found.node.dropped.get(field.name)?.overrode ?? [])
            : [before.at, ...before.overrode],
      })
      found.node.dropped.delete(field.name)
      set.push({ node: found.node, field, setting })
      return
    }
    default:
      found satisfies never
  }
}

/** The field that a name means here; null after a diagnostic. */
function fieldNamed(node: Node, name: Name, setting: Setting, report: Report): FieldDef | null {
  const block = node.block!
  const rest = setting.path.slice(setting.path.indexOf(name) + 1)
  const field =
    block.fields.get(name.text) ?? [...block.fields.values()].find((f) => f.renamedFrom.includes(name.text))
  if (field !== undefined && rest.length === 0) {
    if (field.name !== name.text)
      report.give(
        'DINO2015',
        name.span,
        { field: name.text, reason: `it is called \`${field.name}\` now` },
        {
          fixes: [{ title: `write ${field.name}`, span: name.span, replacement: field.name }],
        },
      )
    else if (field.deprecated !== null)
      report.give('DINO2015', name.span, { field: name.text, reason: field.deprecated })
    return field
  }
  unknownField(node, name, rest, report)
  return null
}

export function blockTitle(node: Node): string {
  if (node.path === '') return `an experiment`
  const kind = node.kind.kind
  if (node.kind.form === 'typed') return `\`${kind} ${node.block?.type ?? ''}\``
  if (node.kind.typeIsName && node.block !== null && node.block.type !== node.name)
    return `\`${kind} ${node.name}: ${node.block.type}\``
  return node.name === null ? `\`${kind}\`` : `\`${kind} ${node.name}\``
}

function unknownField(node: Node, name: Name, rest: readonly Name[], report: Report): void {
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

function reportNothing(root: Node, found: Located & { what: 'nothing' }, at: Span, report: Report): void {
  if (root.incomplete || found.parent.incomplete || root.silenced.has(found.path.split('.')[0]!)) return
  const near = didYouMean(found.path, found.known)
  report.give(
    'DINO0219',
    at,
    { path: found.path },
    {
      label: 'not there',
      notes: near.length > 0 || found.known.length === 0 ? [] : [`there is ${found.known.join(', ')}`],
      help: near,
    },
  )
}

function checkExclusive(
  node: Node,
  field: FieldDef,
  setting: Setting,
  set: readonly { node: Node; field: FieldDef; setting: Setting }[],
  report: Report,
): void {
  const groups = node.block?.exclusive ?? []
  const own = groups.find((g) => g.includes(field.name))
  if (own === undefined) return
  for (const group of groups) {
    if (group === own) continue
    for (const other of group) {
      const rival = set.find((s) => s.node === node && s.field.name === other)
      if (rival !== undefined) {
        // Reported at the second place, by whichever of the two that is.
        if (rival.setting.at.start > setting.at.start) continue
        report.give(
          'DINO0503',
          setting.at,
          { first: other, second: field.name, block: blockTitle(node) },
          {
            label: `\`${field.name}\` here`,
            labels: [{ span: rival.setting.at, message: `\`${other}\` here` }],
            help: [`set ${own.join(', ')} or ${group.join(', ')}, not both`],
          },
        )
        node.settings.delete(field.name)
        continue
      }
      const inherited = node.settings.get(other)
      if (inherited === undefined) continue
      node.settings.delete(other)
      const entry = node.settings.get(field.name)
      if (entry !== undefined)
        node.settings.set(field.name, {
          ...entry,
          overrode: [...entry.overrode, inherited.at, ...inherited.overrode],
        })
    }
  }
}

function applyDrop(root: Node, drop: Dropping, layer: Layer, report: Report): void {
  const { path } = drop
  const found = locate(root, path, false)
  const at = drop.at
  switch (found.what) {
    case 'silent':
      return
    case 'kind':
      report.give(
        'DINO0212',
        at,
        { kind: found.kind.kind },
        {
          help: [`drop them one by one: \`drop ${found.kind.kind}.NAME\``],
        },
      )
      return
    case 'block': {
      const { parent, key, node } = found
      if (node === null) {
        if (root.incomplete || parent.incomplete) return
        const known = [...parent.children.values()].map((c) => c.path)
        report.give('DINO0211', at, { path: dotted(path) }, { help: didYouMean(dotted(path), known) })
        return
      }
      parent.children.delete(key)
      const places = node.at === null ? [] : [node.at]
      parent.dropped.set(key, { at, overrode: [...places, ...node.overrode], layer })
      return
    }
    case 'field': {
      const entry = found.node.settings.get(found.name.text)
      if (entry === undefined) {
        if (root.incomplete || found.node.incomplete) return
        report.give(
          'DINO0211',
          at,
          { path: dotted(path) },
          {
            notes: found.node.block!.fields.has(found.name.text)
              ? ['nothing sets it: it has its default already']
              : [],
            help: didYouMean(found.name.text, found.node.settings.keys()),
          },
        )
        return
      }
      found.node.settings.delete(found.name.text)
      found.node.dropped.set(found.name.text, { at, overrode: [entry.at, ...entry.overrode], layer })
      return
    }
    case 'inValue':
    case 'nothing':
      if (!root.incomplete)
        report.give(
          'DINO0211',
          at,
          { path: dotted(path) },
          {
            help: found.what === 'nothing' ? didYouMean(found.path, found.known) : [],
          },
        )
      return
    default:
      found satisfies never
  }
}
