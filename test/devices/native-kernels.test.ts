import { afterAll, describe, expect, it } from 'vitest'
import type { Plan } from '../../compiler/plan/plan.js'
import type { Device, HostTensor } from '../../runtime/devices/device.js'
import { loadAddon } from '../../runtime/devices/native/addon.js'
import { openNative } from '../../runtime/devices/native/native.js'
import { nativeMissing, nativeSkipped } from '../support/native-missing.js'
import { kinds, trials } from './native-plan.js'

const supported = nativeMissing ? [] : loadAddon().instructionSets()
const sets = supported.filter(([, , here]) => here).map(([name]) => name)

async function run(device: Device, plan: Plan, values: readonly (HostTensor | null)[]) {
  const state = await device.state({ tensors: [] })
  const executable = await device.load(plan, state)
  await executable.writeInputs(Object.fromEntries(values.flatMap((v, i) => (v ? [[`operand${i}`, v]] : []))))
  await executable.run('p')
  const results = await Promise.all(plan.outputs.map((o) => executable.output(o.name)))
  await executable.close()
  await state.close()
  return results
}

const bytes = (values: HostTensor) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)

describe.skipIf(nativeMissing !== null)(`native kernels${nativeSkipped}`, () => {
  const opened: Promise<Device>[] = []
  const open = (isa: string, threads: number) => {
    process.env.DINO_NATIVE_ISA = isa
    const device = openNative({ threads })
    delete process.env.DINO_NATIVE_ISA
    opened.push(device)
    return device
  }
  const devices = sets.map((isa) => ({ isa, byThreads: [1, 2, 3].map((threads) => open(isa, threads)) }))
  afterAll(async () => {
    for (const device of opened) await (await device).close()
  })

  it('the addon and the encoder know the same kernels', () => {
    expect([...loadAddon().kinds()].sort()).toEqual([...kinds].sort())
  })

  for (const kind of kinds)
    it(`${kind} is the oracle's, and the same to the bit on 1, 2 and 3 threads`, async () => {
      for (const { name, plan, values, expected, limits } of trials(kind))
        for (const { isa, byThreads } of devices) {
          const runs: (readonly HostTensor[])[] = []
          for (const device of byThreads) runs.push(await run(await device, plan, values))
          expected.forEach((values, i) => {
            const where = `${isa}, ${name}, result ${i}`
            const actual = runs[0]![i]!
            expect(actual.length, where).toBe(values.length)
            for (const other of runs)
              expect(Buffer.compare(bytes(actual), bytes(other[i]!)), `${where}: threads`).toBe(0)
            actual.forEach((a, j) => {
              const e = values[j]!
              if (!(Math.abs(a - e) <= limits[i]! || Object.is(a, e)))
                expect.fail(`${where}: element ${j} is ${a}, expected ${e} within ${limits[i]}`)
            })
          })
        }
    })
})
