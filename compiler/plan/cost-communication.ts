import { tensorBytes } from '../ir/bytes.js'
import { isCollective } from '../ir/ops.js'
import type { CollectiveKind, Func, Module, TensorType, ValueId } from '../ir/types.js'

/**
 * Bytes that one rank exchanges in a step: the payload of each collective of the plan, as often as it runs. What is
 * gathered and what is scattered count once, what is reduced everywhere twice, there and back. Devices count what they
 * exchange in the same way. RECIPE.md E4 compares by the parameter: 8 bytes for float32 gradients under data
 * parallelism, 2 + 2 for FSDP in 16 bits, 2 more where the teacher is sharded too.
 */
export interface Communication {
  readonly bytesPerStep: number
  readonly allGatherBytes: number
  readonly reduceScatterBytes: number
  readonly allReduceBytes: number
  /** Of these, for targets: sums over samples of Sinkhorn-Knopp, and batch centers. */
  readonly targetBytes: number
  /** What the same step would exchange as data parallelism, and with a teacher that every rank holds whole. */
  readonly dataParallelBytes: number
  readonly wholeTeacherBytes: number
}

/** Of one collective, once. */
export function payloadBytes(
  kind: CollectiveKind,
  operands: readonly TensorType[],
  results: readonly TensorType[],
): number {
  const sum = (types: readonly TensorType[]) => types.reduce((n, type) => n + tensorBytes(type), 0)
  switch (kind) {
    case 'all_gather':
      return sum(results)
    case 'reduce_scatter':
      return sum(operands)
    case 'all_reduce':
      return 2 * sum(results)
    default:
      return kind satisfies never
  }
}

/** Of a planned phase; `sharded`: its state is in parts. */
export function communication(module: Module, sharded: boolean): Communication {
  const bytes = { all_gather: 0, reduce_scatter: 0, all_reduce: 0 }
  let [teacher, targets, student] = [0, 0, 0]
  for (const [i, entry] of module.entries.entries()) {
    const func = module.functions[entry] as Func
    const runs = i === 0 ? module.microSteps : 1
    for (const op of func.ops) {
      const { kind } = op
      if (!isCollective(kind)) continue
      const types = (ids: readonly (ValueId | null)[]) => ids.map((id) => func.values[id as ValueId]!.type)
      const sent = runs * payloadBytes(kind, types(op.operands), types(op.results))
      bytes[kind] += sent
      if (op.kind === 'all_gather' && op.module.startsWith('teacher.')) teacher += sent
      if (op.kind === 'all_reduce' && op.module.startsWith('loss.')) targets += sent
      // Of every gradient, in float32 and once a step: what data parallelism would reduce.
      if (op.kind === 'reduce_scatter' && sharded)
        student += 2 * types(op.operands).reduce((n, type) => n + tensorBytes({ ...type, dtype: 'f32' }), 0)
    }
  }
  const bytesPerStep = bytes.all_gather + bytes.reduce_scatter + bytes.all_reduce
  return {
    bytesPerStep,
    allGatherBytes: bytes.all_gather,
    reduceScatterBytes: bytes.reduce_scatter,
    allReduceBytes: bytes.all_reduce,
    targetBytes: targets,
    dataParallelBytes: sharded ? student + bytes.all_reduce : bytesPerStep,
    wholeTeacherBytes: bytesPerStep - teacher,
  }
}
