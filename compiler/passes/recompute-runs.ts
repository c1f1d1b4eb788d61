import { tensorBytes } from '../ir/bytes.js'
import type { AnyOp, Func, ValueId } from '../ir/types.js'
import { blockOf } from './fuse-neighbours.js'
import { openDraft, withOperands } from './rewrite.js'

/** A function as recomputation sees it: which of its forward may run again, and what backward wants of it. */
export interface Forward {
  readonly func: Func
  readonly runs: readonly Run[]
  /** By value: the run that makes it; undefined outside blocks. */
  readonly runOf: readonly (Run | undefined)[]
  /** By value, 1: kept in any case, for another run's forward reads it, or it is a result of the function. */
  readonly fixed: Uint8Array
  /** By value, 1: an op of backward reads it. */
  readonly wanted: Uint8Array
  /** By value; 0 for state, which is there in any case. */
  readonly bytes: Float64Array
}

/** One pass through a block: forward ops that hang together. Without packing there is one for each size of crop. */
export interface Run {
  readonly block: string
  /** Positions in the function, ascending. */
  readonly at: number[]
}

export function forwardOf(func: Func): Forward {
  const { runs, runOf } = forwardRuns(func)
  const fixed = new Uint8Array(func.values.length)
  const wanted = new Uint8Array(func.values.length)
  for (const op of func.ops) {
    const own = runOf[op.results[0]!]
    for (const id of op.operands) {
      if (id === null) continue
      if (op.stage === 'backward') wanted[id] = 1
      else if (runOf[id] !== own) fixed[id] = 1
    }
  }
  for (const result of func.results) fixed[result.value] = 1
  const bytes = Float64Array.from(func.values, ({ type }) => tensorBytes(type))
  for (const { value, source } of func.params) if (source.kind !== 'input') bytes[value] = 0
  return { func, runs, runOf, fixed, wanted, bytes }
}

function forwardRuns(func: Func): Pick<Forward, 'runs' | 'runOf'> {
  const runOf = new Array<Run | undefined>(func.values.length).fill(undefined)
  const runs: Run[] = []
  for (const [i, op] of func.ops.entries()) {
    const block = op.stage === 'forward' ? blockOf(op.module) : ''
    if (block === '') continue
    let run: Run | undefined
    for (const id of op.operands) {
      const other = id === null ? undefined : runOf[id]
      if (other === undefined || other.block !== block || other === run) continue
      if (run === undefined) {
        run = other
        continue
      }
      // Two runs meet in this op: they were one.
      for (const k of other.at) for (const result of func.ops[k]!.results) runOf[result] = run
      run.at.push(...other.at.splice(0))
      run.at.sort((a, b) => a - b)
    }
    if (run === undefined) {
      run = { block, at: [] }
      runs.push(run)
    }
    run.at.push(i)
    for (const id of op.results) runOf[id] = run
  }
  return { runs: runs.filter(({ at }) => at.length > 0), runOf }
}

/** The part of a run that what backward wants and `kept` lacks follows from, starting at what is kept. */
export function opsToRepeat({ func, wanted, runOf }: Forward, run: Run, kept: Uint8Array): AnyOp[] {
  const needed = new Set<ValueId>()
  const repeat: AnyOp[] = []
  for (const i of run.at.toReversed()) {
    const op = func.ops[i]!
    if (!op.results.some((id) => kept[id] === 0 && (wanted[id] === 1 || needed.has(id)))) continue
    repeat.push(op)
    for (const id of op.operands) if (id !== null && runOf[id] === run) needed.add(id)
  }
  return repeat.reverse()
}

/** Before the first op of backward that reads what a run made and `kept` (by value, 1) lacks, that part runs again. */
export function repeatUnkept(forward: Forward, kept: Uint8Array): Func {
  const { func, runOf } = forward
  const draft = openDraft(func)
  /** By value: its second computation. */
  const again = new Map<ValueId, ValueId>()
  const now = (id: ValueId | null) => (id === null ? null : (again.get(id) ?? id))
  const done = new Set<Run>()
  const repeatFirst = (id: ValueId) => {
    const run = kept[id] === 0 ? runOf[id] : undefined
    if (run === undefined || done.has(run)) return
    done.add(run)
    for (const first of opsToRepeat(forward, run, kept)) {
      const operands = first.operands.map(now)
      const results = first.results.map((result) => {
        const { type, name } = func.values[result]!
        const copy = draft.value(type, name)
        if (kept[result] === 0) again.set(result, copy)
        return copy
      })
      draft.keep({ ...first, operands, results, stage: 'recompute' } as AnyOp)
    }
  }
  for (const op of func.ops) {
    if (op.stage !== 'backward') {
      draft.keep(op)
      continue
    }
    for (const id of op.operands) if (id !== null) repeatFirst(id)
    draft.keep(op.operands.some((id) => now(id) !== id) ? withOperands(op, op.operands.map(now)) : op)
  }
  return draft.close()
}
