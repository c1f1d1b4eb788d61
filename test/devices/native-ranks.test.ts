import { afterEach, describe, expect, it } from 'vitest'
import type { Data } from '../../compiler/ir/interpret.js'
import { runCollective } from '../../compiler/ir/interpret.js'
import type { CollectiveKind, OpAttrs } from '../../compiler/ir/types.js'
import type { Plan } from '../../compiler/plan/plan.js'
import type { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device, Executable, HostTensor, Transport } from '../../runtime/devices/device.js'
import { openNative, openNativeGroup } from '../../runtime/devices/native/native.js'
import { nativeMissing, nativeSkipped } from '../support/native-missing.js'
import type { Case, Operand } from './native-cases.js'
import { f, index, int, positive } from './native-cases.js'
import { draw, type Op, planOf, random, resultsOf, wide } from './native-plan.js'

const op = <K extends CollectiveKind>(kind: K, attrs: OpAttrs[K], operands: readonly Operand[]): Op => ({
  kind,
  one: { attrs, operands } as Case,
})
const part = (total: number, ranks: number) => Math.ceil(total / ranks)
const stored = (dtype: 'bf16' | 'i32', n: number): Operand => ({
  type: { dtype, shape: [n] },
  fill: dtype === 'i32' ? { below: 1000 } : 'normal',
})
const allReduce = (ranks: number, how: 'sum' | 'mean' | 'logsumexp', operands: Operand[], weighted = false) =>
  op('all_reduce', { ranks, how, weighted }, operands)

/** Both sides of every threshold: small and large tensors, one and many, padding and none. */
const collectives = (ranks: number): readonly Op[] => [
  op('all_gather', { ranks, shapes: [[3, 7], [5]] }, [f(part(26, ranks))]),
  op('all_gather', { ranks, shapes: [[200, 301], [7], [50001]] }, [f(part(110208, ranks))]),
  op('all_gather', { ranks, shapes: [[33001], [2]] }, [stored('bf16', part(33003, ranks))]),
  op('all_gather', { ranks, shapes: [[41]] }, [stored('i32', part(41, ranks))]),
  op('reduce_scatter', { ranks, shape: [part(26, ranks)] }, [f(3, 7), f(5)]),
  op('reduce_scatter', { ranks, shape: [part(110208, ranks)] }, [f(200, 301), f(7), f(50001)]),
  op('reduce_scatter', { ranks, shape: [part(2, ranks)] }, [f(2)]),
  allReduce(ranks, 'sum', [f(3, 7), stored('i32', 5), f()]),
  allReduce(ranks, 'sum', [f(100, 301), f(), stored('i32', 5001)]),
  allReduce(ranks, 'mean', [f(3, 7)]),
  allReduce(ranks, 'mean', [f(50000), f(3), f(40000)]),
  allReduce(ranks, 'mean', [f(37), int(0)], true),
  allReduce(ranks, 'mean', [f(9000), int(5)], true),
  allReduce(ranks, 'logsumexp', [f(37), positive(3)]),
  allReduce(ranks, 'logsumexp', [f(9001)]),
]

type Values = readonly HostTensor[]

/** Each rank's own numbers. Weights differ: none on rank 0; where the case says 0, none on all. */
function valuesOf(ops: readonly Op[], rank: number): Values {
  const next = random(100 + rank)
  return ops.flatMap(({ one }) =>
    one.operands.map((operand, i) => {
      const values = draw(operand!, next)
      const { weighted } = one.attrs as OpAttrs['all_reduce']
      if (weighted && i === one.operands.length - 1) values[0] = values[0]! * rank
      else if (values instanceof Float32Array && 'how' in one.attrs && one.attrs.how === 'logsumexp') {
        values[0] = Number.NEGATIVE_INFINITY
        if (rank > 0) values[1] = Number.NEGATIVE_INFINITY
      }
      return values
    }),
  )
}

/** By rank: all results of all ops. */
function oracle(ops: readonly Op[], values: readonly Values[]): readonly (readonly Data[])[] {
  const found: Data[][] = values.map(() => [])
  let first = 0
  for (const one of ops) {
    const count = one.one.operands.length
    const operands = values.map((own) => own.slice(first, first + count).map((v) => wide(v) as Data))
    const attrs = one.one.attrs as OpAttrs[CollectiveKind]
    const results = runCollective(one.kind as CollectiveKind, operands, attrs, resultsOf(one))
    for (const [rank, own] of results.entries()) found[rank]!.push(...own)
    first += count
  }
  return found
}

