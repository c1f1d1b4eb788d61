import { tensorBytes } from '../../compiler/ir/bytes.js'
import { runKernel } from '../../compiler/ir/interpret.js'
import { resultTypes } from '../../compiler/ir/ops.js'
import { bf16Uses, roundToBf16, takesBf16 } from '../../compiler/ir/precision.js'
import type { KernelKind, OpAttrs, TensorType } from '../../compiler/ir/types.js'
import type { Plan, PlanTensor, Step } from '../../compiler/plan/plan.js'
import type { HostTensor } from '../../runtime/devices/device.js'
import { type Case, cases, type Operand } from './native-cases.js'

/** One case with numbers, as a plan of one step `p` whose operands are inputs and whose results are outputs. */
export interface Trial {
  readonly kind: KernelKind
  readonly name: string
  readonly plan: Plan
  /** By operand; null where absent. */
  readonly values: readonly (HostTensor | null)[]
  /** What the oracle gives. */
  readonly expected: readonly (Float64Array | Int32Array)[]
  /** How far each result may be off, in absolute terms; 0 for whole numbers. */
  readonly limits: readonly number[]
}

/** A generator that gives the same numbers everywhere (mulberry32). */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const elements = (type: TensorType) => type.shape.reduce((n, size) => n * size, 1)

export function draw({ type, fill }: Operand, next: () => number): HostTensor {
  const values = type.dtype === 'i32' ? new Int32Array(elements(type)) : new Float32Array(elements(type))
  for (let i = 0; i < values.length; i++) {
    if (typeof fill === 'object') values[i] = 'below' in fill ? Math.floor(next() * fill.below) : fill[i]!
    else if (fill === 'mask') values[i] = next() < 0.4 ? 1 : 0
    else if (fill === 'positive') values[i] = 0.05 + next()
    else values[i] = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  }
  return type.dtype === 'bf16' ? values.map(roundToBf16) : values
}

/** One op of a plan, with its attributes and operands. */
export interface Op {
  readonly kind: KernelKind
  readonly one: Case
}

const typesOf = (one: Case) => one.operands.map((o) => o?.type ?? null)
export const resultsOf = ({ kind, one }: Op) => resultTypes(kind, typesOf(one), one.attrs)

/**
 * A plan of one program, `p`, that runs ops on inputs `operand0` ... and leaves outputs `result0` ..., numbered through.
 * Each tensor has an arena of its own and no byte more, so that a sanitizer sees a step beyond it.
 */
export function planOf(ops: readonly Op[]): Plan {
  const tensors: PlanTensor[] = []
  const place = (type: TensorType, name: string, live: readonly [number, number]) => {
    const id = tensors.length
    tensors.push({ id, name, ...type, place: { kind: 'arena', arena: id, offset: 0 }, live })
    return id
  }
  const operands: number[] = []
  const outputs: number[] = []
  const end = ops.length
  const steps = ops.map((op, at): Step => {
    const { kind, one } = op
    const ins = one.operands.map((o, i) =>
      o ? place(o.type, `operand${operands.length + i}`, [-1, end]) : -1,
    )
    const outs = resultsOf(op).map((type, i) => place(type, `result${outputs.length + i}`, [at, end]))
    operands.push(...ins)
    outputs.push(...outs)
    const where = { module: 'test', stage: 'forward', span: null }
    return { op: kind, operands: ins, results: outs, attrs: one.attrs, ...where } as Step
  })
  return {
    format: 'dinoc-plan',
    version: 1,
    name: `kernel ${ops.map(({ kind }) => kind).join(', ')}`,
    target: { class: 'arena', requires: [...new Set(ops.map(({ kind }) => `op:${kind}`))] },
    arenas: tensors.map((t) => ({ bytes: tensorBytes(t) })),
    tensors,
    inputs: operands.flatMap((tensor, i) =>
      tensor < 0 ? [] : [{ name: `operand${i}`, tensor, program: 'p', generator: { kind: 'images' } }],
    ),
    state: [],
    programs: [{ name: 'p', steps }],
    microSteps: 1,
    metrics: [],
    outputs: outputs.map((tensor, i) => ({ name: `result${i}`, tensor })),
    images: 1,
    modelFlopsPerStep: 0,
  }
}

/** Kernels that round what they multiply, probabilities and the like, inside: by 2^-9 of each, which adds up. */
const roundsInside: readonly KernelKind[] = [
  'attention',
  'attention_grad',
  'prototype_cross_entropy_grad',
  'streamed_cross_entropy_grad',
]

/** How far a result may be off, as a share of its largest element. A number may round to either neighbour: by 2^-8. */
function share(kind: KernelKind, one: Case, result: TensorType): number {
  const stored = result.dtype === 'bf16' ? 2 ** -8 : 0
  const inside =
    roundsInside.includes(kind) && one.operands.some((o) => o?.type.dtype === 'bf16') ? 2 ** -7 : 0
  return 1e-5 * (one.slack ?? 1) + stored + inside
}

export const wide = (values: HostTensor | null) =>
  values instanceof Float32Array ? Float64Array.from(values) : (values as Int32Array | null)

function trialOf(kind: KernelKind, one: Case, name: string, number: number): Trial {
  const next = random(1 + number)
  const values = one.operands.map((o) => o && draw(o, next))
  const results = resultsOf({ kind, one })
  const expected = runKernel(kind, values.map(wide), typesOf(one), one.attrs, results)
  const limits = expected.map((data, r) => {
    if (data instanceof Int32Array) return 0
    let largest = one.floor ?? 1e-3
    for (const value of data) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value))
    return share(kind, one, results[r]!) * largest
  })
  return { kind, name, plan: planOf([{ kind, one }]), values, expected, limits }
}

export const kinds = Object.keys(cases) as readonly KernelKind[]

/** A case with bf16 wherever the kernel takes it, and written where `stored`. */
function inBf16(kind: KernelKind, one: Case, stored: boolean): Case {
  return {
    ...one,
    attrs: stored ? ({ ...one.attrs, storage: 'bf16' } as OpAttrs[KernelKind]) : one.attrs,
    operands: one.operands.map((o, i) =>
      o !== null && takesBf16(kind, i) ? { ...o, type: { ...o.type, dtype: 'bf16' } } : o,
    ),
  }
}

/** Every case of a kernel, with the oracle's results; again in bf16 where it has that. */
export function trials(kind: KernelKind): readonly Trial[] {
  const uses = kind === 'cast' ? undefined : bf16Uses[kind]
  return (cases[kind] as readonly Case[]).flatMap((one, i) => [
    trialOf(kind, one, `${kind} ${i}`, i),
    ...(uses === undefined ? [] : [trialOf(kind, inBf16(kind, one, false), `${kind} ${i}, bf16 in`, i)]),
    ...(uses?.writes === undefined
      ? []
      : [trialOf(kind, inBf16(kind, one, true), `${kind} ${i}, bf16 in and out`, i)]),
  ])
}
