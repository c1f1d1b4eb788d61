import { describe, expect, it } from 'vitest'
import { keptCount } from '../../compiler/ir/operands.js'
import { plainResiduals, stochasticDepth } from '../../compiler/passes/stochastic-depth.js'
import { f32, graph, outcome, text } from './graph.js'
import { distance } from './step.js'

const segments = [
  { name: 'global', count: 5, length: 2 },
  { name: 'local', count: 3, length: 1 },
]

/** One residual site, directly in the entry or within a trunk that the entry calls. */
function sites(rate: number, form: 'subset' | 'masked', within: 'entry' | 'trunk') {
  const { b, state, func, finish } = graph()
  const tokens = { ...f32(13, 4), segments }
  func('attn', (inner) => {
    const x = inner.param(tokens, { kind: 'operand' }, 'x')
    const w = inner.param(f32(4, 4), { kind: 'operand' }, 'w')
    inner.module = 'attn'
    return [inner.one('linear', [x, w, null], { activation: 'none' })]
  })
  const attrs = { branch: 'attn', rate, form, site: 'blocks.3.attn' }
  func('trunk', (inner) => {
    const x = inner.param(tokens, { kind: 'operand' }, 'x')
    const w = inner.param(f32(4, 4), { kind: 'operand' }, 'w')
    inner.module = 'blocks.3'
    return [inner.one('residual', [x, w], attrs)]
  })
  const w = state('w', 4, 4)
  const x = b.one('slice_rows', [state('x', 13, 4)], { start: 0, count: 13, segments })
  b.module = 'student'
  const [y] =
    within === 'entry' ? b.op('residual', [x, w], attrs) : b.op('call', [x, w], { callee: 'trunk', data: 1 })
  return finish({ y: y! })
}

describe('stochastic depth', () => {
  it('computes the kept sequences only, and scales them', () => {
    const after = stochasticDepth(sites(0.4, 'subset', 'trunk'))
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %w: f32[4, 4] = state "w",
        %x: f32[13, 4] = state "x",
        %kept_blocks_3_attn_global_local_: i32[4] = input "kept.blocks.3.attn(global,local)",
      ) {
        -- (forward)
        %3 = slice_rows(%x) {start: 0, count: 13, segments: <global 5x2 + local 3x1>}
        -- student.blocks.3 (forward)
        %4 = gather_segments(%3, %kept_blocks_3_attn_global_local_) {kept: [3, 1]}
        %5 = call attn(%4; %w)
        %6 = residual_add(%3, %5, _, %kept_blocks_3_attn_global_local_) {scales: [1.6666666666666667, 3]}
        return output "y" %6
      }
      "
    `)
    expect(after.inputs).toEqual([
      {
        name: 'kept.blocks.3.attn(global,local)',
        type: { dtype: 'i32', shape: [4] },
        generator: {
          kind: 'kept_subset',
          site: 'blocks.3.attn',
          groups: [
            { name: 'global', count: 5, kept: 3 },
            { name: 'local', count: 3, kept: 1 },
          ],
        },
      },
    ])
  })

  it('gives x + count / kept * branch at the kept sequences, x elsewhere', () => {
    const plain = outcome(sites(0, 'subset', 'entry'))
    const after = stochasticDepth(sites(0.4, 'subset', 'entry'))
    const dropped = outcome(after)
    const x = plain.x!
    const scale = [5 / 3, 3 / 1]
    const ratios = new Map<number, number>()
    segments.reduce((row, { count, length }, group) => {
      for (let s = 0; s < count; s++, row += length) {
        const at = row * 4
        const ratio = (dropped.y![at]! - x[at]!) / (plain.y![at]! - x[at]!)
        const wanted = Math.abs(ratio) < 1e-9 ? 0 : scale[group]!
        expect(ratio).toBeCloseTo(wanted, 9)
        ratios.set(wanted, (ratios.get(wanted) ?? 0) + 1)
      }
      return row
    }, 0)
    expect(ratios).toEqual(
      new Map(
        [
          [5 / 3, 3],
          [0, 4],
          [3, 1],
        ].sort() as [number, number][],
      ),
    )
  })

  it('computes everything and multiplies by factors in the masked form', () => {
    const after = stochasticDepth(sites(0.25, 'masked', 'entry'))
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %w: f32[4, 4] = state "w",
        %x: f32[13, 4] = state "x",
        %keep_factors_blocks_3_attn_global_local_: f32[8] = input "keep_factors.blocks.3.attn(global,local)",
      ) {
        -- (forward)
        %3 = slice_rows(%x) {start: 0, count: 13, segments: <global 5x2 + local 3x1>}
        -- student (forward)
        %4 = call attn(%3; %w)
        %5 = residual_add(%3, %4, _, _, %keep_factors_blocks_3_attn_global_local_) {scales: null}
        return output "y" %5
      }
      "
    `)
    expect(after.inputs.map(({ generator }) => generator)).toEqual([
      {
        kind: 'keep_factors',
        site: 'blocks.3.attn',
        rate: 0.25,
        groups: [
          { name: 'global', count: 5 },
          { name: 'local', count: 3 },
        ],
      },
    ])
  })

  it('leaves functions without a rate where they are called', () => {
    const module = sites(0, 'subset', 'trunk')
    const after = stochasticDepth(module)
    expect(text(after)).toBe(text(module))
    expect(text(after, 'trunk')).toMatchInlineSnapshot(`
      "
      func trunk(
        %x: f32[13: global 5x2 + local 3x1, 4],
        %w: f32[4, 4],
      ) {
        -- blocks.3 (forward)
        %2 = call attn(%x; %w)
        %3 = residual_add(%x, %2) {scales: null}
        return %3
      }
      "
    `)
    expect(after.inputs).toEqual([])
    expect(distance(outcome(module), outcome(after)).relative).toBe(0)
  })

  it('can be left out altogether, to be measured', () => {
    const plain = plainResiduals(sites(0.4, 'subset', 'entry'))
    expect(distance(outcome(sites(0, 'subset', 'entry')), outcome(plain)).relative).toBe(0)
  })

  it('keeps as many as the reference runs of RECIPE E4', () => {
    expect(
      [
        [128, 0.3],
        [512, 0.3],
        [64, 0.4],
        [256, 0.4],
        [24, 0.4],
        [96, 0.4],
        [1, 0.9],
      ].map(([count, rate]) => keptCount(count!, rate!)),
    ).toEqual([89, 358, 38, 153, 14, 57, 1])
  })
})
