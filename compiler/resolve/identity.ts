import { createHash } from 'node:crypto'
import type { DataReference, ModelReference, ResolvedExperiment, Source } from './resolved.js'

/**
 * What makes two runs the same training: the resolved form less everything that only names, reports, places or
 * evaluates. The data manifest, which only a run knows, and the seed come on top.
 */
export function canonicalForm(e: ResolvedExperiment): string {
  const { hardware } = e
  return stable({
    data: e.data && dataOf(e.data.train, e),
    backbone: {
      ...e.backbone,
      init: e.backbone.init && { ...e.backbone.init, from: modelOf(e.backbone.init.from) },
    },
    teacher: e.teacher.type === 'frozen' ? { ...e.teacher, from: modelOf(e.teacher.from) } : e.teacher,
    keep: e.keep,
    crops: e.crops,
    augment: e.augment,
    masking: e.masking,
    head: e.head,
    loss: e.loss,
    optimizer: e.optimizer,
    schedule: e.schedule,
    // The budget only matters where the compiler decides by it.
    optimize: {
      ...e.optimize,
      memoryBudget: e.optimize.recompute === 'auto' ? e.optimize.memoryBudget : null,
    },
    hardware: { semantics: hardware.semantics, groups: hardware.groups },
    ranks: rankDependentTerms(e).length > 0 ? hardware.ranks : null,
  })
}

/**
 * Everything but names and places: two variants of one experiment with the same form are the same variant. Keys stand
 * in the order in which the resolver makes them, so the text decides.
 */
export function wholeForm(e: ResolvedExperiment): string {
  const {
    name: _name,
    variant: _variant,
    grid: _grid,
    description: _description,
    provenance: _provenance,
    ...rest
  } = e
  return JSON.stringify(rest)
}

/** Hash of the canonical form with the seed: 16 hex digits. */
export function configIdentity(resolved: ResolvedExperiment, seed: number): string {
  return hash(`${canonicalForm(resolved)}|seed ${seed}`)
}

/** Hash of an evaluation's protocol: what is measured, on what, how. */
export function protocolIdentity(e: ResolvedExperiment, name: string): string {
  const { train, test, every: _, ...protocol } = e.eval[name]!
  return hash(stable({ ...protocol, train: train && dataOf(train, e), test: dataOf(test, e) }))
}

/**
 * Terms of the training that would come out differently with another number of ranks, and what they see. With one
 * rank, or with `semantics = global`, there are none.
 */
export function rankDependentTerms(e: ResolvedExperiment): { term: string; sees: string }[] {
  if (e.hardware.semantics === 'global' || e.hardware.ranks === 1) return []
  const found: { term: string; sees: string }[] = []
  for (const [name, loss] of Object.entries(e.loss))
    if (loss.type === 'koleo' && loss.scope.type === 'rank')
      found.push({ term: `loss.${name}`, sees: 'images of one rank' })
  if (e.masking !== null)
    found.push({ term: 'masking', sees: 'masks are shared out over the crops of one rank' })
  const { dropPath } = e.backbone
  if (dropPath.to > 0 && dropPath.form === 'subset')
    found.push({ term: 'backbone.drop_path', sees: 'the kept subset is drawn on each rank' })
  return found
}

function modelOf(model: ModelReference): unknown {
  return model.kind === 'run' ? { kind: 'run', form: hash(canonicalForm(model.resolved)) } : model
}

/** A reference with what it names in place of its name; where files lie and how they are labelled is the manifest's. */
function dataOf(reference: DataReference, e: ResolvedExperiment): unknown {
  switch (reference.kind) {
    case 'source':
      return { splits: reference.splits, source: sourceOf(e.sources[reference.source]!) }
    case 'curation': {
      const curation = e.curations[reference.curation]!
      return { curation: replaced(curation, e, reference.curation), stage: reference.stage }
    }
    case 'mix':
      return { mix: reference.parts.map((part) => ({ of: dataOf(part.of, e), share: part.share })) }
    default:
      return reference satisfies never
  }
}

function sourceOf(source: Source): unknown {
  const { path: _path, labels: _labels, label: _label, urls: _urls, images: _images, ...rest } = source
  return rest
}

/** Stages refer to one another within a curation; only what lies outside is looked up. */
function replaced(value: unknown, e: ResolvedExperiment, own: string): unknown {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map((item) => replaced(item as unknown, e, own))
  const reference = value as DataReference
  if (reference.kind === 'source' && 'source' in reference) return dataOf(reference, e)
  if (reference.kind === 'curation' && 'curation' in reference)
    return reference.curation === own ? { stage: reference.stage } : dataOf(reference, e)
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, replaced(inner as unknown, e, own)]),
  )
}

export function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** JSON with sorted keys. */
export function stable(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(stable).join(',')}]`
  const entries = Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${stable(inner)}`).join(',')}}`
}
