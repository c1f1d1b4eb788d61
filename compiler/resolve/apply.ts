import { didYouMean, nearest } from '../../diagnostics/nearest.js'
import type { Name } from '../../grammar/ast.js'
import type { FieldDef } from '../../grammar/schema/vocabulary.js'
import { applyOpen } from './apply-open.js'
import type { Body, Dropping, Layer, Setting } from './edits.js'
import { dotted, locate, pathSpan } from './locate.js'
import type { Report } from './report.js'
import { blockTitle, type Node, newNode } from './tree.js'
import { reportNothing, unknownField } from './unknown.js'

/** Applies a body: drops, then blocks, then paths. */
export function applyBody(root: Node, body: Body, report: Report): void {
  if (body.incomplete) root.incomplete = true
  for (const kind of body.mistaken) root.silenced.add(kind)
  for (const path of body.mentioned) silence(root, path)
  for (const drop of body.drops) applyDrop(root, drop, body.layer, report)
  for (const open of body.opens) applyOpen(root, open, body.layer, report)
  const set: { node: Node; field: FieldDef; setting: Setting }[] = []
  for (const setting of body.sets) applySetting(root, setting, body.layer, set, report)
  for (const { node, field, setting } of set) checkExclusive(node, field, setting, set, report)
}

/** What a path alone may be about is not missed: a field, all blocks of a kind, all that is in a block. */
function silence(root: Node, path: readonly Name[]): void {
  const found = locate(root, path, true)
  if (found.what === 'field') {
    const { node, name } = found
    node.silenced.add(name.text)
    const known = [...node.block!.fields.keys(), ...node.kind.inside]
    for (const meant of nearest(name.text, known).slice(0, 1)) node.silenced.add(meant)
    return
  }
  root.silenced.add(path[0]!.text)
  if (found.what === 'block' && found.node !== null) found.node.incomplete = true
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
