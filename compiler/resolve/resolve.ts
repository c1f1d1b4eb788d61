import type { Diagnostic, Span } from '../../diagnostics/diagnostic.js'
import { didYouMean, listed } from '../../diagnostics/nearest.js'
import type { Block } from '../../grammar/ast.js'
import { applyBody } from './apply.js'
import type { BuildScope, Origin } from './build.js'
import { completeExperiment } from './complete.js'
import { holds } from './conditions.js'
import { type Built, buildCuration, buildSource, readCuration } from './definitions.js'
import { type Tree, treeMaker, type VariantPlan } from './family.js'
import type { References } from './field-scope.js'
import { freeze, provenanceOf, recordBlocks, withoutUnusedHeads } from './finish.js'
import { flatFields, flatten } from './flatten.js'
import type { SourceHost } from './host.js'
import { wholeForm } from './identity.js'
import {
  type CurationDefinition,
  type Definition,
  type ExperimentDefinition,
  loadProgram,
  type Program,
  type SourceDefinition,
} from './modules.js'
import { paramValues } from './params.js'
import { guarded, isPoisoned, POISON, unlessPoisoned } from './poison.js'
import { newReport } from './report.js'
import type { Curation, DataReference, ResolvedExperiment, Source } from './resolved.js'
import { lints, remarks, rules } from './rules/all.js'
import { readSettings } from './settings.js'
import { checkTopLevel, reportUnusedParams } from './top-level.js'
import { copyNode } from './tree.js'

export type { SourceHost } from './host.js'

/** Teachers of teachers, so that building them has an end. */
const deepest = 100

