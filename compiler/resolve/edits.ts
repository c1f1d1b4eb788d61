import type { Span } from '../../diagnostics/diagnostic.js'
import { alternatives, didYouMean, listed, nearest } from '../../diagnostics/nearest.js'
import type { Assignment, Block, Drop, Name, Statement, Value } from '../../grammar/ast.js'
import { type KindDef, kindNamed, kinds } from '../../grammar/schema/vocabulary.js'
import type { Module } from './modules.js'
import type { Report } from './report.js'

/** Who says it: later layers win over earlier ones. */
export interface Layer {
  readonly index: number
  readonly what: 'experiment' | 'set' | 'variant' | 'grid'
  readonly name: string
  readonly module: Module
}

/**
 * A body of statements with nesting undone: each edit has its whole path (`schedule.pretrain.lr`), so that the same
 * rules serve experiments, variants, grid points and `--set`, and the order of statements does not matter.
 */
export interface Body {
  readonly layer: Layer
  readonly opens: readonly Open[]
  readonly sets: readonly Setting[]
  readonly drops: readonly Dropping[]
  /** Variants and grids, in the order written. */
  readonly variants: readonly Block[]
  /** Paths of statements of which no more is known: what they name, and what is in there, is not missed. */
  readonly mentioned: readonly (readonly Name[])[]
  /** Kinds that an unknown block resembles: what then seems to be missing may have been meant. */
  readonly mistaken: readonly string[]
  /** True where statements were lost to a fault: what seems missing may be among them. */
  readonly incomplete: boolean
  /** Variants and grids that were lost to a fault, by name; '' for any whose name is lost too. */
  readonly lostVariants: readonly string[]
}
export interface Open {
  readonly path: readonly string[]
  readonly kind: KindDef
  /** The type that the header says. */
  readonly type: Name | null
  readonly block: Block
  readonly at: Span
}
export interface Setting {
  readonly path: readonly Name[]
  readonly value: Value
  readonly at: Span
}
export interface Dropping {
  readonly path: readonly Name[]
  readonly at: Span
}

type Placed =
  | { readonly what: 'open'; readonly path: string; readonly at: Span; readonly edit: Open }
  | { readonly what: 'set'; readonly path: string; readonly at: Span; readonly edit: Setting }
  | { readonly what: 'drop'; readonly path: string; readonly at: Span; readonly edit: Dropping }

/** Undoes the nesting of a body of the kind, and reports what no body may hold. */
export function readBody(
  statements: readonly Statement[],
  kind: KindDef,
  layer: Layer,
  incomplete: boolean,
  report: Report,
): Body {
  const placed: Placed[] = []
  const variants: Block[] = []
  const mentioned: (readonly Name[])[] = []
  const mistaken: string[] = []
  let lost = incomplete
  const lostVariants: string[] = []

  const walk = (body: readonly Statement[], container: KindDef, prefix: readonly Name[]) => {
    for (const statement of body) {
      if (statement.kind === 'block') openBlock(statement, container, prefix)
      else {
        const path = [...prefix, ...statement.path.names]
        if (isPathAlone(statement)) mentioned.push(path)
        else placed.push(placeEdit(statement, path))
      }
    }
  }

  const openBlock = (block: Block, container: KindDef, prefix: readonly Name[]) => {
    const inside = kindInside(block, container, report)
    if (inside === null) {
      for (const meant of nearest(block.keyword.text, container.inside).slice(0, 1)) mistaken.push(meant)
      return
    }
    // What is lost of variants is no part of the experiment that they edit.
    if (inside.form === 'edits') {
      if (!block.poisoned && checkHeader(block, inside, report) !== null) variants.push(block)
      else lostVariants.push(block.name?.text ?? '')
      return
    }
    if (block.incomplete || block.poisoned) {
      if (inside.kind === 'ablation') lostVariants.push('')
      else if (block.incomplete) lost = true
    }
    if (block.poisoned) {
      mentioned.push([...prefix, block.keyword])
      return
    }
    const header = checkHeader(block, inside, report)
    if (header === null) {
      mentioned.push([...prefix, block.keyword])
      return
    }
    if (inside.kind === 'phase' && isFieldOf('schedule', header.name!.text)) {
      const { text, span } = header.name!
      report.give(
        'DINO0320',
        span,
        { name: text },
        { label: 'the name of a field', help: ['give the phase another name'] },
      )
      return
    }
    const segments = inside.form === 'named' && header.name !== null ? [header.name] : []
    const own = inside.kind === 'phase' ? segments : [block.keyword, ...segments]
    const path = [...prefix, ...own]
    placed.push({
      what: 'open',
      path: join(path),
      at: block.headerSpan,
      edit: { path: path.map((n) => n.text), kind: inside, type: header.type, block, at: block.headerSpan },
    })
    walk(block.body, inside, path)
  }

  walk(statements, kind, [])
  const kept = withoutConflicts(placed, report)
  return {
    layer,
    opens: kept.filter((p) => p.what === 'open').map((p) => p.edit),
    sets: kept.filter((p) => p.what === 'set').map((p) => p.edit),
    drops: kept.filter((p) => p.what === 'drop').map((p) => p.edit),
    variants,
    mentioned,
    mistaken,
    incomplete: lost,
    lostVariants,
  }
}

