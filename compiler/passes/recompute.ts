import type { AnyOp, Func, Module, ValueId } from '../ir/types.js'
import { blockOf } from './fuse-neighbours.js'
import { mapEntries, openDraft, withOperands } from './rewrite.js'

/**
 * Pass 9, `blocks`: of each block that is differentiated only the input is kept; just before its backward its forward
 * runs again, as far as backward needs it.
 *
 *   %x1 = ... block 0 from %x0 ...; ...; backward of block 0 reads %qkv, %h of its forward
 * ->
 *   %x1 = ... block 0 from %x0 ...; ...
 *   %qkv' = ..., %h' = ... again from %x0 (stage recompute); backward of block 0 reads %qkv', %h'
 *
 * What another block's forward reads (the block's output) is the next one's input: it is kept, never computed again,
 * so no recomputation reaches past its own block.
 */
export function recompute(module: Module, mode: 'off' | 'blocks'): Module {
  return mode === 'off' ? module : mapEntries(module, recomputeBlocks)
}

function recomputeBlocks(func: Func): Func {
  const { runs, runOf } = forwardRuns(func)
  if (runs.length === 0) return func
  // Kept: what forward ops outside the run read, and results of the function.
  const kept = new Uint8Array(func.values.length)
  for (const op of func.ops) {
    if (op.stage === 'backward') continue
    const own = runOf[op.results[0]!]
    for (const id of op.operands) if (id !== null && runOf[id] !== own) kept[id] = 1
  }
  for (const result of func.results) kept[result.value] = 1

  const isRepeated = (id: ValueId | null): id is ValueId =>
    id !== null && runOf[id] !== undefined && kept[id] === 0
  const needed = new Set<ValueId>()
  for (const op of func.ops)
    if (op.stage === 'backward') for (const id of op.operands) if (isRepeated(id)) needed.add(id)

  const draft = openDraft(func)
  /** By value: its second computation. */
  const again = new Map<ValueId, ValueId>()
  const now = (id: ValueId | null) => (id === null ? null : (again.get(id) ?? id))
  const done = new Set<Run>()
  for (const op of func.ops) {
    if (op.stage !== 'backward') {
      draft.keep(op)
      continue
    }
    for (const id of op.operands) {
      const run = isRepeated(id) ? runOf[id] : undefined
      if (run === undefined || done.has(run)) continue
      done.add(run)
      for (const first of opsToRepeat(func, run, needed, isRepeated)) {
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
    draft.keep(op.operands.some(isRepeated) ? withOperands(op, op.operands.map(now)) : op)
  }
  return draft.close()
}

/** One pass through a block: forward ops that hang together. Without packing there is one for each size of crop. */
interface Run {
  readonly block: string
  /** Positions in the function, ascending. */
  readonly at: number[]
}

function forwardRuns(func: Func): { runs: readonly Run[]; runOf: readonly (Run | undefined)[] } {
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
  return { runs, runOf }
}

/** The part of a run that the needed values follow from, starting at what is kept. */
function opsToRepeat(
  func: Func,
  run: Run,
  needed: Set<ValueId>,
  isRepeated: (id: ValueId | null) => id is ValueId,
): AnyOp[] {
  const repeat: AnyOp[] = []
  for (const i of run.at.toReversed()) {
    const op = func.ops[i]!
    if (!op.results.some((id) => needed.has(id))) continue
    repeat.push(op)
    for (const id of op.operands) if (isRepeated(id)) needed.add(id)
  }
  return repeat.reverse()
}
