import type { AnyOp, Func, ShardBuffer, ValueId } from '../ir/types.js'
import { openWithout, type Parts, paramsOf } from './shard-parts.js'

/** The tensors of one buffer that a function reads, and where it first does. */
interface Use {
  readonly buffer: ShardBuffer
  /** By tensor of the buffer; undefined: not read here. */
  readonly values: readonly (ValueId | undefined)[]
  readonly first: number
  /**
   * Where all are rounded to bf16 in the end, by a cast or after weight_norm: bf16 is then what is gathered. The cast of
   * each that has one.
   */
  readonly casts: readonly (AnyOp | undefined)[] | null
}

/** Puts an all_gather of each buffer a block ahead of the first reader of its tensors. */
export function gatherParameters(func: Func, { ranks, of }: Parts): Func {
  const state = paramsOf(func, 'state')
  const uses = usesOf(func, state, new Set([...state.keys()].flatMap((name) => of.get(name) ?? [])))
  const { draft } = openWithout(func, new Set([...state.keys()].filter((name) => of.has(name))))
  const dropped = new Set<AnyOp>(uses.flatMap(({ casts }) => casts?.flatMap((op) => op ?? []) ?? []))
  const before = aheadOf(uses)
  func.ops.forEach((op, i) => {
    for (const { buffer, values, casts } of before.get(i) ?? []) {
      const at = { module: buffer.name, stage: op.stage, span: op.span }
      const type = { dtype: 'f32', shape: [buffer.length] } as const
      const own = draft.param(type, { kind: 'state', name: buffer.name }, 'part')
      const part = casts === null ? own : (draft.emit('cast', [own], { to: 'bf16' }, at)[0] as ValueId)
      const shapes = buffer.tensors.map(({ shape }) => shape)
      const results = values.map((value, k) => {
        const read = casts === null ? value : casts[k]?.results[0]
        return read ?? draft.value({ dtype: casts === null ? 'f32' : 'bf16', shape: shapes[k]! })
      })
      draft.emitAs('all_gather', [part], { ranks, shapes }, results, at)
      values.forEach((value, k) => {
        if (casts !== null && value !== undefined && casts[k] === undefined)
          draft.emitAs('cast', [results[k]!], { to: 'f32' }, [value], at)
      })
    }
    if (!dropped.has(op)) draft.keep(op)
  })
  return draft.close()
}

function usesOf(func: Func, state: ReadonlyMap<string, ValueId>, buffers: ReadonlySet<ShardBuffer>): Use[] {
  const readers = new Map<ValueId, number[]>([...state.values()].map((value) => [value, []]))
  for (const [i, op] of func.ops.entries())
    for (const id of op.operands) if (id !== null) readers.get(id)?.push(i)
  const returned = new Set(func.results.map(({ value }) => value))
  return [...buffers].flatMap((buffer): Use[] => {
    const values = buffer.tensors.map(({ name }) => state.get(name))
    const read = values.flatMap((value) => (value === undefined ? [] : readers.get(value)!))
    if (read.length === 0) return []
    const casts = values.map((value): AnyOp | undefined => {
      const [only, ...others] = value === undefined ? [] : readers.get(value)!
      const op = only === undefined ? undefined : func.ops[only]
      return op?.kind === 'cast' && op.attrs.to === 'bf16' && others.length === 0 ? op : undefined
    })
    const rounded = values.every(
      (value, k) =>
        value === undefined ||
        (!returned.has(value) &&
          (casts[k] !== undefined || readers.get(value)!.every((i) => normedInHalf(func.ops[i]!)))),
    )
    return [{ buffer, values, first: read.reduce((a, b) => Math.min(a, b)), casts: rounded ? casts : null }]
  })
}

/** Prototypes on their way into products of bf16, and their gradient. */
const normedInHalf = (op: AnyOp): boolean =>
  (op.kind === 'weight_norm' && op.attrs.storage === 'bf16') || op.kind === 'weight_norm_grad'

/** Which buffers are gathered before which op: those of a block where the block before it in its network begins. */
function aheadOf(uses: readonly Use[]): Map<number, Use[]> {
  const networks = new Map<string, Map<string, { first: number; uses: Use[] }>>()
  for (const use of uses) {
    const [network, block] = [use.buffer.name.split('.')[0]!, use.buffer.name.replace(/\/\d+$/, '')]
    const blocks = networks.get(network) ?? new Map<string, { first: number; uses: Use[] }>()
    networks.set(network, blocks)
    const known = blocks.get(block)
    if (known === undefined) blocks.set(block, { first: use.first, uses: [use] })
    else {
      known.first = Math.min(known.first, use.first)
      known.uses.push(use)
    }
  }
  const before = new Map<number, Use[]>()
  for (const blocks of networks.values()) {
    const ordered = [...blocks.values()].sort((a, b) => a.first - b.first)
    ordered.forEach(({ uses: own }, i) => {
      const at = ordered[Math.max(0, i - 1)]!.first
      before.set(at, [...(before.get(at) ?? []), ...own])
    })
  }
  return before
}
