import { didYouMean, listed } from '../../../diagnostics/nearest.js'
import { kindNamed } from '../../../grammar/schema/vocabulary.js'
import type { DataReference, ResolvedExperiment } from '../resolved.js'
import { blame, eachNamed, marks, type Rule } from './rule.js'

/** DINO0215, DINO0224, DINO0515: each primary metric is one that an evaluation gives. */
export const primaryMetrics: Rule = (context) => {
  const { e, report } = context
  for (const metric of e.primary) {
    const { at } = blame(context, ['ablation.primary'])
    const [kind, name, measure, ...rest] = metric.split('.')
    const evaluation =
      kind === 'eval' && name !== undefined && Object.hasOwn(e.eval, name) ? e.eval[name] : undefined
    if (
      kind !== 'eval' ||
      name === undefined ||
      measure === undefined ||
      rest.length > 0 ||
      evaluation === undefined
    ) {
      if (context.lost('eval')) continue
      const names = Object.keys(e.eval)
      report.give(
        'DINO0215',
        at,
        { name: kind === 'eval' && name !== undefined ? name : metric },
        {
          label: 'unknown',
          notes: [names.length === 0 ? 'the experiment has no evaluation' : `evaluations: ${listed(names)}`],
          help:
            name !== undefined && didYouMean(name, names).length > 0
              ? didYouMean(name, names)
              : ['write `eval.NAME.METRIC`, for example `eval.knn.top1@20`'],
        },
      )
      continue
    }
    const metrics = metricsOf(evaluation)
    const [base, k] = measure.split('@')
    if (metrics.includes(measure)) continue
    if (evaluation.type === 'knn' && k !== undefined && (base === 'top1' || base === 'top5')) {
      report.give(
        'DINO0515',
        at,
        { k: Number(k), eval: name },
        {
          notes: [`it computes k = ${(evaluation.k ?? []).join(', ')}`],
          help: [`add ${k} to \`eval.${name}.k\`, or use \`${metrics[0]}\``],
        },
      )
      continue
    }
    report.give(
      'DINO0224',
      at,
      { metric: measure, type: evaluation.type },
      {
        label: 'unknown metric',
        notes: [`metrics of \`eval.${name}\`: ${metrics.join(', ')}`],
        help: didYouMean(measure, metrics),
      },
    )
  }
}

/** The metrics that an evaluation with these settings gives. */
export function metricsOf(evaluation: ResolvedExperiment['eval'][string]): string[] {
  const named = kindNamed('eval').types.get(evaluation.type)?.metrics ?? []
  if (evaluation.type === 'knn')
    return ['top1', 'top5'].flatMap((metric) => {
      const ks = evaluation.k ?? []
      return [...ks.map((k) => `${metric}@${k}`), ...(ks.length === 1 ? [metric] : [])]
    })
  if (evaluation.type === 'retrieval') {
    const protocols = evaluation.protocol as readonly string[]
    return ['map', ...protocols.map((p) => `map_${p}`)]
  }
  return [...named]
}

/** DINO0519: features of `keep` only where an average is kept. */
export const keptFeatures: Rule = (context) => {
  const { e } = context
  if (e.keep !== null || context.lost('keep')) return
  const check = (path: string, of: unknown) => {
    if (of !== 'keep') return
    const blamed = blame(context, [`${path}.of`])
    context.report.give(
      'DINO0519',
      blamed.at,
      { what: `\`${path}\`` },
      {
        help: ['write `keep ema { momentum = cosine(0.994 -> 1.0) }`, or `of = teacher`'],
      },
    )
  }
  eachNamed(e.eval, (name, evaluation) => check(`eval.${name}`, evaluation.of))
  eachNamed(e.visualize, (name, picture) => check(`visualize.${name}`, picture.of))
}

/** DINO0526: what learns from labels gets a source that has them. */
export const labelledEvaluations: Rule = (context) => {
  const { e } = context
  const pixels: Readonly<Record<string, string>> = {
    segment: 'ade20k',
    depth: 'nyud',
    retrieval: 'revisited',
  }
  eachNamed(e.eval, (name, evaluation) => {
    for (const [role, reference] of [
      ['train', evaluation.train],
      ['test', evaluation.test],
    ] as const) {
      if (reference === null) continue
      for (const { source } of sourcesOf(reference)) {
        const found = e.sources[source]
        if (found === undefined) continue
        const wanted = pixels[evaluation.type]
        const table = ['list', 'webdataset', 'parquet'].includes(found.type)
        const lacking = wanted === undefined ? table && found.label === null : found.type !== wanted
        if (!lacking) continue
        const blamed = blame(context, [`eval.${name}.${role}`])
        context.report.giveOnce(
          `DINO0526 ${name} ${source} ${context.header.file}:${context.header.start}`,
          'DINO0526',
          blamed.at,
          { eval: name, source },
          {
            notes: [
              wanted === undefined
                ? `\`${source}\` is a ${found.type} without \`label\``
                : `a ${evaluation.type} evaluation reads a source of type ${wanted}; \`${source}\` is of type ${found.type}`,
            ],
            help: wanted === undefined ? [`set \`label\` in source \`${source}\``] : [],
          },
        )
      }
    }
  })
}

/** The sources that a reference names, with their splits. */
export function sourcesOf(reference: DataReference): { source: string; splits: readonly string[] | null }[] {
  switch (reference.kind) {
    case 'source':
      return [{ source: reference.source, splits: reference.splits }]
    case 'mix':
      return reference.parts.flatMap((part) => sourcesOf(part.of))
    case 'curation':
      return []
    default:
      return reference satisfies never
  }
}

function overlaps(a: readonly string[] | null, b: readonly string[] | null): boolean {
  return a === null || b === null || a.some((split) => b.includes(split))
}

/** DINO2012: images that an evaluation is measured on also train the model. */
export const leaks: Rule = (context) => {
  const { e } = context
  if (e.data === null) return
  const { train } = e.data
  const kept =
    train.kind === 'curation' && train.stage === null ? (e.curations[train.curation]?.keep ?? []) : [train]
  const training = kept.flatMap(sourcesOf)
  eachNamed(e.eval, (name, evaluation) => {
    for (const { source, splits } of sourcesOf(evaluation.test)) {
      if (!training.some((t) => t.source === source && overlaps(t.splits, splits))) continue
      const blamed = blame(context, [`eval.${name}.test`, 'data.train'])
      context.report.give(
        'DINO2012',
        blamed.at,
        { source, eval: name },
        {
          ...marks(blamed, (path) => (path === 'data.train' ? 'trains on it' : 'measured on it')),
          notes: ['no label leaks, but the features have seen these very images'],
          help: [`train on a split: \`data.train = ${source}.train\``],
        },
      )
    }
  })
}

/** DINO2017: an evaluation that finds each test image among those it learns from. */
export const sameImages: Rule = (context) => {
  eachNamed(context.e.eval, (name, evaluation) => {
    if (evaluation.train === null) return
    const learned = sourcesOf(evaluation.train)
    for (const { source, splits } of sourcesOf(evaluation.test)) {
      if (!learned.some((l) => l.source === source && overlaps(l.splits, splits))) continue
      const blamed = blame(context, [`eval.${name}.test`, `eval.${name}.train`])
      context.report.give(
        'DINO2017',
        blamed.at,
        { source, eval: name },
        {
          ...marks(blamed, (path) => (path.endsWith('.train') ? 'learns from it' : 'measured on it')),
          notes: ['each test image finds itself'],
          help: ['use two splits, for example `.train` and `.test`'],
        },
      )
    }
  })
}
