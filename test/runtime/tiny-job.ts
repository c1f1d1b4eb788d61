import { join } from 'node:path'
import type { Module } from '../../compiler/ir/types.js'
import { lowerFeatures } from '../../compiler/lower/features.js'
import { lowerTrainStep } from '../../compiler/lower/train-step.js'
import { optimize } from '../../compiler/passes/pipeline.js'
import { buildPlan } from '../../compiler/plan/build.js'
import { buildRunSpec, featureName, planFile } from '../../compiler/plan/build-run-spec.js'
import type { Plan } from '../../compiler/plan/plan.js'
import type { ResolvedExperiment, Source } from '../../compiler/resolve/resolved.js'
import type { Device } from '../../runtime/devices/device.js'
import type { Job } from '../../runtime/job.js'
import { writePictures } from '../data/small-run.js'
import { barePhase, tinyExperiment } from '../golden/experiment.js'

/** A folder with `count` small pictures of each of three classes. */
export async function pictures(root: string, count: number): Promise<Source> {
  const names = ['a', 'b', 'c'].flatMap((c) => Array.from({ length: count }, (_, i) => `${c}/${i}.png`))
  await writePictures(root, names)
  return {
    ...{ type: 'folder', path: root, labels: null, background: 'white', channels: 3 },
    split: { kind: 'hash', shares: { train: 0.6, test: 0.4 }, by: null },
  }
}

export interface TinyOptions {
  readonly seed?: number
  readonly microBatch?: number | null
  readonly overrides?: Partial<ResolvedExperiment>
}

/** A whole experiment at a size that the oracle trains in seconds: two phases, k-NN, real images. */
export function tinyJob(source: Source, device: Device, options: TinyOptions = {}): Job {
  const steps = (value: number) => ({ value, unit: 'step' as const })
  const split = (name: string) => ({ kind: 'source' as const, source: 'pictures', splits: [name] })
  const phase = barePhase(16, 8)
  const lr = {
    pieces: [
      { kind: 'warmup' as const, from: 0, to: 2e-3, over: steps(2) },
      { kind: 'cosine' as const, from: 2e-3, to: 1e-5, over: null },
    ],
  }
  const experiment = tinyExperiment({
    batch: 4,
    data: { train: split('train') },
    sources: { pictures: source },
    schedule: {
      ...{ batch: 4, microBatch: options.microBatch ?? null, epoch: { value: 1, unit: 'pass' as const } },
      phases: [
        { ...phase, length: steps(4), lr },
        { ...phase, name: 'hires', length: steps(2), resolution: 24, lr },
      ],
    },
    eval: {
      knn: {
        ...{ type: 'knn', train: split('train'), test: split('test'), of: 'teacher', resolution: 16 },
        ...{ every: steps(2), k: [1, 3], temperature: 0.07 },
      },
    },
    checkpoint: { every: steps(2), keep: 2 },
    ...options.overrides,
  })
  const target = { class: device.targetClass, arenaLimitBytes: device.capabilities().arenaLimitBytes }
  const capabilities = device.capabilities().has
  const images = experiment.schedule.microBatch ?? experiment.schedule.batch
  const plan = (module: Module, count: number): Plan =>
    buildPlan(
      optimize(module, { pack: true, fuse: true, precision: 'float32', recompute: 'off', capabilities })
        .module,
      target,
      {
        images: count,
        modelFlopsPerStep: 1,
      },
    )
  const steppers = experiment.schedule.phases.map((p) => lowerTrainStep(experiment, p, images))
  const features = lowerFeatures(experiment, 'teacher', 16, 4)
  const name = featureName('teacher', 16)
  const plans = Object.fromEntries([
    ...experiment.schedule.phases.map((p, i) => [planFile(p.name), plan(steppers[i]!, images)]),
    [planFile(name), plan(features, 4)],
  ])
  const spec = buildRunSpec(experiment, options.seed ?? 0, {
    configIdentity: JSON.stringify([options.overrides ?? {}, options.microBatch ?? null]),
    protocolIdentity: (evaluation) => `protocol of ${evaluation}`,
    state: steppers[0]!.state,
    microSteps: experiment.schedule.batch / images,
    imageGroups: 1,
    shards: null,
    channels: 3,
    features: [{ name, plan: planFile(name), of: 'teacher', resolutionPx: 16, batch: 4 }],
    compared: [
      { name: 'dino', prototypes: 12 },
      { name: 'ibot', prototypes: 12 },
    ],
  })
  return { spec, plans, resolved: experiment }
}

export const picturesIn = (directory: string): string => join(directory, 'pictures')
