import type { HostInput } from '../../compiler/ir/types.js'
import { stream } from '../../runtime/philox.js'

/**
 * Host inputs of a step with made-up numbers. What is drawn depends on the group, the site and the micro-step alone:
 * packed and separate calls see the same images, masks and kept sequences.
 */
export function madeUpInputs(inputs: readonly HostInput[], microStep = 0): Record<string, ArrayLike<number>> {
  const masked = maskOf(inputs, microStep)
  return Object.fromEntries(inputs.map((input) => [input.name, made(input, masked, microStep)]))
}

const scalars: Readonly<Record<string, number>> = {
  lr: 1e-3,
  last_layer_lr: 5e-4,
  weight_decay: 0.04,
  teacher_temp: 0.06,
  momentum: 0.97,
  keep_momentum: 0.99,
}

function made(
  { name, type, generator }: HostInput,
  masks: { mask: number[]; counts: number[] },
  microStep: number,
): ArrayLike<number> {
  const length = type.shape.reduce((n, size) => n * size, 1)
  const random = stream(7, microStep, hash(name), 'synthetic')
  const { mask, counts } = masks
  switch (generator.kind) {
    case 'crops':
    case 'images':
      return Float32Array.from({ length }, () => random.uniform(-2, 2))
    case 'mask':
      return mask
    case 'mask_rows': {
      const rows = mask.flatMap((bit, i) =>
        bit === 0
          ? []
          : [
              Math.floor(i / generator.patches) * (generator.prefix + generator.patches) +
                generator.prefix +
                (i % generator.patches),
            ],
      )
      return Int32Array.from({ length }, (_, i) => rows[i] ?? 0)
    }
    case 'mask_weights': {
      const weights = counts.flatMap((count) => Array.from({ length: count }, () => 1 / count))
      return Float32Array.from({ length }, (_, i) => weights[i] ?? 0)
    }
    case 'row_count':
      return [mask.reduce((a, b) => a + b, 0)]
    case 'kept_subset': {
      let before = 0
      return generator.groups.flatMap(({ name: group, count, kept }) => {
        const order = Array.from({ length: count }, (_, i) => i)
        stream(7, microStep, hash(`${generator.site} ${group}`), 'synthetic').shuffle(order)
        const first = before
        before += count
        return order.slice(0, kept).map((position) => first + position)
      })
    }
    case 'keep_factors':
      return generator.groups.flatMap(({ name: group, count }) => {
        const draws = stream(7, microStep, hash(`${generator.site} ${group}`), 'synthetic')
        return Array.from({ length: count }, () =>
          draws.uniform(0, 1) < generator.rate ? 0 : 1 / (1 - generator.rate),
        )
      })
    case 'schedule':
      return [scalars[generator.name] ?? Number.NaN]
    case 'adam_step':
      return [1]
    case 'first_micro_step':
      return [microStep === 0 ? 1 : 0]
    case 'labels':
      return new Int32Array(length)
    default:
      return generator satisfies never
  }
}

/** A third of the patches of every second crop. */
function maskOf(inputs: readonly HostInput[], microStep: number): { mask: number[]; counts: number[] } {
  const global = inputs.find((input) => input.name === 'global')
  const [crops = 0] = global?.type.shape ?? []
  const rows = inputs.find((input) => input.generator.kind === 'mask_rows')?.generator
  const mask = inputs.find((input) => input.generator.kind === 'mask')
  const patches =
    rows?.kind === 'mask_rows' ? rows.patches : mask === undefined ? 0 : (mask.type.shape[0] ?? 0) / crops
  const random = stream(7, microStep, 1, 'mask')
  const each = Array.from({ length: crops }, (_, crop) =>
    Array.from({ length: patches }, () => (crop % 2 === 0 && random.uniform(0, 1) < 0.2 ? 1 : 0)),
  )
  return { mask: each.flat(), counts: each.map((one) => one.filter((bit) => bit === 1).length) }
}

function hash(text: string): number {
  let h = 17
  for (const c of text) h = (h * 31 + c.charCodeAt(0)) & 0x7fffffff
  return h
}
