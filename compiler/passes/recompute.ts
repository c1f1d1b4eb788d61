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
  /** By value: the block whose forward makes it; '' for all others. */
  const blockOfValue = new Array<string>(func.values.length).fill('')
  const forward = new Map<string, AnyOp[]>()
  for (const op of func.ops) {
    if (op.stage !== 'forward') continue
    const block = blockOf(op.module)
    if (block === '') continue
    const ops = forward.get(block)
    if (ops === undefined) forward.set(block, [op])
    else ops.push(op)
    for (const id of op.results) blockOfValue[id] = block
  }
  // Kept: what forward ops outside the block read, and results of the function.
  const kept = new Uint8Array(func.values.length)
  for (const op of func.ops) {
    if (op.stage === 'backward') continue
    const own = op.stage === 'forward' ? blockOf(op.module) : ''
    for (const id of op.operands) if (id !== null && blockOfValue[id] !== own) kept[id] = 1
  }
  for (const result of func.results) kept[result.value] = 1

  const draft = openDraft(func)
  /** By value: its second computation. */
  const again = new Map<ValueId, ValueId>()
  const now = (id: ValueId | null) => (id === null ? null : (again.get(id) ?? id))
  const done = new Set<string>()
  const needsAgain = (id: ValueId | null): id is ValueId =>
    id !== null && blockOfValue[id] !== '' && kept[id] === 0
  const needed = neededByBackward(func, needsAgain)
  for (const op of func.ops) {
    if (op.stage !== 'backward' || !op.operands.some(needsAgain)) {
      draft.keep(op)
      continue
    }
    for (const id of op.operands) {
      if (!needsAgain(id)) continue
      const block = blockOfValue[id]!
      if (done.has(block)) continue
      done.add(block)
      for (const first of opsToRepeat(forward.get(block)!, needed, kept)) {
        const operands = first.operands.map(now)
        const results = first.results.map((result) => {
          const copy = draft.value(func.values[result]!.type, func.values[result]!.name)
          if (kept[result] === 0) again.set(result, copy)
          return copy
        })
        draft.keep({ ...first, operands, results, stage: 'recompute' } as AnyOp)
      }
    }
    draft.keep(withOperands(op, op.operands.map(now)))
  }
  return draft.close()
}

function neededByBackward(func: Func, needsAgain: (id: ValueId | null) => id is ValueId): Set<ValueId> {
  const needed = new Set<ValueId>()
  for (const op of func.ops)
    if (op.stage === 'backward') for (const id of op.operands) if (needsAgain(id)) needed.add(id)
  return needed
}

/** The part of a block's forward that the needed values follow from, starting at what is kept. */
function opsToRepeat(ops: readonly AnyOp[], needed: Set<ValueId>, kept: Uint8Array): AnyOp[] {
  const repeat: AnyOp[] = []
  for (let i = ops.length - 1; i >= 0; i--) {
    const op = ops[i]!
    if (!op.results.some((id) => needed.has(id))) continue
    repeat.push(op)
    for (const id of op.operands) if (id !== null && kept[id] === 0) needed.add(id)
  }
  return repeat.reverse()
}
