import { describe, expect, it } from 'vitest'
import { cse } from '../../compiler/passes/cse.js'
import { graph, outcome, text } from './graph.js'
import { distance } from './step.js'

describe('cse', () => {
  it('computes the same once, within one stage', () => {
    const { b, state, finish } = graph()
    const [x, v, g] = [state('x', 4, 3), state('v', 5, 3), state('g', 5)]
    const product = () => b.one('linear', [x, b.one('weight_norm', [v, g], {}), null], { activation: 'none' })
    const [first, second] = [product(), product()]
    const forward = b.one('gelu', [first], {})
    b.stage = 'backward'
    // Built again on purpose: sharing it would keep it alive since forward.
    const again = b.one('gelu', [second], {})
    const module = finish({
      y: b.one('add', [forward, again], {}),
      z: b.one('scale', [again], { factor: 2 }),
    })
    const after = cse(module)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[4, 3] = state "x",
        %v: f32[5, 3] = state "v",
        %g: f32[5] = state "g",
      ) {
        -- (forward)
        %3 = weight_norm(%v, %g)
        %4 = linear(%x, %3) {activation: "none"}
        %5 = gelu(%4)
        -- (backward)
        %6 = gelu(%4)
        %7 = add(%5, %6)
        %8 = scale(%6) {factor: 2}
        return output "y" %7, output "z" %8
      }
      "
    `)
    expect(distance(outcome(module), outcome(after))).toEqual({ name: '', relative: 0 })
  })

  it('tells attributes apart', () => {
    const { b, state, finish } = graph()
    const x = state('x', 4, 3)
    const scaled = [2, 3, 2].map((factor) => b.one('scale', [x], { factor }))
    const module = finish({ a: scaled[0]!, b: scaled[1]!, c: scaled[2]! })
    expect(text(cse(module))).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[4, 3] = state "x",
      ) {
        -- (forward)
        %1 = scale(%x) {factor: 2}
        %2 = scale(%x) {factor: 3}
        return output "a" %1, output "b" %2, output "c" %1
      }
      "
    `)
  })
})
