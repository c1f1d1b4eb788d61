import { describe, expect, it } from 'vitest'
import { simplify } from '../../compiler/passes/simplify.js'
import { f32, graph, i32, outcome, text } from './graph.js'
import { distance } from './step.js'

const groups = [
  { name: 'global', count: 2, length: 3 },
  { name: 'local', count: 3, length: 2 },
]

describe('simplify', () => {
  it('drops what changes nothing', () => {
    const { b, state, finish } = graph()
    const x = state('x', 4, 3)
    const same = b.one('slice_rows', [b.one('scale', [x], { factor: 1 })], { start: 0, count: 4 })
    const one = b.one('concat_rows', [b.one('cast', [same], { to: 'f32' })], {})
    const zero = b.one('fill', [], { value: 0, type: f32(4, 3) })
    const sum = b.one('add', [zero, one], {})
    b.one('gelu', [sum], {})
    const module = finish({
      y: b.one('gelu', [sum], {}),
      dy: b.one('residual_add_grad', [sum], { scales: null }),
    })
    const after = simplify(module)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[4, 3] = state "x",
      ) {
        -- (forward)
        %1 = gelu(%x)
        return output "y" %1, output "dy" %x
      }
      "
    `)
    expect(distance(outcome(module), outcome(after))).toEqual({ name: '', relative: 0 })
  })

  it('takes rows from the whole where they stood in a part of it', () => {
    const { b, state, input, finish } = graph()
    const x = state('x', 12, 3)
    const ragged = b.one('scale', [b.one('slice_rows', [x], { start: 0, count: 12, segments: groups })], {
      factor: 2,
    })
    const global = b.one('slice_rows', [ragged], { start: 0, count: 6, segments: groups.slice(0, 1) })
    const local = b.one('slice_rows', [ragged], { start: 6, count: 6, segments: groups.slice(1) })
    const rows = input('rows', i32(), { kind: 'row_count' })
    const index = input('index', i32(5), { kind: 'labels' })
    const module = finish({
      cls: b.one('select_tokens', [global], { group: 'global', start: 0, tokens: 1 }),
      localCls: b.one('select_tokens', [local], { group: 'local', start: 0, tokens: 1 }),
      masked: b.one('gather_rows', [global, index, rows], { rows: 'rows' }),
      // Not from the first row on: the index would have to move.
      moved: b.one('gather_rows', [local, index, null], {}),
      within: b.one('slice_rows', [local], { start: 2, count: 2 }),
    })
    const after = simplify(module)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[12, 3] = state "x",
        %rows: i32[] = input "rows",
        %index: i32[5] = input "index",
      ) {
        -- (forward)
        %3 = slice_rows(%x) {start: 0, count: 12, segments: <global 2x3 + local 3x2>}
        %4 = scale(%3) {factor: 2}
        %5 = slice_rows(%4) {start: 6, count: 6, segments: <local 3x2>}
        %6 = select_tokens(%4) {group: "global", start: 0, tokens: 1}
        %7 = select_tokens(%4) {group: "local", start: 0, tokens: 1}
        %8 = gather_rows(%4, %index, %rows) {rows: "rows"}
        %9 = gather_rows(%5, %index)
        %10 = slice_rows(%4) {start: 8, count: 2}
        return
          output "cls" %6,
          output "localCls" %7,
          output "masked" %8,
          output "moved" %9,
          output "within" %10
      }
      "
    `)
    expect(distance(outcome(module), outcome(after))).toEqual({ name: '', relative: 0 })
  })

  it('takes a part as it was before it was put together', () => {
    const { b, state, finish } = graph()
    const parts = [state('x', 4, 3), state('y', 2, 3)]
    const all = b.one('concat_rows', parts, {})
    const module = finish({
      y: b.one('scale', [b.one('slice_rows', [all], { start: 4, count: 2 })], { factor: 2 }),
      x: b.one('slice_rows', [all], { start: 1, count: 2 }),
      both: b.one('slice_rows', [all], { start: 3, count: 2 }),
    })
    const after = simplify(module)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[4, 3] = state "x",
        %y: f32[2, 3] = state "y",
      ) {
        -- (forward)
        %2 = concat_rows(%x, %y)
        %3 = scale(%y) {factor: 2}
        %4 = slice_rows(%x) {start: 1, count: 2}
        %5 = slice_rows(%2) {start: 3, count: 2}
        return output "y" %3, output "x" %4, output "both" %5
      }
      "
    `)
    expect(distance(outcome(module), outcome(after))).toEqual({ name: '', relative: 0 })
  })

  it('keeps calls, residuals and gradients', () => {
    const { b, state, func, finish } = graph()
    func('twice', (inner) => [
      inner.one('scale', [inner.param(f32(2, 2), { kind: 'operand' }, 'x')], { factor: 2 }),
    ])
    const x = state('x', 2, 2)
    const [y] = b.op('call', [x], { callee: 'twice', data: 1 })
    const [z] = b.op('residual', [y!], { branch: 'twice', rate: 0, form: 'subset', site: 'blocks.0.attn' })
    const [loss] = b.op('norm', [z], {})
    const module = finish({ loss, z })
    expect(text(simplify(module))).toBe(text(module))
  })
})
