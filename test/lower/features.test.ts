import { afterAll, describe, expect, it } from 'vitest'
import { lowerFeatures } from '../../compiler/lower/features.js'
import { openDevice } from '../../runtime/devices/registry.js'
import { load } from '../golden/execute.js'
import { tinyBackbone, tinyExperiment } from '../golden/experiment.js'
import { madeUpInputs } from './inputs.js'
import { weight } from './step-numbers.js'

const device = await openDevice('interpret', { threads: 1 })
afterAll(() => device.close())

const experiment = tinyExperiment({ backbone: { ...tinyBackbone, registers: 2 } })

async function features(of: 'teacher' | 'student', resolution: number, blocks: readonly number[]) {
  const module = lowerFeatures(experiment, of, resolution, 3, blocks)
  const sizes = new Map(module.state.map((t) => [t.name, t.type.shape.reduce((n, d) => n * d, 1)]))
  // The two networks have the same weights here.
  const run = await load(device, module, (name) =>
    weight(name.replace('teacher.', 'student.'), sizes.get(name)!),
  )
  await run.run(madeUpInputs(run.inputs))
  const found: Record<string, number[]> = {}
  for (const result of module.functions.forward!.results)
    if (result.sink.kind === 'output')
      found[result.sink.name] = Array.from(await run.output(result.sink.name))
  await run.close()
  return found
}

describe('lowerFeatures', () => {
  it('gives class tokens and patches without registers, of any network and resolution', async () => {
    const small = await features('student', 16, [])
    expect(Object.keys(small)).toEqual(['cls', 'patches'])
    expect([small.cls!.length, small.patches!.length]).toEqual([3 * 16, 3 * 16 * 16])
    const large = await features('teacher', 24, [])
    expect(large.patches!.length).toBe(3 * 36 * 16)
    expect(await features('teacher', 16, [])).toEqual(small)
  })

  it('gives blocks in their order through the final norm: the last is the features themselves', async () => {
    const found = await features('student', 16, [1, 0])
    expect(Object.keys(found)).toEqual(['cls', 'patches', 'cls.0', 'patches.0', 'cls.1', 'patches.1'])
    expect(found['cls.1']).toEqual(found.cls)
    expect(found['patches.1']).toEqual(found.patches)
    expect(found['cls.0']).not.toEqual(found.cls)
  })
})
