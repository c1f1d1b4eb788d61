import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { runKernel } from '../../compiler/ir/interpret.js'
import { tensor } from '../../compiler/ir/operands.js'
import { resultTypes } from '../../compiler/ir/ops.js'
import type { CrossEntropy, KernelKind, OpAttrs, TensorType } from '../../compiler/ir/types.js'
import { decodeSafetensors } from '../../runtime/safetensors.js'

const folder = new URL('../golden/fixtures/', import.meta.url)

/** The tensors of a fixture, in float64 or as indices, and a check by the fixture's own tolerance. */
function fixture(name: string) {
  const described = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as {
    tensors: Record<string, { atol?: number; rtol?: number }>
  }
  const stored = decodeSafetensors(readFileSync(new URL(`${name}.safetensors`, folder)), name)
  const at = (key: string) => {
    const found = stored.get(key)
    if (!found) throw new Error(`${name} has no ${key}`)
    return found
  }
  return {
    float: (key: string) => Float64Array.from(at(key).data),
    int: (key: string) => Int32Array.from(at(key).data),
    check: (key: string, actual: ArrayLike<number>) => {
      const { atol = 0, rtol = 0 } = described.tensors[key] ?? {}
      const expected = at(key).data
      expect(actual.length, key).toBe(expected.length)
      for (let i = 0; i < expected.length; i++) {
        const e = expected[i] as number
        const far = Math.abs((actual[i] as number) - e) - (atol + rtol * Math.abs(e))
        expect(far, `${key}[${i}]`).toBeLessThanOrEqual(0)
      }
    },
  }
}

function op<K extends KernelKind>(
  kind: K,
  operands: readonly (readonly [Float64Array | Int32Array, ...number[]] | null)[],
  attrs: OpAttrs[K],
) {
  const types = operands.map((x): TensorType | null => {
    if (!x) return null
    const [data, ...shape] = x
    return tensor(data instanceof Int32Array ? 'i32' : 'f32', ...shape)
  })
  const results = resultTypes(kind, types, attrs)
  const data = operands.map((x) => x?.[0] ?? null)
  return runKernel(kind, data, types, attrs, results) as readonly Float64Array[]
}

const scalar = (x: number) => [Float64Array.of(x)] as const
const loss = (pairing: CrossEntropy['pairing'], scale: number): CrossEntropy => ({
  pairing,
  studentTemp: 0.1,
  scale,
  stats: false,
})

/** Loss and gradient of logits against stored targets. */
function crossEntropy(
  logits: Float64Array,
  targets: Float64Array,
  K: number,
  attrs: CrossEntropy,
  weights: Float64Array | null = null,
) {
  const [S, R] = [logits.length / K, targets.length / K]
  const w = weights && ([weights, S] as const)
  const [value, lse] = op('cross_entropy_rows', [[logits, S, K], [targets, R, K], w, null], attrs)
  const given = [scalar(1), [logits, S, K], [targets, R, K], [lse as Float64Array, S], w, null] as const
  const [gradient] = op('cross_entropy_rows_grad', given, attrs)
  return { value: value as Float64Array, gradient: gradient as Float64Array }
}

/** Targets by centering at each of a sequence of logits, with the center moved after each. */
function centered(x: ReturnType<typeof fixture>, steps: readonly string[], rows: number, K: number) {
  let center = new Float64Array(K)
  return steps.map((key, i) => {
    x.check(`center.${i}`, center)
    const z = x.float(key)
    const [u, v] = op('sharpen_center', [[z, rows, K], [center, K], scalar(0.05)], {})
    const given = [[z, rows, K], [u as Float64Array, rows], [v as Float64Array, K], scalar(0.05)] as const
    const [t] = op('make_targets', given, {})
    const [mean] = op('mean_rows', [[z, rows, K], null], {})
    const moved = [[center, K], [mean as Float64Array, K], scalar(1), null] as const
    center = Float64Array.from(op('update_center', moved, { momentum: 0.9 })[0] as Float64Array)
    x.check(`center.${i + 1}`, center)
    return t as Float64Array
  })
}

