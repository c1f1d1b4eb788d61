import { describe, expect, it } from 'vitest'
import { fuseMeaning } from '../../compiler/passes/fuse-meaning.js'
import { fuseNeighbours } from '../../compiler/passes/fuse-neighbours.js'
import { f32, graph, i32, outcome, text } from './graph.js'
import { distance } from './step.js'

const segments = [{ name: 'global', count: 3, length: 2 }]

describe('fuse by meaning', () => {
  function head() {
    const { b, state, input, finish } = graph()
    const [x, w1, b1] = [state('x', 4, 3), state('w1', 5, 3), state('b1', 5)]
    const [w, zt] = [state('w', 7, 5), state('zt', 4, 7)]
    const temp = input('temp', f32(), { kind: 'schedule', name: 'teacher_temp' })
    const h = b.one('linear', [x, w1, b1], { activation: 'none' })
    const y = b.one('gelu', [h], {})
    const z = b.one('linear', [y, w, null], { activation: 'none' })
    const [u, v] = b.op('sinkhorn', [zt, temp], { iterations: 3 })
    const t = b.one('make_targets', [zt, u, v, temp], {})
    const [loss, , entropy] = b.op('cross_entropy_rows', [z, t], {
      pairing: { kind: 'swap', images: 2 },
      studentTemp: 0.1,
      scale: 0.25,
      stats: true,
    })
    return finish({ loss, entropy: entropy! })
  }

  it('takes products, targets and cross-entropy together, and products with their activation', () => {
    const module = head()
    const after = fuseMeaning(module, true)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %x: f32[4, 3] = state "x",
        %w1: f32[5, 3] = state "w1",
        %b1: f32[5] = state "b1",
        %w: f32[7, 5] = state "w",
        %zt: f32[4, 7] = state "zt",
        %temp: f32[] = input "temp",
      ) {
        -- (forward)
        %6, %7 = linear(%x, %w1, %b1) {activation: "gelu"}
        %8, %9 = sinkhorn(%zt, %temp) {iterations: 3}
        %10, %11, %12, %13 = prototype_cross_entropy(%6, %w, %zt, %8, %9, %temp) {pairing: {kind: "swap", images: 2}, studentTemp: 0.1, scale: 0.25, stats: true}
        return output "loss" %10, output "entropy" %12
      }
      "
    `)
    expect(distance(outcome(module), outcome(after)).relative).toBeLessThan(1e-13)
  })

  it('leaves a cross-entropy whose targets or logits come from elsewhere', () => {
    const { b, state, finish } = graph()
    const [x, w, bias, t] = [state('x', 4, 3), state('w', 7, 3), state('b', 7), state('t', 4, 7)]
    const attrs = { pairing: { kind: 'same' }, studentTemp: 0.1, scale: 1, stats: false } as const
    const z = b.one('linear', [x, w, bias], { activation: 'none' })
    const [loss] = b.op('cross_entropy_rows', [z, t], attrs)
    const module = finish({ loss })
    expect(text(fuseMeaning(module, true))).toBe(text(module))
  })

  it('writes attention out, sequence by sequence length, with fuse off', () => {
    const { b, state, finish } = graph()
    const two = [...segments, { name: 'local', count: 2, length: 1 }]
    const qkv = b.one('slice_rows', [state('qkv', 8, 12)], { start: 0, count: 8, segments: two })
    const module = finish({ o: b.op('attention', [qkv], { heads: 2 })[0] })
    const after = fuseMeaning(module, false)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %qkv: f32[8, 12] = state "qkv",
      ) {
        -- (forward)
        %1 = slice_rows(%qkv) {start: 0, count: 6}
        %2, %3, %4 = split_heads(%1) {heads: 2, count: 3, length: 2}
        %5 = batch_matmul(%2, %3) {transA: false, transB: true, scale: 0.7071067811865475}
        %6 = softmax(%5)
        %7 = batch_matmul(%6, %4) {transA: false, transB: false, scale: 1}
        %8 = merge_heads(%7) {heads: 2, count: 3, length: 2}
        %9 = slice_rows(%qkv) {start: 6, count: 2}
        %10, %11, %12 = split_heads(%9) {heads: 2, count: 2, length: 1}
        %13 = batch_matmul(%10, %11) {transA: false, transB: true, scale: 0.7071067811865475}
        %14 = softmax(%13)
        %15 = batch_matmul(%14, %12) {transA: false, transB: false, scale: 1}
        %16 = merge_heads(%15) {heads: 2, count: 2, length: 1}
        %17 = slice_rows(%8) {start: 0, count: 6, segments: <global 3x2>}
        %18 = slice_rows(%16) {start: 0, count: 2, segments: <local 2x1>}
        %19 = concat_rows(%17, %18)
        return output "o" %19
      }
      "
    `)
    expect(distance(outcome(module), outcome(after)).relative).toBeLessThan(1e-13)
  })
})

