import { describe, expect, test } from 'vitest'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import type { Bindings, Data } from '../../compiler/ir/interpret.js'
import { interpret, interpretEntry, runKernel } from '../../compiler/ir/interpret.js'
import { erf, gelu, geluSlope } from '../../compiler/ir/kernels/erf.js'
import { timesTransposed } from '../../compiler/ir/kernels/products.js'
import { tensor, tensorType } from '../../compiler/ir/operands.js'
import { resultTypes } from '../../compiler/ir/ops.js'
import type { KernelKind, OpAttrs, TensorType } from '../../compiler/ir/types.js'
import { faultsOf } from '../support/faults.js'
import { distance, f32, moduleOf } from './graphs.js'
import { network } from './network.js'
import { noise } from './op-cases.js'

const i32 = (...shape: number[]) => tensor('i32', ...shape)
const random = (n: number, seed = 1) => Float64Array.from({ length: n }, noise(seed))

function kernel<K extends KernelKind>(
  kind: K,
  operands: readonly (readonly [Data, TensorType] | null)[],
  attrs: OpAttrs[K],
): readonly Data[] {
  const types = operands.map((x) => x?.[1] ?? null)
  const data = operands.map((x) => x?.[0] ?? null)
  return runKernel(kind, data, types, attrs, resultTypes(kind, types, attrs))
}

describe('numbers of the oracle', () => {
  test('erf at known points (Abramowitz & Stegun 7.1, to 15 digits)', () => {
    const known = [
      [0, 0],
      [0.1, 0.112462916018285],
      [0.5, 0.520499877813047],
      [0.9, 0.796908212422832],
      [1, 0.842700792949715],
      [1.5, 0.966105146475311],
      [2, 0.995322265018953],
      [3, 0.999977909503001],
    ] as const
    for (const [x, y] of known) {
      expect(erf(x)).toBeCloseTo(y, 14)
      expect(erf(-x)).toBeCloseTo(-y, 14)
    }
    expect([erf(7), erf(-7), erf(Number.NaN)]).toEqual([1, -1, Number.NaN])
    for (const x of [-3, -0.7, 0.2, 2.5])
      expect(geluSlope(x)).toBeCloseTo((gelu(x + 1e-5) - gelu(x - 1e-5)) / 2e-5, 9)
  })

  test('products of every remainder of the blocking', () => {
    for (const m of [1, 4, 6])
      for (const n of [1, 3, 4, 5]) {
        const [a, b] = [random(m * 3), random(n * 3, 2)]
        const expected = Float64Array.from({ length: m * n }, (_, at) => {
          const [i, j] = [Math.floor(at / n), at % n]
          return [0, 1, 2].reduce((sum, p) => sum + (a[i * 3 + p] as number) * (b[j * 3 + p] as number), 0)
        })
        expect(distance(timesTransposed(a, b, m, n, 3), expected)).toBeLessThan(1e-15)
      }
  })

  test('sinkhorn: rows sum to 1, factors in the stated gauge, zeros for no rows', () => {
    const [R, K, temp] = [4, 6, 0.3]
    const z = random(R * K)
    const type = tensorType('f32', [R, K], undefined, 'rows')
    const run = (rows: number, iterations: number) =>
      kernel(
        'sinkhorn',
        [
          [z, type],
          [Float64Array.of(temp), f32()],
          [Int32Array.of(rows), i32()],
        ],
        { iterations },
      )
    const [u, v] = run(3, 3) as [Float64Array, Float64Array]
    const row = (b: number) =>
      [...Array(K).keys()].map((k) => (z[b * K + k] as number) / temp + (v[k] as number))
    const lse = (x: number[]) => Math.log(x.reduce((sum, e) => sum + Math.exp(e), 0))
    for (const b of [0, 1, 2]) expect(u[b]).toBeCloseTo(-lse(row(b)), 12)
    expect(u[3]).toBe(0)
    expect(run(0, 3)).toEqual([new Float64Array(R), new Float64Array(K)])
    const [once] = run(3, 0) as [Float64Array]
    const total = lse([0, 1, 2].flatMap((b) => [...z.subarray(b * K, (b + 1) * K)].map((s) => s / temp)))
    expect(once[0]).toBeCloseTo(Math.log(3) - total, 12)
  })

  test('koleo: ties go to the lower index, sets keep to themselves', () => {
    const x = Float64Array.of(1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1)
    const attrs = { set: 3, eps: 1e-8, scale: 1 }
    const [, neighbour] = kernel('koleo', [[x, f32(6, 2)]], attrs)
    expect([...(neighbour as Int32Array)]).toEqual([1, 2, 1, 4, 3, 3])
  })

  test('a step that is not finite changes nothing, whatever the gradient holds', () => {
    const bad = Float64Array.of(Number.NaN, Number.POSITIVE_INFINITY)
    const [p, m, v] = [random(2), random(2, 2), random(2, 3)]
    const type = f32(2)
    const s = (x: number) => [Float64Array.of(x), f32()] as const
    const attrs = { beta1: 0.9, beta2: 0.999, eps: 1e-8, lrMultiplier: 1, wdMultiplier: 1 }
    const operands = [
      [p, type],
      [bad, type],
      [m, type],
      [v, type],
      s(0.1),
      s(0.1),
      [Int32Array.of(1), i32()],
      null,
      s(0),
    ]
    expect(kernel('adamw', operands as Parameters<typeof kernel>[1], attrs)).toEqual([p, m, v])
    expect(kernel('ema', [[p, type], [bad, type], s(0.9), s(0)], {})).toEqual([p])
    expect(kernel('update_center', [[p, type], [bad, type], s(0), null], { momentum: 0.9 })).toEqual([p])
    const noRows = [[p, type], [bad, type], s(1), [Int32Array.of(0), i32()]] as const
    expect(kernel('update_center', noRows, { momentum: 0.9 })).toEqual([p])
    expect(kernel('finite', [s(1), s(Number.NaN)], {})[0]).toEqual(Float64Array.of(0))
    expect(kernel('accumulate', [[bad, type], [p, type], s(1)], {})).toEqual([p])
  })

  test('refuses rows and indices that are out of range', () => {
    const bounded = tensorType('f32', [4, 2], undefined, 'rows')
    const x = random(8)
    expect(
      faultsOf(() =>
        kernel(
          'sum_rows',
          [
            [x, bounded],
            [Int32Array.of(5), i32()],
          ],
          {},
        ),
      ),
    ).toEqual(['DINO0614: rows: expected 0 to 4, found 5'])
    expect(
      faultsOf(() => kernel('gather_rows', [[x, f32(4, 2)], [Int32Array.of(4), i32(1)], null], {})),
    ).toEqual(['DINO0614: index[0]: expected a row below 4, found 4'])
    const groups = [
      { name: 'a', count: 1, length: 2 },
      { name: 'b', count: 1, length: 2 },
    ]
    const ragged = tensorType('f32', [4, 2], groups)
    const kept = [Int32Array.of(1, 0), i32(2)] as const
    expect(faultsOf(() => kernel('gather_segments', [[x, ragged], kept], { kept: [1, 1] }))).toEqual([
      'DINO0614: kept[0]: expected a sequence of group a, found 1',
    ])
  })
})

