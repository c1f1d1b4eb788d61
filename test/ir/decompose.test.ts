import { describe, expect, test } from 'vitest'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import { decompose, decompositions } from '../../compiler/ir/decompose.js'
import type { KernelKind, OpAttrs, ValueId } from '../../compiler/ir/types.js'
import { distance, moduleOf, named, operandNamesOf, outputs, run, verified } from './graphs.js'
import type { OpCase } from './op-cases.js'
import { opCases, operandData } from './op-cases.js'

/** An entry that applies one op, either as it is or expanded until nothing decomposes any more. */
function graph(kind: KernelKind, c: OpCase<KernelKind>, expand: boolean) {
  const b = new FuncBuilder('main')
  const names = operandNamesOf(c)
  const operands = c.types.map((type, k) =>
    type ? b.param(type, { kind: 'input', name: names[k] as string }) : null,
  )
  // o and lse of attention_grad are those of its qkv.
  if (kind === 'attention_grad') {
    const [o, lse] = b.op('attention', [operands[1] as ValueId], c.attrs as OpAttrs['attention'])
    operands.splice(2, 2, o, lse)
  }
  // So is the shift of the gradient with a streamed teacher.
  if (kind === 'streamed_cross_entropy_grad') {
    const given = [...operands.slice(1, 8), ...operands.slice(9)]
    const results: readonly ValueId[] = b.op(
      'streamed_cross_entropy',
      given,
      c.attrs as OpAttrs['streamed_cross_entropy'],
    )
    operands[8] = results[1] as ValueId
  }
  const results = expand
    ? decompose(b, kind, operands, c.attrs)
    : (b.op(kind, operands, c.attrs as OpAttrs[typeof kind]) as readonly ValueId[])
  return { b, results, names }
}

describe('fused ops are their decompositions', () => {
  for (const kind of Object.keys(opCases) as KernelKind[]) {
    if (decompositions[kind] === null) continue
    test(kind, () => {
      let expanded = 0
      for (const c of opCases[kind] as readonly OpCase<KernelKind>[]) {
        const [whole, parts] = [graph(kind, c, false), graph(kind, c, true)]
        if (parts.results === null || whole.results === null) continue
        expanded++
        expect(parts.results.length, c.name).toBe(whole.results.length)
        const given = parts.results.flatMap((value, i) => (value === null ? [] : [i]))
        const pick = (results: readonly (ValueId | null)[]) =>
          outputs(given.map((i) => results[i] as ValueId))
        const fused = verified(moduleOf(whole.b.finish(pick(whole.results))))
        const composed = verified(moduleOf(parts.b.finish(pick(parts.results))))
        const data = named(whole.names, operandData(c))
        const [x, y] = [run(fused, data).outputs, run(composed, data).outputs]
        for (const key of Object.keys(x))
          expect(distance(y[key] as Float64Array, x[key] as Float64Array), `${c.name} ${key}`).toBeLessThan(
            1e-12,
          )
        const fusedType = (k: number) => whole.b.type(whole.results?.[k] as ValueId)
        for (const k of given) expect(parts.b.type(parts.results[k] as ValueId)).toEqual(fusedType(k))
      }
      expect(expanded).toBeGreaterThan(0)
    })
  }

  test('what cannot be simpler says so', () => {
    const b = new FuncBuilder('main')
    expect(decompose(b, 'linear', [0, 1, null], { activation: 'none' })).toBeNull()
    expect(decompose(b, 'gelu', [0], {})).toBeNull()
  })
})
