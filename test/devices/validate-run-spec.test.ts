import { describe, expect, test } from 'vitest'
import { checkFile, compileVariant } from '../../compiler/compile.js'
import type { RunSpec } from '../../compiler/plan/run-spec.js'
import { numericsVersion } from '../../compiler/plan/run-spec.js'
import { nodeHost } from '../../compiler/resolve/host.js'
import { openInterpret } from '../../runtime/devices/interpret.js'
import { validatePlan } from '../../runtime/devices/validate.js'
import { validateRunSpec } from '../../runtime/devices/validate-run-spec.js'
import { faultsOf } from '../support/faults.js'

const steps = (value: number) => ({ value, unit: 'step' as const })

/** A run spec of one phase, by hand, so that a change of the form shows here. */
const spec: RunSpec = {
  format: 'dinoc-run-spec',
  version: 1,
  numericsVersion,
  experiment: 'tiny',
  variant: 'full',
  seed: 0,
  configIdentity: 'abc',
  device: 'interpret',
  threads: null,
  loaders: 2,
  ranks: 1,
  shards: null,
  state: [
    {
      name: 'student.w',
      dtype: 'f32',
      shape: [4, 3],
      storedShape: [4, 3, 1],
      role: 'student',
      init: { kind: 'trunc_normal', std: 0.02, key: 'w' },
    },
    {
      name: 'teacher.w',
      dtype: 'f32',
      shape: [4, 3],
      storedShape: [4, 3, 1],
      role: 'teacher',
      init: { kind: 'copy', of: 'student.w' },
    },
  ],
  phases: [
    {
      name: 'pretrain',
      plan: 'plan-pretrain.json',
      length: { value: 2, unit: 'epoch' },
      resolutionPx: 32,
      localResolutionPx: 16,
      patchPx: 4,
      resetMoments: false,
      schedules: {
        lr: {
          schedule: {
            pieces: [
              { kind: 'warmup', from: 0, to: 1e-3, over: steps(10) },
              { kind: 'cosine', from: 1e-3, to: 1e-6, over: null },
            ],
          },
          compress: { from: steps(100), to: steps(10) },
        },
      },
      freezeLastLayer: steps(0),
    },
  ],
  batch: { images: 8, microSteps: 1, imageGroups: 1 },
  crops: [{ group: 'global', count: 2, scale: { min: 0.32, max: 1 } }],
  channels: 3,
  augment: {
    aspect: { min: 0.75, max: 1.333 },
    flip: 0.5,
    jitter: { probability: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
    grayscale: 0.2,
    blur: { probability: [1, 0.1, 0.5], kernel: 9, sigma: { min: 0.1, max: 2 } },
    solarize: { probability: [0, 0.2, 0], threshold: 128 },
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  },
  masking: {
    type: 'block',
    probability: 0.5,
    ratio: { min: 0.1, max: 0.5 },
    aspect: { min: 0.3, max: 3.3 },
    minPatches: 4,
    apply: true,
  },
  data: {
    train: { kind: 'mix', parts: [{ of: { kind: 'source', source: 'a', splits: ['train'] }, share: 1 }] },
    sources: {
      a: {
        type: 'folder',
        path: 'images',
        labels: null,
        split: { kind: 'hash', shares: { train: 0.9, test: 0.1 }, by: null },
        background: null,
        channels: 3,
        anything: { else: true },
      },
    },
  },
  epoch: steps(100),
  features: [{ name: 'features', plan: 'features.json', of: 'teacher', resolutionPx: 32, batch: 16 }],
  evaluations: [
    {
      name: 'knn',
      protocol: {
        type: 'knn',
        train: null,
        test: { kind: 'source', source: 'a', splits: null },
        of: 'teacher',
        resolution: 32,
        every: null,
        k: [10, 20],
        temperature: 0.07,
      },
      protocolIdentity: 'def',
      features: 'features',
    },
  ],
  monitors: [
    {
      name: 'collapse',
      metric: 'entropy.dino',
      below: null,
      above: 6.2,
      from: steps(100),
      patience: 10,
      action: 'warn',
      explanation: 'ln K = 6.238 for 512 prototypes',
    },
  ],
  checkpoint: { every: steps(100), keep: 2 },
  provenance: { 'backbone.width': 'a.dino:1:1' },
}

const faults = (change: Partial<Record<keyof RunSpec | 'extra', unknown>>) =>
  faultsOf(() => validateRunSpec(JSON.parse(JSON.stringify({ ...spec, ...change }))))

describe('validateRunSpec', () => {
  test('accepts a run spec as JSON', () => {
    expect(validateRunSpec(JSON.parse(JSON.stringify(spec)))).toEqual(spec)
  })

  test('accepts what the compiler makes', () => {
    const { experiments } = checkFile('experiments/quickstart.dino', nodeHost(), {
      set: [],
      params: {},
      env: {},
    })
    const { has } = openInterpret().capabilities()
    const target = { class: 'arena', capabilities: has, arenaLimitBytes: null, memoryBytes: null } as const
    for (const { resolved } of experiments[0]?.variants ?? []) {
      const compiled = compileVariant(resolved, target)
      expect(faultsOf(() => validateRunSpec(JSON.parse(JSON.stringify(compiled.runSpec(1)))))).toEqual([])
      for (const plan of Object.values(compiled.plans))
        expect(faultsOf(() => validatePlan(JSON.parse(JSON.stringify(plan))))).toEqual([])
    }
  })

  test('refuses another form or version', () => {
    expect(faults({ version: 2 })).toEqual(['DINO0821: this run spec is of version 2, expected 1'])
    expect(faults({ numericsVersion: numericsVersion + 1 })).toEqual([
      `DINO0821: the numerics of this run spec is of version ${numericsVersion + 1}, expected ${numericsVersion}`,
    ])
    expect(faults({ seed: 'x' })).toEqual(['DINO0820: run spec: /seed: must be integer'])
    expect(faults({ batch: { images: 8 } })).toEqual([
      "DINO0820: run spec: /batch: must have required property 'microSteps'",
    ])
    expect(faults({ extra: 1 })).toEqual(['DINO0820: run spec: the document: has an unknown field extra'])
  })

  test('refuses names that refer to nothing', () => {
    const [student, teacher] = spec.state
    expect(faults({ state: [teacher] })).toEqual([
      'DINO0825: run spec tiny.full: teacher.w: is a copy of student.w, which is no state tensor',
    ])
    expect(faults({ state: [student, { ...student, storedShape: [5] }] })).toEqual([
      'DINO0825: run spec tiny.full: student.w: shape [4,3] and stored shape [5] differ in size',
      'DINO0825: run spec tiny.full: student.w: two state tensors have this name',
    ])
    expect(faults({ features: [] })).toEqual([
      'DINO0825: run spec tiny.full: knn: expected a feature plan, found features',
    ])
    expect(faults({ phases: [spec.phases[0], spec.phases[0]] })).toEqual([
      'DINO0825: run spec tiny.full: pretrain: two phases have this name',
    ])
  })
})
