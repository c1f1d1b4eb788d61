import { networkParameters } from '../../../compiler/lower/network.js'
import { optimizerGroup } from '../../../compiler/lower/optimizer.js'
import type { MlpHead } from '../../../compiler/lower/parameters.js'
import type { Schedule, SchedulePiece, Time } from '../../../compiler/resolve/resolved.js'
import { curve } from '../../../runtime/schedule.js'
import { type Fixture, type Json, number, numbers, record } from '../fixture.js'
import type { Report } from '../report.js'
import { backboneOf, plainName } from './forward.js'

/** 09: schedules value by value, or the multipliers of each parameter. */
export async function checkSchedules(fixture: Fixture, _: unknown, report: Report): Promise<void> {
  if (fixture.json.groups !== undefined) checkGroups(fixture, report)
  else checkValues(fixture, report)
}

const epochs = (value: unknown): Time => ({ value: number(value), unit: 'epoch' })

/** The reference's configuration in our schedules' terms. */
function schedulesOf(config: Json): Record<string, Schedule> {
  const optim = record(config.optim)
  const teacher = record(config.teacher)
  const images = number(config.batch_size_per_gpu) * number(config.world_size)
  const peak = number(optim.base_lr) * Math.sqrt(images / 1024)
  const cosine = (from: unknown, to: unknown): SchedulePiece => ({
    kind: 'cosine',
    from: number(from),
    to: number(to),
    over: null,
  })
  return {
    lr: {
      pieces: [
        { kind: 'warmup', from: 0, to: peak, over: epochs(optim.warmup_epochs) },
        cosine(peak, optim.min_lr),
      ],
    },
    weight_decay: { pieces: [cosine(optim.weight_decay, optim.weight_decay_end)] },
    teacher_momentum: { pieces: [cosine(teacher.momentum_teacher, teacher.final_momentum_teacher)] },
    teacher_temp: {
      pieces: [
        {
          kind: 'linear',
          from: number(teacher.warmup_teacher_temp),
          to: number(teacher.teacher_temp),
          over: epochs(teacher.warmup_teacher_temp_epochs),
        },
      ],
    },
  }
}

function checkValues(fixture: Fixture, report: Report): void {
  const { config, json } = fixture
  const epoch = number(config.epoch_length)
  const optim = record(config.optim)
  const length = number(optim.epochs) * epoch
  const frozen = number(optim.freeze_last_layer_epochs) * epoch
  const schedules = schedulesOf(config)
  const clock = { epoch: { value: epoch, unit: 'step' as const }, passSteps: null }
  for (const [name, item] of Object.entries(record(json.schedules))) {
    const schedule = schedules[name === 'last_layer_lr' ? 'lr' : name]
    if (schedule === undefined) {
      report.that(name, false, 'no such schedule')
      continue
    }
    const at = curve({ schedule, compress: null }, length, clock)
    const value = (step: number) => (name === 'last_layer_lr' && step < frozen ? 0 : at(step))
    const expected = numbers(record(item).values)
    const actual = expected.map((_, step) => value(step))
    report.bounded(name, expected, actual, (i) => 1e-9 * Math.abs(expected[i] as number) + 1e-18)
    const beyond = record(record(json.beyond_end)[name])
    if (typeof beyond.iteration === 'number')
      report.scalar(`${name} beyond its end`, number(beyond.value), value(beyond.iteration), {
        relative: 1e-9,
        absolute: 1e-18,
      })
  }
}

function checkGroups(fixture: Fixture, report: Report): void {
  const { config, json } = fixture
  const backbone = backboneOf(record(config.vit))
  const head: MlpHead = { type: 'mlp', prototypes: 8, hidden: 8, bottleneck: 4, layers: 3 }
  const ours = networkParameters({
    role: 'student',
    backbone,
    channels: 3,
    heads: { dino: head, ibot: head },
  })
  const optimizer = {
    layerDecay: number(config.layerwise_decay),
    patchEmbedLr: number(config.patch_embed_lr_mult),
  }
  for (const [part, items] of Object.entries(record(json.groups))) {
    // `backbone.block_chunks2` is the backbone with other names.
    const parameters = ours.filter((p) => p.part === part.split('.')[0])
    const recorded = new Map(
      Object.entries(record(items)).map(([name, value]) => [plainName(name), record(value)]),
    )
    const names = parameters.map((p) => p.name).sort()
    report.that(
      `${part} names`,
      names.join() === [...recorded.keys()].sort().join(),
      `ours are ${names.filter((name) => !recorded.has(name))}`,
    )
    for (const parameter of parameters) {
      const expected = recorded.get(parameter.name)
      if (expected === undefined) continue
      const group = optimizerGroup(parameter, backbone, optimizer)
      const name = `${part}.${parameter.name}`
      report.scalar(`${name} lr`, number(expected.lr_multiplier), group.lrMultiplier, {
        relative: 1e-12,
        absolute: 0,
      })
      report.that(
        `${name} decay`,
        number(expected.wd_multiplier) === group.wdMultiplier,
        `${group.wdMultiplier}`,
      )
      report.that(`${name} last layer`, expected.is_last_layer === group.lastLayer, `${group.lastLayer}`)
    }
  }
}
