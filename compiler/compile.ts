import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import { isStructural, operandNames } from './ir/ops.js'
import type { Func, Module, OpKind } from './ir/types.js'
import { lowerFeatures } from './lower/features.js'
import { expectedMaskedRows } from './lower/masking.js'
import { shardsOf } from './lower/shards.js'
import { describeStep, imageChannels, type StepShape } from './lower/step.js'
import { lowerTrainStep } from './lower/train-step.js'
import { cropTokens, dropRates, patchesOf } from './lower/vit.js'
import { optimize, type PassEffect, type PassOptions } from './passes/pipeline.js'
import type { MemoryLimit } from './passes/recompute.js'
import { sharding } from './passes/shard.js'
import { buildPlan, type PlannedWork, type PlanTarget } from './plan/build.js'
import { buildRunSpec, featureName, planFile } from './plan/build-run-spec.js'
import { type PhaseFigures, type PlannedPhase, type VariantCost, variantCost } from './plan/cost.js'
import { communication } from './plan/cost-communication.js'
import { modelFlops, totalFlops } from './plan/cost-flops.js'
import { allocated, planMemory } from './plan/cost-memory.js'
import { memoryBudget, missingPrecision, missingRanks, overBudget } from './plan/findings.js'
import { aliveBytes, executedFlops } from './plan/measure.js'
import type { Plan } from './plan/plan.js'
import type { FeaturePlan, RunSpec } from './plan/run-spec.js'
import type { SourceHost } from './resolve/host.js'
import { configIdentity, protocolIdentity } from './resolve/identity.js'
import { type Resolution, type ResolveOptions, resolve } from './resolve/resolve.js'
import type { Phase, ResolvedExperiment } from './resolve/resolved.js'

/** What plans are made for: a device says it, `plan` assumes the embedded one. */
export interface CompileTarget {
  readonly class: 'arena' | 'tensor-ops'
  /** `op:attention`, `bf16`. */
  readonly capabilities: ReadonlySet<string>
  readonly arenaLimitBytes: number | null
  /** What the device reports: it counts where the file states no budget. */
  readonly memoryBytes: number | null
}

/** What `plan` and `diff` assume: the embedded device, which has every kernel and no limit but memory. */
export const embeddedTarget: CompileTarget = {
  class: 'arena',
  capabilities: new Set([
    ...Object.keys(operandNames)
      .filter((kind) => !isStructural(kind as OpKind))
      .map((kind) => `op:${kind}`),
    'bf16',
  ]),
  arenaLimitBytes: null,
  memoryBytes: null,
}

export interface CompiledVariant {
  /** By file name, as the run spec names them. */
  readonly plans: Readonly<Record<string, Plan>>
  runSpec(seed: number): RunSpec
  readonly cost: VariantCost
}

/**
 * Text to resolved variants, with everything that can be said of the file without a device: what resolving finds, what
 * cannot be lowered, and where an experiment states its memory, whether the unedited one fits.
 */
export function checkFile(entry: string, host: SourceHost, options: ResolveOptions): Resolution {
  const resolution = resolve(entry, host, options)
  const found = resolution.experiments.flatMap(({ variants }) =>
    variants.flatMap(({ resolved }, i) => {
      const faults = loweringFaults(resolved)
      const fits = faults.length > 0 || i > 0 || memoryBudget(resolved) === null
      return fits ? faults : overBudget(resolved, planVariant(resolved, embeddedTarget, null), null)
    }),
  )
  return { ...resolution, diagnostics: [...resolution.diagnostics, ...found] }
}

function loweringFaults(experiment: ResolvedExperiment): readonly Diagnostic[] {
  try {
    for (const phase of experiment.schedule.phases)
      describeStep(experiment, phase, imagesPerMicroBatch(experiment))
    return []
  } catch (error) {
    if (error instanceof DiagnosticError) return error.diagnostics
    throw error
  }
}

/**
 * A resolved variant to the plans and the run spec that train and evaluate it. Throws a DiagnosticError where the target
 * cannot do what the experiment asks for.
 */
