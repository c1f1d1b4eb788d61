import { describe, expect, test } from 'vitest'
import { openInterpret } from '../../runtime/devices/interpret.js'
import { distance } from '../ir/graphs.js'
import { rejection } from '../support/faults.js'
import { onDevice, onModule, stateSpec, tinyPlan } from './small-plan.js'

describe('the oracle as a device', () => {
  for (const planClass of ['arena', 'tensor-ops'] as const)
    for (const microSteps of [1, 3])
      test(`a planned step is the module's: ${planClass}, ${microSteps} micro-steps`, async () => {
        const { module, plan } = tinyPlan(planClass, microSteps)
        const expected = onModule(module)
        const found = await onDevice(openInterpret({ border: 'f64' }), module, plan)
        expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
        for (const [name, data] of Object.entries(expected))
          expect(distance(found[name] as Float64Array, data), name).toBe(0)
      })

  test('a metric and state are rounded to float32 at the border unless asked not to', async () => {
    const { module, plan } = tinyPlan()
    const found = await onDevice(openInterpret(), module, plan)
    const expected = onModule(module)
    for (const [name, data] of Object.entries(found)) {
      if (expected[name] instanceof Int32Array) continue
      expect(data, name).toBeInstanceOf(Float32Array)
      expect(data, name).toEqual(Float32Array.from(expected[name] as Float64Array))
    }
  })

  test('an arena may end within a value', async () => {
    const { module, plan } = tinyPlan()
    const arenas = plan.arenas.map(({ bytes }) => ({ bytes: bytes + 1 }))
    const found = await onDevice(openInterpret({ border: 'f64' }), module, { ...plan, arenas })
    for (const [name, data] of Object.entries(onModule(module)))
      expect(distance(found[name] as Float64Array, data), name).toBe(0)
  })

  test('refuses what does not fit', async () => {
    const { module, plan } = tinyPlan()
    const device = openInterpret()
    const state = await device.state(stateSpec(module))
    const executable = await device.load(plan, state)
    const code = 'DINO0902: device `interpret` refuses the plan: '
    expect(await rejection(executable.run('nothing'))).toEqual([
      `${code}plan ${plan.name} has no program nothing`,
    ])
    expect(await rejection(executable.writeInputs({ odd: new Float32Array(1) }))).toEqual([
      `${code}plan ${plan.name} has no input odd`,
    ])
    const scalar = plan.inputs.find((i) => plan.tensors[i.tensor]?.shape.length === 0)?.name as string
    expect(await rejection(executable.writeInputs({ [scalar]: new Float32Array(2) }))).toEqual([
      `${code}${scalar}: expected 1 values, found 2`,
    ])
    expect(await rejection(executable.output('odd'))).toEqual([`${code}plan ${plan.name} has no output odd`])
    expect(await rejection(state.read('odd'))).toEqual([`${code}there is no state tensor odd`])
    const other = await device.state({ tensors: [] })
    expect((await rejection(device.load(plan, other)))[0]).toContain('is missing or of another size')
  })
})
