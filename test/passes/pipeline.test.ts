import { describe, expect, it } from 'vitest'
import { decompositions } from '../../compiler/ir/decompose.js'
import { kernels } from '../../compiler/ir/interpret.js'
import { verify } from '../../compiler/ir/verify.js'
import { optimize, type PassOptions, passNames } from '../../compiler/passes/pipeline.js'
import { measure } from '../../compiler/plan/measure.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { tinyBackbone } from '../golden/experiment.js'
import { distance, repeating, runStep, tinyStep } from './step.js'

const everything: ReadonlySet<string> = new Set(Object.keys(kernels).map((kind) => `op:${kind}`))
const off: PassOptions = {
  pack: false,
  fuse: false,
  precision: 'float32',
  recompute: 'off',
  capabilities: everything,
  verifyEach: true,
}

const sinkhorn = { type: 'sinkhorn', iterations: 3 } as const
const softmax = { type: 'softmax', momentum: 0.9 } as const
const head = { type: 'mlp', prototypes: 12, hidden: 10, bottleneck: 6, layers: 3 } as const
const dino = { type: 'dino', on: 'cls', head: 'dino', weight: 1, studentTemp: 0.1 } as const
const ibot = { type: 'ibot', on: 'masked_patches', weight: 0.7, studentTemp: 0.1 } as const

const steps: Readonly<Record<string, () => ReturnType<typeof tinyStep>>> = {
  'sinkhorn, untied heads': () => tinyStep(),
  'stochastic depth': () => tinyStep({}, 0.4),
  'stochastic depth, masked': () =>
    tinyStep({
      backbone: { ...tinyBackbone, dropPath: { shape: 'linear', from: 0, to: 0.5, form: 'masked' } },
    }),
  'softmax centering, tied heads, two micro-steps': () =>
    tinyStep(
      {
        batch: 6,
        head: { dino: head, ibot: { type: 'tied', to: 'dino' } },
        loss: {
          dino: { ...dino, centering: softmax },
          ibot: { ...ibot, head: 'ibot', centering: softmax },
        } as ResolvedExperiment['loss'],
      },
      0.3,
    ),
  'swiglu, registers, no layer scale': () =>
    tinyStep({ backbone: { ...tinyBackbone, ffn: 'swiglu', registers: 2, layerScale: null } }),
  'no local crops, no iBOT, a spare average': () =>
    tinyStep({
      keep: { type: 'ema', momentum: { pieces: [{ kind: 'constant', value: 0.9, over: null }] } },
      loss: { dino: { ...dino, centering: sinkhorn } } as ResolvedExperiment['loss'],
      crops: {
        global: { count: 2, size: 16, scale: { min: 0.32, max: 1 } },
        local: { count: 0, size: 8, scale: { min: 0.05, max: 0.32 } },
      },
    }),
  'iBOT on all patches': () =>
    tinyStep({
      loss: {
        dino: { ...dino, centering: sinkhorn },
        ibot: { ...ibot, on: 'all_patches', head: 'ibot', centering: sinkhorn },
      } as ResolvedExperiment['loss'],
    }),
}

const choices: Readonly<Record<string, Partial<PassOptions>>> = {
  pack: { pack: true },
  fuse: { fuse: true },
  'pack and fuse': { pack: true, fuse: true },
  recompute: { recompute: 'blocks' },
  'some values computed again': { recompute: repeating(9) },
  'all three': { pack: true, fuse: true, recompute: 'blocks' },
  'all three, to fit': { pack: true, fuse: true, recompute: repeating(Number.POSITIVE_INFINITY) },
  'streamed logits': { fuse: true, streamLogits: 'always' },
  everything: { pack: true, fuse: true, streamLogits: 'always', recompute: 'blocks' },
}

