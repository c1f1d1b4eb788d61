import { describe, expect, test } from 'vitest'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import { tensorType } from '../../compiler/ir/operands.js'
import type { AnyOp, Func, Module } from '../../compiler/ir/types.js'
import { verify } from '../../compiler/ir/verify.js'
import { faultsOf } from '../support/faults.js'
import { f32, moduleOf } from './graphs.js'
import { network } from './network.js'

const i32 = { dtype: 'i32', shape: [] } as const
const bounded = tensorType('f32', [6, 4], undefined, 'mask.rows')

/** x, w -> y = x w, and the mean of bounded rows. */
function small(): Module {
  const b = new FuncBuilder('main')
  const x = b.param(f32(3, 4), { kind: 'input', name: 'x' })
  const w = b.param(f32(4, 4), { kind: 'state', name: 'w' })
  const z = b.param(bounded, { kind: 'input', name: 'z' })
  const rows = b.param(i32, { kind: 'input', name: 'mask.rows' })
  const y = b.one('linear', [x, w, null], { activation: 'none' }, 'y')
  const mean = b.one('mean_rows', [z, rows], {}, 'mean')
  const w2 = b.one('scale', [w], { factor: 2 }, 'w2')
  return moduleOf(
    b.finish([
      { value: y, sink: { kind: 'output', name: 'y' } },
      { value: mean, sink: { kind: 'metric', name: 'mean' } },
      { value: w2, sink: { kind: 'state', name: 'w' } },
    ]),
  )
}

const main = (module: Module) => module.functions.main as Func
const withMain = (module: Module, change: (f: Func) => Func): Module => ({
  ...module,
  functions: { ...module.functions, main: change(main(module)) },
})
/** Changes op `i` of the entry. */
const withOp = (module: Module, i: number, change: Partial<AnyOp>) =>
  withMain(module, (f) => ({
    ...f,
    ops: f.ops.map((op, k) => (k === i ? ({ ...op, ...change } as AnyOp) : op)),
  }))

const faults = (module: Module, options = {}) => faultsOf(() => verify(module, options))