/** `weight` without `= ...`, which the parser has reported: its bad value is the path itself. */
function isPathAlone(statement: Assignment | Drop): boolean {
  if (statement.kind !== 'assignment' || statement.value.kind !== 'bad') return false
  const { start, end } = statement.value.span
  return start === statement.path.span.start && end === statement.path.span.end
}

function placeEdit(statement: Assignment | Drop, path: readonly Name[]): Placed {
  if (statement.kind === 'drop')
    return { what: 'drop', path: join(path), at: statement.span, edit: { path, at: statement.span } }
  return {
    what: 'set',
    path: join(path),
    at: statement.path.span,
    edit: { path, value: statement.value, at: statement.value.span },
  }
}

function join(path: readonly Name[]): string {
  return path.map((n) => n.text).join('.')
}

function isFieldOf(kind: string, name: string): boolean {
  return [...kindNamed(kind).types.values()].some((type) => type.fields.has(name))
}

/** The kind that a block's keyword means inside a container; null after a diagnostic. */
function kindInside(block: Block, container: KindDef, report: Report): KindDef | null {
  const keyword = block.keyword.text
  if (container.inside.includes(keyword)) return kindNamed(keyword)
  if (block.poisoned) return null
  const field = [...container.types.values()].some((type) => type.fields.has(keyword))
  const where = whereOf(container)
  if (field) {
    report.give(
      'DINO0322',
      block.keyword.span,
      { field: keyword, block: `\`${container.kind}\`` },
      {
        label: 'a field',
        help: [`write \`${keyword} = ...\``],
      },
    )
    return null
  }
  const elsewhere = kinds.get(keyword)
  if (elsewhere !== undefined) {
    report.give(
      'DINO0312',
      block.keyword.span,
      { kind: keyword, place: placeOf(elsewhere), where },
      {
        label: 'not here',
      },
    )
    return null
  }
  report.give(
    'DINO0301',
    block.keyword.span,
    { kind: keyword, where },
    {
      label: 'unknown block',
      notes: container.inside.length === 0 ? [] : [`blocks ${where}: ${listed(container.inside)}`],
      help: didYouMean(keyword, container.inside),
    },
  )
  return null
}

export function whereOf(container: KindDef | null): string {
  return container === null ? 'at the top level of a file' : `inside \`${container.kind}\``
}

function placeOf(kind: KindDef): string {
  const parents = [...kinds.values()].filter((k) => k.inside.includes(kind.kind)).map((k) => k.kind)
  return parents.length === 0 ? 'at the top level of a file' : `inside ${alternatives(parents)}`
}

/**
 * Which of a header's words is the name and which the type: `backbone vit`, `loss koleo`, `eval a: knn`, `crops`.
 * Null after a diagnostic that makes the block unusable.
 */
