import { centerName } from '../../../compiler/lower/centers.js'
import { optimizerGroup, trainedParameters } from '../../../compiler/lower/optimizer.js'
import { describeStep } from '../../../compiler/lower/step.js'
import { lowerTrainStep } from '../../../compiler/lower/train-step.js'
import type {
  Backbone,
  Centering,
  Head,
  Phase,
  ResolvedExperiment,
} from '../../../compiler/resolve/resolved.js'
import { maskRows } from '../../../runtime/data/masking.js'
import type { Device } from '../../../runtime/devices/device.js'
import { type Loaded, load } from '../execute.js'
import { bareExperiment } from '../experiment.js'
import { type Fixture, type FixtureTensor, get, type Json, number, numbers, record } from '../fixture.js'
import type { Report } from '../report.js'
import { backboneOf, plainName } from './forward.js'

type Tensors = ReadonlyMap<string, FixtureTensor>

/** 10: a whole training step, its gradients and weights, and the losses of a few steps in a row. */
export async function checkStep(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const { experiment, phase, images, steps, initial, scheduled, inputs } = stepsOf(fixture)
  const step = describeStep(experiment, phase, images)
  const trained = trainedParameters(step.student, phase, step.masksStudent)

  await checkLogits(fixture, device, report, experiment, initial, inputs)

  const run = await load(device, lowerTrainStep(experiment, phase, images, { gradients: true }), initial)
  const losses = lossNames(experiment)
  for (let i = 0; i < steps; i++) {
    await run.run(inputs(run, i))
    await checkTrajectory(fixture, report, run, experiment, losses, i)
    if (i > 0) continue
    const names = new Set(trained.map((p) => `${p.part}.${p.name}`))
    const without = numbersOrNames(fixture.json.params_without_gradient)
    report.that(
      'params_without_gradient',
      without.every((name) => !names.has(plainName(name))),
      `expected ${without}`,
    )
    for (const tensor of fixture.tensors.values()) {
      const name = plainName(tensor.name)
      if (name.startsWith('step0.grad.'))
        report.tensor(tensor, await run.output(`grad.student.${name.slice('step0.grad.'.length)}`))
      else if (name.startsWith('step0.after.')) {
        const actual = await run.state.read(name.slice('step0.after.'.length))
        report.bounded(
          tensor.name,
          tensor.data,
          actual,
          afterBound(fixture, report, experiment, scheduled(0), tensor),
        )
      }
    }
    await checkNorms(fixture, report, run, experiment, 'after_step0_weight_l2_norm', [scheduled(0)])
  }
  await checkNorms(
    fixture,
    report,
    run,
    experiment,
    `after${steps}_weight_l2_norm`,
    Array.from({ length: steps }, (_, i) => scheduled(i)),
  )
  for (const loss of ['dino', 'ibot']) {
    const center = fixture.tensors.get(`center.${loss}.after${steps}`)
    if (center !== undefined) report.tensor(center, await run.state.read(centerName(loss)))
  }
  await run.close()
}

/**
 * How far a loss may be off where products multiply bf16. KoLeo is the logarithm of distances, which passes through 0
 * where they are near 1: there 2 % of the distance are 2 % of its weight.
 */
const bf16Tolerance = (name: string, experiment: ResolvedExperiment) => ({
  relative: 0.02,
  absolute: name === 'koleo_loss' ? 0.02 * (experiment.loss.koleo?.weight ?? 0) : 5e-6,
})

/** 10, with products in bf16: the losses of the recorded steps. */
export async function checkStepBf16(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const { experiment, phase, images, steps, initial, inputs } = stepsOf(fixture)
  const module = lowerTrainStep(experiment, phase, images)
  const run = await load(device, module, initial, { precision: 'bf16' })
  const losses = lossNames(experiment)
  const { loss_dict, total_loss_backpropagated } = record(fixture.json.trajectory)
  for (let i = 0; i < steps; i++) {
    await run.run(inputs(run, i))
    const metrics = await run.metrics()
    const scalar = (name: string, expected: unknown, metric: string, factor: number) => {
      const actual = (metrics[metric]?.[0] ?? Number.NaN) * factor
      report.scalar(`step ${i} ${name}`, number(expected), actual, bf16Tolerance(name, experiment))
    }
    for (const [name, expected] of Object.entries(record((loss_dict as unknown[])[i]))) {
      const { metric, factor } = losses[name] ?? { metric: name, factor: 1 }
      scalar(name, expected, metric, factor)
    }
    scalar('total', (total_loss_backpropagated as unknown[])[i], 'loss.total', 1)
  }
  await run.close()
}

