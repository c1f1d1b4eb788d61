import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kernels } from '../../compiler/ir/interpret.js'
import type { Module } from '../../compiler/ir/types.js'
import { optimize, type PassOptions } from '../../compiler/passes/pipeline.js'
import { buildPlan } from '../../compiler/plan/build.js'
import type { Plan } from '../../compiler/plan/plan.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device, Executable, HostTensor, PartedState, State } from '../../runtime/devices/device.js'
import { openInterpret } from '../../runtime/devices/interpret.js'
import { openNative } from '../../runtime/devices/native/native.js'
import { tinyBackbone } from '../golden/experiment.js'
import {
  distance,
  initialState,
  inputValues,
  repeatedOps,
  repeating,
  type StepOutcome,
  tinyStep,
} from '../passes/step.js'
import { nativeMissing, nativeSkipped } from '../support/native-missing.js'

const capabilities: ReadonlySet<string> = new Set(Object.keys(kernels).map((kind) => `op:${kind}`))

/** A step as a device runs it: stochastic depth adds inputs, so they are those of the optimized module. */
interface Compiled {
  readonly module: Module
  readonly plan: Plan
}

function compiled(from: Module, on: boolean, chosen: Partial<PassOptions> = {}): Compiled {
  const { module } = optimize(from, {
    pack: on,
    fuse: on,
    precision: 'float32',
    recompute: 'off',
    capabilities,
    ...chosen,
  })
  const target = { class: 'arena', arenaLimitBytes: null } as const
  return { module, plan: buildPlan(module, target, { images: 3, modelFlopsPerStep: 1e6 }) }
}

interface Open {
  readonly state: State
  readonly executable: Executable
}

async function load(device: Device, { module, plan }: Compiled): Promise<Open> {
  const tensors = module.state.map(({ name, type, init, storedShape }) => ({
    name,
    dtype: type.dtype,
    shape: type.shape,
    init,
    storedShape,
  }))
  const state = await device.state({ tensors })
  for (const [name, data] of Object.entries(initialState(module))) await state.write(name, data)
  return { state, executable: await device.load(plan, state) }
}

async function runStep(device: Device, step: Compiled, rows = 5): Promise<StepOutcome> {
  const { module, plan } = step
  const { state, executable } = await load(device, step)
  for (const [p, program] of plan.programs.entries())
    for (let i = 0; i < (p === 0 ? plan.microSteps : 1); i++) {
      const inputs = inputValues(module.inputs, { rows, firstMicroStep: i === 0, step: i })
      const first = plan.inputs.filter((input) => input.program === program.name).map((input) => input.name)
      await executable.writeInputs(Object.fromEntries(first.map((name) => [name, inputs[name]!])))
      await executable.run(program.name)
    }
  const outcome: Record<string, Float64Array | Int32Array> = {}
  const wide = (data: HostTensor) => (data instanceof Int32Array ? data : Float64Array.from(data))
  for (const [name, data] of Object.entries(await executable.metrics()))
    outcome[`metric ${name}`] = wide(data)
  for (const name of state.names) outcome[`state ${name}`] = wide(await state.read(name))
  await executable.close()
  await state.close()
  return outcome
}

const steps: Readonly<Record<string, () => Module>> = {
  'a whole step': () => tinyStep(),
  'stochastic depth on kept sequences': () => tinyStep({}, 0.4),
  'stochastic depth, masked': () =>
    tinyStep({
      backbone: { ...tinyBackbone, dropPath: { shape: 'linear', from: 0, to: 0.5, form: 'masked' } },
    }),
  'swiglu and registers': () => tinyStep({ backbone: { ...tinyBackbone, ffn: 'swiglu', registers: 2 } }),
}

