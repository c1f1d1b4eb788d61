import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import { tensorType } from '../../compiler/ir/operands.js'
import { parseFunc, parseModule } from '../../compiler/ir/parse.js'
import { printFunc, printModule } from '../../compiler/ir/print.js'
import type { Func, KernelKind, Module, ValueId } from '../../compiler/ir/types.js'
import type { Span } from '../../diagnostics/diagnostic.js'
import { faultsOf } from '../support/faults.js'
import { f32, moduleOf, opGraph, outputs, verified } from './graphs.js'
import type { OpCase } from './op-cases.js'
import { groups, opCases } from './op-cases.js'

const span: Span = {
  file: 'a "b".dino',
  start: 7,
  end: 9,
  startLine: 1,
  startColumn: 8,
  endLine: 1,
  endColumn: 10,
}

/** A block with a residual branch, called from an entry. */
function blocks(): Module {
  const mlp = new FuncBuilder('mlp')
  const x = mlp.param(tensorType('f32', [12, 4], groups), undefined, 'x')
  const w = mlp.param(f32(4, 4), undefined, 'w')
  mlp.module = 'mlp.fc1'
  const functions: Record<string, Func> = {
    mlp: mlp.finish([mlp.one('linear', [x, w], { activation: 'none' })]),
  }
  const block = new FuncBuilder('block', functions)
  const [bx, bw] = [block.param(mlp.type(x), undefined, 'x'), block.param(f32(4, 4), undefined, 'w')]
  const site = { branch: 'mlp', rate: 0.25, form: 'subset', site: 'mlp' } as const
  functions.block = block.finish([block.one('residual', [bx, bw], site, 'y')])
  const main = new FuncBuilder('main', functions)
  const tokens = main.param(mlp.type(x), { kind: 'input', name: 'tokens' })
  const weight = main.param(f32(4, 4), { kind: 'state', name: 'student.w-1' })
  main.module = 'student.blocks.0'
  main.span = span
  const [y] = main.op('call', [tokens, weight], { callee: 'block', data: 1 }, ['y'])
  main.module = ''
  main.stage = 'backward'
  const more = main.op('call', [y as ValueId, weight], { callee: 'block', data: 1 }, ['y'])
  return moduleOf(main.finish(outputs([...more, y as ValueId])), functions)
}

describe('IR text', () => {
  test('reads like this', () => {
    expect(printModule(blocks())).toBe(`module "test" micro_steps 1 entries main
state "student.w-1" f32[4, 4] student {stored: [4, 4], init: {kind: "zeros"}}
input "tokens" f32[12: global 2x3 + local 3x2, 4] {kind: "labels"}

func mlp(
  %x: f32[12: global 2x3 + local 3x2, 4],
  %w: f32[4, 4],
) {
  -- mlp.fc1 (forward)
  %2 = linear(%x, %w) {activation: "none"} : f32[12: global 2x3 + local 3x2, 4]
  return %2
}

func block(
  %x: f32[12: global 2x3 + local 3x2, 4],
  %w: f32[4, 4],
) {
  -- (forward)
  %y = residual mlp(%x; %w) {rate: 0.25, form: "subset", site: "mlp"} : f32[12: global 2x3 + local 3x2, 4]
  return %y
}

func main(
  %tokens: f32[12: global 2x3 + local 3x2, 4] = input "tokens",
  %student_w_1: f32[4, 4] = state "student.w-1",
) {
  -- student.blocks.0 (forward)
  %y.2 = call block(%tokens; %student_w_1) : f32[12: global 2x3 + local 3x2, 4]
  -- (backward)
  %y.3 = call block(%y.2; %student_w_1) : f32[12: global 2x3 + local 3x2, 4]
  return output "y0" %y.3, output "y1" %y.2
}
`)
  })

  test('a module reads back as it was', () => {
    const module = verified(blocks())
    expect(parseModule(printModule(module, { spans: true }))).toEqual(module)
  })

  for (const kind of Object.keys(opCases) as KernelKind[])
    test(`${kind} reads back as it was`, () => {
      for (const c of opCases[kind] as readonly OpCase<KernelKind>[]) {
        const { b, results } = opGraph(kind, c)
        const func = b.finish(outputs(results))
        expect(parseFunc(printFunc(func, { spans: true }))).toEqual(func)
      }
    })

  test('random graphs read back as they were', () => {
    fc.assert(
      fc.property(randomFunc, (func) => {
        expect(parseFunc(printFunc(func, { spans: true }))).toEqual(func)
      }),
      { numRuns: 100 },
    )
  })

  test('says where text is wrong', () => {
    const source = printModule(blocks())
    const broken = (from: string, to: string) => faultsOf(() => parseModule(source.replace(from, to)))
    expect(broken('linear(', 'lineer(')).toEqual([
      'DINO0613: line 10 of the IR text: expected an operation, found lineer',
    ])
    expect(broken('(%x; %w)', '(%q; %w)')).toEqual([
      'DINO0613: line 19 of the IR text: expected a value defined before, found %q',
    ])
    expect(broken('f32[4, 4] student', 'f64[4, 4] student')).toEqual([
      'DINO0613: line 2 of the IR text: expected a tensor type, found f64[4, 4] student {stored: [4,',
    ])
  })
})

