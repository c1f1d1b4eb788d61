import { describe, expect, it } from 'vitest'
import type { Module, Value } from '../../compiler/ir/types.js'
import { autodiff } from '../../compiler/passes/autodiff.js'
import { recompute } from '../../compiler/passes/recompute.js'
import { graph, outcome, text } from './graph.js'
import { distance, repeatedOps } from './step.js'

/** Two blocks of one norm and one product each. */
function twoBlocks() {
  const { b, state, finish } = graph()
  const parameters: number[] = []
  let x = state('x', 4, 3)
  for (const i of [0, 1]) {
    const [w, bias, fc] = [state(`norm${i}.weight`, 3), state(`norm${i}.bias`, 3), state(`fc${i}`, 3, 3)]
    parameters.push(w, bias, fc)
    b.module = `student.backbone.blocks.${i}`
    const [y] = b.op('layer_norm', [x, w, bias], { eps: 1e-6 })
    const [a] = b.op('linear', [y, fc, null], { activation: 'gelu' })
    x = b.one('residual_add', [x, a], { scales: null })
  }
  b.module = 'loss'
  const loss = b.one('koleo', [x], { set: 4, eps: 1e-8, scale: 0.25 })
  b.module = 'student'
  const gradients = b.op('grad', [loss, ...parameters], { seed: 1 })
  return autodiff(finish(Object.fromEntries([['loss', loss], ...gradients.map((g, i) => [`g${i}`, g])])))
}

const size = ({ type }: Value) => type.shape.reduce((n, s) => n * s, 1)

describe('recompute', () => {
  it('runs the forward of a block again, from its input, just before its backward', () => {
    const module = twoBlocks()
    const after = recompute(module, 'blocks')
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[4, 3] = state "x",
        %norm0_weight: f32[3] = state "norm0.weight",
        %norm0_bias: f32[3] = state "norm0.bias",
        %fc0: f32[3, 3] = state "fc0",
        %norm1_weight: f32[3] = state "norm1.weight",
        %norm1_bias: f32[3] = state "norm1.bias",
        %fc1: f32[3, 3] = state "fc1",
      ) {
        -- student.backbone.blocks.0 (forward)
        %7, %8, %9 = layer_norm(%x, %norm0_weight, %norm0_bias) {eps: 0.000001}
        %10, %11 = linear(%7, %fc0) {activation: "gelu"}
        %12 = residual_add(%x, %10) {scales: null}
        -- student.backbone.blocks.1 (forward)
        %13, %14, %15 = layer_norm(%12, %norm1_weight, %norm1_bias) {eps: 0.000001}
        %16, %17 = linear(%13, %fc1) {activation: "gelu"}
        %18 = residual_add(%12, %16) {scales: null}
        -- loss (forward)
        %19, %20 = koleo(%18) {set: 4, eps: 1e-8, scale: 0.25}
        -- student (backward)
        %21 = fill() {value: 1, type: f32[]}
        -- loss (backward)
        %22 = koleo_grad(%21, %18, %20) {set: 4, eps: 1e-8, scale: 0.25}
        -- student.backbone.blocks.1 (recompute)
        %23, %24, %25 = layer_norm(%12, %norm1_weight, %norm1_bias) {eps: 0.000001}
        %26, %27 = linear(%23, %fc1) {activation: "gelu"}
        -- student.backbone.blocks.1 (backward)
        %28 = gelu_grad(%22, %27)
        %29 = matmul(%28, %fc1) {transA: false, transB: false, epilogue: "none"}
        %30 = layer_norm_rebuild(%12, %24, %25, %norm1_weight, %norm1_bias)
        %31 = matmul(%28, %30) {transA: true, transB: false, epilogue: "none"}
        %32, %33, %34 = layer_norm_grad(%29, %12, %24, %25, %norm1_weight)
        %35 = add(%22, %32)
        -- student.backbone.blocks.0 (recompute)
        %36, %37, %38 = layer_norm(%x, %norm0_weight, %norm0_bias) {eps: 0.000001}
        %39, %40 = linear(%36, %fc0) {activation: "gelu"}
        -- student.backbone.blocks.0 (backward)
        %41 = gelu_grad(%35, %40)
        %42 = matmul(%41, %fc0) {transA: false, transB: false, epilogue: "none"}
        %43 = layer_norm_rebuild(%x, %37, %38, %norm0_weight, %norm0_bias)
        %44 = matmul(%41, %43) {transA: true, transB: false, epilogue: "none"}
        %45, %46, %47 = layer_norm_grad(%42, %x, %37, %38, %norm0_weight)
        return
          output "loss" %19,
          output "g0" %46,
          output "g1" %47,
          output "g2" %44,
          output "g3" %33,
          output "g4" %34,
          output "g5" %31
      }
      "
    `)
    expect(distance(outcome(module), outcome(after))).toEqual({ name: '', relative: 0 })
  })

  it('to fit a budget, gives up what saves most for its work, earlier blocks first, and no more than it takes', () => {
    const module = twoBlocks()
    const again = (m: Module) => repeatedOps(m).map(({ module, kind }) => `${module.slice(-1)} ${kind}`)
    // The peak of a plan so small is not in its blocks: a measure of what backward reads of their forward.
    const kept = (m: Module) => {
      const { ops, values } = m.functions.main!
      const made = new Set(ops.filter((op) => op.stage === 'forward').flatMap((op) => op.results))
      const read = new Set(ops.filter((op) => op.stage === 'backward').flatMap((op) => op.operands))
      return [...read].reduce<number>((n, id) => n + (id !== null && made.has(id) ? size(values[id]!) : 0), 0)
    }
    const whole = kept(module)
    const fitting = (budgetBytes: number) =>
      recompute(module, { budgetBytes, peakBytes: kept, aliveBytes: kept })
    expect(fitting(whole)).toBe(module)
    const steps = [1, 13, 21, whole].map((less) => fitting(whole - less))
    expect(steps.map(again)).toMatchInlineSnapshot(`
      [
        [
          "0 layer_norm",
          "0 linear",
        ],
        [
          "0 layer_norm",
          "0 linear",
        ],
        [
          "1 layer_norm",
          "1 linear",
          "0 layer_norm",
          "0 linear",
        ],
        [
          "1 layer_norm",
          "1 linear",
          "0 layer_norm",
          "0 linear",
        ],
      ]
    `)
    for (const after of steps)
      expect(distance(outcome(module), outcome(after))).toEqual({ name: '', relative: 0 })
    expect(kept(steps.at(-1)!)).toBe(kept(recompute(module, 'blocks')))
    expect(text(fitting(whole - 1))).toBe(text(fitting(whole - 1)))
    // A plan has the last word: what takes more than is alive at once gives up more.
    const loose = { budgetBytes: whole - 1, peakBytes: (m: Module) => kept(m) + 12, aliveBytes: kept }
    expect(text(recompute(module, loose))).toBe(text(fitting(whole - 13)))
  })

  it('takes nothing where nothing helps', () => {
    const module = twoBlocks()
    expect(recompute(module, { budgetBytes: 0, peakBytes: () => 1, aliveBytes: () => 1 })).toBe(module)
  })

  it('does nothing when off, nor to what is not differentiated', () => {
    const module = twoBlocks()
    expect(recompute(module, 'off')).toBe(module)
    const { b, state, finish } = graph()
    b.module = 'teacher.backbone.blocks.0'
    const forward = finish({ y: b.one('gelu', [state('x', 2, 2)], {}) })
    expect(text(recompute(forward, 'blocks'))).toBe(text(forward))
  })
})