describe.skipIf(nativeMissing !== null)(`native device${nativeSkipped}`, () => {
  let one: Device
  let two: Device
  let oracle: Device
  beforeAll(async () => {
    one = await openNative({ threads: 1 })
    two = await openNative({ threads: 2 })
    oracle = await openInterpret()
  })
  afterAll(async () => {
    for (const device of [one, two, oracle]) await device.close()
  })

  for (const [name, make] of Object.entries(steps))
    for (const on of [true, false])
      for (const rows of [5, 0])
        it(`${name}, pack and fuse ${on ? 'on' : 'off'}, ${rows} masked rows: as the oracle, on 1 and 2 threads`, async () => {
          const step = compiled(make(), on)
          const native = await runStep(one, step, rows)
          const expected = await runStep(oracle, step, rows)
          const { name, relative } = distance(native, expected, false)
          expect(relative, name).toBeLessThan(1e-4)
          const threaded = await runStep(two, step, rows)
          expect(distance(threaded, native)).toEqual({ name: '', relative: 0 })
        })

  for (const [name, make] of Object.entries(steps))
    for (const precision of ['float32', 'bf16'] as const)
      it(`${name}, ${precision}: recomputation of any extent changes no bit`, async () => {
        const all = new Set([...capabilities, 'bf16'])
        const kept = compiled(make(), true, { precision, capabilities: all })
        const whole = await runStep(two, kept)
        const extents = [repeating(1), repeating(12), repeating(Number.POSITIVE_INFINITY), 'blocks'] as const
        const repeated = await Promise.all(
          extents.map(async (recompute) => {
            const again = compiled(make(), true, { precision, recompute, capabilities: all })
            expect(distance(await runStep(two, again), whole)).toEqual({ name: '', relative: 0 })
            return repeatedOps(again.module).length
          }),
        )
        expect(repeated[0]).toBeGreaterThan(0)
        expect(repeated[1]).toBeGreaterThanOrEqual(12)
        expect(repeated[2]).toBeGreaterThan(repeated[1]!)
      })
  for (const rows of [5, 0])
    it(`logits that are never stored, ${rows} masked rows: as the oracle's that are`, async () => {
      const native = await runStep(two, compiled(tinyStep(), true, { streamLogits: 'always' }), rows)
      const expected = await runStep(oracle, compiled(tinyStep(), true), rows)
      const { name, relative } = distance(native, expected, false)
      expect(relative, name).toBeLessThan(1e-4)
    })

  it('refuses a plan with an operand that does not fit, at the step', async () => {
    const whole = compiled(tinyStep(), true)
    const { plan } = whole
    const { state } = await load(two, whole)
    const step = plan.programs[0]!.steps.findIndex((s) => s.op === 'layer_norm')
    const broken = structuredClone(plan) as unknown as {
      programs: { steps: { operands: number[] }[] }[]
    }
    broken.programs[0]!.steps[step]!.operands.reverse()
    await expect(two.load(broken as unknown as Plan, state)).rejects.toThrow(DiagnosticError)
    await state.close()
  })

  it('refuses what only the library can see: a plan that names state of another size', async () => {
    const whole = compiled(tinyStep(), true)
    const { plan } = whole
    const tensors = plan.state.map((s) => ({
      ...s,
      shape: [1],
      storedShape: [1],
      init: { kind: 'zeros' as const },
    }))
    const state = await two.state({ tensors })
    await expect(two.load(plan, state)).rejects.toThrow(/DINO0902.*another size/)
    await state.close()
  })

  it('refuses state that no memory holds, also where its bytes would wrap around', async () => {
    const init = { kind: 'zeros' } as const
    const tensor = (name: string, shape: readonly number[]) => ({
      ...{ name, dtype: 'f32' as const, shape, storedShape: shape, init },
    })
    for (const shape of [[2 ** 31, 2 ** 31], [-5], [2 ** 52], [1024, 2 ** 52 - 2 ** 20]])
      await expect(two.state({ tensors: [tensor('a', [8]), tensor('b', shape)] })).rejects.toThrow(/DINO0904/)
    const many = Array.from({ length: 64 }, (_, i) => tensor(`t${i}`, [2 ** 46]))
    await expect(two.state({ tensors: many })).rejects.toThrow(/DINO0904/)
  })

  it('an index outside its tensor stops the run with the name of the input', async () => {
    const whole = compiled(tinyStep(), true)
    const { module, plan } = whole
    const { state, executable } = await load(two, whole)
    const inputs = inputValues(module.inputs, { rows: 5, firstMicroStep: true, step: 0 })
    const rows = plan.inputs.find((i) => i.generator.kind === 'mask_rows')!.name
    ;(inputs[rows] as Int32Array)[2] = 100000
    await executable.writeInputs(inputs)
    await expect(executable.run(plan.programs[0]!.name)).rejects.toThrow(
      /DINO0905: `mask_rows.*` holds 100000/,
    )
    await executable.close()
    await state.close()
  })

  it('inputs written while a run is under way are those of the next run', async () => {
    const whole = compiled(tinyStep(), true)
    const { module, plan } = whole
    const inputs = (step: number) => inputValues(module.inputs, { rows: 5, firstMicroStep: true, step })
    const sequence = async (waits: boolean) => {
      const { state, executable } = await load(two, whole)
      const runs: Promise<void>[] = []
      for (let step = 0; step < 4; step++) {
        const values = inputs(step)
        await executable.writeInputs(values)
        for (const data of Object.values(values)) data.fill(0)
        for (const { name } of plan.programs) {
          const run = executable.run(name)
          if (waits) await run
          else runs.push(run)
        }
      }
      await Promise.all(runs)
      const total = (await executable.metrics())['loss.total']![0]
      const weights = await state.read(state.names[0]!)
      await executable.close()
      await state.close()
      return { total, weights }
    }
    expect(await sequence(false)).toEqual(await sequence(true))
  })

  it('measures the seconds of every step', async () => {
    const whole = compiled(tinyStep(), true)
    const { module, plan } = whole
    const { state, executable } = await load(two, whole)
    await executable.writeInputs(inputValues(module.inputs, { rows: 5, firstMicroStep: true, step: 0 }))
    for (const { name } of plan.programs) await executable.run(name)
    const parts = await executable.profile!()
    expect(new Set(parts.map((p) => p.op))).toEqual(
      new Set(plan.programs.flatMap((p) => p.steps.map((s) => s.op))),
    )
    expect(parts.every((p) => p.seconds > 0)).toBe(true)
    expect((await executable.profile!()).every((p) => p.seconds === 0)).toBe(true)
    await executable.close()
    await state.close()
  })

  it('a device closed during a run ends it with a diagnostic', async () => {
    const whole = compiled(tinyStep(), true)
    const { module, plan } = whole
    const device = await openNative({ threads: 2 })
    const { executable } = await load(device, whole)
    await executable.writeInputs(inputValues(module.inputs, { rows: 5, firstMicroStep: true, step: 0 }))
    const runs = Array.from({ length: 50 }, () => executable.run(plan.programs[0]!.name))
    const settled = Promise.allSettled(runs)
    await device.close()
    const last = (await settled).at(-1)!
    expect(last.status === 'rejected' && String(last.reason)).toMatch(/DINO0906/)
  })

  it('parts of a state tensor are read and written, and nothing beyond its end', async () => {
    const tensor = { name: 'w', dtype: 'f32', shape: [5], storedShape: [5], init: { kind: 'zeros' } } as const
    for (const device of [two, openInterpret()]) {
      const state = (await device.state({ tensors: [tensor] })) as PartedState
      await state.writePart('w', 3, Float32Array.of(8, 9))
      expect(await state.readPart('w', 2, 5)).toEqual(Float32Array.of(0, 8, 9))
      await expect(state.writePart('w', 3, new Float32Array(3))).rejects.toThrow('w: no values 3 to 6')
      await expect(state.readPart('w', 4, 6)).rejects.toThrow('w: no values 4 to 6 in a tensor of 5')
      await expect(state.readPart('w', -1, 2)).rejects.toThrow('w: no values -1 to 2')
      await state.close()
    }
  })

  it('an unknown instruction set is refused with those that there are', async () => {
    process.env.DINO_NATIVE_ISA = 'mmx'
    await expect(openNative({ threads: 1 })).rejects.toThrow(/DINO0901.*`mmx`.*portable/)
    delete process.env.DINO_NATIVE_ISA
  })

  it('several workers load it, and one may end in the middle of a run', async () => {
    const script = `
      const { workerData, parentPort } = require('node:worker_threads')
      const addon = require(workerData)
      const device = addon.openDevice(2, addon.instructionSets().length - 1)
      const state = addon.createState(new Float64Array([0, 1000]))
      const values = new Float32Array(1000).fill(7)
      addon.transferState(device, state, 0, 0, values, true).then(async () => {
        const back = new Float32Array(1000)
        await addon.transferState(device, state, 0, 0, back, false)
        parentPort.postMessage(back[999])
        for (let i = 0; i < 1000; i++) addon.transferState(device, state, 0, 0, back, false)
      })`
    const path = new URL('../../dist/runtime/devices/native/dinoc.node', import.meta.url).pathname
    const answers = await Promise.all(
      [1, 2, 3].map(
        () =>
          new Promise((resolve, reject) => {
            const worker = new Worker(script, { eval: true, workerData: path })
            worker.once('error', reject)
            worker.once('message', (answer) => worker.terminate().then(() => resolve(answer), reject))
          }),
      ),
    )
    expect(answers).toEqual([7, 7, 7])
  })
})