export function compileVariant(experiment: ResolvedExperiment, target: CompileTarget): CompiledVariant {
  const lacking = [missingPrecision, missingRanks].flatMap((find) => find(experiment, target.capabilities))
  if (lacking.length > 0) throw new DiagnosticError(lacking)
  const phases = experiment.schedule.phases.map((phase) => planPhase(experiment, phase, target))
  const features = planFeatures(experiment, target)
  const plans: Record<string, Plan> = {}
  for (const { phase, plan } of phases) plans[planFile(phase.name)] = plan
  for (const { feature, plan } of features) plans[feature.plan] = plan
  const first = phases[0] as PlannedPhase
  // Training says how a tensor begins (the teacher as a copy of the student); a feature plan only reads it.
  const state = new Map(
    [...features.map(({ module }) => module), ...phases.map(({ figures }) => figures)]
      .flatMap((planned) => planned.state)
      .map((tensor) => [tensor.name, tensor]),
  )
  return {
    plans,
    cost: variantCost(
      experiment,
      phases.map(({ figures }) => figures),
      null,
    ),
    runSpec: (seed) =>
      buildRunSpec(experiment, seed, {
        configIdentity: configIdentity(experiment, seed),
        protocolIdentity: (evaluation) => protocolIdentity(experiment, evaluation),
        state: [...state.values()],
        microSteps: first.figures.microSteps,
        imageGroups: first.figures.imageGroups,
        shards: isSharded(experiment) ? shardsOf(experiment) : null,
        channels: imageChannels(experiment),
        features: features.map(({ feature }) => feature),
        compared: describeStep(experiment, first.phase, first.figures.images).objectives.filter(
          (objective) => objective.kind !== 'koleo',
        ),
      }),
  }
}

/** One phase as it is before any pass. */
export function lowerPhase(experiment: ResolvedExperiment, phase: Phase): Module {
  return lowerTrainStep(experiment, phase, imagesPerMicroBatch(experiment))
}

/** What the training plans cost. Phases that plan alike are planned once, whichever variants they belong to. */
export function planVariant(
  experiment: ResolvedExperiment,
  target: CompileTarget,
  trainingImages: number | null,
): VariantCost {
  const known = figured.get(target) ?? new Map<string, PhaseFigures>()
  figured.set(target, known)
  const phases = experiment.schedule.phases.map((phase) => {
    const form = figuresForm(experiment, phase)
    const figures = known.get(form) ?? planPhase(experiment, phase, target, { figuresOnly: true }).figures
    known.set(form, figures)
    return figures
  })
  return variantCost(experiment, phases, trainingImages)
}
const figured = new WeakMap<CompileTarget, Map<string, PhaseFigures>>()

/**
 * All that the figures of a phase may depend on, as text: everything but names, places, data, what is measured, and
 * values that change from step to step without changing what a step computes.
 */
function figuresForm(experiment: ResolvedExperiment, phase: Phase): string {
  const { name, variant, grid, description, provenance, ...named } = experiment
  const { data, sources, curations, augment, eval: evaluations, visualize, ...seen } = named
  const { checkpoint, report, seeds, primary, schedule, teacher, keep, ...rest } = seen
  const { name: phaseName, length, lr, weightDecay, teacherTemp, momentum, keepMomentum, ...planned } = phase
  return JSON.stringify([
    rest,
    planned,
    [schedule.batch, schedule.microBatch, imageChannels(experiment)],
    // What trains in some phase and not in another lies in a buffer of its own.
    schedule.phases.map(({ freeze }) => freeze),
    [teacher.type === 'ema' ? teacher.type : teacher, keep !== null],
  ])
}

function planPhase(
  experiment: ResolvedExperiment,
  phase: Phase,
  target: CompileTarget,
  options: Pick<PassOptions, 'figuresOnly'> = {},
): PlannedPhase {
  const images = imagesPerMicroBatch(experiment)
  const lowered = lowerPhase(experiment, phase)
  const { module } = optimizePhase(experiment, lowered, target, options)
  const step = describeStep(experiment, phase, images)
  const expected = expectedRows(step)
  const work = modelFlops(lowered, expected)
  const modelFlopsPerStep = totalFlops(work) * lowered.microSteps
  const { dropPath } = experiment.backbone
  const plan = placed(module, target, { images, modelFlopsPerStep })
  const figures: PhaseFigures = {
    images,
    microSteps: module.microSteps,
    state: lowered.state,
    memory: planMemory(plan),
    communication: communication(module, isSharded(experiment)),
    modelFlops: work,
    executedFlops: executedFlops(module),
    groups: [step.global, ...(step.local === null ? [] : [step.local])].map((crop) => ({
      name: crop.group,
      count: crop.count,
      length: cropTokens(crop, experiment.backbone),
    })),
    maskedRows: 'masked_rows' in expected ? { expected: expected.masked_rows, bound: step.maskedRows } : null,
    imageGroups: step.imageGroups,
    subsetRates: dropPath.form === 'subset' ? dropRates(experiment.backbone) : [],
  }
  return { phase, module, plan, figures }
}

