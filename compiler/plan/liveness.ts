import { indices } from './arena.js'

/**
 * When each tensor of a plan holds its value, and which tensors share one buffer because a step computes in place.
 * Steps are numbered through all programs in order. Both ends of an interval are included: a step's operands and
 * results are alive together, unless the step writes its result over the operand.
 */
export interface TimedStep {
  /** Tensor ids; -1 where an optional operand is absent. */
  readonly operands: readonly number[]
  readonly results: readonly number[]
  /** [result position, operand position] pairs that the kernel allows to be one buffer. */
  readonly inPlace: readonly (readonly [number, number])[]
}

export interface TimedTensor {
  readonly bytes: number
  /** In an arena, so worth overwriting. */
  readonly planned: boolean
  /** Written before the first step: host inputs, and what one run of a program hands to the next. */
  readonly fromStart: boolean
  /** Read after the last step: metrics, outputs, carried tensors. */
  readonly toEnd: boolean
  /** May not be overwritten although it dies: a host input. */
  readonly keep: boolean
}

export interface Liveness {
  /** First and last step of each tensor; -1 before the first step. [0, -1] for one that nothing touches. */
  readonly start: Int32Array
  readonly end: Int32Array
  /** The tensor at the head of the chain whose buffer it uses: itself where it has its own. */
  readonly buffer: Int32Array
}

export function liveness(steps: readonly TimedStep[], tensors: readonly TimedTensor[]): Liveness {
  const count = tensors.length
  const start = new Int32Array(count).fill(steps.length)
  const end = new Int32Array(count).fill(-2)
  steps.forEach((step, i) => {
    for (const id of step.operands) if (id >= 0) touch(id, i)
    for (const id of step.results) touch(id, i)
  })
  function touch(id: number, i: number): void {
    if (i < start[id]!) start[id] = i
    if (i > end[id]!) end[id] = i
  }
  tensors.forEach((tensor, id) => {
    if (end[id] === -2) {
      start[id] = tensor.fromStart ? -1 : 0
      end[id] = -1
    }
    if (tensor.fromStart) start[id] = -1
    if (tensor.toEnd) end[id] = steps.length - 1
  })

  const buffer = indices(tensors.length)
  steps.forEach((step, i) => {
    if (step.inPlace.length === 0) return
    const taken: number[] = []
    for (const [r, o] of step.inPlace) {
      const result = step.results[r]
      const operand = step.operands[o]
      if (result === undefined || operand === undefined || operand < 0) continue
      if (buffer[result] !== result || start[result] !== i) continue
      const from = tensors[operand]!
      const to = tensors[result]!
      if (!from.planned || !to.planned || from.keep || from.toEnd || from.bytes !== to.bytes) continue
      if (end[operand] !== i || taken.includes(operand)) continue
      // Read a second time by this step, at a position that may not be overwritten while it is read.
      if (step.operands.some((id, at) => id === operand && at !== o)) continue
      buffer[result] = buffer[operand]!
      taken.push(operand)
    }
  })
  return { start, end, buffer }
}
