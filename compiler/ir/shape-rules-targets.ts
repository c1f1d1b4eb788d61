import { type Operands, tensor, tensorType } from './operands.js'
import type { CrossEntropy, OpAttrs, OpKind, TensorType } from './types.js'

type Rule<K extends OpKind> = (o: Operands, attrs: OpAttrs[K]) => readonly TensorType[]

const scalarF32 = tensor('f32')
const i32 = (...shape: number[]) => tensor('i32', ...shape)

/** Student rows S, teacher rows R, prototypes K: whether the pairing fits them. */
function checkPairing(o: Operands, attrs: CrossEntropy, S: number, R: number, rows: TensorType | null) {
  const { pairing } = attrs
  const fits =
    pairing.kind === 'same'
      ? S === R
      : pairing.kind === 'swap'
        ? S === R && S === 2 * pairing.images
        : R === pairing.images * pairing.crops && S % pairing.images === 0
  if (!fits) o.badAttribute('pairing', `rows paired between ${S} student and ${R} teacher rows`, pairing)
  if (rows && pairing.kind !== 'same') o.badAttribute('pairing', 'same, since rows are bounded', pairing)
}

function crossEntropyResults(attrs: CrossEntropy, logits: TensorType, S: number, K: number) {
  const lse = tensorType('f32', [S], undefined, logits.rows)
  return attrs.stats ? [scalarF32, lse, scalarF32, tensor('f32', K)] : [scalarF32, lse]
}

/** Teacher targets and losses: the part of the table in shape-rules.ts that is about prototypes and pairs of rows. */
export const targetRules = {
  sinkhorn: (o) => {
    const z = o.float(0, 'R', 'K')
    o.scalar(1)
    o.optionalInt(2)
    return [tensorType('f32', [o.dim('R')], undefined, z.rows), tensor('f32', o.dim('K'))]
  },
  sharpen_center: (o) => {
    const z = o.float(0, 'R', 'K')
    o.float(1, 'K')
    o.scalar(2)
    return [tensorType('f32', [o.dim('R')], undefined, z.rows), tensor('f32', o.dim('K'))]
  },
  make_targets: (o) => {
    const z = o.float(0, 'R', 'K')
    o.float(1, 'R')
    o.float(2, 'K')
    o.scalar(3)
    return [z]
  },
  mean_rows: (o) => {
    o.float(0, 'R', 'K')
    o.optionalInt(1)
    return [tensor('f32', o.dim('K'))]
  },

  cross_entropy_rows: (o, attrs) => {
    const logits = o.float(0, 'S', 'K')
    o.float(1, 'R', 'K')
    o.optionalFloat(2, 'S')
    checkPairing(o, attrs, o.dim('S'), o.dim('R'), o.optionalInt(3))
    return crossEntropyResults(attrs, logits, o.dim('S'), o.dim('K'))
  },
  cross_entropy_rows_grad: (o, attrs) => {
    o.scalar(0)
    const logits = o.float(1, 'S', 'K')
    o.float(2, 'R', 'K')
    o.float(3, 'S')
    o.optionalFloat(4, 'S')
    checkPairing(o, attrs, o.dim('S'), o.dim('R'), o.optionalInt(5))
    return [logits]
  },
  prototype_cross_entropy: (o, attrs) => {
    const x = o.float(0, 'S', 'b')
    o.float(1, 'K', 'b')
    o.float(2, 'R', 'K')
    o.float(3, 'R')
    o.float(4, 'K')
    o.scalar(5)
    o.optionalFloat(6, 'S')
    checkPairing(o, attrs, o.dim('S'), o.dim('R'), o.optionalInt(7))
    return crossEntropyResults(attrs, x, o.dim('S'), o.dim('K'))
  },
  prototype_cross_entropy_grad: (o, attrs) => {
    o.scalar(0)
    const x = o.float(1, 'S', 'b')
    const w = o.float(2, 'K', 'b')
    o.float(3, 'R', 'K')
    o.float(4, 'R')
    o.float(5, 'K')
    o.scalar(6)
    o.float(7, 'S')
    o.optionalFloat(8, 'S')
    checkPairing(o, attrs, o.dim('S'), o.dim('R'), o.optionalInt(9))
    return [x, w]
  },
  streamed_sinkhorn: (o) => {
    const x = o.float(0, 'R', 'b')
    o.float(1, 'K', 'b')
    o.scalar(2)
    o.optionalInt(3)
    return [tensorType('f32', [o.dim('R')], undefined, x.rows), tensor('f32', o.dim('K'))]
  },
  streamed_sharpen_center: (o) => {
    const x = o.float(0, 'R', 'b')
    o.float(1, 'K', 'b')
    o.float(2, 'K')
    o.scalar(3)
    return [tensorType('f32', [o.dim('R')], undefined, x.rows), tensor('f32', o.dim('K'))]
  },
  streamed_mean_rows: (o) => {
    o.float(0, 'R', 'b')
    o.float(1, 'K', 'b')
    o.optionalInt(2)
    return [tensor('f32', o.dim('K'))]
  },
  streamed_cross_entropy: (o, attrs) => {
    const x = o.float(0, 'S', 'b')
    o.float(1, 'K', 'b')
    o.float(2, 'R', 'd')
    o.float(3, 'K', 'd')
    o.float(4, 'R')
    o.float(5, 'K')
    o.scalar(6)
    o.optionalFloat(7, 'S')
    checkPairing(o, attrs, o.dim('S'), o.dim('R'), o.optionalInt(8))
    return crossEntropyResults(attrs, x, o.dim('S'), o.dim('K'))
  },
  streamed_cross_entropy_grad: (o, attrs) => {
    o.scalar(0)
    const x = o.float(1, 'S', 'b')
    const w = o.float(2, 'K', 'b')
    o.float(3, 'R', 'd')
    o.float(4, 'K', 'd')
    o.float(5, 'R')
    o.float(6, 'K')
    o.scalar(7)
    o.float(8, 'S')
    o.optionalFloat(9, 'S')
    checkPairing(o, attrs, o.dim('S'), o.dim('R'), o.optionalInt(10))
    return [x, w]
  },
  koleo: (o, { set }) => {
    o.float(0, 'R', 'd')
    if (o.dim('R') % set !== 0) o.badAttribute('set', `a divisor of ${o.dim('R')}`, set)
    return [scalarF32, i32(o.dim('R'))]
  },
  koleo_grad: (o, { set }) => {
    o.scalar(0)
    const x = o.float(1, 'R', 'd')
    o.int(2, 'R')
    if (o.dim('R') % set !== 0) o.badAttribute('set', `a divisor of ${o.dim('R')}`, set)
    return [x]
  },
  weighted_sum: (o, { coefficients }) => {
    for (let i = 0; i < o.count; i++) o.scalar(i)
    if (coefficients.length !== o.count) o.badAttribute('coefficients', `${o.count} numbers`, coefficients)
    return [scalarF32]
  },

  sinkhorn_columns: (o) => {
    o.float(0, 'R', 'K')
    o.optionalFloat(1, 'R')
    o.scalar(2)
    o.optionalInt(3)
    return [tensor('f32', o.dim('K'))]
  },
  sinkhorn_rows: (o) => {
    const z = o.float(0, 'R', 'K')
    o.float(1, 'K')
    o.scalar(2)
    o.optionalInt(3)
    return [tensorType('f32', [o.dim('R')], undefined, z.rows)]
  },
} satisfies { readonly [K in OpKind]?: Rule<K> }
