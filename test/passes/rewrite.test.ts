import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AnyOp } from '../../compiler/ir/types.js'
import { inDependencyOrder, makeOp, openDraft } from '../../compiler/passes/rewrite.js'
import { f32, graph, text } from './graph.js'

const place = { module: 'test', stage: 'forward', span: null } as const
const op = (result: number, ...operands: number[]): AnyOp => makeOp('finite', operands, [result], {}, place)

describe('inDependencyOrder', () => {
  it('puts producers first and leaves what is in order as it is', () => {
    const dag = fc
      .array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 30 })
      .map((reads) => reads.map((list, i) => op(i, ...(i === 0 ? [] : list.map((n) => n % i)))))
    fc.assert(
      fc.property(dag, fc.array(fc.nat(), { minLength: 30, maxLength: 30 }), (ops, keys) => {
        expect(inDependencyOrder(ops)).toEqual(ops)
        const shuffled = ops
          .map((o, i) => ({ o, key: keys[i]! }))
          .sort((a, b) => a.key - b.key)
          .map(({ o }) => o)
        const ordered = inDependencyOrder(shuffled)
        expect(new Set(ordered)).toEqual(new Set(ops))
        const seen = new Set<number>()
        for (const { operands, results } of ordered) {
          for (const id of operands) expect(seen.has(id!)).toBe(true)
          seen.add(results[0]!)
        }
      }),
    )
  })

  it('says so where there is no order', () => {
    expect(() => inDependencyOrder([op(0, 1), op(1, 0)])).toThrow('need each other')
  })
})

describe('a draft', () => {
  it('follows replacements and forgets what nothing defines', () => {
    const { b, state, finish } = graph()
    const x = state('x', 2, 2)
    const y = b.one('gelu', [x], {}, 'y')
    const z = b.one('scale', [y], { factor: 2 }, 'z')
    const func = finish({ z, y }).functions.main!
    const draft = openDraft(func)
    const [first] = draft.emit('scale', [x], { factor: 3 }, func.ops[0]!)
    draft.replace(y, first!)
    draft.keep(func.ops[1]!)
    expect(draft.type(y)).toEqual(f32(2, 2))
    expect(draft.maker(y)?.kind).toBe('scale')
    expect(draft.resolve(y)).toBe(first)
    const after = draft.close()
    expect(after.ops.map((o) => [o.kind, o.operands, o.results])).toEqual([
      ['scale', [0], [1]],
      ['scale', [1], [2]],
    ])
    expect(after.results.map((result) => result.value)).toEqual([2, 1])
  })

  it('keeps ids dense and in order', () => {
    const { b, state, finish } = graph()
    const x = state('x', 2, 2)
    const dead = b.one('gelu', [x], {})
    const module = finish({ y: b.one('scale', [x], { factor: 2 }) })
    const draft = openDraft(module.functions.main!)
    for (const o of module.functions.main!.ops) if (o.results[0] !== dead) draft.keep(o)
    const func = draft.close()
    expect(func.values.map(({ id }) => id)).toEqual([0, 1])
    expect(text({ ...module, functions: { main: func } })).toContain('output "y" %1')
  })
})
