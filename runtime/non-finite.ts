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
    { help: wayOut(metric, step, provenance) },
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

/** Before the first update no learning rate has done anything: then it is the weight of a loss, or the images. */
function wayOut(metric: string, step: number, provenance: RunSpec['provenance']): string[] {
  const weight = weightOf(metric, provenance)
  const weights =
    weight === null ? 'lower the `weight` of the losses' : `lower \`${weight}\`, the factor of this term`
  const rate = 'lower schedule lr, lengthen its warmup, or raise optimizer eps'
  const ways = [...(weight !== null || step === 0 ? [weights] : []), ...(step > 0 ? [rate] : [])]
  return ways.map((way, i) => (i === ways.length - 1 ? `${way}; then run again` : way))
}

/** `loss.dino_local` -> `loss.dino.weight`; null for gradients and the total. */
function weightOf(metric: string, provenance: RunSpec['provenance']): string | null {
  const name = /^loss\.(.+)$/.exec(metric)?.[1]
  if (name === undefined || name === 'total') return null
  const isLoss = Object.keys(provenance).some((path) => `${path}.`.startsWith(`loss.${name}.`))
  return `loss.${isLoss ? name : name.replace(/_(local|global)$/, '')}.weight`
}
