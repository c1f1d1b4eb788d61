import { describe, expect, test } from 'vitest'
import type { Hardware, ResolvedExperiment } from '../../../compiler/resolve/resolved.js'
import { openForRun } from '../../../runtime/distributed/open.js'
import { tinyBackbone, tinyExperiment } from '../../golden/experiment.js'
import { compileOn, oracleOf, type Trained, trainOn } from './ranked-runs.js'

const global: Partial<Hardware> = { semantics: 'global', groups: 2 }
const softmax = { type: 'softmax', momentum: 0.9 } as const

function experiment(change: Partial<ResolvedExperiment> = {}, rate = 0): ResolvedExperiment {
  const dropPath = { shape: 'uniform', from: rate, to: rate, form: 'subset' } as const
  return tinyExperiment({ batch: 8, backbone: { ...tinyBackbone, dropPath }, ...change })
}

async function run(e: ResolvedExperiment, hardware: Partial<Hardware>, steps = 5): Promise<Trained> {
  const compiled = compileOn(e, hardware)
  return trainOn(oracleOf(compiled), compiled, steps)
}

async function expectSame(one: Trained, other: Trained, tolerance: number) {
  for (const [step, losses] of one.losses.entries())
    for (const [name, value] of Object.entries(losses))
      expect(other.losses[step]![name], `${name} at step ${step}`).toBeCloseTo(value, tolerance)
  for (const name of one.state.names) {
    const [a, b] = [await one.state.read(name), await other.state.read(name)]
    for (let i = 0; i < a.length; i++) expect(b[i], `${name}[${i}]`).toBeCloseTo(a[i]!, tolerance)
  }
}

describe('with global semantics one rank trains as several do', () => {
  const losses = tinyExperiment().loss
  const centered = Object.fromEntries(
    Object.entries(losses).map(([name, loss]) => [
      name,
      loss.type === 'koleo' ? loss : { ...loss, centering: softmax },
    ]),
  )
  const cases: Record<string, ResolvedExperiment> = {
    'drop path 0': experiment(),
    'drop path 0.3': experiment({}, 0.3),
    'masked drop path': experiment({
      backbone: { ...tinyBackbone, dropPath: { shape: 'uniform', from: 0.3, to: 0.3, form: 'masked' } },
    }),
    'softmax centering': experiment({ loss: centered }),
    'swiglu, registers, no layer scale': experiment({
      backbone: { ...tinyBackbone, ffn: 'swiglu', registers: 2, layerScale: null },
    }),
    'not packed, not fused': experiment({
      optimize: { precision: 'float32', recompute: 'blocks', fuse: false, pack: false, memoryBudget: null },
    }),
  }
  for (const [name, e] of Object.entries(cases)) {
    test(`parts: ${name}`, async () => {
      const one = await run(e, global)
      await expectSame(one, await run(e, { ...global, ranks: 2, shard: 'fsdp' }), 9)
    })
    test(`whole: ${name}`, async () => {
      const one = await run(e, global, 2)
      await expectSame(one, await run(e, { ...global, ranks: 2, shard: 'none' }, 2), 9)
    })
  }

  test('four ranks of four groups', async () => {
    const e = experiment({}, 0.3)
    const one = await run(e, { semantics: 'global', groups: 4 }, 3)
    for (const ranks of [2, 4])
      await expectSame(one, await run(e, { semantics: 'global', groups: 4, ranks, shard: 'fsdp' }, 3), 9)
  })
})

describe('by rank, a rank is what a micro-batch is', () => {
  // Sinkhorn sees all ranks, and one micro-batch: a center moves alike.
  const { dino, koleo } = tinyExperiment().loss
  const e = experiment(
    {
      masking: null,
      loss: {
        dino: { ...dino, centering: softmax } as typeof dino,
        koleo: koleo!,
      } as ResolvedExperiment['loss'],
    },
    0.3,
  )
  const micro = (images: number): ResolvedExperiment => ({
    ...e,
    schedule: { ...e.schedule, microBatch: images },
  })

  test('two ranks train as two micro-batches', async () => {
    const one = await run(micro(4), {}, 3)
    for (const shard of ['fsdp', 'none'] as const)
      await expectSame(one, await run(e, { ranks: 2, shard }, 3), 9)
  })

  test('two ranks of two micro-batches train as four', async () => {
    const one = await run(micro(2), {}, 3)
    for (const shard of ['fsdp', 'none'] as const)
      await expectSame(one, await run(micro(2), { ranks: 2, shard }, 3), 9)
  })
})

test('more ranks than a device runs are refused before anything is opened', async () => {
  const open = (name: string, ranks: number) => openForRun(name, { threads: 1 }, { ranks, shards: null })
  await expect(open('native', 65)).rejects.toThrow(
    'DINO0908: this device runs at most 64 ranks, the experiment asks for 65',
  )
  await expect(open('wasm', 2)).rejects.toThrow('DINO0908: this device runs one rank')
})
