import type {
  AnyOp,
  Func,
  Module,
  OpAttrs,
  OpKind,
  ShardBuffer,
  Shards,
  StateTensor,
  ValueId,
} from '../ir/types.js'
import { definitions, mapEntries } from './rewrite.js'
import { gatherParameters } from './shard-gather.js'
import { openWithout, type Parts, paramsOf, partsOf } from './shard-parts.js'

/**
 * Pass 10: state divided over ranks. Of each flat buffer a rank holds its part; whoever reads the tensors gathers them
 * once in a program, a block ahead of their first use; gradients are summed into parts as soon as the last of a buffer is
 * there; the update is that of the parts, for it is element by element.
 *
 *   %g1 = ...; %g2 = ...                                    -> carried grad.a, grad.b
 *   %a2, %m2, %v2 = adamw(%a, %ga, ...); ... = adamw(%b, %gb, ...)
 * ->
 *   %a, %b = all_gather(%part) {ranks: 2, shapes: [[384, 128], [128]]}        before the block ahead of their readers
 *   %s = reduce_scatter(%g1, %g2) {ranks: 2, shape: [24640]}                  -> carried grad.student.backbone/0
 *   %part2, %m2, %v2 = adamw(%part, %s, ...)
 *
 * `none`: every rank holds everything, and gradients are summed as they are before the update. Of several modules of one
 * step what they share is divided once.
 */
export interface ShardOptions {
  readonly mode: 'fsdp' | 'none'
  readonly shards: Shards
}

export function sharding({ shards, mode }: ShardOptions): (module: Module) => Module {
  const parts = partsOf(shards)
  const known = new WeakMap<Func, Func>()
  const divide = (func: Func, [accumulate, update]: readonly string[]): Func => {
    if (mode === 'none') return func.name === update ? sumGradients(func, parts) : func
    if (func.name === accumulate) return scatterGradients(gatherParameters(func, parts), parts)
    return func.name === update ? updateParts(func, parts) : func
  }
  return (module) => {
    const divided = mapEntries(module, (func) => {
      const now = known.get(func) ?? divide(func, module.entries)
      known.set(func, now)
      return now
    })
    return mode === 'none' ? divided : { ...divided, state: dividedState(module.state, parts) }
  }
}

function dividedState(state: readonly StateTensor[], { of }: Parts): StateTensor[] {
  const seen = new Set<ShardBuffer>()
  return state.flatMap((tensor): StateTensor[] => {
    const buffer = of.get(tensor.name)
    if (buffer === undefined) return [tensor]
    if (seen.has(buffer)) return []
    seen.add(buffer)
    const { role, optimizer } = tensor
    return [
      {
        name: buffer.name,
        type: { dtype: 'f32', shape: [buffer.length] },
        storedShape: [buffer.length],
        role,
        init: { kind: 'zeros' },
        ...(optimizer && { optimizer }),
      },
    ]
  })
}

const gradientOf = (name: string) => `grad.${name}`
const placeOf = ({ stage, span }: AnyOp, module: string) => ({ module, stage, span })

/** In `accumulate`: the sum over ranks of each buffer's gradients, of which a rank keeps its part. */
function scatterGradients(func: Func, { ranks, buffers }: Parts): Func {
  const makers = definitions(func)
  const position = new Map(func.ops.map((op, i) => [op, i]))
  const handed = new Map<string, ValueId>()
  for (const { value, sink } of func.results) if (sink.kind === 'carried') handed.set(sink.name, value)
  const trained = buffers.filter(({ tensors }) => handed.has(gradientOf(tensors[0]!.name)))
  const gone = new Set(trained.flatMap(({ tensors }) => tensors.map(({ name }) => gradientOf(name))))

  /** Whose parameters were gathered in bf16: their gradients are exchanged in it as well, and added up in float32. */
  const half = new Set(
    func.ops.flatMap((op) =>
      op.kind === 'all_gather' && func.values[op.results[0]!]!.type.dtype === 'bf16' ? [op.module] : [],
    ),
  )

  const { draft, results } = openWithout(func, gone)
  const dropped = new Set<AnyOp>()
  const after = new Map<number, (() => void)[]>()
  for (const { name, length, tensors } of trained) {
    const handedOn = tensors.map((t) => handed.get(gradientOf(t.name)) as ValueId)
    // With several micro-steps: what `accumulate` adds to the sum so far, which is now that of the parts.
    const adds = handedOn.map((value) => makers[value]).filter((op) => op?.kind === 'accumulate')
    for (const op of adds) dropped.add(op)
    const own = handedOn.map((value) => {
      const maker = makers[value]
      return maker?.kind === 'accumulate' ? (maker.operands[1] as ValueId) : value
    })
    const last = Math.max(...own.map((value) => position.get(makers[value] as AnyOp) as number))
    const emit = () => {
      const at = placeOf(func.ops[last] as AnyOp, name)
      const sent = half.has(name)
        ? own.map((gradient) => draft.emit('cast', [gradient], { to: 'bf16' }, at)[0] as ValueId)
        : own
      let value = draft.emit('reduce_scatter', sent, { ranks, shape: [length] }, at)[0] as ValueId
      if (adds.length > 0) {
        const before = draft.param(draft.type(value), { kind: 'carried', name: gradientOf(name) }, 'sum')
        value = draft.emit('accumulate', [before, value, adds[0]!.operands[2]!], {}, at)[0] as ValueId
      }
      results.push({ value, sink: { kind: 'carried', name: gradientOf(name) } })
    }
    after.set(last, [...(after.get(last) ?? []), emit])
  }
  for (const [i, op] of func.ops.entries()) {
    if (!dropped.has(op)) draft.keep(op)
    for (const emit of after.get(i) ?? []) emit()
  }
  return draft.close()
}

