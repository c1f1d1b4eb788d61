import type { Plan, StateSpec } from '../../compiler/plan/plan.js'
import type { RunSpec, RunState } from '../../compiler/plan/run-spec.js'
import type { EvaluationImages } from '../../runtime/data/evaluation-images.js'
import type { Device, HostTensor } from '../../runtime/devices/device.js'
import type { RunEvent } from '../../runtime/events.js'
import type { Job, RunData, Settings } from '../../runtime/job.js'

/**
 * A run whose "network" is one vector, on a "device" that needs no kernels: everything around the arithmetic is the
 * real thing. The update is w = 0.9 w + x, where x depends on the step alone, and m counts updates since its reset.
 */
const tensor = (name: string, role: RunState['role'], size: number): RunState => ({
  ...{ name, dtype: 'f32', shape: [size], storedShape: [1, size], role },
  init: { kind: 'normal', std: 1, key: name },
})

export interface Wishes {
  readonly steps?: number
  readonly every?: number
  readonly keep?: number
  readonly evaluateEvery?: number | null
  readonly evaluations?: readonly string[]
  readonly monitors?: RunSpec['monitors']
  readonly seed?: number
  readonly config?: string
}

export function pretendJob(wishes: Wishes = {}): Job {
  const time = (value: number) => ({ value, unit: 'step' as const })
  const steps = wishes.steps ?? 12
  const lr = { pieces: [{ kind: 'cosine' as const, from: 1, to: 0, over: null }] }
  const phase = (name: string, length: number, resetMoments: boolean): RunSpec['phases'][number] => ({
    ...{ name, plan: `plan-${name}.json`, length: time(length), resolutionPx: 8, localResolutionPx: 4 },
    ...{ patchPx: 4, resetMoments, freezeLastLayer: time(1) },
    schedules: Object.fromEntries(
      ['lr', 'weight_decay', 'teacher_temp', 'momentum'].map((s) => [s, { schedule: lr, compress: null }]),
    ),
  })
  const source = (name: string) => ({ kind: 'source' as const, source: name, splits: null })
  const spec = {
    ...{ format: 'dinoc-run-spec', version: 1, numericsVersion: 1, experiment: 'pretend', variant: 'full' },
    ...{ seed: wishes.seed ?? 0, configIdentity: wishes.config ?? 'config', device: 'pretend', threads: 1 },
    ...{
      loaders: 1,
      ranks: 1,
      batch: { images: 4, microSteps: 2, imageGroups: 1 },
      crops: [],
      channels: 1,
      masking: null,
    },
    augment: { mean: [0.5], std: [0.25] },
    state: [tensor('student.w', 'student', 3), tensor('m.student.w', 'moment', 3)],
    phases: [phase('pretrain', steps - 4, true), phase('hires', 4, true)],
    data: { train: source('train'), sources: {} },
    epoch: time(4),
    features: [{ name: 'features', plan: 'features.json', of: 'teacher', resolutionPx: 8, batch: 2 }],
    evaluations: (wishes.evaluations ?? ['knn']).map((name) => ({
      name,
      protocol: {
        ...{ type: 'knn' as const, train: source('train'), test: source('test'), of: 'teacher' as const },
        ...{ resolution: 8, k: [1], temperature: 0.07 },
        every: wishes.evaluateEvery === null ? null : time(wishes.evaluateEvery ?? 4),
      },
      protocolIdentity: `protocol of ${name}`,
      features: 'features',
    })),
    monitors: wishes.monitors ?? [],
    checkpoint: { every: time(wishes.every ?? 3), keep: wishes.keep ?? 2 },
    provenance: {},
  } as unknown as RunSpec
  const plan = (name: string, programs: readonly string[]): Plan =>
    ({
      ...{
        name,
        images: 2,
        microSteps: 2,
        inputs: [{ name: 'images', tensor: 0, program: programs[0], generator: { kind: 'images' } }],
      },
      programs: programs.map((p) => ({ name: p, steps: [] })),
    }) as unknown as Plan
  return {
    spec,
    plans: {
      'plan-pretrain.json': plan('pretrain', ['accumulate', 'update']),
      'plan-hires.json': plan('hires', ['accumulate', 'update']),
      'features.json': plan('features', ['forward']),
    },
    resolved: { name: 'pretend' },
  }
}

