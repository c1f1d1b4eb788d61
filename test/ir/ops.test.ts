import { describe, expect, test } from 'vitest'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import { opBytes } from '../../compiler/ir/bytes.js'
import { opFlops } from '../../compiler/ir/flops.js'
import { instantiate } from '../../compiler/ir/instantiate.js'
import { interpret } from '../../compiler/ir/interpret.js'
import { elements, tensorType } from '../../compiler/ir/operands.js'
import {
  inPlace,
  locality,
  operandNames,
  reductions,
  rowOperands,
  segmentWise,
  shapeRules,
} from '../../compiler/ir/ops.js'
import type { AnyOp, Func, KernelKind, OpKind, TensorType, Value } from '../../compiler/ir/types.js'
import { autodiff } from '../../compiler/passes/autodiff.js'
import { inline } from '../../compiler/passes/inline.js'
import { faultsOf } from '../support/faults.js'
import { distance, f32, moduleOf, opGraph } from './graphs.js'
import { blockFunctions, network, tokensOf } from './network.js'
import type { OpCase } from './op-cases.js'
import { noise, opCases } from './op-cases.js'

const kinds = Object.keys(opCases) as KernelKind[]
const cases = kinds.flatMap((kind) =>
  (opCases[kind] as readonly OpCase<KernelKind>[]).map((c) => ({ kind, c })),
)

describe('shape rules', () => {
  test('name the op, the operand and both shapes', () => {
    const b = new FuncBuilder('main')
    const [x, w] = [b.param(f32(4, 3)), b.param(f32(5, 4))]
    expect(faultsOf(() => b.one('linear', [x, w], { activation: 'none' }))).toEqual([
      'DINO0601: linear: operand w: expected f32[out, in = 3], found f32[5, 4]',
    ])
    const qkv = b.param(f32(4, 12))
    expect(faultsOf(() => b.op('attention', [qkv], { heads: 2 }))).toEqual([
      'DINO0601: attention: operand qkv: expected a tensor with segments, found f32[4, 12]',
    ])
    expect(faultsOf(() => b.one('add', [x, w], {}))).toEqual([
      'DINO0601: add: operand y: expected f32[4, 3], found f32[5, 4]',
    ])
  })

  test('refuse every wrong operand: another rank, another dtype, none', () => {
    const accepting = [
      'all_gather',
      'all_reduce',
      'add',
      'concat_rows',
      'slice_rows',
      'place_rows',
      'cast',
      'accumulate',
    ]
    for (const { kind, c } of cases) {
      const rule = shapeRules[kind] as (types: readonly (TensorType | null)[], attrs: unknown) => unknown
      c.types.forEach((type, i) => {
        if (!type) return
        const put = (other: TensorType | null) => c.types.map((t, k) => (k === i ? other : t))
        const dtype = type.dtype === 'i32' ? 'f32' : 'i32'
        const name = `${kind} ${c.name} operand ${i}`
        const optional = operandNames[kind][i]?.endsWith('?')
        if (!optional) expect(faultsOf(() => rule(put(null), c.attrs)).length, name).toBe(1)
        if (!accepting.includes(kind))
          expect(faultsOf(() => rule(put({ ...type, dtype }), c.attrs)).length, name).toBe(1)
      })
      expect(faultsOf(() => rule(c.types, { ...c.attrs, unknown: 1 })).length, kind).toBe(1)
    }
  })

  test('results aligned with rows keep segments and bounds', () => {
    const ragged = tokensOf(4)
    const bounded = tensorType('f32', [6, 4], undefined, 'rows')
    for (const x of [ragged, bounded]) {
      const [y] = shapeRules.linear([x, f32(2, 4), null], { activation: 'none' })
      expect(y).toEqual({ ...x, shape: [x.shape[0], 2] })
      const [n, mean] = shapeRules.layer_norm([x, f32(4), f32(4)], { eps: 0 })
      expect([n, mean]).toEqual([x, { ...x, shape: [x.shape[0]] }])
    }
  })
})

