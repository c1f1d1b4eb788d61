/**
 * Bytes that one rank exchanges in a step, by what a rank sends for each parameter (RECIPE.md E4): data parallelism
 * all-reduces every float32 gradient, 8 bytes a parameter; FSDP gathers the student's parameters and scatters its
 * gradients in the precision of products, and gathers a sharded teacher as well: in 16 bits 2 + 2, and 2 more.
 */
export interface Communication {
  readonly bytesPerStep: number
  readonly allGatherBytes: number
  readonly reduceScatterBytes: number
  readonly allReduceBytes: number
  /** Sums over samples of Sinkhorn-Knopp, a scalar and K floats each time, and batch centers. */
  readonly targetBytes: number
  /** What the same step would exchange as data parallelism, and with a teacher that every rank holds whole. */
  readonly dataParallelBytes: number
  readonly wholeTeacherBytes: number
}

export interface CommunicationInput {
  readonly ranks: number
  readonly shard: 'fsdp' | 'none'
  readonly precision: 'float32' | 'bf16'
  readonly studentParameters: number
  readonly teacherParameters: number
  /** Of each loss on prototypes: their number, and iterations of Sinkhorn-Knopp (0: a center). */
  readonly targets: readonly { readonly prototypes: number; readonly iterations: number }[]
  readonly microSteps: number
}

export function communication(input: CommunicationInput): Communication {
  const { ranks, shard, studentParameters: student, teacherParameters: teacher } = input
  const none = ranks === 1
  const width = input.precision === 'bf16' ? 2 : 4
  const sharded = shard === 'fsdp' && !none
  // Sinkhorn runs in every micro-batch; a center moves once a step.
  const targetBytes = none
    ? 0
    : input.targets.reduce(
        (sum, { prototypes, iterations }) =>
          sum + (iterations > 0 ? input.microSteps * 4 * (1 + iterations * prototypes) : 4 * prototypes),
        0,
      )
  // Micro-batches gather parameters each time, and scatter gradients each time.
  const gather = sharded ? width * input.microSteps : 0
  const allGatherBytes = gather * (student + teacher)
  const reduceScatterBytes = gather * student
  const allReduceBytes = none || sharded ? 0 : 8 * student
  return {
    bytesPerStep: allGatherBytes + reduceScatterBytes + allReduceBytes + targetBytes,
    allGatherBytes,
    reduceScatterBytes,
    allReduceBytes,
    targetBytes,
    dataParallelBytes: none ? 0 : 8 * student + targetBytes,
    wholeTeacherBytes: allGatherBytes - gather * teacher + reduceScatterBytes + allReduceBytes + targetBytes,
  }
}
