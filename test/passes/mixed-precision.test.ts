import { describe, expect, it } from 'vitest'
import { kernels } from '../../compiler/ir/interpret.js'
import { multipliesBf16, roundToBf16 } from '../../compiler/ir/precision.js'
import { verify } from '../../compiler/ir/verify.js'
import { autodiff } from '../../compiler/passes/autodiff.js'
import { mixedPrecision } from '../../compiler/passes/mixed-precision.js'
import { optimize } from '../../compiler/passes/pipeline.js'
import { buildPlan } from '../../compiler/plan/build.js'
import { tinyBackbone } from '../golden/experiment.js'
import { graph, outcome, text } from './graph.js'
import { distance, tinyStep } from './step.js'

const everything: ReadonlySet<string> = new Set([...Object.keys(kernels).map((kind) => `op:${kind}`), 'bf16'])

/** A norm, two products with a GELU between, and what leads back. */
function block() {
  const { b, state, finish } = graph()
  const [x, w, bias] = [state('x', 4, 8), state('norm.weight', 8), state('norm.bias', 8)]
  const [fc1, fc2] = [state('fc1', 6, 8), state('fc2', 8, 6)]
  b.module = 'student.backbone.blocks.0'
  const [y] = b.op('layer_norm', [x, w, bias], { eps: 1e-6 })
  const [h] = b.op('linear', [y, fc1, null], { activation: 'gelu' })
  const branch = b.one('linear', [h, fc2, null], { activation: 'none' })
  const out = b.one('residual_add', [x, branch], { scales: null })
  b.module = 'loss'
  const loss = b.one('koleo', [out], { set: 4, eps: 1e-8, scale: 0.25 })
  b.module = 'student'
  const gradients = b.op('grad', [loss, w, fc1, fc2], { seed: 1 })
  return autodiff(finish(Object.fromEntries([['loss', loss], ...gradients.map((g, i) => [`g${i}`, g])])))
}

describe('mixed precision', () => {
  it('stores what products read in bf16, casts weights once, and keeps the rest float32', () => {
    const module = block()
    const half = mixedPrecision(module, 'bf16')
    verify(half)
    expect(text(half)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[4, 8] = state "x",
        %norm_weight: f32[8] = state "norm.weight",
        %norm_bias: f32[8] = state "norm.bias",
        %fc1: f32[6, 8] = state "fc1",
        %fc2: f32[8, 6] = state "fc2",
      ) {
        -- student.backbone.blocks.0 (forward)
        %5, %6, %7 = layer_norm(%x, %norm_weight, %norm_bias) {eps: 0.000001, storage: "bf16"}
        %8 = cast(%fc1) {to: "bf16"}
        %9, %10 = linear(%5, %8) {activation: "gelu", storage: "bf16"}
        %11 = cast(%fc2) {to: "bf16"}
        %12 = linear(%9, %11) {activation: "none", storage: "bf16"}
        %13 = residual_add(%x, %12) {scales: null}
        -- loss (forward)
        %14, %15 = koleo(%13) {set: 4, eps: 1e-8, scale: 0.25}
        -- student (backward)
        %16 = fill() {value: 1, type: f32[]}
        -- loss (backward)
        %17 = koleo_grad(%16, %13, %15) {set: 4, eps: 1e-8, scale: 0.25}
        -- student.backbone.blocks.0 (backward)
        %18 = cast(%17) {to: "bf16"}
        %19 = matmul(%18, %11) {transA: false, transB: false, epilogue: "none", storage: "bf16"}
        %20 = gelu(%10) {storage: "bf16"}
        %21 = matmul(%18, %20) {transA: true, transB: false, epilogue: "none"}
        %22 = gelu_grad(%19, %10) {storage: "bf16"}
        %23 = matmul(%22, %8) {transA: false, transB: false, epilogue: "none", storage: "bf16"}
        %24 = layer_norm_rebuild(%x, %6, %7, %norm_weight, %norm_bias) {storage: "bf16"}
        %25 = matmul(%22, %24) {transA: true, transB: false, epilogue: "none"}
        %26, %27, %28 = layer_norm_grad(%23, %x, %6, %7, %norm_weight)
        return output "loss" %14, output "g0" %27, output "g1" %25, output "g2" %21
      }
      "
    `)
    expect(distance(outcome(module), outcome(half)).relative).toBeLessThan(0.05)
  })

  it('does nothing in float32', () => {
    const module = block()
    expect(mixedPrecision(module, 'float32')).toBe(module)
  })

  it.each([
    ['a step with stochastic depth', tinyStep({}, 0.4), 'never'],
    ['logits that are never stored', tinyStep({}, 0.4), 'always'],
    [
      'SwiGLU and registers',
      tinyStep({ backbone: { ...tinyBackbone, ffn: 'swiglu', registers: 2 } }),
      'never',
    ],
  ] as const)('%s multiplies bf16 alone, and hands on float32', (_, step, streamLogits) => {
    for (const fuse of [true, false]) {
      const { module } = optimize(step, {
        pack: true,
        fuse,
        streamLogits,
        precision: 'bf16',
        recompute: 'blocks',
        capabilities: everything,
        verifyEach: true,
      })
      for (const name of module.entries) {
        const { ops, values, results, params } = module.functions[name]!
        const dtype = (id: number) => values[id]!.type.dtype
        const wrong = ops.filter((op) =>
          op.operands.some((id, i) => id !== null && multipliesBf16(op.kind, i) && dtype(id) !== 'bf16'),
        )
        expect(wrong).toEqual([])
        expect([...results, ...params].filter(({ value }) => dtype(value) === 'bf16')).toEqual([])
        const casts = ops.filter((op) => op.kind === 'cast' && op.stage !== 'recompute')
        expect(new Set(casts.map((op) => op.operands[0])).size).toBe(casts.length)
      }
      const plan = buildPlan(
        module,
        { class: 'arena', arenaLimitBytes: null },
        { images: 3, modelFlopsPerStep: 1 },
      )
      expect(plan.target.requires).toContain('bf16')
      const whole = optimize(step, {
        pack: true,
        fuse,
        precision: 'float32',
        recompute: 'blocks',
        capabilities: everything,
      })
      const exact = buildPlan(
        whole.module,
        { class: 'arena', arenaLimitBytes: null },
        { images: 3, modelFlopsPerStep: 1 },
      )
      expect(exact.target.requires).not.toContain('bf16')
      expect(plan.arenas[0]!.bytes).toBeLessThan(exact.arenas[0]!.bytes)
    }
  })
})

describe('rounding to bf16', () => {
  it('is to the nearest, ties to even, and keeps what is not a number', () => {
    const ulp = 2 ** -7
    expect(roundToBf16(1 + ulp / 2)).toBe(1)
    expect(roundToBf16(1 + (3 * ulp) / 2)).toBe(1 + 2 * ulp)
    expect(roundToBf16(1 + ulp / 2 + 2 ** -20)).toBe(1 + ulp)
    expect(roundToBf16(-3.4e38)).toBe(Number.NEGATIVE_INFINITY)
    expect(Math.abs(roundToBf16(1e-40) - 1e-40)).toBeLessThan(2 ** -134)
    expect(roundToBf16(Number.NaN)).toBeNaN()
    expect(roundToBf16(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY)
  })
})
