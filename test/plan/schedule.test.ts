import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import { tensorBytes } from '../../compiler/ir/bytes.js'
import type { Func } from '../../compiler/ir/types.js'
import { peakLiveBytes, schedule } from '../../compiler/plan/schedule.js'

const f32 = (...shape: number[]) => ({ dtype: 'f32', shape }) as const
const peak = (func: Func) =>
  peakLiveBytes(
    func,
    func.ops,
    Float64Array.from(func.values, ({ type }) => tensorBytes(type)),
  )
const kinds = (func: Func) => func.ops.map((op) => op.kind)

describe('schedule', () => {
  it('makes a large value right before its first reader', () => {
    const b = new FuncBuilder('forward')
    const x = b.param(f32(4, 4), { kind: 'input', name: 'x' })
    const w = b.param(f32(64, 4), { kind: 'state', name: 'w' })
    const large = b.one('linear', [x, w, null], { activation: 'none' })
    let y = x
    for (let i = 0; i < 3; i++)
      y = b.one('matmul', [y, x], { transA: false, transB: false, epilogue: 'none' })
    const pair = b.one('linear', [y, w, null], { activation: 'none' })
    const out = b.one('sum_rows', [b.one('add', [large, pair], {})], {})
    const func = b.finish([{ value: out, sink: { kind: 'output', name: 'out' } }])
    const after = schedule(func)
    expect(kinds(func)).toEqual(['linear', 'matmul', 'matmul', 'matmul', 'linear', 'add', 'sum_rows'])
    expect(kinds(after)).toEqual(['matmul', 'matmul', 'matmul', 'linear', 'linear', 'add', 'sum_rows'])
    expect(peak(after)).toBeLessThanOrEqual(peak(func))
  })

  it('computes a gradient that ends the life of an activation as soon as it can', () => {
    const b = new FuncBuilder('forward')
    const x = b.param(f32(64, 4), { kind: 'input', name: 'x' })
    const a = b.one('gelu', [x], {})
    const dy = b.one('gelu_grad', [x, a], {})
    const later = b.one('linear', [dy, b.param(f32(40, 4), { kind: 'state', name: 'w' }), null], {
      activation: 'none',
    })
    const sum = b.one('sum_rows', [later], {})
    const dw = b.one('matmul', [dy, a], { transA: true, transB: false, epilogue: 'none' })
    const func = b.finish([
      { value: sum, sink: { kind: 'output', name: 'sum' } },
      { value: dw, sink: { kind: 'output', name: 'dw' } },
    ])
    const after = schedule(func)
    expect(kinds(func)).toEqual(['gelu', 'gelu_grad', 'linear', 'sum_rows', 'matmul'])
    expect(kinds(after)).toEqual(['gelu', 'gelu_grad', 'matmul', 'linear', 'sum_rows'])
    expect(peak(after)).toBeLessThan(peak(func))
  })

  it('never needs more, and never reads before it writes', () => {
    const step = fc.record({ grows: fc.integer({ min: 1, max: 40 }), reads: fc.tuple(fc.nat(), fc.nat()) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), (steps) => {
        const b = new FuncBuilder('forward')
        const made = [b.param(f32(8, 3), { kind: 'input', name: 'x' })]
        for (const { grows, reads } of steps) {
          const [x, y] = reads.map((n) => made[n % made.length]!) as [number, number]
          const both = b.one('concat_rows', [x, y], {})
          const count = Math.min(grows, b.type(both).shape[0]!)
          made.push(b.one('slice_rows', [both], { start: 0, count }))
        }
        const func = b.finish([{ value: made.at(-1)!, sink: { kind: 'output', name: 'y' } }])
        const after = schedule(func)
        expect(peak(after)).toBeLessThanOrEqual(peak(func))
        const defined = new Set(func.params.map(({ value }) => value))
        for (const op of after.ops) {
          for (const id of op.operands) expect(defined.has(id!)).toBe(true)
          for (const id of op.results) defined.add(id)
        }
        expect(after.ops.length).toBe(func.ops.length)
      }),
    )
  })

  it('leaves programs that replace state as they are', () => {
    const b = new FuncBuilder('update')
    const p = b.param(f32(4), { kind: 'state', name: 'p' })
    const func = b.finish([{ value: b.one('scale', [p], { factor: 2 }), sink: { kind: 'state', name: 'p' } }])
    expect(schedule(func)).toBe(func)
  })
})
