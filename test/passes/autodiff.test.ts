import { describe, expect, test } from 'vitest'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import type { Data } from '../../compiler/ir/interpret.js'
import { interpret } from '../../compiler/ir/interpret.js'
import { elements } from '../../compiler/ir/operands.js'
import { printFunc } from '../../compiler/ir/print.js'
import type { AnyOp, Func, Module, Value } from '../../compiler/ir/types.js'
import { autodiff } from '../../compiler/passes/autodiff.js'
import { inline } from '../../compiler/passes/inline.js'
import { f32, moduleOf, run, verified } from '../ir/graphs.js'
import { blockFunctions, blockParameters, network, tokensOf } from '../ir/network.js'
import { noise } from '../ir/op-cases.js'
import { faultsOf } from '../support/faults.js'

/** Random numbers for every parameter of an entry. */
function numbersFor(func: Func): Record<string, Data> {
  const next = noise(5)
  return Object.fromEntries(
    func.params.map((p) => [
      'name' in p.source ? p.source.name : '',
      Float64Array.from({ length: elements((func.values[p.value] as Value).type) }, next),
    ]),
  )
}

const differentiated = (options: Parameters<typeof network>[0]): Module => {
  const { main, functions } = network(options)
  return verified(autodiff(verified(moduleOf(main, functions))))
}

const entry = (module: Module) => module.functions[module.entries[0] as string] as Func

/** The forward part alone: everything before `grad`. */
function forward({ main, functions }: ReturnType<typeof network>): Module {
  const ops = main.ops.filter((op) => op.kind !== 'grad')
  const kept = new Set([...main.params.map((p) => p.value), ...ops.flatMap((op) => op.results)])
  const values = main.values.filter((v) => kept.has(v.id))
  return moduleOf({ ...main, ops, values, results: main.results.slice(0, 1) }, functions)
}

describe('autodiff', () => {
  for (const options of [{ depth: 2 }, { depth: 2, tied: true }, { depth: 1, ffn: 'swiglu' }] as const)
    test(`a network of calls and residuals agrees with finite differences: ${JSON.stringify(options)}`, () => {
      const made = network(options)
      const values = numbersFor(made.main)
      const found = run(differentiated(options), values).outputs
      const before = forward(made)
      const dy = values.dy as Float64Array
      const loss = (changed: Record<string, Data>) => {
        const y = run(before, { ...values, ...changed }).outputs.y as Float64Array
        return y.reduce((sum, v, i) => sum + v * (dy[i] as number), 0)
      }
      const next = noise(17)
      for (const p of made.main.params) {
        if (p.source.kind !== 'state') continue
        const name = p.source.name
        const x = values[name] as Float64Array
        const direction = x.map(next)
        const moved = (h: number) => loss({ [name]: x.map((v, i) => v + h * (direction[i] as number)) })
        const slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
        const gradient = found[made.main.values[p.value]?.name as string] as Float64Array
        const along = gradient.reduce((sum, g, i) => sum + g * (direction[i] as number), 0)
        expect(Math.abs(along - slope), name).toBeLessThan(1e-7 * Math.max(1, Math.abs(slope)))
      }
    })

  test('a tied parameter gets one sum', () => {
    const tied = entry(differentiated({ depth: 2, tied: true }))
    const adds = tied.ops.filter((op) => op.kind === 'add' && op.stage === 'backward')
    // 14 parameters have a second use; trunk and branch meet at both residuals of both blocks, less the very first,
    // where the tokens need no gradient.
    expect(adds.length).toBe(14 + 3)
  })

  test('nothing is computed for what is not asked: no gradient of the tokens', () => {
    const ops = entry(differentiated({ depth: 1 })).ops.filter((op) => op.stage === 'backward')
    const products = ops.filter((op) => op.kind === 'matmul')
    // qkv, proj, fc1 and fc2: one product for the weight, one for the input. Backward ends at the parameters of the
    // first norm and adds nothing to the tokens.
    expect(products.length).toBe(8)
    expect((ops.at(-1) as AnyOp).kind).toBe('layer_norm_grad')
  })

  test('text of a small case', () => {
    const b = new FuncBuilder('main')
    const x = b.param(f32(4, 3), { kind: 'input', name: 'x' })
    const w = b.param(f32(5, 3), { kind: 'state', name: 'w' })
    b.module = 'head'
    const y = b.one('linear', [x, w, null], { activation: 'gelu' }, 'y')
    b.module = 'loss'
    const dy = b.param(f32(4, 5), { kind: 'input', name: 'dy' })
    const [dw] = b.op('grad', [y, dy, w], { seed: 1, outputs: 1 }, ['dw'])
    const module = autodiff(
      moduleOf(b.finish([{ value: dw as number, sink: { kind: 'output', name: 'dw' } }])),
    )
    expect(printFunc(entry(verified(module)), { types: false })).toBe(`func main(
  %x: f32[4, 3] = input "x",
  %w: f32[5, 3] = state "w",
  %dy: f32[4, 5] = input "dy",
) {
  -- head (forward)
  %y, %4 = linear(%x, %w) {activation: "gelu"}
  -- head (backward)
  %5 = gelu_grad(%dy, %4)
  %6 = matmul(%5, %x) {transA: true, transB: false, epilogue: "none"}
  return output "dw" %6
}`)
  })

  test('a parameter that the loss does not depend on gets zeros', () => {
    const b = new FuncBuilder('main')
    const [x, w] = [
      b.param(f32(), { kind: 'state', name: 'x' }),
      b.param(f32(2, 2), { kind: 'state', name: 'w' }),
    ]
    const loss = b.one('scale', [x], { factor: 3 })
    const [dx, dw] = b.op('grad', [loss, x, w], { seed: 0.5 })
    const results = [dx, dw].map((value, i) => ({
      value: value as number,
      sink: { kind: 'output', name: `d${i}` } as const,
    }))
    const { outputs } = run(verified(autodiff(moduleOf(b.finish(results)))), {
      x: Float64Array.of(2),
      w: Float64Array.of(1, 2, 3, 4),
    })
    expect(outputs).toEqual({ d0: Float64Array.of(1.5), d1: new Float64Array(4) })
  })

  test('calls that do not lead to the loss stay calls', () => {
    const x = tokensOf(4)
    const functions = blockFunctions(x, 2)
    const b = new FuncBuilder('main', functions)
    const tokens = b.param(x, { kind: 'input', name: 'tokens' })
    const student = blockParameters(b, 4, 'student')
    const teacher = blockParameters(b, 4, 'teacher')
    const [y] = b.op('call', [tokens, ...student], { callee: 'block', data: 1 })
    const [t] = b.op('call', [tokens, ...teacher], { callee: 'block', data: 1 })
    const grads = b.op('grad', [y as number, t as number, ...student], { seed: 1, outputs: 1 })
    const results = grads.map((value, i) => ({ value, sink: { kind: 'output', name: `g${i}` } as const }))
    const module = verified(autodiff(verified(moduleOf(b.finish(results), functions))))
    expect(entry(module).ops.filter((op) => op.kind === 'call').length).toBe(1)
    const values = numbersFor(entry(module))
    expect(run(verified(inline(module)), values).outputs).toEqual(run(module, values).outputs)
  })

  test('refuses stochastic depth not yet expanded, and ops without a gradient', () => {
    const { main, functions } = network({ rate: 0.5 })
    expect(faultsOf(() => autodiff(moduleOf(main, functions)))).toEqual([
      'DINO0612: residual attn still has stochastic depth 0.5',
    ])
    const b = new FuncBuilder('main')
    const x = b.param(f32(3, 3), { kind: 'state', name: 'x' })
    b.module = 'loss.odd'
    const y = b.one('sum_rows', [x, null], {})
    const [dx] = b.op('grad', [y, y, x], { seed: 1, outputs: 1 })
    const odd = moduleOf(b.finish([{ value: dx as number, sink: { kind: 'output', name: 'dx' } }]))
    expect(faultsOf(() => autodiff(odd))).toEqual([
      'DINO0611: a gradient is asked for through sum_rows in loss.odd, which has none',
    ])
  })
})