interface Rank {
  readonly device: Device
  readonly executable: Executable
}

async function write({ executable }: Rank, values: Values): Promise<void> {
  await executable.writeInputs(Object.fromEntries(values.map((v, i) => [`operand${i}`, v])))
}

const outputs = (plan: Plan, { executable }: Rank) =>
  Promise.all(plan.outputs.map((o) => executable.output(o.name)))

const bits = (values: HostTensor) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)

describe.skipIf(nativeMissing !== null)(`native ranks${nativeSkipped}`, () => {
  const opened: Device[] = []
  afterEach(async () => {
    for (const device of opened.splice(0)) await device.close()
  })
  const open = async (threads: number) => {
    const device = await openNative({ threads })
    opened.push(device)
    return device
  }
  const load = async (device: Device, plan: Plan, transport?: Transport): Promise<Rank> => ({
    device,
    executable: await device.load(plan, await device.state({ tensors: [] }), transport),
  })
  const start = (plan: Plan, ranks: number, threads = 1): Promise<readonly Rank[]> =>
    Promise.all(openNativeGroup(ranks).map(async (t) => load(await open(threads), plan, t)))

  for (const ranks of [1, 2, 3, 4])
    it(`${ranks} exchange as the oracle does, with the same bits on 1 and 2 threads, run after run`, async () => {
      const ops = collectives(ranks)
      const plan = planOf(ops)
      const values = Array.from({ length: ranks }, (_, rank) => valuesOf(ops, rank))
      const expected = oracle(ops, values)
      const runs: (readonly HostTensor[])[][] = []
      for (const threads of [1, 2]) {
        const started = await start(plan, ranks, threads)
        await Promise.all(started.map((one, rank) => write(one, values[rank]!)))
        await Promise.all(started.flatMap(({ executable }) => [executable.run('p'), executable.run('p')]))
        runs.push(await Promise.all(started.map((one) => outputs(plan, one))))
      }
      const names = ops.flatMap((one) => resultsOf(one).map((_, i) => `${one.kind} result ${i}`))
      for (let rank = 0; rank < ranks; rank++)
        names.forEach((name, i) => {
          const where = `${name}, output ${i} of rank ${rank}`
          const actual = runs[0]![rank]![i]!
          const wanted = expected[rank]![i]!
          expect(actual.length, where).toBe(wanted.length)
          expect(Buffer.compare(bits(actual), bits(runs[1]![rank]![i]!)), `${where}: threads`).toBe(0)
          if (!name.startsWith('reduce_scatter'))
            expect(Buffer.compare(bits(actual), bits(runs[0]![0]![i]!)), `${where}: ranks`).toBe(0)
          let largest = 1e-3
          for (const x of wanted) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x))
          actual.forEach((a, j) => {
            const e = wanted[j]!
            if (!(Math.abs(a - e) <= 1e-6 * largest || Object.is(a, e)))
              expect.fail(`${where}: element ${j} is ${a}, expected ${e}`)
          })
        })
    })

  it('counts the bytes that each kind exchanged, over all runs', async () => {
    const plan = planOf([
      op('all_gather', { ranks: 2, shapes: [[3, 7], [5]] }, [f(13)]),
      op('all_gather', { ranks: 2, shapes: [[10]] }, [stored('bf16', 5)]),
      op('reduce_scatter', { ranks: 2, shape: [13] }, [f(3, 7), f(4)]),
      allReduce(2, 'mean', [f(6), int(1)], true),
    ])
    const started = await start(plan, 2)
    const bytes = () => Promise.all(started.map(({ executable }) => executable.collectiveBytes!()))
    expect(await bytes()).toEqual(Array(2).fill({ allGather: 0, reduceScatter: 0, allReduce: 0 }))
    for (let i = 0; i < 3; i++) await Promise.all(started.map(({ executable }) => executable.run('p')))
    expect(await bytes()).toEqual(
      Array(2).fill({
        allGather: 3 * (26 * 4 + 10 * 2),
        reduceScatter: 3 * 25 * 4,
        allReduce: 3 * 2 * 6 * 4,
      }),
    )
  })

  describe('a rank that stops', () => {
    const gather: Op = { kind: 'gather_rows', one: { attrs: {}, operands: [f(30, 4), index(5, 30), null] } }
    const ops = (ranks: number) => [allReduce(ranks, 'sum', [f(3)]), gather, allReduce(ranks, 'sum', [f(3)])]
    const codes = async (runs: readonly Promise<void>[]) =>
      (await Promise.allSettled(runs)).map((run) =>
        run.status === 'fulfilled' ? 'ran' : (run.reason as DiagnosticError).diagnostics[0]!.code,
      )
    const run = ({ executable }: Rank) => executable.run('p')

    it('on a fault stops the others, who say so; it alone tells the cause', async () => {
      const started = await start(planOf(ops(3)), 3)
      await started[1]!.executable.writeInputs({ operand2: new Int32Array([0, 1, 99, 3, 4]) })
      expect(await codes(started.map(run))).toEqual(['DINO0907', 'DINO0905', 'DINO0907'])
      expect(await codes(started.map(run))).toEqual(['DINO0907', 'DINO0907', 'DINO0907'])
    })

    it('as its plan is closed, stops those who wait for it or will', async () => {
      const started = await start(planOf(ops(3)), 3)
      const waiting = run(started[0]!)
      const settled = codes([waiting])
      await new Promise((resolve) => setTimeout(resolve, 20))
      await started[1]!.executable.close()
      expect(await settled).toEqual(['DINO0907'])
      expect(await codes([run(started[2]!)])).toEqual(['DINO0907'])
    })

    it('as its device is closed, stops those who wait for it, and itself', async () => {
      const started = await start(planOf(ops(2)), 2)
      const idle = await start(planOf(ops(2)), 2)
      const settled = codes([run(started[0]!), run(idle[0]!)])
      await new Promise((resolve) => setTimeout(resolve, 20))
      await started[0]!.device.close()
      await idle[1]!.device.close()
      expect(await settled).toEqual(['DINO0906', 'DINO0907'])
      expect(await codes([run(started[1]!)])).toEqual(['DINO0907'])
    })

    it('as its plan is refused, on this side or by the library, stops those who wait for it', async () => {
      const broken = { ...planOf(ops(2)), version: 0 } as unknown as Plan
      for (const refused of [broken, planOf(ops(3))]) {
        const transports = openNativeGroup(2)
        const first = await load(await open(1), planOf(ops(2)), transports[0])
        await expect(load(await open(1), refused, transports[1])).rejects.toThrow(/DINO08|DINO0902/)
        expect(await codes([run(first)])).toEqual(['DINO0907'])
      }
    })

    it('does not touch the next plan of the group', async () => {
      const transports = openNativeGroup(2)
      const devices = await Promise.all([open(1), open(2)])
      for (let plan = 0; plan < 3; plan++) {
        const started = await Promise.all(
          transports.map((t, rank) => load(devices[rank]!, planOf(ops(2)), t)),
        )
        expect(await codes(started.map(run))).toEqual(['ran', 'ran'])
        for (const { executable } of started) await executable.close()
      }
    })
  })

  it('ranks at different steps are told, and nothing is read', async () => {
    const transports = openNativeGroup(2)
    const plans = [planOf([allReduce(2, 'sum', [f(3)])]), planOf([allReduce(2, 'sum', [f(4)])])]
    const started = await Promise.all(
      plans.map(async (plan, rank) => load(await open(1), plan, transports[rank])),
    )
    for (const run of await Promise.allSettled(started.map(({ executable }) => executable.run('p'))))
      expect(run.status === 'rejected' && String(run.reason)).toMatch(
        /DINO0902: .*step 0 of `p` \(`all_reduce` in `test`\) met another step on another rank/,
      )
  })

  it('a plan of other ranks than the group has is refused, also without a group', async () => {
    const device = await open(1)
    const plan = planOf([allReduce(2, 'sum', [f(3)])])
    for (const [transport, ranks] of [
      [undefined, 1],
      [openNativeGroup(3)[1], 3],
    ] as const)
      await expect(load(device, plan, transport)).rejects.toThrow(
        `DINO0902: device \`native\` refuses the plan: step 0 of \`p\` (\`all_reduce\` in \`test\`) is one of 2 ranks, and the plan is loaded for ${ranks}`,
      )
  })
})