/** The experiment of a case, and what its steps begin with and read. */
function stepsOf(fixture: Fixture) {
  const common = commonOf(fixture)
  const experiment = experimentOf(fixture, common.json)
  const phase = experiment.schedule.phases[0] as Phase
  const initial = (name: string) => common.weights.get(plainName(name))?.data
  const values = record(fixture.config.schedule_values_per_step)
  const scheduled = (i: number): StepValues => ({
    lr: numbers(values.lr)[i] as number,
    last_layer_lr: numbers(values.last_layer_lr)[i] as number,
    weight_decay: numbers(values.wd)[i] as number,
    momentum: numbers(values.momentum)[i] as number,
    teacher_temp: numbers(values.teacher_temp)[i] as number,
  })
  const inputs = (run: Loaded, i: number) => ({
    ...stepInputs(common.tensors, `step${i}.`, run, experiment),
    ...scalars(scheduled(i)),
    adam_step: [i + 1],
  })
  const steps = numbers(values.lr).length
  return { experiment, phase, images: experiment.schedule.batch, steps, initial, scheduled, inputs }
}

interface StepValues {
  readonly lr: number
  readonly last_layer_lr: number
  readonly weight_decay: number
  readonly momentum: number
  readonly teacher_temp: number
}

export const scalars = (values: object): Record<string, number[]> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, [value as number]]))

/** Initial weights by our names, the inputs of the steps, and the JSON beside them. */
export function commonOf(fixture: Fixture): { weights: Tensors; tensors: Tensors; json: Json } {
  const file = String(fixture.config.common_file)
  const tensors = fixture.other(file)
  const weights = new Map([...tensors].map(([name, tensor]) => [plainName(name), tensor]))
  return { weights, tensors, json: fixture.otherJson(file) }
}

/** The case in our terms. Heads that are shared are tied. */
export function experimentOf(fixture: Fixture, common: Json): ResolvedExperiment {
  const { config } = fixture
  const shared = record(common.config)
  const heads = record(shared.heads)
  const crops = record(shared.crops)
  const ibot = record(heads.ibot)
  const images = number(crops.batch)
  const vit = record(shared.vit)
  const backbone: Backbone = backboneOf(vit)
  const centering: Centering =
    config.centering === 'centering'
      ? { type: 'softmax', momentum: 0.9 }
      : { type: 'sinkhorn', iterations: 3 }
  const [min, max] = numbers(ibot.mask_ratio_min_max) as [number, number]
  const adamw = record(config.adamw)
  const base = bareExperiment({
    batch: images,
    backbone,
    crops: {
      global: { count: 2, size: number(crops.global_size), scale: { min: 0.32, max: 1 } },
      local: {
        count: number(crops.n_local, 0),
        size: number(crops.local_size, 1),
        scale: { min: 0.05, max: 0.32 },
      },
    },
    masking: {
      type: 'block',
      probability: number(ibot.mask_sample_probability),
      ratio: { min, max },
      aspect: { min: 0.3, max: 1 / 0.3 },
      minPatches: 4,
      apply: true,
    },
    head: {
      dino: mlpHead(record(heads.dino), config.dino_head_prototypes),
      ibot:
        config.separate_head === true
          ? mlpHead(ibot, config.ibot_head_prototypes)
          : { type: 'tied', to: 'dino' },
    },
    loss: {
      dino: {
        type: 'dino',
        on: 'cls',
        head: 'dino',
        weight: number(config.dino_loss_weight),
        studentTemp: 0.1,
        centering,
      },
      ibot: {
        type: 'ibot',
        on: 'masked_patches',
        head: 'ibot',
        weight: number(config.ibot_loss_weight),
        studentTemp: 0.1,
        centering,
      },
      koleo: {
        type: 'koleo',
        on: 'cls',
        weight: number(config.koleo_loss_weight),
        crops: 'both',
        scope: { type: 'rank' },
      },
    },
  })
  return {
    ...base,
    optimizer: {
      ...base.optimizer,
      betas: [number(adamw.beta1), number(adamw.beta2)],
      eps: number(adamw.eps),
      clip: config.clip_grad === null ? null : number(config.clip_grad),
      layerDecay: number(config.layerwise_decay),
      patchEmbedLr: number(config.patch_embed_lr_mult),
    },
  }
}