describe('what backward keeps', () => {
  /** Floats a row of values that forward makes and backward reads. */
  function kept(depth: number, d: number, ffn: 'mlp' | 'swiglu'): number {
    const func = entry(differentiated({ depth, d, ffn }))
    const forwardValues = new Set(func.ops.filter((op) => op.stage === 'forward').flatMap((op) => op.results))
    const read = new Set(func.ops.filter((op) => op.stage === 'backward').flatMap((op) => op.operands))
    const sizes = [...read].flatMap((v) =>
      v !== null && forwardValues.has(v) ? [elements((func.values[v] as Value).type)] : [],
    )
    return sizes.reduce((n, size) => n + size, 0) / (tokensOf(d).shape[0] as number)
  }

  test('of an MLP block with layer scale: 12 d floats a row, two means and rstds, and lse', () => {
    const [d, heads] = [8, 2]
    expect(kept(3, d, 'mlp') - kept(2, d, 'mlp')).toBe(12 * d + 4 + heads)
  })

  test('of a SwiGLU block: its gate input instead of the input of GELU', () => {
    const [d, heads] = [8, 2]
    expect(kept(3, d, 'swiglu') - kept(2, d, 'swiglu')).toBe(8 * d + 4 * d + 4 + heads)
  })

  test('rebuilt values belong to backward', () => {
    const func = entry(differentiated({ depth: 1 }))
    const again = func.ops.filter((op) => op.kind === 'layer_norm_rebuild' || op.kind === 'gelu')
    expect(again.map((op) => `${op.kind} ${op.stage} ${op.module}`)).toEqual([
      'gelu forward student.blocks.0',
      'gelu backward student.blocks.0',
      'layer_norm_rebuild backward student.blocks.0',
      'layer_norm_rebuild backward student.blocks.0',
    ])
  })
})

describe('inline', () => {
  test('changes nothing that is computed', () => {
    const before = forward(network({ depth: 2 }))
    const after = verified(inline(before))
    expect(entry(after).ops.some((op) => op.kind === 'call' || op.kind === 'residual')).toBe(false)
    expect(Object.keys(after.functions)).toEqual(['main'])
    const values = numbersFor(entry(before))
    expect(run(after, values).outputs).toEqual(run(before, values).outputs)
  })

  test('joins module paths', () => {
    const modules = new Set(entry(inline(forward(network({ depth: 2 })))).ops.map((op) => op.module))
    expect([...modules]).toEqual(['student.blocks.0', 'student.blocks.1'])
  })

  test('the oracle runs calls and residuals before any pass', () => {
    const { main, functions } = network({ depth: 1 })
    const block = functions.block as Func
    const values = numbersFor(main)
    const operands = [
      values.tokens,
      ...main.params.slice(2).map((p) => values['name' in p.source ? p.source.name : '']),
    ]
    const direct = interpret(block, operands as Data[], functions)
    const { outputs } = run(forward({ main, functions }), values)
    expect(outputs.y).toEqual(direct[0])
  })
})
