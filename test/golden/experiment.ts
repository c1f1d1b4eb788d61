import type { Backbone, Phase, ResolvedExperiment, Schedule } from '../../compiler/resolve/resolved.js'

/** An experiment with nothing but what a step needs, for tests that bring their own numbers. */
export function bareExperiment(
  parts: Pick<ResolvedExperiment, 'backbone' | 'crops' | 'head' | 'loss' | 'masking'> &
    Partial<ResolvedExperiment> & { readonly batch: number },
): ResolvedExperiment {
  const { batch, ...rest } = parts
  return {
    formatVersion: 1,
    name: 'bare',
    variant: 'full',
    grid: null,
    description: null,
    data: null,
    teacher: { type: 'ema', momentum: constant(0.99) },
    keep: null,
    augment: {
      aspect: { min: 0.75, max: 4 / 3 },
      flip: 0.5,
      jitter: { probability: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
      grayscale: 0.2,
      blur: { probability: [0, 0.9, 0.5], kernel: 9, sigma: { min: 0.1, max: 2 } },
      solarize: { probability: [0, 0.2, 0], threshold: 128 },
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    },
    optimizer: {
      type: 'adamw',
      betas: [0.9, 0.999],
      eps: 1e-8,
      clip: 3,
      layerDecay: 1,
      patchEmbedLr: 0.2,
      freezeLastLayer: { value: 0, unit: 'step' },
    },
    schedule: {
      batch,
      microBatch: null,
      epoch: { value: 10, unit: 'step' },
      phases: [barePhase(parts.crops.global.size, parts.crops.local.size)],
    },
    eval: {},
    visualize: {},
    optimize: { precision: 'float32', recompute: 'off', fuse: true, pack: true, memoryBudget: null },
    hardware: {
      device: 'native',
      threads: null,
      loaders: null,
      ranks: 1,
      memory: null,
      shard: 'none',
      engine: 'local',
      semantics: 'per_rank',
      groups: null,
      nodes: null,
      gpus: null,
    },
    checkpoint: { every: { value: 10, unit: 'step' }, keep: 1 },
    report: {},
    seeds: [0],
    primary: [],
    sources: {},
    curations: {},
    provenance: {},
    ...rest,
  }
}

export const constant = (value: number): Schedule => ({ pieces: [{ kind: 'constant', value, over: null }] })

export function barePhase(resolution: number, localResolution: number): Phase {
  return {
    name: 'pretrain',
    length: { value: 10, unit: 'step' },
    resolution,
    localResolution,
    lr: constant(1e-3),
    weightDecay: constant(0.04),
    teacherTemp: constant(0.05),
    momentum: constant(0.99),
    keepMomentum: null,
    optimizerState: 'reset',
    freeze: [],
  }
}

/** Width 16, depth 2: small enough that float64 in TypeScript takes milliseconds. */
export const tinyBackbone: Backbone = {
  type: 'vit',
  width: 16,
  depth: 2,
  heads: 2,
  patch: 4,
  ffn: 'mlp',
  ffnRatio: 4,
  registers: 0,
  dropPath: { shape: 'uniform', from: 0, to: 0, form: 'subset' },
  layerScale: 0.5,
  posGrid: 4,
  posInterpolation: { offset: 0.1, antialias: false },
  init: null,
}

export function tinyExperiment(
  overrides: Partial<ResolvedExperiment> & { readonly batch?: number } = {},
): ResolvedExperiment {
  const head = { type: 'mlp', prototypes: 12, hidden: 10, bottleneck: 6, layers: 3 } as const
  const sinkhorn = { type: 'sinkhorn', iterations: 3 } as const
  return bareExperiment({
    name: 'tiny',
    batch: 3,
    backbone: tinyBackbone,
    crops: {
      global: { count: 2, size: 16, scale: { min: 0.32, max: 1 } },
      local: { count: 3, size: 8, scale: { min: 0.05, max: 0.32 } },
    },
    masking: {
      type: 'block',
      probability: 0.5,
      ratio: { min: 0.1, max: 0.5 },
      aspect: { min: 0.3, max: 1 / 0.3 },
      minPatches: 4,
      apply: true,
    },
    head: { dino: head, ibot: head },
    loss: {
      dino: { type: 'dino', on: 'cls', head: 'dino', weight: 1, studentTemp: 0.1, centering: sinkhorn },
      ibot: {
        type: 'ibot',
        on: 'masked_patches',
        head: 'ibot',
        weight: 1,
        studentTemp: 0.1,
        centering: sinkhorn,
      },
      koleo: { type: 'koleo', on: 'cls', weight: 0.1, crops: 'both', scope: { type: 'rank' } },
    },
    ...overrides,
  })
}
