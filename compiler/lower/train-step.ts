import type { Func, Module, ValueId } from '../ir/types.js'
import type { Phase, ResolvedExperiment } from '../resolve/resolved.js'
import { handOverCenter, moveCenter } from './centers.js'
import { ema } from './ema.js'
import { accumulated, type Inputs, openEntry } from './entry.js'
import { handOverMeasures, type Measure, takeMeasures } from './measures.js'
import { f32 } from './network.js'
import { lowerLosses, lowerTargets } from './objectives.js'
import { adamw, clipBySubmodule, gradientName, trainedParameters } from './optimizer.js'
import { openProjections } from './projections.js'
import { stepState } from './state.js'
import { describeStep, spanOf } from './step.js'
import { seeCrops } from './views.js'

/** Outputs for tests against recorded numbers; training asks for none. */
export interface Exposed {
  readonly gradients?: boolean
  readonly logits?: boolean
}

/**
 * One step of training (train/ssl_meta_arch.py, train/train.py) as two programs. `accumulate` sees one micro-batch:
 * teacher, targets, student, losses, gradients. `update`, once a step: clip, AdamW, averages, centers.
 */
export function lowerTrainStep(
  experiment: ResolvedExperiment,
  phase: Phase,
  imagesPerMicroBatch: number,
  exposed: Exposed = {},
): Module {
  const step = describeStep(experiment, phase, imagesPerMicroBatch)
  const { microSteps } = step
  const trained = trainedParameters(step.student, phase, step.masksStudent)
  const inputs: Inputs = new Map()
  const functions: Record<string, Func> = {}

  const a = openEntry('accumulate', inputs, functions)
  const project = openProjections(a, exposed.logits === true)

  // The teacher sees the global crops whole; what it makes of them is the target.
  a.b.span = spanOf(experiment, 'teacher')
  const teacher = seeCrops(a, step, step.teacher)
  a.sink('output', 'features.cls', teacher.cls)
  const targets = lowerTargets(a, step, teacher, project)

  // The student sees them masked, and the local crops.
  a.b.span = spanOf(experiment, 'backbone')
  const student = seeCrops(a, step, step.student)
  const { terms, health } = lowerLosses(a, step, student, targets, project)

  a.b.module = 'loss'
  const total = a.b.one(
    'weighted_sum',
    terms.map((term) => term.value),
    { coefficients: terms.map(() => 1) },
  )
  a.b.module = 'student'
  const parameters = trained.map((p) => student.weights(`${p.part}.${p.name}`))
  const gradients = a.b.op('grad', [total, ...parameters], { seed: 1 / (microSteps * step.ranks) })

  // Each micro-batch is what a rank would see: gradients, losses and batch centers are averaged.
  for (const [i, p] of trained.entries()) {
    const gradient = gradients[i] as ValueId
    if (exposed.gradients) a.sink('output', gradientName(p), gradient)
    accumulated(a, microSteps, gradientName(p), gradient, 'sum', 'hand over')
  }
  const measures: Measure[] = [...terms, { name: 'total', value: total }].map((term) => ({
    name: `loss.${term.name}`,
    value: term.value,
  }))
  for (const { name, entropy, usage, overMasked } of health)
    measures.push(
      { name: `entropy.${name}`, value: entropy, overMasked },
      { name: `usage.${name}`, value: usage, overMasked },
    )
  const measured = handOverMeasures(a, step, measures)
  for (const target of targets) handOverCenter(a, microSteps, target)
  a.finish()

  const u = openEntry('update', inputs, functions)
  u.b.stage = 'update'
  const loss = takeMeasures(u, step, measured)
  u.b.span = spanOf(experiment, 'optimizer')
  const parts = clipBySubmodule(
    u,
    trained.map((p) => ({ parameter: p, value: u.carried(gradientName(p), f32(...p.shape)) })),
    experiment.optimizer.clip,
  )
  u.b.module = 'update'
  const finite = u.b.one('finite', [loss, ...parts.map((p) => p.norm)], {})
  u.sink('metric', 'finite', finite)
  const updated = adamw(u, parts, finite, step.student.backbone, experiment.optimizer)
  if (!step.frozenTeacher) ema(u, step.teacher, updated, finite)
  if (step.keep !== null) ema(u, step.keep, updated, finite)
  for (const target of targets) moveCenter(u, step, target, finite)
  u.finish()

  return {
    name: `${experiment.name}.${experiment.variant}/${phase.name}`,
    functions,
    entries: ['accumulate', 'update'],
    state: stepState(experiment, step),
    inputs: [...inputs.values()],
    microSteps,
  }
}