function mlpHead(config: Json, prototypes: unknown): Head {
  return {
    type: 'mlp',
    prototypes: number(prototypes, number(config.head_n_prototypes, 0)),
    hidden: number(config.head_hidden_dim),
    bottleneck: number(config.head_bottleneck_dim),
    layers: number(config.head_nlayers),
  }
}

/** Crops and masks of a step, rows of masked patches as a plan wants them. */
export function stepInputs(
  tensors: Tensors,
  prefix: string,
  run: Loaded,
  experiment: ResolvedExperiment,
): Record<string, ArrayLike<number>> {
  const masks = get(tensors, `${prefix}masks`)
  const weights = get(tensors, `${prefix}masks_weight`).data
  const local = tensors.get(`${prefix}local_crops`)
  const inputs: Record<string, ArrayLike<number>> = {
    global: get(tensors, `${prefix}global_crops`).data,
    ...(local !== undefined && { local: local.data }),
    mask: masks.data,
    masked_rows: [weights.length],
  }
  const bound = describeStep(
    experiment,
    experiment.schedule.phases[0] as Phase,
    experiment.schedule.batch,
  ).maskedRows
  for (const { name, generator } of run.inputs) {
    if (generator.kind === 'mask_weights')
      inputs[name] = Float32Array.from({ length: bound }, (_, i) => weights[i] ?? 0)
    if (generator.kind === 'mask_rows')
      inputs[name] = maskRows(
        masks.data as Uint8Array,
        generator.patches,
        generator.prefix,
        new Int32Array(bound),
      )
  }
  return inputs
}

/** What the losses read, from a run of its own that hands it out. */
async function checkLogits(
  fixture: Fixture,
  device: Device,
  report: Report,
  experiment: ResolvedExperiment,
  initial: (name: string) => ArrayLike<number> | undefined,
  inputs: (run: Loaded, i: number) => Record<string, ArrayLike<number>>,
): Promise<void> {
  const phase = experiment.schedule.phases[0] as Phase
  const module = lowerTrainStep(experiment, phase, experiment.schedule.batch, { logits: true })
  const run = await load(device, module, initial)
  await run.run(inputs(run, 0))
  const outputs: Record<string, string> = {
    student_global_logits: 'logits.student.dino_global',
    student_local_logits: 'logits.student.dino_local',
    student_masked_patch_logits: 'logits.student.ibot',
    teacher_cls_probs: 'targets.dino',
    teacher_masked_patch_probs: 'targets.ibot',
  }
  for (const tensor of fixture.tensors.values()) {
    const output = outputs[tensor.name.replace('step0.', '')]
    if (output === undefined) continue
    const actual = Array.from(await run.output(output))
    // Stored reversed: crop 1 first. Bounded buffers have room behind the real rows.
    if (output === 'targets.dino')
      report.tensor(tensor, [...actual.slice(actual.length / 2), ...actual.slice(0, actual.length / 2)])
    else report.tensor(tensor, actual.slice(0, tensor.data.length))
  }
  await run.close()
}

/** Our metric, and what the reference displays of it: KoLeo and iBOT halved, DINO and iBOT without their weight. */
export function lossNames(
  experiment: ResolvedExperiment,
): Record<string, { metric: string; factor: number }> {
  const { dino, ibot } = experiment.loss
  return {
    dino_local_crops_loss: { metric: 'loss.dino_local', factor: 1 / (dino?.weight ?? 1) },
    dino_global_crops_loss: { metric: 'loss.dino_global', factor: 1 / (dino?.weight ?? 1) },
    koleo_loss: { metric: 'loss.koleo', factor: 0.5 },
    ibot_loss: { metric: 'loss.ibot', factor: 0.5 / (ibot?.weight || 1) },
  }
}