function balanced(z: Float64Array, rows: number, K: number, iterations: number): Float64Array {
  const [u, v] = op('sinkhorn', [[z, rows, K], scalar(0.05), null], { iterations })
  const given = [[z, rows, K], [u as Float64Array, rows], [v as Float64Array, K], scalar(0.05)] as const
  return op('make_targets', given, {})[0] as Float64Array
}

describe('the oracle reproduces the reference', () => {
  test('05 DINO loss', () => {
    const x = fixture('05-dino-loss')
    const K = 64
    const probs = centered(x, ['teacher.t0', 'teacher.t1', 'teacher.t2'], 8, K)
    x.check('probs.0', probs[0] as Float64Array)
    x.check('probs.1', probs[1] as Float64Array)
    x.check('probs.2', probs[2] as Float64Array)
    const sinkhorn = balanced(x.float('teacher.t0'), 8, K, 3)
    x.check('sinkhorn.t0', sinkhorn)
    x.check('sinkhorn.t0.iterations1', balanced(x.float('teacher.t0'), 8, K, 1))
    x.check('sinkhorn.t1', balanced(x.float('teacher.t1'), 8, K, 3))
    for (const [form, targets] of [
      ['sinkhorn', sinkhorn],
      ['centering', probs[1] as Float64Array],
    ] as const) {
      const global = crossEntropy(x.float('student.global'), targets, K, loss({ kind: 'same' }, 1 / 8))
      x.check(`loss.global.${form}`, global.value)
      x.check(`grad.student.global.${form}`, global.gradient)
      const each = loss({ kind: 'each', images: 4, crops: 2 }, 1 / 4)
      const local = crossEntropy(x.float('student.local'), targets, K, each)
      x.check(`loss.local.${form}`, local.value)
      x.check(`grad.student.local.${form}`, local.gradient)
    }
  })

  test('06 iBOT loss', () => {
    const x = fixture('06-ibot-loss')
    const K = 64
    const probs = centered(x, ['teacher.t0', 'teacher.t1'], 17, K)
    x.check('probs.0', probs[0] as Float64Array)
    x.check('probs.1', probs[1] as Float64Array)
    const sinkhorn = balanced(x.float('teacher.t0'), 17, K, 3)
    x.check('sinkhorn.t0', sinkhorn)
    x.check('sinkhorn.t1', balanced(x.float('teacher.t1'), 17, K, 3))
    for (const [form, targets] of [
      ['sinkhorn', sinkhorn],
      ['centering', probs[1] as Float64Array],
    ] as const) {
      const attrs = loss({ kind: 'same' }, 1 / 6)
      const found = crossEntropy(x.float('student'), targets, K, attrs, x.float('masks_weight'))
      x.check(`loss.${form}`, found.value)
      x.check(`grad.student.${form}`, found.gradient)
    }
  })

  test('07 KoLeo loss', () => {
    const x = fixture('07-koleo-loss')
    const data = x.float('x')
    const koleo = (set: number) => {
      const attrs = { set, eps: 1e-8, scale: 1 / set }
      const [value] = op('koleo', [[data, 8, 32]], attrs)
      const types = [tensor('f32', 8, 32)]
      const results = resultTypes('koleo', types, attrs)
      const neighbour = runKernel('koleo', [data], types, attrs, results)[1] as Int32Array
      const [gradient] = op('koleo_grad', [scalar(1), [data, 8, 32], [neighbour, 8]], attrs)
      return { value: value as Float64Array, neighbour, gradient: gradient as Float64Array }
    }
    const all = koleo(8)
    x.check('loss', all.value)
    expect(all.neighbour).toEqual(x.int('nearest'))
    x.check('grad.x', all.gradient)
    const halves = koleo(4)
    x.check('halves.loss_sum', halves.value)
    x.check('halves.grad.x', halves.gradient)
  })
})
