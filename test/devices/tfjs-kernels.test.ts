import { afterAll, describe, expect, it } from 'vitest'
import { isCollective } from '../../compiler/ir/ops.js'
import type { Plan } from '../../compiler/plan/plan.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device, HostTensor } from '../../runtime/devices/device.js'
import type { TfjsName } from '../../runtime/devices/tfjs/backends.js'
import { openTfjs } from '../../runtime/devices/tfjs/tfjs.js'
import { kinds, trials } from './native-plan.js'

/** float32 in the backend's own order of sums, against the oracle: five times what `native` is held to. */
const slack = 5

async function openOrReason(name: TfjsName): Promise<Device | string> {
  try {
    return await openTfjs(name, { threads: 1 })
  } catch (error) {
    if (error instanceof DiagnosticError) return error.message
    throw error
  }
}

async function run(
  device: Device,
  plan: Plan,
  values: readonly (HostTensor | null)[],
): Promise<HostTensor[]> {
  const state = await device.state({ tensors: [] })
  const executable = await device.load(plan, state)
  await executable.writeInputs(Object.fromEntries(values.flatMap((v, i) => (v ? [[`operand${i}`, v]] : []))))
  await executable.run('p')
  const results = await Promise.all(plan.outputs.map((o) => executable.output(o.name)))
  await executable.close()
  await state.close()
  return results
}

for (const name of ['wasm', 'tensorflow'] as const) {
  const device = await openOrReason(name)
  const missing = typeof device === 'string' ? device : null
  describe.skipIf(missing !== null)(`${name} kernels${missing ? ` (skipped: ${missing})` : ''}`, () => {
    afterAll(async () => {
      if (typeof device !== 'string') await device.close()
    })

    // Collectives are for devices with ranks.
    for (const kind of kinds.filter((k) => !isCollective(k)))
      it(`${kind} is the oracle's`, async () => {
        if (typeof device === 'string') return
        for (const { name: trial, plan, values, expected, limits } of trials(kind)) {
          const actual = await run(device, plan, values)
          for (const [i, wanted] of expected.entries()) {
            expect(actual[i]!.length, trial).toBe(wanted.length)
            for (const [j, e] of wanted.entries()) {
              const a = actual[i]![j]!
              if (!(Math.abs(a - e) <= slack * limits[i]! || Object.is(a, e)))
                expect.fail(`${trial}, result ${i}: element ${j} is ${a}, expected ${e}`)
            }
          }
        }
      })
  })
}
