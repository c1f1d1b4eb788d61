import { trainedParameters } from '../../../compiler/lower/optimizer.js'
import { describeStep } from '../../../compiler/lower/step.js'
import { lowerTrainStep } from '../../../compiler/lower/train-step.js'
import type { Head, Phase, ResolvedExperiment } from '../../../compiler/resolve/resolved.js'
import type { Device } from '../../../runtime/devices/device.js'
import { load } from '../execute.js'
import { constant } from '../experiment.js'
import { type Fixture, type Json, number, record } from '../fixture.js'
import type { Report } from '../report.js'
import { backboneOf, plainName } from './forward.js'
import { commonOf, experimentOf, lossNames, scalars, stepInputs } from './step.js'

/**
 * 12: a step with a larger frozen teacher and a spare average of the student. Masks choose the patches that iBOT
 * compares and replace nothing: `masking.apply = off`.
 */
export async function checkDistillStep(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const { config } = fixture
  const common = commonOf(fixture)
  const student = experimentOf(fixture, common.json)
  const experiment = distilled(student, teacherExperiment(student, config))
  const phase = experiment.schedule.phases[0] as Phase
  const images = experiment.schedule.batch
  const step = describeStep(experiment, phase, images)
  const teacher = new Map([...fixture.tensors].map(([name, tensor]) => [plainName(name), tensor]))
  const initial = (name: string) => {
    if (name.startsWith('teacher.')) return teacher.get(name)?.data
    return common.weights.get(name.replace(/^keep\./, 'student.'))?.data
  }
  const run = await load(device, lowerTrainStep(experiment, phase, images, { gradients: true }), initial)
  const { lr, last_layer_lr, wd, momentum, teacher_temp } = record(config.step_values)
  await run.run({
    ...stepInputs(common.tensors, 'step0.', run, experiment),
    ...scalars({ lr, last_layer_lr, weight_decay: wd, keep_momentum: momentum, teacher_temp }),
    adam_step: [1],
  })

  const expected = record(fixture.json.expected)
  const metrics = await run.metrics()
  const scalar = (name: string, value: unknown, actual: number) =>
    report.scalar(name, number(value), actual, { relative: 2e-5, absolute: 5e-6 })
  const losses = lossNames(experiment)
  for (const [name, value] of Object.entries(record(expected.loss_dict))) {
    const { metric, factor } = losses[name] ?? { metric: name, factor: 1 }
    scalar(name, value, (metrics[metric]?.[0] ?? Number.NaN) * factor)
  }
  scalar('total', expected.total_loss_backpropagated, metrics['loss.total']?.[0] ?? Number.NaN)
  for (const [part, value] of Object.entries(record(expected.grad_norm_before_clip)))
    scalar(`grad norm ${part}`, value, metrics[`grad_norm.${part}`]?.[0] ?? Number.NaN)

  const trained = new Set(
    trainedParameters(step.student, phase, step.masksStudent).map((p) => `${p.part}.${p.name}`),
  )
  const without = (expected.params_without_gradient as string[] | undefined) ?? []
  report.that('params_without_gradient', !without.some((name) => trained.has(name)), `expected ${without}`)
  for (const tensor of fixture.tensors.values()) {
    const name = plainName(tensor.name)
    if (name.startsWith('grad.'))
      report.tensor(tensor, await run.output(`grad.student.${name.slice('grad.'.length)}`))
    else if (name.startsWith('after.'))
      report.tensor(tensor, await run.state.read(name.replace('after.ema.', 'keep.').replace('after.', '')))
  }
  await run.close()
}

function distilled(student: ResolvedExperiment, teacher: ResolvedExperiment): ResolvedExperiment {
  const [phase] = student.schedule.phases as [Phase]
  return {
    ...student,
    teacher: {
      type: 'frozen',
      from: { kind: 'run', experiment: teacher.name, variant: 'full', resolved: teacher },
    },
    keep: { type: 'ema', momentum: constant(0.994) },
    masking: student.masking && { ...student.masking, apply: false },
    schedule: {
      ...student.schedule,
      phases: [{ ...phase, momentum: null, keepMomentum: constant(0.994) }],
    },
  }
}

function teacherExperiment(student: ResolvedExperiment, config: Json): ResolvedExperiment {
  const head = (of: Json): Head => ({
    type: 'mlp',
    prototypes: number(of.out_dim),
    hidden: number(of.hidden_dim),
    bottleneck: number(of.bottleneck_dim),
    layers: number(of.nlayers),
  })
  return {
    ...student,
    name: 'teacher',
    backbone: backboneOf(record(config.teacher_backbone)),
    head: { dino: head(record(config.teacher_dino_head)), ibot: head(record(config.teacher_ibot_head)) },
  }
}