describe('fuse neighbours', () => {
  it('takes layer scale into the sum and into its gradient', () => {
    const { b, state, input, finish } = graph()
    const kept = input('kept', i32(2), {
      kind: 'kept_subset',
      site: 'blocks.0.attn',
      groups: [{ name: 'global', count: 3, kept: 2 }],
    })
    b.module = 'student.backbone.blocks.0'
    const x = b.one('slice_rows', [state('x', 6, 4)], { start: 0, count: 6, segments })
    const branch = b.one('gather_segments', [x, kept], { kept: [2] })
    const gamma = state('gamma', 4)
    b.module = 'student.backbone.blocks.0.ls1'
    const scaled = b.one('layer_scale', [branch, gamma], {})
    b.module = 'student.backbone.blocks.0'
    const y = b.one('residual_add', [x, scaled, null, kept], { scales: [1.5] })
    b.stage = 'backward'
    const [d] = b.op('residual_add_grad', [y, null, null, kept], {
      scales: [1.5],
      segments: [{ name: 'global', count: 2, length: 2 }],
    })
    const [dbranch, dgamma] = b.op('layer_scale_grad', [d, branch, gamma], {})
    const scattered = b.one('scatter_segments', [dbranch, kept], { segments, scales: [1] })
    const module = finish({ dgamma, dx: b.one('add', [y, scattered], {}) })
    const after = fuseNeighbours(module)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %kept: i32[2] = input "kept",
        %x: f32[6, 4] = state "x",
        %gamma: f32[4] = state "gamma",
      ) {
        -- student.backbone.blocks.0 (forward)
        %3 = slice_rows(%x) {start: 0, count: 6, segments: <global 3x2>}
        %4 = gather_segments(%3, %kept) {kept: [2]}
        %5 = residual_add(%3, %4, %gamma, %kept) {scales: [1.5]}
        -- student.backbone.blocks.0 (backward)
        %6, %7 = residual_add_grad(%5, %4, %gamma, %kept) {scales: [1.5], segments: <global 2x2>}
        %8 = residual_add(%5, %6, _, %kept) {scales: [1]}
        return output "dgamma" %7, output "dx" %8
      }
      "
    `)
    expect(distance(outcome(module), outcome(after)).relative).toBeLessThan(1e-14)
  })

  it('takes activation gradients and sums into products', () => {
    const { b, state, finish } = graph()
    const [dy, w, pre, c] = [state('dy', 4, 3), state('w', 3, 5), state('pre', 4, 5), state('c', 3, 5)]
    b.stage = 'backward'
    const plain = { transA: false, transB: false, epilogue: 'none' } as const
    const dpre = b.one('gelu_grad', [b.one('matmul', [dy, w], plain), pre], {})
    const dw = b.one('matmul', [dy, dpre], { ...plain, transA: true })
    const read = b.one('matmul', [dy, w], plain)
    const module = finish({
      sum: b.one('add', [c, dw], {}),
      // Read twice: stays.
      twice: b.one('gelu_grad', [read, pre], {}),
      read,
    })
    const after = fuseNeighbours(module)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %dy: f32[4, 3] = state "dy",
        %w: f32[3, 5] = state "w",
        %pre: f32[4, 5] = state "pre",
        %c: f32[3, 5] = state "c",
      ) {
        -- (backward)
        %4 = matmul(%dy, %w, _, %pre) {transA: false, transB: false, epilogue: "gelu_grad"}
        %5 = matmul(%dy, %w) {transA: false, transB: false, epilogue: "none"}
        %6 = matmul(%dy, %4, %c) {transA: true, transB: false, epilogue: "none"}
        %7 = gelu_grad(%5, %pre)
        return output "sum" %6, output "twice" %7, output "read" %5
      }
      "
    `)
    expect(distance(outcome(module), outcome(after)).relative).toBeLessThan(1e-14)
  })

  it('joins no forward ops of two blocks', () => {
    const { b, state, finish } = graph()
    const [x, gamma] = [state('x', 4, 3), state('gamma', 3)]
    b.module = 'student.backbone.blocks.0'
    const scaled = b.one('layer_scale', [x, gamma], {})
    b.module = 'student.backbone.blocks.1'
    const module = finish({ y: b.one('residual_add', [x, scaled], { scales: null }) })
    expect(text(fuseNeighbours(module))).toBe(text(module))
  })

  it('updates a parameter and its first average in one sweep', () => {
    const { b, state, input, finish } = graph()
    b.stage = 'update'
    const [p, g, m, v, t, keep] = ['p', 'g', 'm', 'v', 't', 'keep'].map((name) => state(name, 3)) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    const scalar = (name: string) => input(name, f32(), { kind: 'schedule', name })
    const [lr, wd, momentum] = [scalar('lr'), scalar('weight_decay'), scalar('momentum')]
    const step = input('adam_step', i32(), { kind: 'adam_step' })
    const norm = b.one('norm', [g], {})
    const finite = b.one('finite', [norm], {})
    const clip = b.one('clip_factor', [norm], { max: 1 })
    const attrs = { beta1: 0.9, beta2: 0.999, eps: 1e-8, lrMultiplier: 1, wdMultiplier: 1 }
    const [p2, m2, v2] = b.op(
      'adamw',
      [
        p,
        g,
        b.one('scale', [m], { factor: 0.1 }),
        b.one('scale', [v], { factor: 0 }),
        lr,
        wd,
        step,
        clip,
        finite,
      ],
      attrs,
    )
    const t2 = b.one('ema', [t, p2, momentum, finite], {})
    const keep2 = b.one('ema', [keep, p2, momentum, finite], {})
    const module = finish({ 'state p': p2, 'state m': m2, 'state v': v2, 'state t': t2, 'state keep': keep2 })
    const after = fuseNeighbours(module)
    expect(text(after)).toMatchInlineSnapshot(`
      "
      func main(
        %p: f32[3] = state "p",
        %g: f32[3] = state "g",
        %m: f32[3] = state "m",
        %v: f32[3] = state "v",
        %t: f32[3] = state "t",
        %keep: f32[3] = state "keep",
        %lr: f32[] = input "lr",
        %weight_decay: f32[] = input "weight_decay",
        %momentum: f32[] = input "momentum",
        %adam_step: i32[] = input "adam_step",
      ) {
        -- (update)
        %10 = norm(%g)
        %11 = finite(%10)
        %12 = clip_factor(%10) {max: 1}
        %13 = scale(%m) {factor: 0.1}
        %14 = scale(%v) {factor: 0}
        %15, %16, %17, %18 = adamw_ema(%p, %g, %13, %14, %t, %lr, %weight_decay, %adam_step, %momentum, %12, %11) {beta1: 0.9, beta2: 0.999, eps: 1e-8, lrMultiplier: 1, wdMultiplier: 1}
        %19 = ema(%keep, %15, %momentum, %11)
        return
          state "p" %15,
          state "m" %16,
          state "v" %17,
          state "t" %18,
          state "keep" %19
      }
      "
    `)
    expect(distance(outcome(module), outcome(after)).relative).toBeLessThan(1e-14)
  })
})
