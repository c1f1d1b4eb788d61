import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import type { Generator } from '../../compiler/ir/types.js'
import type { Plan, PlanInput, PlanTensor } from '../../compiler/plan/plan.js'
import type { RunSpec, Source } from '../../compiler/plan/run-spec.js'
import { timeline } from '../../runtime/timeline.js'

/** A small run for tests of data: 2 global crops of 16 px, 2 local ones of 8 px, patch 4. */
export function smallSpec(changes: Partial<RunSpec> = {}): RunSpec {
  return {
    format: 'dinoc-run-spec',
    version: 1,
    numericsVersion: 1,
    experiment: 'small',
    variant: 'full',
    seed: 0,
    configIdentity: 'x',
    device: 'interpret',
    threads: null,
    loaders: null,
    ranks: 1,
    shards: null,
    state: [],
    phases: [
      {
        name: 'pretrain',
        plan: 'plan-pretrain.json',
        length: { value: 12, unit: 'step' },
        resolutionPx: 16,
        localResolutionPx: 8,
        patchPx: 4,
        resetMoments: true,
        schedules: {
          lr: { schedule: { pieces: [{ kind: 'linear', from: 0, to: 11, over: null }] }, compress: null },
        },
        freezeLastLayer: { value: 2, unit: 'step' },
      },
    ],
    batch: { images: 6, microSteps: 1, imageGroups: 1 },
    crops: [
      { group: 'global', count: 2, scale: { min: 0.32, max: 1 } },
      { group: 'local', count: 2, scale: { min: 0.05, max: 0.32 } },
    ],
    channels: 3,
    augment: {
      aspect: { min: 3 / 4, max: 4 / 3 },
      flip: 0.5,
      jitter: { probability: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
      grayscale: 0.2,
      blur: { probability: [0, 0.9, 0.5], kernel: 9, sigma: { min: 0.1, max: 2 } },
      solarize: { probability: [0, 0.2, 0], threshold: 128 },
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    },
    masking: {
      type: 'block',
      probability: 0.5,
      ratio: { min: 0.1, max: 0.5 },
      aspect: { min: 0.3, max: 1 / 0.3 },
      minPatches: 4,
      apply: true,
    },
    data: { train: { kind: 'source', source: 'pictures', splits: null }, sources: {} },
    epoch: null,
    features: [],
    evaluations: [],
    monitors: [],
    checkpoint: { every: { value: 10, unit: 'step' }, keep: 1 },
    provenance: {},
    ...changes,
  }
}

export function folderSource(path: string, changes: Partial<Source> = {}): Source {
  return {
    type: 'folder',
    path,
    labels: null,
    split: { kind: 'all', split: 'train' },
    background: 'white',
    channels: 3,
    ...changes,
  }
}

export function withFolder(path: string, changes: Partial<RunSpec> = {}): RunSpec {
  const spec = smallSpec(changes)
  return { ...spec, data: { ...spec.data, sources: { pictures: folderSource(path) } } }
}

const inputs: readonly (readonly [string, Generator, readonly number[], 'f32' | 'i32'])[] = [
  ['global', { kind: 'crops', group: 'global' }, [12, 3, 16, 16], 'f32'],
  ['local', { kind: 'crops', group: 'local' }, [12, 3, 8, 8], 'f32'],
  ['mask', { kind: 'mask' }, [12 * 16], 'i32'],
  ['rows', { kind: 'mask_rows', prefix: 1, patches: 16 }, [40], 'i32'],
  ['weights', { kind: 'mask_weights' }, [40], 'f32'],
  ['count', { kind: 'row_count' }, [], 'i32'],
  ['first', { kind: 'first_micro_step' }, [], 'i32'],
  [
    'kept',
    {
      kind: 'kept_subset',
      site: 'blocks.0.attn',
      groups: [
        { name: 'global', count: 12, kept: 9 },
        { name: 'local', count: 12, kept: 7 },
      ],
    },
    [16],
    'i32',
  ],
  [
    'factors',
    { kind: 'keep_factors', site: 'blocks.0.mlp', rate: 0.25, groups: [{ name: 'global', count: 12 }] },
    [12],
    'f32',
  ],
  ['lr', { kind: 'schedule', name: 'lr' }, [], 'f32'],
  ['last', { kind: 'schedule', name: 'last_layer_lr' }, [], 'f32'],
  ['adam', { kind: 'adam_step' }, [], 'i32'],
]

/** A plan with inputs and no programs: all that the loader reads of one. */
export function smallPlan(microSteps = 1): Plan {
  const tensors: PlanTensor[] = []
  const planInputs: PlanInput[] = []
  for (const [name, generator, full, dtype] of inputs) {
    const perMicro = name === 'global' || name === 'local' || name === 'mask'
    const shape = perMicro ? [full[0]! / microSteps, ...full.slice(1)] : full
    planInputs.push({ name, tensor: tensors.length, program: 'accumulate', generator })
    tensors.push({ id: tensors.length, name, dtype, shape, place: { kind: 'device' }, live: [-1, 0] })
  }
  return {
    format: 'dinoc-plan',
    version: 1,
    name: 'small.full/pretrain',
    target: { class: 'tensor-ops', requires: [] },
    arenas: [],
    tensors,
    inputs: planInputs,
    state: [],
    programs: [],
    microSteps,
    metrics: [],
    outputs: [],
    images: 6 / microSteps,
    modelFlopsPerStep: 0,
  }
}

export const spanOf = (spec: RunSpec) => timeline(spec, { epoch: spec.epoch, passSteps: null })[0]!

/** Small PNGs below `root`, each of its own colours. */
export async function writePictures(root: string, names: readonly string[], size = 20): Promise<void> {
  for (const [number, name] of names.entries()) {
    const data = new Uint8Array(size * size * 3)
    for (let i = 0; i < data.length; i++) data[i] = (i * (7 + number) + number * 31) % 256
    mkdirSync(dirname(join(root, name)), { recursive: true })
    const png = await sharp(data, { raw: { width: size, height: size, channels: 3 } })
      .png()
      .toBuffer()
    writeFileSync(join(root, name), png)
  }
}