/** `poison`: the step whose loss is not a number. */
export function pretendDevice(options: { isa?: string; poison?: () => number | null } = {}): Device {
  const memory = new Map<string, Float32Array>()
  return {
    name: 'pretend',
    targetClass: 'arena',
    capabilities: () => ({
      ...{ class: 'arena', has: new Set<string>(), arenaLimitBytes: null, memoryBytes: null },
      ...{ description: 'pretend', isa: options.isa ?? 'paper' },
    }),
    async state(spec: StateSpec) {
      for (const t of spec.tensors) memory.set(t.name, new Float32Array(t.shape[0]!))
      return {
        names: [...memory.keys()],
        read: async (name) => memory.get(name)!.slice(),
        write: async (name, values: HostTensor) => void memory.get(name)!.set(values as Float32Array),
        close: async () => {},
      }
    },
    async load(plan) {
      let inputs: Record<string, HostTensor> = {}
      let sum = 0
      let metrics: Record<string, HostTensor> = {}
      const w = memory.get('student.w')!
      const m = memory.get('m.student.w')!
      return {
        async writeInputs(values) {
          inputs = { ...inputs, ...values }
        },
        async run(program) {
          await new Promise((resolve) => setTimeout(resolve, 0))
          if (program === 'accumulate') sum += inputs.x![0]!
          if (program !== 'update') return
          const bad = options.poison?.() === inputs.step![0]
          const finite = bad ? 0 : 1
          if (finite) for (let i = 0; i < w.length; i++) w[i] = 0.9 * w[i]! + sum * (i + 1)
          if (finite) for (let i = 0; i < m.length; i++) m[i]! += 1
          const total = bad ? Number.NaN : w[0]! + m[0]!
          metrics = {
            'loss.ibot': Float32Array.of(total),
            'loss.total': Float32Array.of(total),
            'grad_norm.backbone': Float32Array.of(sum),
            'entropy.dino': Float32Array.of(inputs.step![0]!),
            'usage.dino': Float32Array.of(0.5, 0.5),
            finite: Float32Array.of(finite),
          }
          sum = 0
        },
        metrics: async () => metrics,
        async output() {
          const images = inputs.images as Float32Array
          const each = images.length / plan.images
          return Float32Array.from({ length: plan.images * 3 }, (_, i) => {
            const image = Math.floor(i / 3)
            return images[image * each + (i % 3)]! * w[i % 3]! + w[(i + 1) % 3]!
          })
        },
        close: async () => {},
      }
    },
    close: async () => {},
  }
}

function imageSet(name: string, count: number): EvaluationImages {
  const pixels = (images: readonly number[], px: number): Float32Array =>
    Float32Array.from({ length: images.length * px * px }, (_, i) => {
      const image = images[Math.floor(i / (px * px))]!
      return Math.sin(image * 7 + (i % (px * px)) + name.length)
    })
  return {
    identity: `images of ${name}`,
    names: Array.from({ length: count }, (_, i) => `${name}/${i}.png`),
    labels: Int32Array.from({ length: count }, (_, i) => (i === 3 ? -1 : i % 2)),
    classes: ['a', 'b'],
    groups: null,
    read: async (images, px) => pixels(images, px),
    thumbnails: async (images, px) => pixels(images, px),
  }
}

export function pretendData(opened: (step: number) => void = () => {}): RunData {
  return {
    identity: 'data',
    trainingImages: 16,
    async open(_, from) {
      opened(from)
      let step = from
      return {
        async next() {
          const x = (index: number) => Math.sin(step * 3 + index)
          const batch = {
            micro: [{ x: Float32Array.of(x(0)) }, { x: Float32Array.of(x(1)) }],
            step: { step: Float32Array.of(step) },
            maskedRows: step,
          }
          step++
          return batch
        },
        close: async () => {},
      }
    },
    images: async (reference) => {
      if (reference.kind !== 'source') throw new Error('a source')
      return imageSet(reference.source, reference.source === 'train' ? 9 : 5)
    },
    close: async () => {},
  }
}

/** `stopAt`: from this step on somebody wants to stop. */
export function pretendSettings(
  runsRoot: string,
  wishes: { device?: Device; data?: RunData; stopAt?: number; mode?: Settings['mode'] } = {},
): Settings & { events: RunEvent[] } {
  const events: RunEvent[] = []
  let step = 0
  return {
    events,
    ...{ runsRoot, mode: wishes.mode ?? 'train', threads: 1, loaders: 1, evaluationImages: null },
    command: 'dinoc run pretend.dino',
    openDevice: async () => wishes.device ?? pretendDevice(),
    openData: async () => wishes.data ?? pretendData(),
    stopping: () => wishes.stopAt !== undefined && step >= wishes.stopAt,
    emit(event) {
      events.push(event)
      if (event.type === 'step') step = event.line.step + 1
    },
  }
}