/** Chains of element-wise ops and products over values chosen at random, with names, places and sinks. */
const randomFunc = fc
  .array(
    fc.record({
      kind: fc.constantFrom('add', 'gelu', 'scale', 'linear', 'layer_norm', 'concat_rows', 'fill'),
      from: fc.array(fc.nat(), { minLength: 3, maxLength: 3 }),
      name: fc.option(fc.constantFrom('x', 'y', 'x_1', 'return', 'state', '_'), { nil: undefined }),
      module: fc.constantFrom('', 'student.blocks.0', 'a (b)', 'x-y/z'),
      stage: fc.constantFrom('forward', 'backward', 'recompute', 'update'),
      span: fc.constantFrom(null, span),
      factor: fc.double({ noNaN: true, noDefaultInfinity: true }),
    }),
    { maxLength: 12 },
  )
  .map((steps) => {
    const b = new FuncBuilder('random')
    const values = [b.param(f32(4, 4), { kind: 'carried', name: 'a "quoted" name' }), b.param(f32(4, 4))]
    for (const step of steps) {
      const [x, y, z] = step.from.map((n) => values[n % values.length] as ValueId) as [
        ValueId,
        ValueId,
        ValueId,
      ]
      Object.assign(b, { module: step.module, stage: step.stage, span: step.span })
      const factor = Object.is(step.factor, -0) ? 0 : step.factor
      if (step.kind === 'add') values.push(b.one('add', [x, y], {}, step.name))
      if (step.kind === 'gelu') values.push(b.one('gelu', [x], {}, step.name))
      if (step.kind === 'scale') values.push(b.one('scale', [x], { factor }, step.name))
      if (step.kind === 'linear')
        values.push(b.op('linear', [x, y, null], { activation: 'gelu' }, [step.name])[0])
      if (step.kind === 'fill') values.push(b.one('fill', [], { value: factor, type: b.type(x) }, step.name))
      if (step.kind === 'concat_rows')
        values.push(
          b.one('slice_rows', [b.one('concat_rows', [x, y, z], {})], { start: 3, count: 4 }, step.name),
        )
      if (step.kind === 'layer_norm') {
        const [w, bias] = [0, 1].map((start) =>
          b.one('mean_rows', [b.one('scale', [x], { factor: start }), null], {}),
        )
        values.push(b.op('layer_norm', [x, w as ValueId, bias as ValueId], { eps: 1e-6 }, [step.name])[0])
      }
    }
    return b.finish(
      values.slice(-2).map((value) => ({ value, sink: { kind: 'metric' as const, name: `m ${value}` } })),
    )
  })