describe('interpreting entries', () => {
  /** acc += x, and the sum so far as a metric. */
  const counter = () => {
    const b = new FuncBuilder('main')
    const acc = b.param(f32(2), { kind: 'carried', name: 'sum' })
    const x = b.param(f32(2), { kind: 'input', name: 'x' })
    const first = b.param(f32(), { kind: 'input', name: 'first' })
    const sum = b.one('accumulate', [acc, x, first], {})
    return moduleOf(
      b.finish([
        { value: sum, sink: { kind: 'carried', name: 'sum' } },
        { value: sum, sink: { kind: 'metric', name: 'sum' } },
      ]),
    )
  }
  const bindings = (first: number, carried: Bindings['carried'] = {}): Bindings => ({
    state: {},
    inputs: { x: Float64Array.of(1, 2), first: Float64Array.of(first) },
    carried,
  })

  test('carried tensors go from run to run', () => {
    const once = interpretEntry(counter(), 'main', bindings(1))
    const twice = interpretEntry(counter(), 'main', bindings(0, once.carried))
    expect(once.metrics.sum).toEqual(Float64Array.of(1, 2))
    expect(twice.metrics.sum).toEqual(Float64Array.of(2, 4))
  })

  test('what is missing or does not fit is named', () => {
    const run = (change: Record<string, Data | undefined>) => {
      const inputs = { ...bindings(1).inputs, ...change } as Record<string, Data>
      return faultsOf(() => interpretEntry(counter(), 'main', { state: {}, inputs, carried: {} }))
    }
    expect(run({ x: undefined })).toEqual(['DINO0614: x: expected f32[2], found nothing'])
    expect(run({ x: new Float64Array(3) })).toEqual(['DINO0614: x: expected f32[2], found Float64Array of 3'])
    expect(run({ x: new Int32Array(2) })).toEqual(['DINO0614: x: expected f32[2], found Int32Array of 2'])
    expect(faultsOf(() => interpretEntry(counter(), 'other', bindings(1)))).toEqual([
      'DINO0604: expected a function named other, found none',
    ])
  })

  test('grad and stochastic depth wait for their passes', () => {
    const values = (func: ReturnType<typeof network>['main']) =>
      func.params.map(
        (p) => new Float64Array((func.values[p.value]?.type.shape ?? []).reduce((n, s) => n * s, 1)),
      )
    const plain = network()
    expect(faultsOf(() => interpret(plain.main, values(plain.main), plain.functions))).toEqual([
      'DINO0609: loss: grad has to be expanded before this stage',
    ])
    const deep = network({ rate: 0.5 })
    expect(faultsOf(() => interpret(deep.main, values(deep.main), deep.functions))).toEqual([
      'DINO0612: residual attn still has stochastic depth 0.5',
    ])
  })
})
