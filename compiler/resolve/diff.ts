import type { Span } from '../../diagnostics/diagnostic.js'
import { camelCase } from '../../grammar/schema/types.js'
import { type Effect, kindNamed } from '../../grammar/schema/vocabulary.js'
import { type FlatBlock, type FlatField, flatten } from './flatten.js'
import { rankDependentTerms, stable } from './identity.js'
import type { Curation, ResolvedExperiment, Source } from './resolved.js'
import { writeData, writeValue } from './write.js'

/** One difference in meaning between two resolved experiments. */
export interface Change {
  /** The experiment, the variant unless `full`, then the path: `base.loss.koleo`. */
  readonly path: string
  /** Resolved values; null where there is none. */
  readonly before: unknown
  readonly after: unknown
  /** As the language writes them. */
  readonly beforeText: string | null
  readonly afterText: string | null
  readonly effect: Effect
  /** Where each was written; after a `drop`, the drop. */
  readonly at: { readonly before: Span | null; readonly after: Span | null }
}

/** An experiment of one side with its variants. */
export interface Side {
  readonly name: string
  readonly variants: readonly ResolvedExperiment[]
  /** The side names this one variant, as `FILE#base.no_koleo` does and `FILE#base` and `FILE` do not. */
  readonly namesVariant: boolean
}

/** Two variants that are compared. */
export interface Pair {
  readonly experiment: string
  readonly variant: string
  readonly before: ResolvedExperiment
  readonly after: ResolvedExperiment
}

export interface DiffResult {
  readonly pairs: readonly Pair[]
  readonly changes: readonly Change[]
}

/**
 * Compares two sides. Experiments pair by name, or as they are where each side has exactly one. Their variants pair by
 * name; where both sides name one variant, those two; where one side does, that one and the unedited experiment of the
 * other, which is what `FILE#base` by itself means beside `FILE#base.no_koleo`.
 */
export function diff(before: readonly Side[], after: readonly Side[]): DiffResult {
  const pairs: Pair[] = []
  const changes: Change[] = []
  for (const [a, b] of pairUp(before, after, (side) => side.name)) {
    if (a === null || b === null) {
      const one = (a ?? b)!
      changes.push(wholeChange(one.name, a === null ? null : 'experiment', b === null ? null : 'experiment'))
      continue
    }
    const [of, and] = a.namesVariant || b.namesVariant ? [unedited(a), unedited(b)] : [a.variants, b.variants]
    for (const [x, y] of pairUp(of, and, (e) => e.variant)) {
      const name = prefixOf(a.name, (x ?? y)!.variant)
      if (x === null || y === null) {
        changes.push(wholeChange(name, x === null ? null : 'variant', y === null ? null : 'variant'))
        continue
      }
      pairs.push({ experiment: a.name, variant: x.variant, before: x, after: y })
      changes.push(...compare(x, y, name))
    }
  }
  return { pairs, changes }
}

/** The variant that a side names, else `full`; a folder may hold runs of neither: then all that it holds. */
function unedited({ variants, namesVariant }: Side): readonly ResolvedExperiment[] {
  const full = variants.filter((e) => e.variant === 'full')
  return namesVariant || full.length === 0 ? variants : full
}

function prefixOf(experiment: string, variant: string): string {
  return variant === 'full' ? experiment : `${experiment}.${variant}`
}

function wholeChange(path: string, before: string | null, after: string | null): Change {
  return {
    path,
    before,
    after,
    beforeText: before,
    afterText: after,
    effect: 'report',
    at: { before: null, after: null },
  }
}

function pairUp<T>(a: readonly T[], b: readonly T[], name: (item: T) => string): [T | null, T | null][] {
  if (a.length === 1 && b.length === 1) return [[a[0]!, b[0]!]]
  const pairs: [T | null, T | null][] = a.map((x) => [x, b.find((y) => name(y) === name(x)) ?? null])
  for (const y of b) if (!a.some((x) => name(x) === name(y))) pairs.push([null, y])
  return pairs
}

