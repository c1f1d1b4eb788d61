import { embeddedTarget } from '../../compiler/compile.js'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import type { Module, TensorType } from '../../compiler/ir/types.js'
import { optimize } from '../../compiler/passes/pipeline.js'
import { buildPlan } from '../../compiler/plan/build.js'
import { planMemory, tensorBytes } from '../../compiler/plan/cost-memory.js'
import type { Plan } from '../../compiler/plan/plan.js'
import type { Executable } from '../../runtime/devices/device.js'
import { openNative } from '../../runtime/devices/native/native.js'
import { stream } from '../../runtime/philox.js'
import { median } from '../runner/figures.js'
import type { Context } from './context.js'
import { inPairs, markdown, type Row, type Section } from './figures.js'
import { mebibytes } from './step.js'

const heads = 6
const width = 64 * heads

/** As many sequences as make the work similar: it grows with the square of their length. */
const timed = [
  { sequences: 4, tokens: 1370, least: 0.95 },
  { sequences: 114, tokens: 257, least: 1.2 },
] as const

/** Runs of a sample, whose median counts. */
const runs = 5

/** One attention, forward and backward: the fused op against products and a softmax, as `optimize.fuse = off` has it. */
export async function attention(context: Context): Promise<Section> {
  const rows: Row[] = []
  for (const { sequences, tokens, least } of timed) {
    const name = `${sequences} x ${tokens.toLocaleString('en-US')} tokens`
    const pairs = await timePairs(context, name, sequences, tokens)
    rows.push({ name, unit: 'runs/s', pairs, wanted: { least } })
  }
  return {
    title: 'Attention',
    note:
      'One attention of ViT-S (6 heads of 64), forward and backward: the fused op, and products and a softmax as ' +
      '`optimize.fuse = off` writes it out. Memory: of the plan of one sequence, with inputs and outputs.',
    tables: [
      markdown({ sides: ['fused', 'composed'], rows: [...rows, ...[257, 1370, 2740].map(memoryRow)] }),
      markdown({ sides: ['2,740 tokens', '257 tokens'], rows: [growth(true), growth(false)] }),
    ],
  }
}

/** Peak memory of the plan. */
export function memoryRow(tokens: number): Row {
  return {
    name: `1 x ${tokens.toLocaleString('en-US')} tokens`,
    unit: 'MiB',
    pairs: [[mebibytes(peakBytes(1, tokens, true)), mebibytes(peakBytes(1, tokens, false))]],
    wanted: null,
  }
}

/** Memory that is linear in tokens takes as many bytes a token in long sequences as in short ones. */
export function growth(fused: boolean): Row {
  const each = (tokens: number) => peakBytes(1, tokens, fused) / tokens / 2 ** 10
  return {
    name: fused ? 'fused' : 'composed',
    unit: 'KiB a token',
    pairs: [[each(2740), each(257)]],
    wanted: fused ? { most: 1.02 } : null,
  }
}

function peakBytes(sequences: number, tokens: number, fused: boolean): number {
  const { arenaBytes, stateBytes } = planMemory(attentionPlan(sequences, tokens, fused))
  return arenaBytes + stateBytes
}

/** `o = attention(qkv)` and the gradient of <dout, o>. */
function attentionPlan(sequences: number, tokens: number, fused: boolean): Plan {
  const rows = sequences * tokens
  const segments = [{ name: 'all', count: sequences, length: tokens }]
  const ragged = (columns: number): TensorType => ({ dtype: 'f32', shape: [rows, columns], segments })
  const b = new FuncBuilder('accumulate')
  const inputs = [
    { name: 'qkv', type: ragged(3 * width) },
    { name: 'dout', type: ragged(width) },
  ]
  const [qkv, dout] = inputs.map(({ name, type }) => b.param(type, { kind: 'input', name }, name))
  b.module = 'attn'
  const [out] = b.op('attention', [qkv!], { heads })
  const dqkv = b.one('grad', [out, dout!, qkv!], { seed: 1, outputs: 1 })
  const entry = b.finish([
    { value: out, sink: { kind: 'output', name: 'out' } },
    { value: dqkv, sink: { kind: 'output', name: 'dqkv' } },
  ])
  const lowered: Module = {
    name: `attention/${fused ? 'fused' : 'composed'}`,
    functions: { accumulate: entry },
    entries: ['accumulate'],
    state: [],
    inputs: inputs.map((input) => ({ ...input, generator: { kind: 'images' } })),
    microSteps: 1,
  }
  const { capabilities } = embeddedTarget
  const asked = { pack: true, fuse: fused, precision: 'float32', recompute: 'off', capabilities } as const
  const { module } = optimize(lowered, asked)
  return buildPlan(module, embeddedTarget, { images: sequences, modelFlopsPerStep: 0 })
}

/** Runs a second of both forms, on one device. */
async function timePairs({ pairs, threads, tell }: Context, name: string, sequences: number, tokens: number) {
  const device = await openNative({ threads })
  const state = await device.state({ tensors: [] })
  const load = async (fused: boolean): Promise<Executable> => {
    const plan = attentionPlan(sequences, tokens, fused)
    const executable = await device.load(plan, state)
    await executable.writeInputs(inputsOf(plan))
    await executable.run('accumulate')
    return executable
  }
  const [fused, composed] = [await load(true), await load(false)]
  try {
    const sides = [() => runsPerSecond(fused), () => runsPerSecond(composed)] as const
    return await inPairs(pairs, sides, (pair, a, b) =>
      tell(`attention, ${name} ${pair}: ${a.toFixed(2)} and ${b.toFixed(2)} runs/s`),
    )
  } finally {
    for (const executable of [fused, composed]) await executable.close()
    await state.close()
    await device.close()
  }
}

async function runsPerSecond(executable: Executable): Promise<number> {
  const seconds: number[] = []
  for (let i = 0; i < runs; i++) {
    const from = performance.now()
    await executable.run('accumulate')
    seconds.push((performance.now() - from) / 1000)
  }
  return 1 / median(seconds)
}

function inputsOf(plan: Plan): Record<string, Float32Array> {
  return Object.fromEntries(
    plan.inputs.map(({ name, tensor }, slot) => {
      const random = stream(0, 0, slot, 'synthetic')
      const length = tensorBytes(plan.tensors[tensor]!) / 4
      return [name, Float32Array.from({ length }, () => random.normal())]
    }),
  )
}
