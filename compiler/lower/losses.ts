import type { FuncBuilder } from '../ir/builder.js'
import type { ValueId } from '../ir/types.js'
import type { Centering } from '../resolve/resolved.js'

/**
 * Targets and losses on values, as golden/README "Losses" has them. Crops are stacked crop by crop: row = crop * B +
 * image, so the teacher's reversal of its two crops is a pairing of rows and moves nothing. Each loss takes the
 * `scale` that its weight and divisors come to.
 */

/** Teacher logits z [R, K] -> targets t [R, K], whose rows sum to 1; `center` [K] for softmax centering. */
export function teacherTargets(
  b: FuncBuilder,
  z: ValueId,
  temp: ValueId,
  centering: Centering,
  center: ValueId | null,
  rows: ValueId | null,
  ranks = 1,
): ValueId {
  const [u, v] =
    centering.type === 'softmax'
      ? b.op('sharpen_center', [z, center, temp], {})
      : ranks > 1
        ? balancedOverRanks(b, z, temp, rows, centering.iterations, ranks)
        : b.op('sinkhorn', [z, temp, rows], { iterations: centering.iterations })
  return b.one('make_targets', [z, u, v, temp], {})
}

/**
 * `sinkhorn` where every rank has some of the rows: its columns are summed over ranks in each iteration, its rows are
 * each rank's own. The constants log K and log B of an iteration go into v and come out of u again: they are left out.
 */
function balancedOverRanks(
  b: FuncBuilder,
  z: ValueId,
  temp: ValueId,
  rows: ValueId | null,
  iterations: number,
  ranks: number,
): readonly [ValueId, ValueId] {
  let u: ValueId | null = null
  let v: ValueId | null = null
  for (let i = 0; i < Math.max(1, iterations); i++) {
    const own: ValueId = b.one('sinkhorn_columns', [z, u, temp, rows], {})
    const [all]: readonly ValueId[] = b.op('all_reduce', [own], { ranks, how: 'logsumexp', weighted: false })
    v = b.one('scale', [all as ValueId], { factor: -1 })
    u = b.one('sinkhorn_rows', [z, v, temp, rows], {})
  }
  return [u as ValueId, v as ValueId]
}

/** What the monitors read of a loss's targets: their entropy, and the mean target of each prototype [K]. */
export interface TargetStats {
  readonly entropy: ValueId
  readonly usage: ValueId
}

interface CrossEntropyOptions {
  readonly studentTemp: number
  readonly scale: number
}

/** Student logits of local crops [L*B, K] against the targets of every global crop of the same image. */
export function dinoLocal(
  b: FuncBuilder,
  logits: ValueId,
  t: ValueId,
  options: CrossEntropyOptions & { readonly images: number; readonly globalCrops: number },
): ValueId {
  const { images, globalCrops: crops, studentTemp, scale } = options
  const pairing = { kind: 'each', images, crops } as const
  return b.one('cross_entropy_rows', [logits, t, null, null], { pairing, studentTemp, scale, stats: false })
}

/** Student logits of the global crops [2B, K], each against the targets of the other crop. */
export function dinoGlobal(
  b: FuncBuilder,
  logits: ValueId,
  t: ValueId,
  options: CrossEntropyOptions & { readonly images: number },
): { value: ValueId; stats: TargetStats } {
  const { images, studentTemp, scale } = options
  const pairing = { kind: 'swap', images } as const
  const results = b.op('cross_entropy_rows', [logits, t, null, null], {
    pairing,
    studentTemp,
    scale,
    stats: true,
  })
  return { value: results[0], stats: statsOf(results) }
}

/** Student logits of patches [R, K] against the targets of the same patches, each times its weight. */
export function ibot(
  b: FuncBuilder,
  logits: ValueId,
  t: ValueId,
  weights: ValueId | null,
  rows: ValueId | null,
  { studentTemp, scale }: CrossEntropyOptions,
): { value: ValueId; stats: TargetStats } {
  const results = b.op('cross_entropy_rows', [logits, t, weights, rows], {
    pairing: { kind: 'same' },
    studentTemp,
    scale,
    stats: true,
  })
  return { value: results[0], stats: statsOf(results) }
}

function statsOf([, , entropy, usage]: readonly ValueId[]): TargetStats {
  if (entropy === undefined || usage === undefined) throw new Error('a cross-entropy without stats')
  return { entropy, usage }
}

/** KoLeo's eps: in the norm, in each coordinate of the difference, and in the logarithm. */
const koleoEps = 1e-8

/** Rows [R, d] in consecutive sets, neighbours of each other only -> loss [] and the neighbour of each row. */
export function koleo(b: FuncBuilder, x: ValueId, set: number, scale: number): readonly [ValueId, ValueId] {
  return b.op('koleo', [x], { set, eps: koleoEps, scale })
}