async function checkTrajectory(
  fixture: Fixture,
  report: Report,
  run: Loaded,
  experiment: ResolvedExperiment,
  losses: ReturnType<typeof lossNames>,
  i: number,
): Promise<void> {
  const trajectory = record(fixture.json.trajectory)
  const tolerance = record(fixture.json.trajectory_tolerance)
  const relative = numbers(tolerance.suggested_relative_per_step)[i] as number
  const metrics = await run.metrics()
  const scalar = (name: string, expected: unknown, actual: number | undefined) =>
    report.scalar(`step ${i} ${name}`, number(expected), actual ?? Number.NaN, { relative, absolute: 5e-6 })
  const at = (key: string) => (trajectory[key] as unknown[])[i]
  for (const [name, expected] of Object.entries(record(at('loss_dict')))) {
    const { metric, factor } = losses[name] ?? { metric: name, factor: 1 }
    scalar(name, expected, (metrics[metric]?.[0] ?? Number.NaN) * factor)
  }
  scalar('total', at('total_loss_backpropagated'), metrics['loss.total']?.[0])
  for (const [part, expected] of Object.entries(record(at('grad_norm_before_clip')))) {
    const norm = metrics[`grad_norm.${part}`]?.[0] ?? Number.NaN
    scalar(`grad norm ${part}`, expected, norm)
    const coefficient = record(at('clip_coefficient'))[part]
    const clip = experiment.optimizer.clip ?? Number.POSITIVE_INFINITY
    if (coefficient !== undefined) scalar(`clip ${part}`, coefficient, Math.min(1, clip / (norm + 1e-6)))
  }
}

/** An element whose gradient is rounding noise moves by up to lr whichever way: 2.1 lr there (fixtures' README). */
function afterBound(
  fixture: Fixture,
  report: Report,
  experiment: ResolvedExperiment,
  values: StepValues,
  tensor: FixtureTensor,
): (i: number) => number {
  const name = plainName(tensor.name.slice('step0.after.'.length))
  const { tiny, reach } = noise(fixture, experiment, values, name)
  return (i) => {
    const listed = report.factor * (tensor.atol + tensor.rtol * Math.abs(tensor.data[i] as number))
    return tiny(i) ? Math.max(listed, reach) : listed
  }
}

/** Of a student's or teacher's tensor: which elements have a tiny clipped gradient, and how far noise moves those. */
function noise(fixture: Fixture, experiment: ResolvedExperiment, values: StepValues, name: string) {
  const [role, part = '', ...rest] = name.split('.')
  const own = rest.join('.')
  const group = optimizerGroup({ part, name: own }, experiment.backbone, experiment.optimizer)
  const lr = (group.lastLayer ? values.last_layer_lr : values.lr) * group.lrMultiplier
  const reach = 2.1 * lr * (role === 'student' ? 1 : 1 - values.momentum)
  const clipped = record((record(fixture.json.trajectory).clip_coefficient as unknown[] | undefined)?.[0])
  const coefficient = number(clipped[part], 1)
  const gradient = [...fixture.tensors.values()].find(
    (t) => plainName(t.name) === `step0.grad.${part}.${own}`,
  )
  const tiny = (i: number) => Math.abs((gradient?.data[i] as number) * coefficient) < 1e-6
  return { tiny, reach, count: gradient?.data.filter((_, i) => tiny(i)).length ?? 0 }
}

/** Norms of all weights after some steps; noise may have moved the elements without a gradient each time. */
async function checkNorms(
  fixture: Fixture,
  report: Report,
  run: Loaded,
  experiment: ResolvedExperiment,
  key: string,
  steps: readonly StepValues[],
): Promise<void> {
  for (const [recorded, expected] of Object.entries(record(fixture.json[key]))) {
    const name = plainName(recorded)
    // Heads that a case does not use are recorded with it all the same.
    if (!run.state.names.includes(name)) continue
    const actual = Math.hypot(...(await run.state.read(name)))
    const moved = steps.reduce((sum, values) => {
      const { reach, count } = noise(fixture, experiment, values, name)
      return sum + reach * Math.sqrt(count)
    }, 0)
    report.scalar(`${key} ${recorded}`, number(expected), actual, {
      relative: 2e-5 * steps.length,
      absolute: moved / report.factor,
    })
  }
}

function numbersOrNames(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}
