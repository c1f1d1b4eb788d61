import { describe, expect, it } from 'vitest'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import type { Module } from '../../compiler/ir/types.js'
import { verify } from '../../compiler/ir/verify.js'
import { dce } from '../../compiler/passes/dce.js'
import { f32, graph, i32, text } from './graph.js'

describe('dce', () => {
  it('removes ops, parameters, inputs and functions that nothing reads', () => {
    const { b, state, input, func, finish } = graph()
    func('unused', (inner) => [inner.one('gelu', [inner.param(f32(2, 2))], {})])
    const [x, w] = [state('x', 2, 2), state('w', 2, 2)]
    input('labels', i32(2), { kind: 'labels' })
    const h = b.one('linear', [x, w, null], { activation: 'none' })
    const [y] = b.op('linear', [x, w, null], { activation: 'gelu' })
    b.one('softmax', [h], {})
    const after = dce(finish({ y }))
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[2, 2] = state "x",
        %w: f32[2, 2] = state "w",
      ) {
        -- (forward)
        %2, %3 = linear(%x, %w) {activation: "gelu"}
        return output "y" %2
      }
      "
    `)
    expect(Object.keys(after.functions)).toEqual(['main'])
    expect(after.inputs).toEqual([])
    expect(after.state.map(({ name }) => name)).toEqual(['x', 'w'])
  })

  it('carries on what a later program or the next micro-step reads, and no more', () => {
    const scalar = f32()
    const a = new FuncBuilder('accumulate')
    const x = a.param(scalar, { kind: 'input', name: 'x' })
    const first = a.param(scalar, { kind: 'input', name: 'first' })
    const sum = a.param(scalar, { kind: 'carried', name: 'sum' })
    const idle = a.param(scalar, { kind: 'carried', name: 'idle' })
    const total = a.one('accumulate', [sum, x, first], {})
    const never = a.one('accumulate', [idle, x, first], {})
    const accumulate = a.finish([
      { value: total, sink: { kind: 'carried', name: 'sum' } },
      { value: total, sink: { kind: 'metric', name: 'loss' } },
      { value: never, sink: { kind: 'carried', name: 'idle' } },
      { value: x, sink: { kind: 'carried', name: 'grad' } },
      { value: x, sink: { kind: 'carried', name: 'spare' } },
    ])
    const u = new FuncBuilder('update')
    const grad = u.param(scalar, { kind: 'carried', name: 'grad' })
    u.param(scalar, { kind: 'carried', name: 'spare' })
    const update = u.finish([{ value: grad, sink: { kind: 'metric', name: 'norm' } }])
    const module: Module = {
      name: 'carried',
      functions: { accumulate, update },
      entries: ['accumulate', 'update'],
      state: [],
      inputs: ['x', 'first'].map((name) => ({ name, type: scalar, generator: { kind: 'labels' } })),
      microSteps: 2,
    }
    const after = dce(module)
    verify(after)
    const carried = Object.values(after.functions).map((func) => [
      func.params.flatMap(({ source }) => (source.kind === 'carried' ? [source.name] : [])),
      func.results.flatMap(({ sink }) => (sink.kind === 'carried' ? [sink.name] : [])),
    ])
    expect(carried).toEqual([
      [['sum'], ['sum', 'grad']],
      [['grad'], []],
    ])
  })
})
