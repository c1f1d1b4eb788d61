import type { Tensor, Tf } from './call.js'

/** x Phi(x) */
export function geluOf(tf: Tf, x: Tensor): Tensor {
  return tf.mul(x, normalCdf(tf, x))
}

/** Phi(x) + x phi(x) */
export function geluSlope(tf: Tf, x: Tensor): Tensor {
  const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI))
  return tf.add(normalCdf(tf, x), tf.mul(x, density))
}

function normalCdf(tf: Tf, x: Tensor): Tensor {
  return tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5)
}

/** Where the norm is below eps the divisor is a constant, so only the first term is left. */
export function l2NormalizeGrad(tf: Tf, dy: Tensor, x: Tensor, eps: number): Tensor {
  const length = tf.sqrt(tf.sum(tf.square(x), 1, true))
  const divisor = tf.maximum(length, eps)
  const y = tf.div(x, divisor)
  const free = tf.cast(tf.greater(length, eps), 'float32')
  const along = tf.mul(y, tf.mul(free, tf.sum(tf.mul(dy, y), 1, true)))
  return tf.div(tf.sub(dy, along), divisor)
}

/** 1 where the step has rows at all, else 0. */
export function anyRow(tf: Tf, rows: Tensor): Tensor {
  return tf.cast(tf.greater(rows, 0), 'float32')
}
