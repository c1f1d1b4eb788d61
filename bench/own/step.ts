import { compileVariant, embeddedTarget } from '../../compiler/compile.js'
import { planFile } from '../../compiler/plan/build-run-spec.js'
import type { Plan } from '../../compiler/plan/plan.js'
import { nodeHost } from '../../compiler/resolve/host.js'
import { resolve } from '../../compiler/resolve/resolve.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'

/** A step of bench/models.dino as it is resolved: `small_step.unpacked`. */
export function stepOf(name: string, set: readonly string[] = []): ResolvedExperiment {
  const { experiments, diagnostics } = resolve('bench/models.dino', nodeHost(), { set, params: {}, env: {} })
  const errors = diagnostics.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new DiagnosticError(errors)
  const variants = experiments.flatMap((family) => family.variants.map(({ resolved }) => resolved))
  const found = variants.find((resolved) => `${resolved.name}.${resolved.variant}` === name)
  if (found === undefined) throw new RangeError(`bench/models.dino has no ${name}`)
  return found
}

/** The plan of its first phase. */
export function planOf(experiment: ResolvedExperiment): Plan {
  const { plans } = compileVariant(experiment, embeddedTarget)
  return plans[planFile(experiment.schedule.phases[0]!.name)]!
}

export const mebibytes = (bytes: number): number => bytes / 2 ** 20