/** A lowered step through the passes that the experiment asks for; what this version lacks is planned as off. */
export function optimizePhase(
  experiment: ResolvedExperiment,
  lowered: Module,
  target: CompileTarget,
  options: Pick<PassOptions, 'afterPass' | 'measure' | 'verifyEach' | 'figuresOnly' | 'shard'> = {},
): { module: Module; trace: readonly PassEffect[] } {
  const { hardware, optimize: asked } = experiment
  const { pack, fuse, precision, recompute } = asked
  const divide = hardware.ranks > 1 ? sharding({ mode: hardware.shard, shards: shardsOf(experiment) }) : null
  return optimize(lowered, {
    pack,
    fuse,
    precision,
    recompute: recompute === 'auto' ? memoryLimit(experiment, target, divide) : recompute,
    shard: divide,
    capabilities: target.capabilities,
    ...options,
  })
}

/** The plan of a phase, and of the last module that `recompute = auto` tried, which is most often the same. */
function placed(module: Module, target: PlanTarget, work: PlannedWork): Plan {
  const key = module.functions[module.entries[0] as string] as Func
  const others = [target.class, target.arenaLimitBytes, module.functions[module.entries[1] as string]]
  const last = lastPlaced.get(key)
  const plan = last?.others.every((other, i) => other === others[i])
    ? last.plan
    : buildPlan(module, target, work)
  lastPlaced.set(key, { others, plan })
  return { ...plan, images: work.images, modelFlopsPerStep: work.modelFlopsPerStep }
}
const lastPlaced = new WeakMap<Func, { others: readonly unknown[]; plan: Plan }>()

const isSharded = ({ hardware }: ResolvedExperiment): boolean =>
  hardware.ranks > 1 && hardware.shard === 'fsdp'

/** Where nobody states a budget, everything fits: nothing is computed twice. */
function memoryLimit(
  experiment: ResolvedExperiment,
  target: CompileTarget,
  divide: (PassOptions['shard'] & {}) | null,
): MemoryLimit | 'off' {
  // Ranks on one machine share what it has.
  const share = target.memoryBytes && Math.floor(target.memoryBytes / experiment.hardware.ranks)
  const budgetBytes = memoryBudget(experiment) ?? share
  if (budgetBytes === null) return 'off'
  // A device that allocates for itself needs no less than arenas would.
  const arenas = { class: 'arena', arenaLimitBytes: target.arenaLimitBytes } as const
  const peakBytes = (module: Module) => {
    const plan = placed(divide?.(module) ?? module, arenas, { images: 0, modelFlopsPerStep: 0 })
    const { arenaBytes, stateBytes } = allocated(plan)
    return arenaBytes + stateBytes
  }
  return { budgetBytes, peakBytes, aliveBytes: (module) => aliveBytes(divide?.(module) ?? module) }
}

/** Images of one run of `accumulate` on one rank. */
export function imagesPerMicroBatch(experiment: ResolvedExperiment): number {
  const perRank = Math.max(1, Math.floor(experiment.schedule.batch / experiment.hardware.ranks))
  return experiment.schedule.microBatch ?? perRank
}

/** Where iBOT reads masked patches: their expected number in a micro-batch. */
function expectedRows(step: StepShape): { masked_rows: number } | Record<never, never> {
  const compares = step.objectives.some((o) => o.kind === 'ibot' && o.loss.on === 'masked_patches')
  if (!compares || step.masking === null) return {}
  const patches = patchesOf(step.global, step.student.backbone)
  return { masked_rows: expectedMaskedRows(step.masking, step.global.count, patches) }
}

/** One plan for each network and resolution that an evaluation asks for. */
function planFeatures(
  experiment: ResolvedExperiment,
  target: CompileTarget,
): { feature: FeaturePlan; module: Module; plan: Plan }[] {
  const wanted = new Map(
    Object.values(experiment.eval).map(({ of, resolution }) => [
      featureName(of, resolution),
      { of, resolution },
    ]),
  )
  return [...wanted].map(([name, { of, resolution }]) => {
    const batch = featureBatch(experiment, resolution)
    const lowered = lowerFeatures(experiment, of, resolution, batch)
    const { module } = optimizePhase(inFloat32(experiment), lowered, target, { shard: null })
    const plan = buildPlan(module, target, {
      images: batch,
      modelFlopsPerStep: totalFlops(modelFlops(lowered, {})),
    })
    return { feature: { name, plan: planFile(name), of, resolutionPx: resolution, batch }, module, plan }
  })
}

/** Features are compared in their last digits: evaluations run in float32 whatever training multiplies (decision 31). */
const inFloat32 = (experiment: ResolvedExperiment): ResolvedExperiment => ({
  ...experiment,
  optimize: { ...experiment.optimize, precision: 'float32' },
})

/** As many images as make some 4,000 tokens, at most 64: enough for products, and less memory than most steps take. */
function featureBatch(experiment: ResolvedExperiment, resolution: number): number {
  const tokens = (resolution / experiment.backbone.patch) ** 2 + 1 + experiment.backbone.registers
  return Math.max(1, Math.min(64, Math.ceil(4096 / tokens)))
}
