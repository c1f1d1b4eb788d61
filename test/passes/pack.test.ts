import { describe, expect, it } from 'vitest'
import type { FuncBuilder } from '../../compiler/ir/builder.js'
import { pack } from '../../compiler/passes/pack.js'
import { f32, type Graph, graph, i32, outcome, text } from './graph.js'
import { distance } from './step.js'

const global = [{ name: 'global', count: 2, length: 3 }]
const local = [{ name: 'local', count: 3, length: 2 }]

/** A trunk with attention, and tokens of two crop sizes. */
function trunkOf(g: Graph, build: (b: FuncBuilder, x: number, w: number) => number) {
  g.func('trunk', (b) => {
    const x = b.param({ ...f32(6, 4), segments: global }, { kind: 'operand' }, 'x')
    const w = b.param(f32(12, 4), { kind: 'operand' }, 'w')
    return [build(b, x, w)]
  })
  const w = g.state('w', 12, 4)
  const tokens = (name: string, segments: typeof global) =>
    g.b.one('slice_rows', [g.state(name, 6, 4)], { start: 0, count: 6, segments })
  return { w, xg: tokens('xg', global), xl: tokens('xl', local) }
}
const attend = (b: FuncBuilder, x: number, w: number) =>
  b.op('attention', [b.one('linear', [x, w, null], { activation: 'none' })], { heads: 2 })[0]
const call = (b: FuncBuilder, x: number, w: number) => b.op('call', [x, w], { callee: 'trunk', data: 1 })[0]!

describe('pack', () => {
  it('makes one call of siblings, and attention stays within sequences', () => {
    const g = graph()
    const { w, xg, xl } = trunkOf(g, attend)
    const yg = call(g.b, xg, w)
    const cls = g.b.one('select_tokens', [yg], { group: 'global', start: 0, tokens: 1 })
    const yl = call(g.b, xl, w)
    const localCls = g.b.one('select_tokens', [yl], { group: 'local', start: 0, tokens: 1 })
    const module = g.finish({ cls, localCls, yl })
    const after = pack(module)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %w: f32[12, 4] = state "w",
        %xg: f32[6, 4] = state "xg",
        %xl: f32[6, 4] = state "xl",
      ) {
        -- (forward)
        %3 = slice_rows(%xg) {start: 0, count: 6, segments: <global 2x3>}
        %4 = slice_rows(%xl) {start: 0, count: 6, segments: <local 3x2>}
        %5 = concat_rows(%3, %4)
        %6 = call trunk(%5; %w)
        %7 = select_tokens(%6) {group: "global", start: 0, tokens: 1}
        %8 = slice_rows(%6) {start: 6, count: 6, segments: <local 3x2>}
        %9 = select_tokens(%6) {group: "local", start: 0, tokens: 1}
        return output "cls" %7, output "localCls" %9, output "yl" %8
      }
      "
    `)
    expect(text(after, 'trunk')).toMatchInlineSnapshot(`
      "
      func trunk(
        %x: f32[12: global 2x3 + local 3x2, 4],
        %w: f32[12, 4],
      ) {
        -- (forward)
        %2 = linear(%x, %w) {activation: "none"}
        %3, %4 = attention(%2) {heads: 2}
        return %3
      }
      "
    `)
    expect(after.functions.trunk!.values[0]!.type.segments).toEqual([...global, ...local])
    expect(distance(outcome(module), outcome(after)).relative).toBeLessThan(1e-14)
  })

  it('puts rows that are only bounded last, so that the others stand where they stood', () => {
    const g = graph()
    g.func('head', (b) => {
      const x = b.param(f32(4, 3), { kind: 'operand' }, 'x')
      const w = b.param(f32(5, 3), { kind: 'operand' }, 'w')
      const bias = b.param(f32(5), { kind: 'operand' }, 'b')
      return [b.one('l2_normalize', [b.one('linear', [x, w, bias], { activation: 'none' })], { eps: 1e-12 })]
    })
    const { b } = g
    const [x, w, bias] = [g.state('x', 4, 3), g.state('w', 5, 3), g.state('b', 5)]
    const rows = g.input('rows', i32(), { kind: 'row_count' })
    const masked = b.one('gather_rows', [x, g.input('index', i32(4), { kind: 'labels' }), rows], {
      rows: 'rows',
    })
    const head = (rowsOf: number) => b.op('call', [rowsOf, w, bias], { callee: 'head', data: 1 })[0]!
    const ibot = head(masked)
    const dino = head(x)
    const mean = b.one('mean_rows', [ibot, rows], {})
    const module = g.finish({ dino, mean })
    const after = pack(module)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[4, 3] = state "x",
        %w: f32[5, 3] = state "w",
        %b: f32[5] = state "b",
        %rows: i32[] = input "rows",
        %index: i32[4] = input "index",
      ) {
        -- (forward)
        %5 = gather_rows(%x, %index, %rows) {rows: "rows"}
        %6 = concat_rows(%x, %5)
        %7 = call head(%6; %w, %b)
        %8 = slice_rows(%7) {start: 0, count: 4}
        %9 = slice_rows(%7) {start: 4, count: 4, rows: "rows"}
        %10 = mean_rows(%9, %rows)
        return output "dino" %8, output "mean" %10
      }
      "
    `)
    for (const real of [0, 3])
      expect(distance(outcome(module, real), outcome(after, real)).relative).toBeLessThan(1e-14)
  })

  const refused: Record<string, () => ReturnType<Graph['finish']>> = {
    'other parameters': () => {
      const g = graph()
      const { w, xg, xl } = trunkOf(g, attend)
      return g.finish({ yg: call(g.b, xg, w), yl: call(g.b, xl, g.state('other', 12, 4)) })
    },
    'one needs the other': () => {
      const g = graph()
      const { w, xg, xl } = trunkOf(g, attend)
      return g.finish({ y: call(g.b, call(g.b, xg, w), w), xl })
    },
    'an op that looks at all rows': () => {
      const g = graph()
      const { w, xg, xl } = trunkOf(g, (b, x, w) => {
        const sum = b.one('sum_rows', [x], {})
        return b.one('linear', [b.one('layer_scale', [x, sum], {}), w, null], { activation: 'none' })
      })
      return g.finish({ yg: call(g.b, xg, w), yl: call(g.b, xl, w) })
    },
    'rows in the place of a parameter': () => {
      const g = graph()
      const { w, xg, xl } = trunkOf(g, (b, x, w) => b.one('linear', [w, x, null], { activation: 'none' }))
      return g.finish({ yg: call(g.b, xg, w), yl: call(g.b, xl, w) })
    },
  }
  it.each(Object.entries(refused))('leaves calls alone: %s', (_, build) => {
    const module = build()
    expect(text(pack(module))).toBe(text(module))
  })
})