export interface ResolveOptions {
  /** `path=value`, one more body on top of every experiment that the entry names. */
  readonly set: readonly string[]
  readonly params: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface Resolution {
  readonly diagnostics: readonly Diagnostic[]
  /** Experiments of the file (or the one named after `#`) with the variants that have no error. */
  readonly experiments: readonly ResolvedFamily[]
  /** Every text that was read, by the name that spans give it. */
  readonly files: ReadonlyMap<string, string>
}

export interface ResolvedFamily {
  readonly name: string
  readonly file: string
  readonly span: Span
  /** `full` first. */
  readonly variants: readonly ResolvedVariant[]
}

export interface ResolvedVariant {
  readonly resolved: ResolvedExperiment
  /** An earlier variant whose resolved form is the same; it is not run twice. */
  readonly aliasOf: string | null
}

/** From a `.dino` file, or `FILE#experiment.variant`, to its experiments with everything written out. */
export function resolve(entry: string, host: SourceHost, options: ResolveOptions): Resolution {
  const report = newReport()
  const hash = entry.lastIndexOf('#')
  const file = hash < 0 ? entry : entry.slice(0, hash)
  const program = loadProgram(file, host, report)
  if (program === null) return { diagnostics: report.diagnostics, experiments: [], files: new Map() }
  const files = new Map(program.texts)
  const params = paramValues(options, report, files)
  for (const module of program.modules.values()) checkTopLevel(module, report)
  params.reportUnknown(program.modules.values())

  const textOf = (value: { readonly span: Span }, path: string): string =>
    (files.get(path) ?? '').slice(value.span.start, value.span.end).replace(/\s+/g, ' ')
  const trees = treeMaker(report, textOf)
  const settings = readSettings(options.set, program.entry, files, report)

  // Sources and curations, each built once.
  const names = new Map<string, Definition>()
  const nameOf = (definition: SourceDefinition | CurationDefinition): string => {
    for (let i = 1; ; i++) {
      const name = i === 1 ? definition.name : `${definition.name}_${i}`
      const holder = names.get(name)
      if (holder === undefined) names.set(name, definition)
      if (holder === undefined || holder === definition) return name
    }
  }
  const sources = new Map<Definition, Built<Source>>()
  const curations = new Map<Definition, { built: Built<Curation> | null; stages: readonly string[] }>()
  const running: string[] = []
  const noStages = null

  const references: References = {
    stages: noStages,
    source(definition) {
      const name = nameOf(definition)
      let built = sources.get(definition)
      if (built === undefined) {
        built = buildSource(definition, name, { report, references, param: params.lookUp })
        sources.set(definition, built)
      }
      return { name, source: built.value }
    },
    curation(definition) {
      const name = nameOf(definition)
      const known = curations.get(definition)
      if (known !== undefined) return { name, stages: known.stages, curation: known.built?.value ?? POISON }
      const read = readCuration(definition, report)
      curations.set(definition, { built: null, stages: read?.stages ?? [] })
      if (read === null) return { name, stages: [], curation: POISON }
      const built = buildCuration(name, read, { report, references, param: params.lookUp })
      curations.set(definition, { built, stages: read.stages })
      return { name, stages: read.stages, curation: built.value }
    },
    run(definition, variant, at) {
      const tree = trees.treeOf(definition)
      const plan = trees.plansOf(tree, definition.name).find((p) => p.name === variant)
      if (plan === undefined)
        return tree.mayHaveLost(variant.split('[')[0]!)
          ? { resolved: POISON }
          : { variants: trees.plansOf(tree, definition.name).map((p) => p.name) }
      const key = variant === 'full' ? definition.name : `${definition.name}.${variant}`
      const id = `${definition.module.file}#${key}`
      const place = running.indexOf(id)
      if (place >= 0) {
        const cycle = [...running.slice(place), id].map((r) => r.slice(r.lastIndexOf('#') + 1))
        report.give('DINO0214', at, { cycle }, { label: 'needs the run that it is part of' })
        return { resolved: POISON }
      }
      const outcome = running.length < deepest ? built(definition, tree, plan, id) : null
      if (outcome?.resolved && generations(outcome.resolved) < deepest) return { resolved: outcome.resolved }
      if (outcome === null || outcome.resolved !== null)
        report.give('DINO0118', at, { what: 'runs that need one another', deepest })
      return { resolved: POISON }
    },
  }

  // Variants, each built once: dependencies without `--set`.
  const cache = new Map<string, Outcome>()
  const built = (definition: ExperimentDefinition, tree: Tree, plan: VariantPlan, id: string): Outcome => {
    const known = cache.get(id)
    if (known !== undefined) return known
    running.push(id)
    const outcome = build(definition, tree, plan)
    running.pop()
    cache.set(id, outcome)
    return outcome
  }

  const build = (definition: ExperimentDefinition, tree: Tree, plan: VariantPlan): Outcome => {
    const before = report.errors
    const root = copyNode(tree.root)
    for (const body of plan.bodies) applyBody(root, body, report)
    const origins = new Map<string, Origin>()
    const scope: BuildScope = {
      report,
      references,
      param: params.lookUp,
      batch: undefined,
      origins,
      prefix: '',
      header: tree.header,
      lost: root.incomplete,
    }
    const fields = completeExperiment(root, scope, tree.header)
    recordBlocks(root, origins)
    const reached = reachedData(fields)
    const draft = {
      formatVersion: 1,
      name: definition.name,
      variant: plan.name,
      grid: plan.grid,
      ...fields,
      sources: reached.sources,
      curations: reached.curations,
    } as unknown as ResolvedExperiment
    for (const origin of reached.origins) origins.set(origin[0], origin[1])
    if (plan.block?.where) {
      const kept = unlessPoisoned(() => keeps(plan, guarded(draft)))
      if (kept !== true) return { resolved: null, filtered: kept === false }
    }
    const poisoned = isPoisoned(draft)
    const context = {
      e: poisoned ? guarded(draft) : draft,
      report,
      header: tree.header,
      variant: {
        name: plan.name,
        edited: plan.name !== 'full',
        drops: plan.bodies.flatMap((body) => body.drops.map((d) => d.path.map((n) => n.text).join('.'))),
      },
      origins,
      lost: (kind: string) => root.incomplete || root.silenced.has(kind),
      text: (span: Span) => (files.get(span.file) ?? '').slice(span.start, span.end),
    }
    for (const rule of [...rules, ...lints]) unlessPoisoned(() => rule(context))
    if (poisoned || tree.faulty || plan.faulty || report.errors > before)
      return { resolved: null, filtered: false }
    for (const rule of remarks) rule(context)
    return {
      resolved: freeze({ ...withoutUnusedHeads(draft), provenance: provenanceOf(origins) }),
      filtered: false,
    }
  }

  const keeps = (plan: VariantPlan, draft: ResolvedExperiment): boolean | null => {
    const module = plan.bodies.at(-1)!.layer.module
    const scope = { report, module, param: params.lookUp, batch: null }
    return holds(plan.block!.where!, flatFields(flatten(draft)), scope)
  }

  /** The sources and curations that an experiment's references lead to, however far. */
  const reachedData = (fields: unknown) => {
    const found: {
      sources: Record<string, Source>
      curations: Record<string, Curation>
      origins: [string, Origin][]
    } = {
      sources: {},
      curations: {},
      origins: [],
    }
    const visit = (value: unknown): void => {
      if (value === null || typeof value !== 'object') return
      const reference = value as DataReference
      if (reference.kind === 'source' && typeof reference.source === 'string') {
        if (Object.hasOwn(found.sources, reference.source)) return
        const definition = names.get(reference.source)!
        const source = sources.get(definition)!
        if (source.value === POISON) return
        found.sources[reference.source] = source.value as Source
        found.origins.push([`sources.${reference.source}`, definedAt(definition)], ...source.origins)
      } else if (reference.kind === 'curation' && typeof reference.curation === 'string') {
        if (Object.hasOwn(found.curations, reference.curation)) return
        const curation = curations.get(names.get(reference.curation)!)?.built
        if (curation === null || curation === undefined || curation.value === POISON) return
        found.curations[reference.curation] = curation.value as Curation
        const definition = names.get(reference.curation)!
        found.origins.push([`curations.${reference.curation}`, definedAt(definition)], ...curation.origins)
        visit(curation.value)
      } else if (isRun(value)) return
      else for (const inner of Object.values(value)) visit(inner)
    }
    visit(fields)
    return found
  }

  /** DINO0216. A grid point that `where` leaves out is not there: neither named nor listed. */
  const noVariant = (
    definition: ExperimentDefinition,
    only: string,
    plans: readonly VariantPlan[],
    outcomeOf: (plan: VariantPlan) => Outcome,
  ): void => {
    const there = report.quietly(() => plans.filter((p) => p.block?.where == null || !outcomeOf(p).filtered))
    const names = there.map((p) => p.name)
    report.give(
      'DINO0216',
      null,
      { name: `${definition.name}.${only}`, file },
      {
        notes: [`variants of \`${definition.name}\`: ${listed(names)}`],
        help: didYouMean(only, names),
      },
    )
  }

  /** The first of the variants before `plan` that resolves to the same form, though only `plan` was asked for. */
  const earlierAlike = (
    form: string,
    plan: VariantPlan,
    plans: readonly VariantPlan[],
    outcomeOf: (plan: VariantPlan) => Outcome,
  ): string | undefined =>
    report.quietly(() =>
      plans.slice(0, plans.indexOf(plan)).find((earlier) => {
        const { resolved } = outcomeOf(earlier)
        return resolved !== null && wholeForm(resolved) === form
      }),
    )?.name

  const family = (definition: ExperimentDefinition, only: string | null): ResolvedFamily | null => {
    const tree = trees.withSettings(trees.treeOf(definition), settings)
    const plans = trees.plansOf(tree, definition.name)
    const chosen = only === null ? plans : plans.filter((p) => p.name === only)
    const outcomeOf = (plan: VariantPlan): Outcome =>
      built(definition, tree, plan, `${definition.module.file}#${definition.name}.${plan.name} with settings`)
    if (only !== null && chosen.every((plan) => outcomeOf(plan).filtered === true)) {
      if (!tree.mayHaveLost(only.split('[')[0]!)) noVariant(definition, only, plans, outcomeOf)
      return null
    }
    const variants: ResolvedVariant[] = []
    const forms = new Map<string, string>()
    const aliases = new Map<VariantPlan['block'], { variant: string; same: string }[]>()
    /** Grids with a point that does not fulfil their condition, and those with one that does or may. */
    const [left, taken] = [new Set<Block>(), new Set<Block>()]
    for (const plan of chosen) {
      const { resolved, filtered } = outcomeOf(plan)
      if (plan.block?.where) {
        if (filtered === true) left.add(plan.block)
        else taken.add(plan.block)
      }
      if (resolved === null) continue
      const form = wholeForm(resolved)
      const same = forms.get(form) ?? (only === null ? undefined : earlierAlike(form, plan, plans, outcomeOf))
      if (same === undefined) forms.set(form, plan.name)
      else aliases.set(plan.block, [...(aliases.get(plan.block) ?? []), { variant: plan.name, same }])
      variants.push({ resolved, aliasOf: same ?? null })
    }
    if (only === null)
      for (const { name, where } of [...left].filter((block) => !taken.has(block)))
        report.give(
          'DINO2001',
          where!.span,
          { path: `ablation.${name!.text}`, why: 'no point of the grid fulfils its condition' },
          { label: 'never true' },
        )
    // Where statements were lost, variants may only look alike. The points of a grid share their place: one note.
    for (const [block, [first, ...others]] of tree.root.incomplete ? [] : aliases)
      report.give('DINO2008', block?.headerSpan ?? tree.header, first!, {
        label: 'gives nothing new',
        notes: others.map(({ variant, same }) => `\`${variant}\` is the same as \`${same}\``),
      })
    if (variants.length === 0) return null
    return { name: definition.name, file: definition.module.file, span: tree.header, variants }
  }

  const experiments: ResolvedFamily[] = []
  const target = hash < 0 ? null : entry.slice(hash + 1)
  if (target === null) {
    for (const definition of program.entry.own) {
      if (definition.kind === 'source') references.source(definition)
      else if (definition.kind === 'curation') references.curation(definition)
    }
    params.checkAll(program.modules.values())
    for (const definition of program.entry.own)
      if (definition.kind === 'experiment') {
        const found = family(definition, null)
        if (found !== null) experiments.push(found)
      }
    reportUnusedParams(program.entry, report)
  } else {
    const dot = target.indexOf('.')
    const name = dot < 0 ? target : target.slice(0, dot)
    const definition = program.entry.own.find((d) => d.kind === 'experiment' && d.name === name)
    if (definition?.kind === 'experiment') {
      const found = family(definition, dot < 0 ? null : target.slice(dot + 1))
      if (found !== null) experiments.push(found)
    } else {
      const known = program.entry.own.filter((d) => d.kind === 'experiment').map((d) => d.name)
      report.give(
        'DINO0216',
        null,
        { name, file },
        {
          notes: [`experiments of ${file}: ${known.length === 0 ? 'none' : listed(known)}`],
          help: didYouMean(name, known),
        },
      )
    }
  }
  return { diagnostics: sorted(report.diagnostics, program), experiments, files }
}

/** A run, its teacher, that one's teacher, ...: how many. */
function generations(experiment: ResolvedExperiment): number {
  let count = 1
  for (let { teacher } = experiment; teacher.type === 'frozen' && teacher.from.kind === 'run'; count++)
    teacher = teacher.from.resolved.teacher
  return count
}

interface Outcome {
  readonly resolved: ResolvedExperiment | null
  /** A grid point that `where` leaves out. */
  readonly filtered?: boolean
}

function definedAt(definition: Definition): Origin {
  return {
    at: definition.kind === 'silenced' ? null : definition.block.headerSpan,
    overrode: [],
    layer: null,
    dropped: false,
  }
}

function isRun(value: object): boolean {
  return (value as { kind?: unknown }).kind === 'run' && 'resolved' in value
}

/** The entry file first, then by place; what has no place comes first of all. */
function sorted(diagnostics: readonly Diagnostic[], program: Program): Diagnostic[] {
  const order = [...program.modules.keys()]
  const rank = (d: Diagnostic): number => {
    if (d.primary === null) return -1
    const at = order.indexOf(d.primary.span.file)
    return at < 0 ? order.length : at
  }
  return [...diagnostics].sort(
    (a, b) => rank(a) - rank(b) || (a.primary?.span.start ?? 0) - (b.primary?.span.start ?? 0),
  )
}
