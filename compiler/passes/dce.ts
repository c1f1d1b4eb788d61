import type { Func, Module } from '../ir/types.js'
import { compact, dropUnreachable, mapFunctions } from './rewrite.js'

/**
 * Removes what nothing reads: ops, carried tensors that no program takes up, parameters of entries, host inputs and
 * functions.
 *
 *   %y, %pre = linear(%x, %w, %b) {activation: "gelu"}
 *   %t = make_targets(%z, %u, %v, %temp)                    nothing reads %t
 * ->
 *   %y, %pre = linear(%x, %w, %b) {activation: "gelu"}      %pre stays: a kernel gives all its results
 *
 * An op counts as read if one of its results is. Operands of called functions stay, since calls pass them by position.
 */
export function dce(module: Module): Module {
  let now = dropUnreachable(module)
  now = mapFunctions(now, withoutDeadOps)
  now = withoutUnreadCarried(now)
  return withoutUnreadInputs(now)
}

export function withoutDeadOps(func: Func): Func {
  const live = new Uint8Array(func.values.length)
  for (const result of func.results) live[result.value] = 1
  let kept = 0
  const keep = new Uint8Array(func.ops.length)
  for (let i = func.ops.length - 1; i >= 0; i--) {
    const op = func.ops[i]!
    if (!op.results.some((id) => live[id] === 1)) continue
    keep[i] = 1
    kept++
    for (const id of op.operands) if (id !== null) live[id] = 1
  }
  if (kept === func.ops.length) return func
  return compact({ ...func, ops: func.ops.filter((_, i) => keep[i] === 1) })
}

/**
 * `accumulate` need not hand on what no later program reads, unless its own next run does: sums over micro-steps are
 * carried for the metrics that they end in.
 */
function withoutUnreadCarried(module: Module): Module {
  const functions: Record<string, Func> = { ...module.functions }
  const readLater = new Set<string>()
  for (const entry of [...module.entries].reverse()) {
    const func = functions[entry]!
    const needed = new Set(readLater)
    for (;;) {
      const results = func.results.filter(({ sink }) => sink.kind !== 'carried' || needed.has(sink.name))
      const trimmed = results.length === func.results.length ? func : withoutDeadOps({ ...func, results })
      functions[entry] = trimmed
      const read = readValues(trimmed)
      const before = needed.size
      for (const { value, source } of trimmed.params)
        if (source.kind === 'carried' && read[value] === 1) {
          readLater.add(source.name)
          needed.add(source.name)
        }
      if (needed.size === before) break
    }
  }
  return { ...module, functions }
}

function withoutUnreadInputs(module: Module): Module {
  const functions: Record<string, Func> = { ...module.functions }
  const used = new Set<string>()
  for (const entry of module.entries) {
    const func = functions[entry]!
    const read = readValues(func)
    const params = func.params.filter(({ value }) => read[value] === 1)
    for (const { source } of params) if (source.kind === 'input') used.add(source.name)
    functions[entry] = params.length === func.params.length ? func : compact({ ...func, params })
  }
  const inputs = module.inputs.filter((input) => used.has(input.name))
  return { ...module, functions, inputs: inputs.length === module.inputs.length ? module.inputs : inputs }
}

function readValues(func: Func): Uint8Array {
  const read = new Uint8Array(func.values.length)
  for (const op of func.ops) for (const id of op.operands) if (id !== null) read[id] = 1
  for (const result of func.results) read[result.value] = 1
  return read
}