describe.each(Object.entries(steps))('a training step (%s)', (name, step) => {
  const reference = runStep(optimize(step(), off).module)

  it('gives finite numbers that depend on the loss', () => {
    const gradients = Object.entries(reference).filter(([name]) => name.startsWith('output grad.'))
    expect(gradients.length).toBeGreaterThan(30)
    for (const [name, data] of Object.entries(reference)) expect(data.every(Number.isFinite), name).toBe(true)
    expect(gradients.some(([, data]) => data.some((g) => Math.abs(g) > 1e-3))).toBe(true)
  })

  it.each(Object.entries(choices))('is the same with %s on and off', (_, chosen) => {
    const { module } = optimize(step(), { ...off, ...chosen })
    const found = distance(reference, runStep(module))
    expect(found.relative, found.name).toBeLessThan(1e-11)
  })

  it('is the same with no masked patch at all', () => {
    const plain = runStep(optimize(step(), off).module, 0)
    for (const streamLogits of ['never', 'always'] as const) {
      const { module } = optimize(step(), { ...off, pack: true, fuse: true, streamLogits })
      const found = distance(plain, runStep(module, 0))
      expect(found.relative, found.name).toBeLessThan(1e-11)
    }
  })

  it.each(['never', 'always'] as const)(
    'is the same on a target that lacks every op that can be written out, logits streamed %s',
    (streamLogits) => {
      const lacking = new Set(everything)
      for (const [kind, rule] of Object.entries(decompositions))
        if (rule !== null && kind !== 'linear' && kind !== 'matmul') lacking.delete(`op:${kind}`)
      // A factor for each sequence has no simpler form.
      if (name.includes('masked'))
        for (const op of ['residual_add', 'residual_add_grad']) lacking.add(`op:${op}`)
      const { module } = optimize(step(), {
        ...off,
        pack: true,
        fuse: true,
        streamLogits,
        capabilities: lacking,
      })
      const kinds = new Set(Object.values(module.functions).flatMap((func) => func.ops.map((op) => op.kind)))
      for (const kind of kinds) expect(lacking.has(`op:${kind}`), kind).toBe(true)
      const found = distance(reference, runStep(module))
      expect(found.relative, found.name).toBeLessThan(1e-11)
    },
  )
})

describe('the pipeline', () => {
  it('runs its passes in order', () => {
    const seen: string[] = []
    optimize(tinyStep(), { ...off, afterPass: (name) => seen.push(name) })
    expect(seen).toEqual(passNames)
  })

  it('ends with kernels only, in the entries only', () => {
    const { module } = optimize(tinyStep({}, 0.4), { ...off, pack: true, fuse: true })
    verify(module, { kernelsOnly: true })
    expect(Object.keys(module.functions)).toEqual(module.entries)
  })

  it('measures what each pass saves', () => {
    const { trace } = optimize(tinyStep({}, 0.4), {
      ...off,
      pack: true,
      fuse: true,
      recompute: 'blocks',
      measure,
    })
    const effect = (name: string) => trace.find(({ pass }) => pass === name)!
    expect(trace.map(({ pass }) => pass)).toEqual(passNames)
    for (const [i, { before }] of trace.entries()) if (i > 0) expect(before).toEqual(trace[i - 1]!.after)
    const packed = effect('pack')
    expect(packed.after.ops).toBeLessThan(packed.before.ops * 0.8)
    const dropped = effect('stochastic-depth')
    expect(dropped.after.executedFlops).toBeLessThan(dropped.before.executedFlops * 0.85)
    expect(dropped.after.peakBytes).toBeLessThan(dropped.before.peakBytes)
    const fused = effect('fuse-neighbours')
    expect(fused.after.ops).toBeLessThan(fused.before.ops)
    expect(fused.after.bytesMoved).toBeLessThan(fused.before.bytesMoved)
    const again = effect('recompute')
    expect(again.after.peakBytes).toBeLessThan(again.before.peakBytes)
    expect(again.after.executedFlops).toBeGreaterThan(again.before.executedFlops)
  })

  it('refuses a target without a way to do an op', () => {
    const lacking = new Set(everything)
    lacking.delete('op:layer_norm')
    const codes = (() => {
      try {
        optimize(tinyStep(), { ...off, capabilities: lacking })
      } catch (error) {
        if (error instanceof DiagnosticError) return error.diagnostics.map((d) => d.code)
        throw error
      }
      return []
    })()
    expect(codes).toEqual(['DINO0811'])
  })

  it('measures nothing unless asked', () => {
    expect(optimize(tinyStep(), off).trace).toEqual([])
  })
})
