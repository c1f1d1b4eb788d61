import {
  type Call,
  columnsOf,
  concatRows,
  type Kernel,
  type PlacedGroup,
  placed,
  product,
  rowsOf,
  type Tensor,
  type Tf,
} from '../call.js'

/** [n*t, w] -> [n*h, t, w/h] */
function byHead(tf: Tf, x: Tensor, n: number, t: number, heads: number): Tensor {
  const size = x.shape[1]! / heads
  return tf.reshape(tf.transpose(tf.reshape(x, [n, t, heads, size]), [0, 2, 1, 3]), [n * heads, t, size])
}

/** [n*h, t, s] -> [n*t, h*s] */
function together(tf: Tf, x: Tensor, n: number, t: number, heads: number): Tensor {
  const size = x.shape[2]!
  return tf.reshape(tf.transpose(tf.reshape(x, [n, heads, t, size]), [0, 2, 1, 3]), [n * t, heads * size])
}

function splitHeads(tf: Tf, qkv: Tensor, n: number, t: number, heads: number): [Tensor, Tensor, Tensor] {
  const d = qkv.shape[1]! / 3
  const part = (i: number) => byHead(tf, columnsOf(tf, qkv, i * d, d), n, t, heads)
  return [part(0), part(1), part(2)]
}

function groupsOf(call: Call, index: number): PlacedGroup[] {
  return placed(call.operandTypes[index]!.segments!)
}

export const attention: Kernel<'attention'> = (call, { heads }) => {
  const { tf } = call
  const qkv = call.arg(0)
  const scale = (qkv.shape[1]! / 3 / heads) ** -0.5
  const outputs: Tensor[] = []
  const lses: Tensor[] = []
  for (const g of groupsOf(call, 0)) {
    const [q, k, v] = splitHeads(
      tf,
      rowsOf(tf, qkv, g.firstRow, g.count * g.length),
      g.count,
      g.length,
      heads,
    )
    const scores = tf.mul(product(call, q, k, false, true), scale) // [n*h, t, t]
    const lse = tf.logSumExp(scores, 2, true)
    outputs.push(together(tf, product(call, tf.exp(tf.sub(scores, lse)), v), g.count, g.length, heads))
    lses.push(together(tf, lse, g.count, g.length, heads))
  }
  const lse = concatRows(tf, lses)
  return [concatRows(tf, outputs), tf.reshape(lse, [lse.size])]
}

export const attention_grad: Kernel<'attention_grad'> = (call, { heads }) => {
  const { tf } = call
  const [dout, qkv, out] = [call.arg(0), call.arg(1), call.arg(2)]
  const lse = tf.reshape(call.arg(3), [qkv.shape[0]!, heads])
  const scale = (qkv.shape[1]! / 3 / heads) ** -0.5
  const parts = groupsOf(call, 1).map((g) => {
    const rows = (x: Tensor) => rowsOf(tf, x, g.firstRow, g.count * g.length)
    const [q, k, v] = splitHeads(tf, rows(qkv), g.count, g.length, heads)
    const dO = byHead(tf, rows(dout), g.count, g.length, heads)
    const o = byHead(tf, rows(out), g.count, g.length, heads)
    const scores = tf.mul(product(call, q, k, false, true), scale)
    const p = tf.exp(tf.sub(scores, byHead(tf, rows(lse), g.count, g.length, heads)))
    const dv = product(call, p, dO, true)
    const dp = product(call, dO, v, false, true)
    const delta = tf.sum(tf.mul(dO, o), 2, true)
    const ds = tf.mul(tf.mul(p, tf.sub(dp, delta)), scale)
    return joinHeads(tf, product(call, ds, k), product(call, ds, q, true), dv, g.count, g.length, heads)
  })
  return [concatRows(tf, parts)]
}

function joinHeads(tf: Tf, q: Tensor, k: Tensor, v: Tensor, n: number, t: number, heads: number): Tensor {
  return tf.concat(
    [q, k, v].map((x) => together(tf, x, n, t, heads)),
    1,
  )
}

export const split_heads: Kernel<'split_heads'> = ({ tf, arg }, { heads, count, length }) =>
  splitHeads(tf, arg(0), count, length, heads)

export const join_heads: Kernel<'join_heads'> = ({ tf, arg }, { heads, count, length }) => [
  joinHeads(tf, arg(0), arg(1), arg(2), count, length, heads),
]

export const merge_heads: Kernel<'merge_heads'> = ({ tf, arg }, { heads, count, length }) => [
  together(tf, arg(0), count, length, heads),
]

export const unmerge_heads: Kernel<'unmerge_heads'> = ({ tf, arg }, { heads, count, length }) => [
  byHead(tf, arg(0), count, length, heads),
]