/** In `update`, where every rank has everything: gradients are summed over ranks before anything reads them. */
function sumGradients(func: Func, { ranks, buffers }: Parts): Func {
  const carried = paramsOf(func, 'carried')
  const { draft } = openWithout(func, new Set([...carried.keys()].filter((name) => name.startsWith('grad.'))))
  for (const { name, tensors } of buffers) {
    const sums = tensors.flatMap((t) => carried.get(gradientOf(t.name)) ?? [])
    if (sums.length === 0) continue
    const own = tensors.map((t, i) =>
      draft.param(draft.type(sums[i]!), { kind: 'carried', name: gradientOf(t.name) }, 'own'),
    )
    const at = { module: name, stage: 'update', span: null } as const
    draft.emitAs('all_reduce', own, { ranks, how: 'sum', weighted: false }, sums, at)
  }
  for (const op of func.ops) draft.keep(op)
  return draft.close()
}

/** In `update`: one op on the parts of a buffer in place of one on each of its tensors. */
function updateParts(func: Func, { ranks, of }: Parts): Func {
  const bufferOf = (name: string) => of.get(name.startsWith('grad.') ? name.slice(5) : name)
  const divided = new Map<ValueId, { readonly kind: 'state' | 'carried'; readonly name: string }>()
  for (const { value, source } of func.params)
    if ((source.kind === 'state' || source.kind === 'carried') && bufferOf(source.name) !== undefined)
      divided.set(value, source)
  const sinks = new Map<ValueId, string>()
  for (const { value, sink } of func.results)
    if (sink.kind === 'state' && of.has(sink.name)) sinks.set(value, sink.name)
  const gone = new Set([...[...divided.values()].map(({ name }) => name), ...sinks.values()])
  const { draft, results } = openWithout(func, gone)

  /** What stands for a value of one tensor: the part that its buffer has of it. */
  const known = new Map<string, ValueId>()
  const renewed = new Map<ValueId, ValueId>()
  const part = (value: ValueId | null): ValueId | null => {
    const source = value === null ? undefined : divided.get(value)
    if (source === undefined) return value === null ? null : (renewed.get(value) ?? value)
    const buffer = bufferOf(source.name) as ShardBuffer
    const name = source.name.startsWith('grad.') ? gradientOf(buffer.name) : buffer.name
    const type = { dtype: 'f32', shape: [buffer.length] } as const
    const id = known.get(name) ?? draft.param(type, { kind: source.kind, name }, 'part')
    known.set(name, id)
    return id
  }
  const done = new Map<string, readonly ValueId[]>()
  for (const op of func.ops) {
    const operands = op.operands.map(part)
    if (op.kind === 'norm') {
      const squares = draft.emit('square_sum', [...new Set(operands)], {}, op)
      const sum = draft.emit('all_reduce', squares, { ranks, how: 'sum', weighted: false }, op)
      draft.emitAs('sqrt', sum, {}, op.results, op)
      continue
    }
    if (operands.every((id, i) => id === op.operands[i])) {
      draft.keep(op)
      continue
    }
    // Ops of one buffer come out the same: the first stands for all.
    const key = `${op.kind} ${operands.join()}`
    const before = done.get(key)
    const now = before ?? draft.emit(op.kind, operands, op.attrs as OpAttrs[OpKind], op)
    done.set(key, now)
    op.results.forEach((result, i) => {
      const value = now[i] as ValueId
      const name = sinks.get(result)
      renewed.set(result, value)
      if (before !== undefined || name === undefined) return
      results.push({ value, sink: { kind: 'state', name: (of.get(name) as ShardBuffer).name } })
    })
  }
  return draft.close()
}
