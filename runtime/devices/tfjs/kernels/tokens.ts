import type { PosInterpolation } from '../../../../compiler/ir/types.js'
import { interpolationMatrix } from '../../position-weights.js'
import { type Call, column, type Kernel, product, rowsOf, type Tensor } from '../call.js'

export const patchify: Kernel<'patchify'> = ({ tf, arg }, { patch }) => {
  const images = arg(0)
  const [n, c, height, width] = images.shape as [number, number, number, number]
  const h = height / patch
  const w = width / patch
  const cut = tf.reshape(images, [n * c, h, patch, w, patch]) // [N*C, h, p, w, p]
  const byPatch = tf.transpose(cut, [0, 1, 3, 2, 4]) // [N*C, h, w, p, p]
  const channelsIn = tf.transpose(tf.reshape(byPatch, [n, c, h * w, patch * patch]), [0, 2, 1, 3])
  return [tf.reshape(channelsIn, [n * h * w, c * patch * patch])]
}

export const replace_masked: Kernel<'replace_masked'> = ({ tf, arg }) => {
  const [x, token] = [arg(0), arg(1)]
  const mask = column(tf, tf.cast(arg(2), 'float32'))
  return [tf.add(tf.mul(x, tf.sub(1, mask)), tf.mul(mask, tf.reshape(token, [1, token.size])))]
}

export const replace_masked_grad: Kernel<'replace_masked_grad'> = ({ tf, arg }) => {
  const dy = arg(0)
  const mask = column(tf, tf.cast(arg(1), 'float32'))
  return [tf.mul(dy, tf.sub(1, mask)), tf.sum(tf.mul(dy, mask), 0)]
}

function interpolation(call: Call, a: PosInterpolation): Tensor {
  const key = `pos:${a.grid}:${a.height}:${a.width}:${a.offset}:${a.antialias}`
  return call.constant(key, () =>
    call.tf.tensor2d(Float32Array.from(interpolationMatrix(a)), [a.height * a.width, a.grid * a.grid]),
  )
}

export const interpolate_pos: Kernel<'interpolate_pos'> = (call, attrs) => {
  const { tf } = call
  const pos = call.arg(0)
  const patches = product(call, interpolation(call, attrs), rowsOf(tf, pos, 1, attrs.grid * attrs.grid))
  return [tf.concat([rowsOf(tf, pos, 0, 1), patches], 0)]
}

export const interpolate_pos_grad: Kernel<'interpolate_pos_grad'> = (call, attrs) => {
  const { tf } = call
  const dy = call.arg(0)
  const patches = product(
    call,
    interpolation(call, attrs),
    rowsOf(tf, dy, 1, attrs.height * attrs.width),
    true,
  )
  return [tf.concat([rowsOf(tf, dy, 0, 1), patches], 0)]
}

export const assemble_tokens: Kernel<'assemble_tokens'> = (
  { tf, arg, maybe },
  { count, patches, registers },
) => {
  const [x, cls, pos] = [arg(0), arg(1), arg(2)]
  const d = cls.size
  const first = tf.add(tf.reshape(cls, [1, d]), rowsOf(tf, pos, 0, 1))
  const parts = [tf.tile(tf.reshape(first, [1, 1, d]), [count, 1, 1])]
  const tokens = maybe(3)
  if (tokens !== null) parts.push(tf.tile(tf.reshape(tokens, [1, registers, d]), [count, 1, 1]))
  parts.push(
    tf.add(tf.reshape(x, [count, patches, d]), tf.reshape(rowsOf(tf, pos, 1, patches), [1, patches, d])),
  )
  return [tf.reshape(tf.concat(parts, 1), [count * (1 + registers + patches), d])]
}

export const assemble_tokens_grad: Kernel<'assemble_tokens_grad'> = (
  { tf, arg },
  { count, patches, registers },
) => {
  const d = arg(0).shape[1]!
  const dy = tf.reshape(arg(0), [count, 1 + registers + patches, d])
  const dpatches = tf.slice(dy, [0, 1 + registers, 0], [count, patches, d])
  const bySlot = tf.sum(dy, 0) // [1+r+n, d]
  const dcls = tf.reshape(rowsOf(tf, bySlot, 0, 1), [d])
  const dpos = tf.concat([rowsOf(tf, bySlot, 0, 1), rowsOf(tf, bySlot, 1 + registers, patches)], 0)
  const results = [tf.reshape(dpatches, [count * patches, d]), dcls, dpos]
  return registers > 0 ? [...results, rowsOf(tf, bySlot, 1, registers)] : results
}
