import { describe, expect, it } from 'vitest'
import { lowerFeatures } from '../../compiler/lower/features.js'
import { lowerTrainStep } from '../../compiler/lower/train-step.js'
import { tinyExperiment } from '../golden/experiment.js'

describe('lowerTrainStep', () => {
  it('names its programs, inputs and metrics', () => {
    const experiment = tinyExperiment()
    const module = lowerTrainStep(experiment, experiment.schedule.phases[0]!, 3)
    expect(module.entries).toEqual(['accumulate', 'update'])
    expect(module.inputs.map((i) => i.name)).toMatchInlineSnapshot(`
      [
        "global",
        "teacher_temp",
        "masked_rows",
        "mask_rows",
        "mask",
        "local",
        "mask_weights",
        "adam_step",
        "weight_decay",
        "lr",
        "last_layer_lr",
        "momentum",
      ]
    `)
    const metrics = Object.values(module.functions).flatMap((f) =>
      f.results.flatMap((r) => (r.sink.kind === 'metric' ? [r.sink.name] : [])),
    )
    expect(metrics).toMatchInlineSnapshot(`
      [
        "loss.dino_local",
        "loss.dino_global",
        "loss.ibot",
        "loss.koleo",
        "loss.total",
        "entropy.dino",
        "usage.dino",
        "entropy.ibot",
        "usage.ibot",
        "grad_norm.backbone",
        "grad_norm.dino_head",
        "grad_norm.ibot_head",
        "finite",
      ]
    `)
    expect(lowerFeatures(experiment, 'teacher', 24, 2, [0]).functions.forward?.results.length).toBe(4)
  })
})