export function checkHeader(
  block: Block,
  kind: KindDef,
  report: Report,
): { name: Name | null; type: Name | null } | null {
  const clauses = [
    ['extends', block.extends?.span, kind.kind === 'experiment'],
    ['over', block.over?.span, kind.kind === 'grid'],
    ['where', block.where?.span, kind.kind === 'grid'],
  ] as const
  for (const [clause, at, allowed] of clauses)
    if (at !== undefined && !allowed)
      report.give(
        'DINO0313',
        at,
        { clause, kind: kind.kind },
        {
          label: 'not here',
          notes: [`\`${clause}\` belongs to ${clause === 'extends' ? 'experiments' : 'grids'}`],
        },
      )
  const { name, type } = block
  const typed = kind.typeIsName || kind.needsType
  if (type !== null && !typed) {
    report.give(
      'DINO0313',
      type.span,
      { clause: `: ${type.text}`, kind: kind.kind },
      {
        label: 'no type here',
        help:
          kind.form === 'typed'
            ? [`write \`${kind.kind} ${type.text} { }\`: the type stands where others have a name`]
            : ['leave it out'],
      },
    )
    if (kind.form === 'typed' && name === null) return { name: null, type }
  }
  switch (kind.form) {
    case 'single':
      if (name !== null) {
        report.give('DINO0315', name.span, { kind: kind.kind, name: name.text }, { label: 'no name here' })
        return null
      }
      return { name: null, type: null }
    case 'typed':
      return { name: null, type: name }
    case 'named':
    case 'edits':
      if (name === null) {
        const word = kind.typeIsName ? [...kind.types.keys()][0]! : 'name'
        report.give(
          'DINO0314',
          block.keyword.span,
          { kind: kind.kind, example: `\`${kind.kind} ${word} { }\`` },
          {
            label: 'the name is missing',
          },
        )
        return null
      }
      if (name.text === '__proto__') {
        report.give('DINO0323', name.span, { name: name.text }, { help: ['choose another name'] })
        return null
      }
      return { name, type: typed ? type : null }
    default:
      return kind.form satisfies never
  }
}

/** Drops every edit that contradicts an earlier one of the body, with a diagnostic at the later place. */
function withoutConflicts(placed: readonly Placed[], report: Report): Placed[] {
  const ordered = [...placed].sort((a, b) => a.at.start - b.at.start)
  const byPath = new Map<string, Placed[]>()
  const kept: Placed[] = []
  const shut: Span[] = []
  for (const edit of ordered) {
    if (shut.some((s) => s.start <= edit.at.start && edit.at.end <= s.end)) continue
    const conflict = findConflict(edit, byPath, kept)
    if (conflict === null) {
      kept.push(edit)
      const same = byPath.get(edit.path)
      if (same === undefined) byPath.set(edit.path, [edit])
      else same.push(edit)
      continue
    }
    if (edit.what === 'open') shut.push(edit.edit.block.span)
    reportConflict(edit, conflict, report)
  }
  return kept
}

function findConflict(
  edit: Placed,
  byPath: ReadonlyMap<string, readonly Placed[]>,
  kept: readonly Placed[],
): Placed | null {
  const same = byPath.get(edit.path)
  if (same !== undefined) return same[0]!
  // A whole set or dropped above this one,
  for (let dot = edit.path.lastIndexOf('.'); dot > 0; dot = edit.path.lastIndexOf('.', dot - 1)) {
    const above = byPath.get(edit.path.slice(0, dot))?.find((p) => p.what !== 'open')
    if (above !== undefined) return above
  }
  // or this one is the whole of something set earlier.
  if (edit.what === 'open') return null
  const prefix = `${edit.path}.`
  return kept.find((p) => p.path.startsWith(prefix)) ?? null
}

function reportConflict(edit: Placed, earlier: Placed, report: Report): void {
  const labels = [{ span: earlier.at, message: 'here before' }]
  const shorter = edit.path.length < earlier.path.length ? edit : earlier
  const longer = shorter === edit ? earlier : edit
  if (
    (edit.what === 'drop') !== (earlier.what === 'drop') ||
    (edit.what === 'drop' && edit.path !== earlier.path)
  ) {
    const drop = edit.what === 'drop' ? edit : earlier
    const other = drop === edit ? earlier : edit
    report.give(
      'DINO0309',
      edit.at,
      { path: other.path, dropped: drop.path },
      {
        label: edit.what === 'drop' ? 'dropped here' : 'set here',
        labels,
        help: ['keep one of the two: within one body nothing comes before anything else'],
      },
    )
  } else if (edit.path !== earlier.path)
    report.give(
      'DINO0308',
      edit.at,
      { path: longer.path, prefix: shorter.path },
      { label: 'and here', labels },
    )
  else if (edit.what === 'open' && earlier.what === 'open') {
    const [first, second] = [earlier.edit.type?.text, edit.edit.type?.text]
    if (edit.edit.kind.form === 'typed' && first !== undefined && second !== undefined && first !== second)
      report.give(
        'DINO0307',
        edit.at,
        { kind: edit.path, first, second },
        { label: `${second} here`, labels },
      )
    else
      report.give(
        'DINO0306',
        edit.at,
        { path: edit.path },
        { label: 'opened again', labels, help: ['join the two blocks'] },
      )
  } else
    report.give(
      'DINO0305',
      edit.at,
      { path: edit.path },
      { label: 'set again', labels, help: ['remove one of the two'] },
    )
}
