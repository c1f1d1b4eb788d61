import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Shards } from '../../../compiler/ir/types.js'
import type { StateSpec } from '../../../compiler/plan/plan.js'
import type { PartedState } from '../../../runtime/devices/device.js'
import { openInterpret } from '../../../runtime/devices/interpret.js'
import { joinStates, rankSpec } from '../../../runtime/distributed/sharded-state.js'

/** Buffers of tensors of these sizes over a number of ranks, and one tensor in no buffer. */
function divided(ranks: number, sizes: readonly (readonly number[])[]): { shards: Shards; spec: StateSpec } {
  const buffers = sizes.map((lengths, b) => {
    let start = 0
    const tensors = lengths.map((length, t) => {
      const tensor = { name: `tensor ${b}.${t}`, shape: [length], start }
      start += length
      return tensor
    })
    return { name: `buffer ${b}`, length: Math.ceil(start / ranks), tensors }
  })
  const init = { kind: 'zeros' } as const
  const tensors = buffers
    .flatMap(({ tensors }) => tensors)
    .map(({ name, shape }) => ({ name, dtype: 'f32' as const, shape, storedShape: shape, init }))
  const whole = { name: 'center', dtype: 'f32' as const, shape: [3], storedShape: [3], init }
  return { shards: { ranks, buffers }, spec: { tensors: [...tensors, whole] } }
}

test('what is written under a logical name is read again, and nothing else changes', async () => {
  const size = fc.integer({ min: 1, max: 9 })
  const buffers = fc.array(fc.array(size, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5 }), buffers, async (ranks, sizes) => {
      const { shards, spec } = divided(ranks, sizes)
      const device = openInterpret()
      const states = await Promise.all(
        Array.from({ length: ranks }, () => device.state(rankSpec(spec, shards)) as Promise<PartedState>),
      )
      const joined = joinStates(spec, states, shards)
      expect(joined.names).toEqual(spec.tensors.map(({ name }) => name))
      let next = 0
      const written = new Map(
        spec.tensors.map(({ name, shape }) => [name, Float32Array.from({ length: shape[0]! }, () => ++next)]),
      )
      for (const [name, values] of written) await joined.write(name, values)
      for (const [name, values] of written) expect(await joined.read(name)).toEqual(values)
      // Every value lies on one rank; the rest of the buffers stays zero.
      let sum = 0
      for (const state of states)
        for (const { name } of shards.buffers) for (const value of await state.read(name)) sum += value
      const center = written.get('center')!.reduce((a, b) => a + b, 0)
      expect(sum).toBe((next * (next + 1)) / 2 - center)
    }),
    { numRuns: 50 },
  )
})

test('a tensor of another size is refused', async () => {
  const { shards, spec } = divided(2, [[3, 4]])
  const device = openInterpret()
  const states = [await device.state(rankSpec(spec, shards)), await device.state(rankSpec(spec, shards))]
  await expect(
    joinStates(spec, states as PartedState[], shards).write('tensor 0.1', new Float32Array(3)),
  ).rejects.toThrow('tensor 0.1: 3 values for a tensor of 4')
})