describe('properties', () => {
  test('every row- or segment-wise op says which operands hold rows', () => {
    for (const kind of Object.keys(locality) as OpKind[])
      expect(rowOperands[kind] !== undefined, kind).toBe(segmentWise(kind))
  })

  test('row-wise ops treat every row alone', () => {
    for (const { kind, c } of cases) {
      if (locality[kind] !== 'row' || kind === 'softmax') continue
      const rows = c.types[0]?.shape[0] as number
      const { b, results } = opGraph(kind, c)
      const func = b.finish(results)
      const next = noise(3)
      const data = c.types.map((t, i) =>
        !t
          ? null
          : t.dtype === 'i32'
            ? Int32Array.from(c.values?.[i] ?? [])
            : Float64Array.from(c.values?.[i] ?? { length: elements(t) }, c.values?.[i] ? (v) => v : next),
      )
      const whole = interpret(
        func,
        data.filter((d) => d !== null),
      )
      const moved = data.map((d, i) => {
        if (!d || !rowOperands[kind]?.includes(i) || d instanceof Int32Array) return d
        return d.map((v, k) => (k < d.length / rows ? v + 1 : v))
      })
      const changed = interpret(
        func,
        moved.filter((d) => d !== null),
      )
      whole.forEach((y, i) => {
        const tail = y.length / rows
        expect(
          distance((changed[i] as Float64Array).subarray(tail), (y as Float64Array).subarray(tail)),
          kind,
        ).toBe(0)
      })
    }
  })

  test('in-place pairs are of one size', () => {
    for (const { kind, c } of cases) {
      const { b, operands, results } = opGraph(kind, c)
      for (const [result, operand] of inPlace[kind] ?? []) {
        const [to, from] = [results[result], operands[operand]]
        if (to === undefined || from === null || from === undefined) continue
        expect(b.type(to).shape, `${kind} ${result} over ${operand}`).toEqual(b.type(from).shape)
      }
    }
  })

  test('where a reduction takes rows, the operand is called so', () => {
    for (const [kind, { rows }] of Object.entries(reductions))
      if (rows !== null) expect(operandNames[kind as OpKind][rows], kind).toBe('rows?')
  })
})

describe('instantiate', () => {
  test('a function of ragged rows serves other rows', () => {
    const functions = blockFunctions(tokensOf(4), 2)
    const block = functions.block as Func
    const other = tokensOf(4, [{ name: 'global', count: 5, length: 2 }])
    const types = block.params.map((p, i) => (i === 0 ? other : (block.values[p.value] as Value).type))
    const again = instantiate(block, types, functions)
    expect((again.values[again.results[0]?.value ?? -1] as Value).type).toEqual(other)
    expect(
      instantiate(
        again,
        block.params.map((p) => (block.values[p.value] as Value).type),
        functions,
      ),
    ).toEqual(block)
    expect(faultsOf(() => instantiate(block, types.slice(1), functions))).toEqual([
      'DINO0602: block: expected operands of 15 parameters, found 14',
    ])
  })
})

describe('work', () => {
  const d = 8
  const { main, functions } = network({ d, depth: 1 })
  const module = inline(autodiff(moduleOf(main, functions)))
  const func = module.functions.main as Func
  const total = (stage: string, pick: (op: AnyOp) => number) =>
    func.ops.filter((op) => op.stage === stage).reduce((n, op) => n + pick(op), 0)

  test('products are 2mkn and attention 4dn², backward twice that', () => {
    const T = 12
    const products = 2 * T * d * (3 * d + d + 4 * d + 4 * d)
    const attention = 4 * d * (2 * 9 + 3 * 4)
    expect(total('forward', (op) => opFlops(func, op).products)).toBe(products + attention)
    expect(total('backward', (op) => opFlops(func, op).products)).toBe(2 * (products + attention))
  })

  test('every op counts finite, non-negative work and bytes', () => {
    for (const { kind, c } of cases) {
      const { b, results } = opGraph(kind, c)
      const one = b.finish(results)
      const op = one.ops[0] as AnyOp
      const { products, other } = opFlops(one, op)
      expect(products >= 0 && other >= 0 && Number.isFinite(products + other), kind).toBe(true)
      expect(opBytes(one, op), kind).toBeGreaterThan(0)
    }
  })

  test('bytes are operands and results once', () => {
    const b = new FuncBuilder('main')
    const [x, w] = [b.param(f32(4, 3)), b.param(f32(5, 3))]
    const y = b.one('linear', [x, w, null], { activation: 'none' })
    const one = b.finish([y])
    expect(opBytes(one, one.ops[0] as AnyOp)).toBe(4 * (12 + 15 + 20))
  })
})