/** Where a value was written; for what a `drop` of a block around it returned to its default, the drop. */
function place(e: ResolvedExperiment, path: string): Span | null {
  const own = e.provenance[path]?.at
  if (own) return own
  for (let dot = path.lastIndexOf('.'); dot > 0; dot = path.lastIndexOf('.', dot - 1)) {
    const above = e.provenance[path.slice(0, dot)]
    if (above?.dropped === true) return above.at
  }
  return null
}

/** What differs between two variants, in the order of the vocabulary. */
export function compare(a: ResolvedExperiment, b: ResolvedExperiment, prefix: string): Change[] {
  const changes: Change[] = []
  const add = (
    path: string,
    effect: Effect,
    before: unknown,
    after: unknown,
    texts: [string | null, string | null],
  ) => {
    changes.push({
      path: `${prefix}.${path}`,
      before: before ?? null,
      after: after ?? null,
      beforeText: texts[0],
      afterText: texts[1],
      effect,
      at: { before: place(a, path), after: place(b, path) },
    })
  }

  const compareFields = (x: FlatBlock, y: FlatBlock) => {
    for (const field of x.fields) {
      const other = y.fields.find((f) => f.path === field.path)
      if (other === undefined || stable(field.value) === stable(other.value)) continue
      if (follows(field, a) && follows(field, b)) continue
      add(field.path, effectOf(field, a, b), field.value, other.value, [text(field), text(other)])
    }
    compareBlocks(x.blocks, y.blocks)
  }

  const compareBlocks = (xs: readonly FlatBlock[], ys: readonly FlatBlock[]) => {
    for (const x of xs) {
      const y = ys.find((other) => other.path === x.path)
      if (y === undefined) add(x.path, x.kind.effect, whole(x), null, [summary(x), null])
      else if (
        x.type !== y.type ||
        (x.value === null) !== (y.value === null) ||
        stable(x.value) !== stable(y.value)
      )
        add(x.path, x.kind.effect, whole(x), whole(y), [summary(x), summary(y)])
      else compareFields(x, y)
    }
    for (const y of ys)
      if (!xs.some((x) => x.path === y.path)) add(y.path, y.kind.effect, null, whole(y), [null, summary(y)])
    const order = (blocks: readonly FlatBlock[]) =>
      blocks.filter((b) => b.kind.kind === 'phase').map((b) => b.name)
    const [before, after] = [order(xs), order(ys)].map((names, i, all) =>
      names.filter((n) => all[1 - i]!.includes(n)),
    )
    if (before!.join() !== after!.join())
      add('schedule', 'numerics', before, after, [before!.join(', then '), after!.join(', then ')])
  }

  compareBlocks(flatten(a), flatten(b))
  if (a.description !== b.description)
    add('description', 'report', a.description, b.description, [a.description, b.description])
  compareSources(a, b, add)
  compareCurations(a, b, add)
  return changes
}

/**
 * Whether a value only repeats what stands elsewhere, where the change is listed already: a computed default, a
 * schedule that a phase inherits, a number of ranks from nodes and GPUs.
 */
function follows({ path, field }: FlatField, e: ResolvedExperiment): boolean {
  const at = e.provenance[path]?.at ?? null
  if (path === 'hardware.ranks') return e.hardware.nodes !== null || e.hardware.gpus !== null
  if (at === null) return field.defaultText !== null
  const phase = /^schedule\.([^.]+)\.([^.]+)$/.exec(path)
  if (phase === null || field.type.kind !== 'schedule') return false
  const origins = [
    ...e.schedule.phases.filter((p) => p.name !== phase[1]).map((p) => `schedule.${p.name}.${phase[2]}`),
    ...(phase[2] === 'momentum' ? ['teacher.momentum'] : []),
  ]
  const first = e.schedule.phases[0]?.name
  if (phase[1] === first && phase[2] !== 'momentum') return false
  return origins.some((origin) => {
    const other = e.provenance[origin]?.at
    return other?.file === at.file && other.start === at.start
  })
}

function effectOf({ path, field }: FlatField, a: ResolvedExperiment, b: ResolvedExperiment): Effect {
  const ranks = path === 'hardware.ranks' || path === 'hardware.nodes' || path === 'hardware.gpus'
  if (
    ranks &&
    a.hardware.ranks !== b.hardware.ranks &&
    (rankDependentTerms(a).length > 0 || rankDependentTerms(b).length > 0)
  )
    return 'numerics'
  return field.effect
}

