import { afterAll, describe, expect, it } from 'vitest'
import { runKernel } from '../../compiler/ir/interpret.js'
import { resultTypes } from '../../compiler/ir/ops.js'
import type { KernelKind, TensorType } from '../../compiler/ir/types.js'
import type { Plan, PlanTensor } from '../../compiler/plan/plan.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device, HostTensor } from '../../runtime/devices/device.js'
import { loadAddon } from '../../runtime/devices/native/addon.js'
import { openNative } from '../../runtime/devices/native/native.js'
import { type Case, cases, type Operand } from './native-cases.js'

/** A generator that gives the same numbers everywhere (mulberry32). */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const elements = (type: TensorType) => type.shape.reduce((n, size) => n * size, 1)

function draw({ type, fill }: Operand, next: () => number): HostTensor {
  const values = type.dtype === 'i32' ? new Int32Array(elements(type)) : new Float32Array(elements(type))
  for (let i = 0; i < values.length; i++) {
    if (typeof fill === 'object') values[i] = 'below' in fill ? Math.floor(next() * fill.below) : fill[i]!
    else if (fill === 'mask') values[i] = next() < 0.4 ? 1 : 0
    else if (fill === 'positive') values[i] = 0.05 + next()
    else values[i] = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  }
  return values
}

/** A plan of one step whose operands are inputs and whose results are outputs. */
function planOf(kind: KernelKind, one: Case, results: readonly TensorType[]): Plan {
  const tensors: PlanTensor[] = []
  let offset = 0
  const place = (type: TensorType, name: string, live: readonly [number, number]) => {
    const { rows, ...plain } = type
    const id = tensors.length
    const bound = rows !== undefined && { rows: 'operand2' }
    tensors.push({ id, name, ...plain, ...bound, place: { kind: 'arena', arena: 0, offset }, live })
    offset += Math.ceil((elements(type) * 4 + 1) / 256) * 256
    return id
  }
  const operands = one.operands.map((o, i) => (o ? place(o.type, `operand${i}`, [-1, 1]) : -1))
  const outputs = results.map((type, i) => place(type, `result${i}`, [0, 1]))
  return {
    format: 'dinoc-plan',
    version: 1,
    name: `kernel ${kind}`,
    target: { class: 'arena', requires: [`op:${kind}`] },
    arenas: [{ bytes: offset }],
    tensors,
    inputs: operands.flatMap((tensor, i) =>
      tensor < 0
        ? []
        : [{ name: `operand${i}`, tensor, program: 'p', generator: { kind: 'images' as const } }],
    ),
    state: [],
    programs: [
      {
        name: 'p',
        steps: [
          {
            op: kind,
            operands,
            results: outputs,
            attrs: one.attrs,
            module: 'test',
            stage: 'forward',
            span: null,
          } as Plan['programs'][number]['steps'][number],
        ],
      },
    ],
    microSteps: 1,
    metrics: [],
    outputs: outputs.map((tensor, i) => ({ name: `result${i}`, tensor })),
    images: 1,
    modelFlopsPerStep: 0,
  }
}

const withRows = (kind: KernelKind, one: Case): Case =>
  kind === 'gather_rows' && one.operands[2] ? { ...one, attrs: { rows: 'operand2' } } : one

async function runNative(device: Device, plan: Plan, values: readonly (HostTensor | null)[]) {
  const state = await device.state({ tensors: [] })
  const executable = await device.load(plan, state)
  await executable.writeInputs(Object.fromEntries(values.flatMap((v, i) => (v ? [[`operand${i}`, v]] : []))))
  await executable.run('p')
  const results = await Promise.all(plan.outputs.map((o) => executable.output(o.name)))
  await executable.close()
  await state.close()
  return results
}

function missingReason(): string | null {
  try {
    loadAddon()
    return null
  } catch (error) {
    if (error instanceof DiagnosticError) return error.message
    throw error
  }
}
const missing = missingReason()
const sets = missing
  ? []
  : loadAddon()
      .instructionSets()
      .filter(([, , supported]) => supported)
      .map(([name]) => name)

describe.skipIf(missing !== null)(`native kernels${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const devices: Promise<Device>[] = []
  const open = (isa: string, threads: number) => {
    process.env.DINO_NATIVE_ISA = isa
    const device = openNative({ threads })
    delete process.env.DINO_NATIVE_ISA
    devices.push(device)
    return device
  }
  const byThreads = new Map(sets.map((isa) => [isa, [1, 2, 3].map((threads) => open(isa, threads))]))
  afterAll(async () => {
    for (const device of devices) await (await device).close()
  })

  for (const [kind, list] of Object.entries(cases) as [KernelKind, readonly Case[]][])
    it(`${kind} is the oracle's, on any number of threads`, async () => {
      expect(list.length).toBeGreaterThan(0)
      for (const [number, given] of list.entries()) {
        const one = withRows(kind, given)
        const next = random(1 + number)
        const values = one.operands.map((o) => o && draw(o, next))
        const types = one.operands.map((o) => o?.type ?? null)
        const results = resultTypes(kind, types, one.attrs)
        const oracle = runKernel(
          kind,
          values.map((v) => (v instanceof Float32Array ? Float64Array.from(v) : (v as Int32Array | null))),
          types,
          one.attrs,
          results,
        )
        const plan = planOf(kind, one, results)
        for (const [isa, threads] of byThreads) {
          const runs = []
          for (const device of threads) runs.push(await runNative(await device, plan, values))
          for (const [i, expected] of oracle.entries()) {
            const where = `${isa}, case ${number}, result ${i}`
            const actual = runs[0]![i]!
            for (const other of runs.slice(1))
              expect(Buffer.compare(bytes(actual), bytes(other[i]!)), `${where}: threads`).toBe(0)
            close(actual, expected, one, where)
          }
        }
      }
    })
})

const bytes = (values: HostTensor) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)

/** Within 1e-5 (times slack) of the largest value (at least `floor`), each; whole numbers exactly. */
function close(actual: HostTensor, expected: ArrayLike<number>, one: Case, where: string): void {
  expect(actual.length, where).toBe(expected.length)
  let largest = one.floor ?? 1e-3
  for (let i = 0; i < expected.length; i++)
    if (Number.isFinite(expected[i])) largest = Math.max(largest, Math.abs(expected[i]!))
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!]
    const limit = actual instanceof Int32Array ? 0 : 1e-5 * (one.slack ?? 1) * largest
    if (!(Math.abs(a - e) <= limit || Object.is(a, e)))
      expect.fail(`${where}: element ${i} is ${a}, expected ${e} (largest ${largest})`)
  }
}
