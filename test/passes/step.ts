import type { Data } from '../../compiler/ir/interpret.js'
import { interpretEntry } from '../../compiler/ir/interpret.js'
import type { AnyOp, HostInput, Module, StateTensor } from '../../compiler/ir/types.js'
import { lowerTrainStep } from '../../compiler/lower/train-step.js'
import type { MemoryLimit } from '../../compiler/passes/recompute.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { tinyBackbone, tinyExperiment } from '../golden/experiment.js'

/** A whole training step at a size where float64 in TypeScript takes milliseconds, and numbers to run it on. */
export function tinyStep(overrides: Parameters<typeof tinyExperiment>[0] = {}, rate = 0, images = 3): Module {
  const experiment = tinyExperiment({
    backbone: { ...tinyBackbone, dropPath: { shape: 'uniform', from: rate, to: rate, form: 'subset' } },
    ...overrides,
  })
  return lowered(experiment, images)
}

export function lowered(experiment: ResolvedExperiment, images: number): Module {
  const phase = experiment.schedule.phases[0]
  if (phase === undefined) throw new Error('an experiment without phases')
  return lowerTrainStep(experiment, phase, images, { gradients: true })
}

/** A limit for `recompute` that is met once that many ops run again; where there are fewer, all that can do. */
export function repeating(ops: number): MemoryLimit {
  const fewer = (module: Module) => -repeatedOps(module).length
  return { budgetBytes: -ops, peakBytes: fewer, aliveBytes: fewer }
}

export const repeatedOps = (module: Module): readonly AnyOp[] =>
  module.entries.flatMap((name) => module.functions[name]!.ops.filter(({ stage }) => stage === 'recompute'))

/** Numbers in [0, 1) that depend on the name alone, so that modules whose inputs are cut differently see the same. */
export function drawn(name: string): () => number {
  let state = 2166136261
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 16777619)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const size = (shape: readonly number[]) => shape.reduce((n, s) => n * s, 1)

export function stateValue(tensor: StateTensor): Float64Array {
  const next = drawn(tensor.name)
  const count = size(tensor.type.shape)
  if (tensor.role === 'moment')
    return Float64Array.from({ length: count }, () => (tensor.name.startsWith('v.') ? 1e-3 : 0.01) * next())
  const around = tensor.name.includes('norm') && tensor.name.endsWith('weight') ? 1 : 0
  return Float64Array.from({ length: count }, () => around + 0.6 * (next() - 0.5))
}

export interface Choices {
  /** Masked patches that are real. */
  readonly rows: number
  readonly firstMicroStep: boolean
  readonly step: number
}

export function inputValue(input: HostInput, choices: Choices): Data {
  const { generator, type } = input
  const next = drawn(`${input.name}/${choices.step}`)
  const count = size(type.shape)
  const numbers = (value: (i: number) => number) => Float64Array.from({ length: count }, (_, i) => value(i))
  switch (generator.kind) {
    case 'crops':
    case 'images':
      return numbers(() => 2 * next() - 1)
    case 'mask':
      return Int32Array.from({ length: count }, (_, i) => (i % 3 === 0 ? 1 : 0))
    case 'mask_rows': {
      const { prefix, patches } = generator
      return Int32Array.from({ length: count }, (_, i) => {
        const patch = 2 * i + 1
        return Math.floor(patch / patches) * (prefix + patches) + prefix + (patch % patches)
      })
    }
    case 'mask_weights':
      return numbers(() => 0.25 + next())
    case 'row_count':
      return Int32Array.of(choices.rows)
    case 'kept_subset': {
      let first = 0
      const positions: number[] = []
      for (const { name, count: of, kept } of generator.groups) {
        const draw = drawn(`${generator.site}/${name}/${choices.step}`)
        const order = Array.from({ length: of }, (_, i) => ({ i, at: draw() })).sort((a, b) => a.at - b.at)
        positions.push(...order.slice(0, kept).map(({ i }) => first + i))
        first += of
      }
      return Int32Array.from(positions)
    }
    case 'keep_factors': {
      const factors: number[] = []
      for (const { name, count: of } of generator.groups) {
        const draw = drawn(`${generator.site}/${name}/${choices.step}`)
        for (let i = 0; i < of; i++) factors.push(draw() < generator.rate ? 0 : 1 / (1 - generator.rate))
      }
      return Float64Array.from(factors)
    }
    case 'schedule': {
      const values: Readonly<Record<string, number>> = {
        momentum: 0.9,
        teacher_temp: 0.2,
        weight_decay: 0.04,
      }
      return Float64Array.of(values[generator.name] ?? 1e-2)
    }
    case 'adam_step':
      return Int32Array.of(3)
    case 'first_micro_step':
      return Float64Array.of(choices.firstMicroStep ? 1 : 0)
    case 'labels':
      return Int32Array.from({ length: count }, () => Math.floor(next() * 3))
    default:
      return generator satisfies never
  }
}

export const initialState = (module: Module): Record<string, Data> =>
  Object.fromEntries(module.state.map((tensor) => [tensor.name, stateValue(tensor)]))

export const inputValues = (inputs: readonly HostInput[], choices: Choices): Record<string, Data> =>
  Object.fromEntries(inputs.map((input) => [input.name, inputValue(input, choices)]))

/** Everything that a step leaves behind, by kind and name: `metric loss.koleo`, `state student.backbone.cls_token`. */
export type StepOutcome = Readonly<Record<string, Data>>

/** One whole step on the oracle: every program, the first one `microSteps` times. */
export function runStep(module: Module, rows = 5): StepOutcome {
  let state: Readonly<Record<string, Data>> = initialState(module)
  let carried: Readonly<Record<string, Data>> = {}
  const outcome: Record<string, Data> = {}
  module.entries.forEach((entry, e) => {
    const runs = e === 0 ? module.microSteps : 1
    for (let i = 0; i < runs; i++) {
      const inputs = inputValues(module.inputs, { rows, firstMicroStep: i === 0, step: i })
      const after = interpretEntry(module, entry, { state, carried, inputs })
      state = after.state
      carried = after.carried
      for (const [name, data] of Object.entries(after.metrics)) outcome[`metric ${name}`] = data
      for (const [name, data] of Object.entries(after.outputs)) outcome[`output ${name}`] = data
    }
  })
  for (const [name, data] of Object.entries(state)) outcome[`state ${name}`] = data
  return outcome
}

/**
 * The largest difference of two outcomes, each tensor's relative to its own largest element. State is left out where
 * `state` is false: AdamW divides rounding noise by its own size.
 */
export function distance(a: StepOutcome, b: StepOutcome, state = true): { name: string; relative: number } {
  const names = Object.keys(a).filter((name) => state || !name.startsWith('state '))
  const others = Object.keys(b).filter((name) => state || !name.startsWith('state '))
  if ([...names].sort().join() !== [...others].sort().join())
    return { name: 'different names', relative: Number.POSITIVE_INFINITY }
  let worst = { name: '', relative: 0 }
  for (const name of names) {
    const [x, y] = [a[name]!, b[name]!]
    if (x.length !== y.length) return { name, relative: Number.POSITIVE_INFINITY }
    let largest = 1e-12
    let most = 0
    x.forEach((value, i) => {
      largest = Math.max(largest, Math.abs(value))
      const difference = Math.abs(value - y[i]!)
      if (!(difference <= most)) most = difference
    })
    if (!(most / largest <= worst.relative)) worst = { name, relative: most / largest }
  }
  return worst
}
