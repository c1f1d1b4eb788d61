import { describe, expect, it } from 'vitest'
import { fuseMeaning } from '../../compiler/passes/fuse-meaning.js'
import { streamLogits } from '../../compiler/passes/stream-logits.js'
import { f32, graph, outcome, text } from './graph.js'
import { distance } from './step.js'

/** Teacher logits [4, K] of features of five, which both kinds of targets, a center and a loss read. */
function targets(prototypes: number, teachers = 4) {
  const { b, state, input, finish } = graph()
  const [x, w] = [state('x', teachers, 5), state('w', prototypes, 5)]
  const [xt, wt] = [state('xt', teachers, 5), state('wt', prototypes, 5)]
  const center = state('center', prototypes)
  const temp = input('temp', f32(), { kind: 'schedule', name: 'teacher_temp' })
  const zt = b.one('linear', [xt, wt, null], { activation: 'none' }, 'zt')
  const losses = [
    b.op('sinkhorn', [zt, temp], { iterations: 3 }),
    b.op('sharpen_center', [zt, center, temp], {}),
  ]
  const terms = losses.map(([u, v]) => {
    const z = b.one('linear', [x, w, null], { activation: 'none' })
    const t = b.one('make_targets', [zt, u, v, temp], {})
    const attrs = { pairing: { kind: 'same' }, studentTemp: 0.1, scale: 0.25, stats: true } as const
    return b.op('cross_entropy_rows', [z, t], attrs)
  })
  return {
    zt,
    finish: (more: Readonly<Record<string, number>> = {}) =>
      fuseMeaning(
        finish({
          sinkhorn: terms[0]![0],
          entropy: terms[0]![2]!,
          centered: terms[1]![0],
          mean: b.one('mean_rows', [zt], {}),
          ...more,
        }),
        true,
      ),
  }
}

describe('streamed logits', () => {
  it('have every reader multiply again', () => {
    const module = targets(7).finish()
    const after = streamLogits(module, 'always')
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[4, 5] = state "x",
        %w: f32[7, 5] = state "w",
        %xt: f32[4, 5] = state "xt",
        %wt: f32[7, 5] = state "wt",
        %center: f32[7] = state "center",
        %temp: f32[] = input "temp",
      ) {
        -- (forward)
        %6, %7 = streamed_sinkhorn(%xt, %wt, %temp) {iterations: 3}
        %8, %9 = streamed_sharpen_center(%xt, %wt, %center, %temp)
        %10, %11, %12, %13 = streamed_cross_entropy(%x, %w, %xt, %wt, %6, %7, %temp) {pairing: {kind: "same"}, studentTemp: 0.1, scale: 0.25, stats: true}
        %14, %15, %16, %17 = streamed_cross_entropy(%x, %w, %xt, %wt, %8, %9, %temp) {pairing: {kind: "same"}, studentTemp: 0.1, scale: 0.25, stats: true}
        %18 = streamed_mean_rows(%xt, %wt)
        return output "sinkhorn" %10, output "entropy" %12, output "centered" %14, output "mean" %18
      }
      "
    `)
    expect(distance(outcome(module), outcome(after)).relative).toBeLessThan(1e-12)
  })

  it('are those of 65,536 prototypes or more, and of more rows than a quarter of their features', () => {
    const streams = (prototypes: number, teachers: number) => {
      const module = targets(prototypes, teachers).finish()
      return text(streamLogits(module, 'large')) !== text(module)
    }
    expect(streams(65_535, 100)).toBe(false)
    expect(streams(65_536, 100)).toBe(true)
    expect(streams(131_072, 2)).toBe(true)
    expect(streams(131_072, 1)).toBe(false)
    const module = targets(131_072).finish()
    expect(streamLogits(module, 'never')).toBe(module)
  })

  it('are stored where something else reads them', () => {
    const some = targets(7)
    const module = some.finish({ logits: some.zt })
    expect(text(streamLogits(module, 'always'))).toBe(text(module))
  })
})
