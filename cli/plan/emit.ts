import { compileVariant, embeddedTarget, lowerPhase, optimizePhase } from '../../compiler/compile.js'
import { printModule } from '../../compiler/ir/print.js'
import type { Module } from '../../compiler/ir/types.js'
import { passNames } from '../../compiler/passes/pipeline.js'
import { planFile } from '../../compiler/plan/build-run-spec.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { didYouMean } from '../../diagnostics/nearest.js'
import { parse } from '../../grammar/parser.js'
import type { FileOptions } from '../options.js'
import { hasErrors } from '../print.js'
import { resolveFile } from '../resolve-file.js'
import { readSource } from '../source.js'
import { UsageError } from '../usage-error.js'
import { phaseOf } from './explain.js'

/** What `--emit` prints: each stage's output, JSON on one line but for the IR, which has a text of its own. */
export const emitStages = ['ast', 'resolved', 'ir', 'plan', 'run-spec'] as const
type EmitStage = (typeof emitStages)[number]

export function emit(
  entry: string,
  options: FileOptions,
  asked: { readonly stage: string; readonly after?: string; readonly phase?: string },
): string {
  const stage = emitStages.find((known) => known === asked.stage)
  if (stage === undefined)
    throw new UsageError(`--emit ${asked.stage}: there is no such stage`, [
      ...didYouMean(asked.stage, emitStages),
      `--emit takes ${emitStages.join(', ')}`,
    ])
  if (stage === 'ast') return emitAst(entry)
  const { experiments } = resolveFile(entry, options, 'human')
  const variants = experiments.flatMap((family) => family.variants.map((variant) => variant.resolved))
  const [first] = variants
  if (first === undefined) throw new UsageError(`${entry} defines no experiment`)
  return stage === 'resolved'
    ? json(variants)
    : emitCompiled(stage, first, asked.after ?? null, asked.phase ?? null)
}

function emitCompiled(
  stage: Exclude<EmitStage, 'ast' | 'resolved'>,
  experiment: ResolvedExperiment,
  after: string | null,
  phaseName: string | null,
): string {
  const phase = phaseOf(experiment, phaseName)
  switch (stage) {
    case 'ir': {
      const lowered = lowerPhase(experiment, phase)
      return printModule(after === null ? lowered : moduleAfter(experiment, lowered, after))
    }
    case 'plan':
      return json(compileVariant(experiment, embeddedTarget).plans[planFile(phase.name)])
    case 'run-spec':
      return json(compileVariant(experiment, embeddedTarget).runSpec(experiment.seeds[0] ?? 0))
    default:
      return stage satisfies never
  }
}

function moduleAfter(experiment: ResolvedExperiment, lowered: Module, pass: string): Module {
  if (!(passNames as readonly string[]).includes(pass))
    throw new UsageError(`--after ${pass}: there is no such pass`, [
      ...didYouMean(pass, passNames),
      `the passes are ${passNames.join(', ')}`,
    ])
  let found = lowered
  optimizePhase(experiment, lowered, embeddedTarget, {
    afterPass: (name, module) => {
      if (name === pass) found = module
    },
  })
  return found
}

function emitAst(entry: string): string {
  const hash = entry.lastIndexOf('#')
  const file = hash < 0 ? entry : entry.slice(0, hash)
  const { file: tree, diagnostics } = parse(readSource(file), file)
  if (hasErrors(diagnostics)) throw new DiagnosticError(diagnostics)
  return json(tree)
}

function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}
