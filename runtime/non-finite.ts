import type { RunSpec } from '../compiler/plan/run-spec.js'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import type { Metrics } from './run.js'

/** DINO1036 for the first term of a step that is not finite, losses before gradients, the total last; null where all are. */
export function nonFinite(
  metrics: Metrics,
  step: number,
  provenance: RunSpec['provenance'],
): Diagnostic | null {
  const found = firstTerm(metrics)
  if (found === null) return null
  const { metric, value } = found
  return diagnose(
    'DINO1036',
    null,
    { term: termText(metric), step, value: String(value), kept: step },
    { help: wayOut(metric, step, metrics, provenance) },
  )
}

function firstTerm(metrics: Metrics): { readonly metric: string; readonly value: number } | null {
  const order = (name: string): number => (name === 'loss.total' ? 2 : name.startsWith('loss.') ? 0 : 1)
  const names = Object.keys(metrics)
    .filter((name) => /^(loss|grad_norm)\./.test(name))
    .sort((a, b) => order(a) - order(b))
  for (const metric of names) {
    const value = metrics[metric]![0]!
    if (!Number.isFinite(value)) return { metric, value }
  }
  return metrics.finite?.[0] === 0 ? { metric: 'gradient', value: Number.NaN } : null
}

function termText(metric: string): string {
  const [kind, name] = metric.split('.')
  if (name === undefined) return metric
  return kind === 'loss' ? `loss \`${name}\`` : `gradient of \`${name}\``
}

/**
 * Before the first update no learning rate has done anything: then it is the weight of a loss, or the images. After it
 * the rate comes first, unless a term is out of all proportion.
 */
function wayOut(metric: string, step: number, metrics: Metrics, provenance: RunSpec['provenance']): string[] {
  const huge = hugeTerm(metrics)
  const weight = weightOf(metric, provenance) ?? (huge && weightOf(huge.metric, provenance))
  const weights =
    weight === null
      ? 'lower the `weight` of the losses'
      : metric.startsWith('loss.') && metric !== 'loss.total'
        ? `lower \`${weight}\`, the factor of this term`
        : `lower \`${weight}\`: its term is ${huge!.value.toPrecision(2)}`
  const rate = 'lower schedule lr, lengthen its warmup, or raise optimizer eps'
  const ways = step === 0 ? [weights] : weight === null ? [rate] : huge ? [weights, rate] : [rate, weights]
  return ways.map((way, i) => (i === ways.length - 1 ? `${way}; then run again` : way))
}

/** Logarithms of probabilities and of distances: no loss with a sensible weight comes near this. */
const hugeLoss = 1e6

/** The largest term of a loss that is finite, if it is out of all proportion: its gradient overflows before it does. */
function hugeTerm(metrics: Metrics): { readonly metric: string; readonly value: number } | null {
  const terms = Object.entries(metrics)
    .filter(([name]) => name.startsWith('loss.') && name !== 'loss.total')
    .map(([metric, values]) => ({ metric, value: values[0]! }))
    .filter(({ value }) => Number.isFinite(value) && Math.abs(value) > hugeLoss)
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
  return terms[0] ?? null
}

/** `loss.dino_local` -> `loss.dino.weight`; null for gradients and the total. */
function weightOf(metric: string, provenance: RunSpec['provenance']): string | null {
  const name = /^loss\.(.+)$/.exec(metric)?.[1]
  if (name === undefined || name === 'total') return null
  const isLoss = Object.keys(provenance).some((path) => `${path}.`.startsWith(`loss.${name}.`))
  return `loss.${isLoss ? name : name.replace(/_(local|global)$/, '')}.weight`
}