function text(field: FlatField): string {
  const written = writeValue(field.value, field.field.type)
  return written === 'none' && field.field.type.kind !== 'words' ? 'default' : written
}

/** A block as one value. */
function whole(block: FlatBlock): unknown {
  if (block.value !== null) return block.value
  return {
    ...(block.type === null ? {} : { type: block.type }),
    ...Object.fromEntries(block.fields.map((f) => [f.field.key, f.value ?? null])),
    ...Object.fromEntries(block.blocks.map((inner) => [inner.name ?? inner.kind.kind, whole(inner)])),
  }
}

/** What matters most of a block, in a few words. */
function summary(block: FlatBlock): string {
  if (block.value !== null) return `tied(head.${(block.value as { to: string }).to})`
  const shown = [
    'weight',
    'prototypes',
    'length',
    'resolution',
    'momentum',
    'probability',
    'train',
    'test',
    'from',
  ]
  const fields = block.fields.filter(
    (f) => shown.includes(f.field.name) && f.value !== null && f.value !== undefined,
  )
  const parts = fields.slice(0, 2).map((f) => `${f.field.name} ${writeValue(f.value, f.field.type)}`)
  const type = block.type !== null && block.type !== block.name ? [block.type] : []
  return [...type, ...parts].join(', ') || block.kind.kind
}

type Add = (
  path: string,
  effect: Effect,
  before: unknown,
  after: unknown,
  texts: [string | null, string | null],
) => void

function compareSources(a: ResolvedExperiment, b: ResolvedExperiment, add: Add): void {
  for (const name of new Set([...Object.keys(a.sources), ...Object.keys(b.sources)])) {
    const [x, y] = [a.sources[name], b.sources[name]] as (Source | undefined)[]
    const path = `sources.${name}`
    if (x === undefined || y === undefined || x.type !== y.type) {
      add(path, 'data', x ?? null, y ?? null, [x?.type ?? null, y?.type ?? null])
      continue
    }
    for (const field of kindNamed('source').types.get(x.type)?.fields.values() ?? []) {
      const [before, after] = [x[field.key!], y[field.key!]]
      if (stable(before) === stable(after)) continue
      add(`${path}.${field.name}`, field.effect, before, after, [
        writeValue(before, field.type),
        writeValue(after, field.type),
      ])
    }
  }
}

function compareCurations(a: ResolvedExperiment, b: ResolvedExperiment, add: Add): void {
  for (const name of new Set([...Object.keys(a.curations), ...Object.keys(b.curations)])) {
    const [x, y] = [a.curations[name], b.curations[name]] as (Curation | undefined)[]
    const path = `curations.${name}`
    if (x === undefined || y === undefined) {
      add(
        path,
        'data',
        x ?? null,
        y ?? null,
        [x && 'curation', y && 'curation'].map((t) => t ?? null) as [string | null, string | null],
      )
      continue
    }
    const stageName = (stage: Curation['stages'][number]) => stage.name ?? stage.kind
    for (const stage of new Set([...x.stages, ...y.stages].map(stageName))) {
      const [before, after] = [x, y].map((c) => c.stages.find((s) => stageName(s) === stage))
      const at = `${path}.${stage}`
      if (before === undefined || after === undefined || before.kind !== after.kind) {
        add(at, 'data', before ?? null, after ?? null, [before?.kind ?? null, after?.kind ?? null])
        continue
      }
      for (const field of kindNamed(before.kind).types.get(before.kind)?.fields.values() ?? []) {
        const key = camelCase(field.name)
        if (stable(before[key]) !== stable(after[key]))
          add(`${at}.${field.name}`, 'data', before[key], after[key], [
            writeValue(before[key], field.type),
            writeValue(after[key], field.type),
          ])
      }
    }
    const list = (c: Curation) => `[${c.keep.map(writeData).join(', ')}]`
    if (stable(x.keep) !== stable(y.keep)) add(`${path}.keep`, 'data', x.keep, y.keep, [list(x), list(y)])
  }
}