describe('verify', () => {
  test('accepts what the builder makes', () => {
    expect(faults(small())).toEqual([])
    const { main: func, functions } = network({ depth: 2, rate: 0.3 })
    expect(faults(moduleOf(func, functions))).toEqual([])
  })

  test('operands exist and come before their use', () => {
    expect(faults(withOp(small(), 0, { operands: [6, 1, null] }))).toEqual([
      'DINO0605: main: linear uses %w2 (6), which is not defined before it',
    ])
    expect(faults(withOp(small(), 0, { operands: [99, 1, null] }))).toEqual([
      'DINO0605: main: linear uses %99, which is not defined before it',
    ])
  })

  test('each value is defined once', () => {
    expect(faults(withOp(small(), 2, { results: [4] }))).toEqual([
      'DINO0606: main: expected one definition of %y (4), found another number',
      'DINO0606: main: expected one definition of %w2 (6), found another number',
      'DINO0605: main: a result uses %w2 (6), which is not defined before it',
    ])
  })

  test('types are what the rules give', () => {
    const wrong = withMain(small(), (f) => ({
      ...f,
      values: f.values.map((v) => (v.id === 4 ? { ...v, type: f32(3, 5) } : v)),
    }))
    expect(faults(wrong)).toEqual(['DINO0607: main: linear gives %y (4) of type f32[3, 4], found f32[3, 5]'])
  })

  test('operand types, counts and attributes fit', () => {
    expect(faults(withOp(small(), 0, { operands: [1, 0, null] }))).toEqual([
      'DINO0607: main: linear gives %y (4) of type f32[4, 3], found f32[3, 4]',
    ])
    expect(faults(withOp(small(), 0, { operands: [0, 2, null] }))).toEqual([
      'DINO0607: main: linear gives %y (4) of type f32[3, 6], found f32[3, 4]',
    ])
    expect(faults(withOp(small(), 0, { operands: [0, 1] }))).toEqual([
      'DINO0602: linear: expected operands (x, w, b?), found 2',
    ])
    expect(
      faults(withOp(small(), 0, { attrs: { activation: 'relu' } } as unknown as Partial<AnyOp>)),
    ).toEqual(['DINO0603: linear: attribute activation: expected none or gelu, found "relu"'])
    expect(faults(withOp(small(), 0, { attrs: {} } as Partial<AnyOp>))).toEqual([
      'DINO0603: linear: attribute activation: expected none or gelu, found nothing',
    ])
    expect(
      faults(withOp(small(), 2, { attrs: { factor: 2, extra: 1 } } as unknown as Partial<AnyOp>)),
    ).toEqual(['DINO0603: scale: attribute extra: expected no such attribute, found 1'])
  })

  test('reductions over bounded rows take their number', () => {
    expect(faults(withOp(small(), 1, { operands: [2, null] }))).toEqual([
      'DINO0608: mean_rows: operand z has only mask.rows real rows, and the operation reads them all',
    ])
    const other = new FuncBuilder('main')
    const z = other.param(bounded, { kind: 'input', name: 'z' })
    const rows = other.param(i32, { kind: 'input', name: 'other.rows' })
    const dw = other.one('matmul', [z, z, null, null, rows], {
      transA: true,
      transB: false,
      epilogue: 'none',
    })
    const module = moduleOf(other.finish([{ value: dw, sink: { kind: 'output', name: 'dw' } }]))
    const message = (operand: string) =>
      `DINO0608: matmul: operand ${operand} has only mask.rows real rows, and the operation reads them all`
    expect(faults(module)).toEqual([message('a'), message('b')])
  })

  test('sources and sinks fit what is declared', () => {
    const module = small()
    expect(faults({ ...module, state: [] })).toEqual([
      'DINO0610: main: w: no state tensor has this name',
      'DINO0610: main: w: no state tensor has this name',
    ])
    expect(faults({ ...module, inputs: module.inputs.filter((i) => i.name !== 'x') })).toEqual([
      'DINO0610: main: x: no input tensor has this name',
    ])
    const sinks = (change: (r: Func['results'][number], i: number) => Func['results'][number]) =>
      faults(withMain(module, (f) => ({ ...f, results: f.results.map(change) })))
    expect(sinks((r) => ({ ...r, value: 4 }))).toEqual([
      'DINO0610: main: w: expected f32[4, 4], found f32[3, 4]',
    ])
    expect(sinks((r, i) => (i === 0 ? { ...r, sink: { kind: 'result' } } : r))).toEqual([
      'DINO0610: main: %y (4): a result of an entry goes nowhere',
    ])
    expect(sinks((r, i) => (i === 0 ? { ...r, sink: { kind: 'metric', name: 'mean' } } : r))).toEqual([
      'DINO0610: main: mean: metric is written twice',
    ])
    const carried = withMain(module, (f) => ({
      ...f,
      params: f.params.map((p, i) =>
        i === 0 ? { ...p, source: { kind: 'carried', name: 'acc' } as const } : p,
      ),
    }))
    expect(faults(carried)).toEqual(['DINO0610: main: acc: nothing carries it this far'])
  })

  test('calls go to functions that exist and never back', () => {
    const { main: func, functions } = network()
    const { ffn: _, ...rest } = functions
    expect(faults(moduleOf(func, rest))).toContain('DINO0604: expected a function named ffn, found none')
    const block = functions.block as Func
    const loop = {
      ...block,
      ops: block.ops.map((op) => ({ ...op, attrs: { ...op.attrs, branch: 'block' } }) as AnyOp),
    }
    expect(faults(moduleOf(func, { ...functions, block: loop }))).toEqual([
      'DINO0610: block: block: a function cannot call itself',
    ])
    expect(faults({ ...small(), entries: ['main', 'update'] })).toEqual([
      'DINO0604: expected a function named update, found none',
    ])
  })

  test('kernels only, where passes are done', () => {
    const { main: func, functions } = network()
    expect(faults(moduleOf(func, functions), { kernelsOnly: true })).toEqual([
      'DINO0609: block: residual has to be expanded before this stage',
      'DINO0609: block: residual has to be expanded before this stage',
      'DINO0609: main: call has to be expanded before this stage',
      'DINO0609: main: grad has to be expanded before this stage',
    ])
  })
})
