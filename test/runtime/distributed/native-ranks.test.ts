import { describe, expect, test } from 'vitest'
import type { VariantCost } from '../../../compiler/plan/cost.js'
import type { Hardware, ResolvedExperiment } from '../../../compiler/resolve/resolved.js'
import { openForRun } from '../../../runtime/distributed/open.js'
import { tinyBackbone, tinyExperiment } from '../../golden/experiment.js'
import { nativeMissing, nativeSkipped } from '../../support/native-missing.js'
import { compileOn, type Trained, trainOn } from './ranked-runs.js'

const global: Partial<Hardware> = { semantics: 'global', groups: 2 }

async function run(
  e: ResolvedExperiment,
  hardware: Partial<Hardware>,
  threads = 2,
): Promise<Trained & { readonly cost: VariantCost }> {
  const compiled = compileOn(e, hardware)
  const device = await openForRun('native', { threads }, compiled.spec)
  const trained = await trainOn(device, compiled, 5)
  const values = new Map<string, Float32Array>()
  for (const name of trained.state.names) values.set(name, (await trained.state.read(name)) as Float32Array)
  await trained.state.close()
  await device.close()
  const state = { ...trained.state, read: async (name: string) => values.get(name) as Float32Array }
  return { ...trained, state, cost: compiled.cost }
}

const dropping = (rate: number): ResolvedExperiment =>
  tinyExperiment({
    batch: 8,
    backbone: { ...tinyBackbone, dropPath: { shape: 'uniform', from: rate, to: rate, form: 'subset' } },
  })

describe.skipIf(nativeMissing !== null)(`native: two ranks train as one does${nativeSkipped}`, () => {
  for (const rate of [0, 0.3])
    for (const shard of ['fsdp', 'none'] as const)
      test(`drop path ${rate}, ${shard}`, async () => {
        const one = await run(dropping(rate), global)
        const two = await run(dropping(rate), { ...global, ranks: 2, shard })
        for (const [step, losses] of one.losses.entries())
          for (const [name, value] of Object.entries(losses)) {
            const difference = Math.abs(two.losses[step]![name]! - value) / Math.max(1e-3, Math.abs(value))
            expect(difference, `${name} at step ${step}`).toBeLessThan(1e-5)
          }
      })

  test('bits do not depend on threads', async () => {
    const hardware = { ...global, ranks: 2, shard: 'fsdp' } as const
    const [few, many] = [await run(dropping(0.3), hardware, 2), await run(dropping(0.3), hardware, 6)]
    expect(many.losses).toEqual(few.losses)
    for (const name of few.state.names)
      expect(await many.state.read(name)).toEqual(await few.state.read(name))
  })

  for (const precision of ['float32', 'bf16'] as const)
    for (const shard of ['fsdp', 'none'] as const)
      for (const microBatch of [null, 2])
        test(`bytes as planned: ${precision}, ${shard}, micro-batches of ${microBatch ?? 'all'}`, async () => {
          const e = dropping(0)
          const asked = {
            ...e,
            optimize: { ...e.optimize, precision },
            schedule: { ...e.schedule, microBatch },
          }
          const semantics = microBatch === null ? global : {}
          const two = await run(asked, { ...semantics, ranks: 2, shard })
          const planned = two.cost.phases[0]!.communication
          expect(two.exchanged).toEqual({
            allGather: 5 * planned.allGatherBytes,
            reduceScatter: 5 * planned.reduceScatterBytes,
            allReduce: 5 * planned.allReduceBytes,
          })
          expect(planned.bytesPerStep).toBe(
            planned.allGatherBytes + planned.reduceScatterBytes + planned.allReduceBytes,
          )
        })

  test('half of the state on each of two ranks', () => {
    const stateOf = (hardware: Partial<Hardware>) =>
      compileOn(tinyExperiment({ batch: 8 }), hardware).cost.phases[0]!.perRank.stateBytes
    expect(stateOf({ ranks: 2, shard: 'fsdp' }) / stateOf({})).toBeLessThan(0.55)
  })

  test('in bf16 within two percent', async () => {
    const half = (ranks: number): Partial<Hardware> => ({
      ...global,
      ranks,
      shard: ranks > 1 ? 'fsdp' : 'none',
    })
    const e = { ...dropping(0), optimize: { ...dropping(0).optimize, precision: 'bf16' as const } }
    const [one, two] = [await run(e, half(1)), await run(e, half(2))]
    for (const [step, losses] of one.losses.entries())
      expect(two.losses[step]!['loss.total']! / losses['loss.total']!).toBeCloseTo(1, 1.7)
  })
})
