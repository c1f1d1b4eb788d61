import { describe, expect, test } from 'vitest'
import type { KernelKind } from '../../compiler/ir/types.js'
import { vjps } from '../../compiler/ir/vjp.js'
import { autodiff } from '../../compiler/passes/autodiff.js'
import { moduleOf, named, opGraph, outputs, run, verified } from './graphs.js'
import type { OpCase } from './op-cases.js'
import { noise, opCases, operandData } from './op-cases.js'

/** sum of <dy_i, y_i> over `through`, and its gradients by the op's rule. */
function differentiate<K extends KernelKind>(kind: K, c: OpCase<K>) {
  const through = c.through ?? [0]
  const forward = opGraph(kind, c)
  const values = moduleOf(forward.b.finish(outputs(through.map((r) => forward.results[r] as number))))

  const { b, operands, results, names } = opGraph(kind, c)
  const ys = through.map((r) => results[r] as number)
  const dys = ys.map((y, k) => b.param(b.type(y), { kind: 'input', name: `dy${k}` }))
  const wrt = c.wrt.map((k) => operands[k] as number)
  const grads = b.op('grad', [...ys, ...dys, ...wrt], { seed: 1, outputs: ys.length })
  const gradients = verified(autodiff(verified(moduleOf(b.finish(outputs(grads))))))

  const data = named(names, operandData(c))
  const next = noise(99)
  const dy = ys.map((y, k) => {
    const size = b.type(y).shape.reduce((n, s) => n * s, 1)
    return [`dy${k}`, Float64Array.from({ length: size }, next)] as const
  })
  const loss = (changed: Record<string, Float64Array>) => {
    const out = run(values, { ...data, ...changed }).outputs
    return dy.reduce(
      (sum, [, g], k) =>
        sum + g.reduce((n, v, i) => n + v * ((out[`y${k}`] as Float64Array)[i] as number), 0),
      0,
    )
  }
  const found = run(gradients, { ...data, ...Object.fromEntries(dy) }).outputs
  return { loss, found, data, names }
}

describe('gradient rules agree with finite differences', () => {
  const kinds = Object.keys(opCases) as KernelKind[]
  for (const kind of kinds) {
    if (vjps[kind] === null) continue
    for (const c of opCases[kind] as readonly OpCase<KernelKind>[])
      if (c.wrt.length > 0)
        test(`${kind} ${c.name ?? ''}`, () => {
          const { loss, found, data, names } = differentiate(kind, c)
          c.wrt.forEach((k, n) => {
            const name = names[k] as string
            const x = data[name] as Float64Array
            const gradient = found[`y${n}`] as Float64Array
            const h = 1e-5
            for (let i = 0; i < x.length; i++) {
              const moved = (by: number) => loss({ [name]: x.map((v, j) => (j === i ? v + by : v)) })
              const slope = (moved(h) - moved(-h)) / (2 * h)
              expect(Math.abs((gradient[i] as number) - slope), `${name}[${i}]`).toBeLessThan(
                2e-8 * Math.max(1, Math.abs(slope)),
              )
            }
          })
        })
  }

  test('every op with a gradient rule has such a case', () => {
    const tested = kinds.filter((kind) => opCases[kind].some((c) => c.wrt.length > 0))
    expect(tested).toEqual(kinds.filter((kind) => vjps[kind] !== null))
  })
})

describe('bounded rows', () => {
  const cases = (
    ['cross_entropy_rows', 'prototype_cross_entropy', 'streamed_cross_entropy'] as const
  ).flatMap((kind) =>
    (opCases[kind] as readonly OpCase<KernelKind>[])
      .filter((c) => c.types[0]?.rows !== undefined)
      .map((c) => [kind, c] as const),
  )
  for (const [kind, c] of cases)
    test(`gradients of ${kind} are exactly 0 beyond rows, ${c.name}`, () => {
      const { found } = differentiate(kind, c)
      const rows = c.values?.[c.types.length - 1]?.[0] ?? Number.NaN
      const width = c.types[0]?.shape[1] as number
      const gradient = found.y0 as Float64Array
      expect([...gradient.subarray(rows * width)].every((g) => Object.is(g, 0))).toBe(true)
      if (rows > 0) expect([...gradient.subarray(0, rows * width)].some((g) => g !== 0)).toBe(true)
    })
})
