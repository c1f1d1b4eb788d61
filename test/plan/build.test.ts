import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FuncBuilder } from '../../compiler/ir/builder.js'
import type { Data } from '../../compiler/ir/interpret.js'
import { kernels } from '../../compiler/ir/interpret.js'
import { inPlace } from '../../compiler/ir/ops.js'
import type { Module, ResultSink } from '../../compiler/ir/types.js'
import { optimize, type PassOptions } from '../../compiler/passes/pipeline.js'
import { alignment, largestLiveBytes } from '../../compiler/plan/arena.js'
import { buildPlan, planBuffers } from '../../compiler/plan/build.js'
import type { Plan, PlanTensor, Step } from '../../compiler/plan/plan.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { validatePlan } from '../../runtime/devices/validate.js'
import { tinyBackbone } from '../golden/experiment.js'
import { distance, initialState, inputValues, runStep, type StepOutcome, tinyStep } from '../passes/step.js'
import { openRun } from './run-plan.js'

const capabilities: ReadonlySet<string> = new Set(Object.keys(kernels).map((kind) => `op:${kind}`))
const work = { images: 3, modelFlopsPerStep: 1e6 }

function compiled(module: Module, options: Partial<PassOptions> = {}): Module {
  return optimize(module, {
    pack: true,
    fuse: true,
    precision: 'float32',
    recompute: 'off',
    capabilities,
    ...options,
  }).module
}

/** A step through the plan, in memory laid out as it says. */
function runPlanned(module: Module, plan: Plan, rows = 5): StepOutcome {
  const run = openRun(plan, initialState(module))
  plan.programs.forEach((program, p) => {
    for (let i = 0; i < (p === 0 ? plan.microSteps : 1); i++) {
      run.write(program.name, inputValues(module.inputs, { rows, firstMicroStep: i === 0, step: i }))
      run.run(program.name)
    }
  })
  const outcome: Record<string, Data> = {}
  for (const { name, tensor } of plan.metrics) outcome[`metric ${name}`] = run.read(tensor)
  for (const { name, tensor } of plan.outputs) outcome[`output ${name}`] = run.read(tensor)
  for (const [name, data] of Object.entries(run.state)) outcome[`state ${name}`] = data
  return outcome
}

const bytesOf = (tensor: PlanTensor) => tensor.shape.reduce((n, size) => n * size, 4)
const stepsOf = (plan: Plan): readonly Step[] => plan.programs.flatMap((program) => program.steps)

/** What is wrong with the places and lifetimes of a plan, in words. */
function faults(plan: Plan, limitBytes: number | null): string[] {
  const found: string[] = []
  const steps = stepsOf(plan)
  const written = new Set(
    plan.tensors.filter((t) => t.place.kind === 'state' || t.live[0] === -1).map((t) => t.id),
  )
  steps.forEach((step, i) => {
    for (const id of [...step.operands, ...step.results]) {
      if (id < 0) continue
      const [from, to] = plan.tensors[id]!.live
      if (i < from || i > to) found.push(`step ${i} uses tensor ${id} outside its life`)
    }
    for (const id of step.operands)
      if (id >= 0 && !written.has(id)) found.push(`step ${i} reads ${id} too early`)
    for (const id of step.results) written.add(id)
  })
  const placed = plan.tensors.flatMap((t) => (t.place.kind === 'arena' ? [{ ...t, place: t.place }] : []))
  for (const a of placed) {
    const end = a.place.offset + bytesOf(a)
    if (a.place.offset % alignment !== 0) found.push(`tensor ${a.id} is not aligned`)
    if (end > plan.arenas[a.place.arena]!.bytes) found.push(`tensor ${a.id} ends outside its arena`)
    for (const b of placed) {
      if (b.id <= a.id || a.place.arena !== b.place.arena) continue
      if (a.live[0] > b.live[1] || b.live[0] > a.live[1]) continue
      if (a.place.offset >= b.place.offset + bytesOf(b) || b.place.offset >= end) continue
      const [operand, result] = a.live[1] === b.live[0] ? [a, b] : [b, a]
      const step = steps[result.live[0]]!
      const allowed =
        operand.live[1] === result.live[0] &&
        operand.place.offset === result.place.offset &&
        (inPlace[step.op] ?? []).some(
          ([r, o]) => step.results[r] === result.id && step.operands[o] === operand.id,
        )
      if (!allowed) found.push(`tensors ${a.id} and ${b.id} overlap`)
    }
  }
  if (limitBytes !== null)
    for (const { bytes } of plan.arenas) if (bytes > limitBytes) found.push(`an arena of ${bytes} bytes`)
  return found
}

const settings = fc.record({
  pack: fc.boolean(),
  fuse: fc.boolean(),
  recompute: fc.constantFrom('off' as const, 'blocks' as const),
  rate: fc.constantFrom(0, 0.4),
  batch: fc.constantFrom(3, 6),
  swiglu: fc.boolean(),
  limit: fc.constantFrom(null, 1 << 16, 1 << 18),
})

describe('buildPlan', () => {
  it('gives plans without overlap, near the least memory there can be, that compute what the oracle does', () => {
    fc.assert(
      fc.property(settings, ({ rate, batch, swiglu, limit, ...options }) => {
        const backbone = {
          ...tinyBackbone,
          ffn: swiglu ? ('swiglu' as const) : ('mlp' as const),
          dropPath: { shape: 'uniform' as const, from: rate, to: rate, form: 'subset' as const },
        }
        const module = compiled(tinyStep({ batch, backbone }), options)
        const plan = buildPlan(module, { class: 'arena', arenaLimitBytes: limit }, work)
        expect(faults(plan, limit)).toEqual([])
        validatePlan(plan)
        const bound = largestLiveBytes(planBuffers(module))
        const total = plan.arenas.reduce((sum, { bytes }) => sum + bytes, 0)
        expect(total).toBeGreaterThanOrEqual(bound)
        if (limit === null) expect(total / bound).toBeLessThan(1.1)
        expect(distance(runStep(module), runPlanned(module, plan))).toEqual({ name: '', relative: 0 })
      }),
      { numRuns: 12 },
    )
  })

  it('plans the same step for a device that allocates by itself', () => {
    const plan = buildPlan(compiled(tinyStep()), { class: 'tensor-ops', arenaLimitBytes: null }, work)
    expect(plan.arenas).toEqual([])
    validatePlan(plan)
    expect(new Set(plan.tensors.map((t) => t.place.kind))).toEqual(new Set(['device', 'state']))
  })

  it('is plain JSON', () => {
    const plan = buildPlan(compiled(tinyStep()), { class: 'arena', arenaLimitBytes: null }, work)
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan)
    expect(plan).toMatchObject({
      format: 'dinoc-plan',
      version: 1,
      name: 'tiny.full/pretrain',
      microSteps: 1,
      ...work,
    })
    expect(plan.target.requires).toContain('op:attention')
    expect(plan.programs.map((program) => program.name)).toEqual(['accumulate', 'update'])
    expect(plan.inputs.filter((input) => input.program === 'update').map((input) => input.name)).toEqual([
      'adam_step',
      'weight_decay',
      'lr',
      'last_layer_lr',
      'momentum',
    ])
  })

  it('keeps at most 12 d floats a row and block for backward, and the block inputs alone with recompute', () => {
    const kept = (recompute: 'off' | 'blocks') => {
      const plan = buildPlan(
        compiled(tinyStep(), { recompute }),
        { class: 'arena', arenaLimitBytes: null },
        work,
      )
      const steps = stepsOf(plan)
      const turn = steps.findIndex((step) => step.stage === 'backward')
      const rows = 6 * 17 + 9 * 5
      const floats = plan.tensors
        .filter((t) => /^student\.backbone\.blocks\./.test(t.name))
        .filter(
          (t) => t.place.kind === 'arena' && t.live[0] < turn && t.live[1] >= turn && t.shape.length === 2,
        )
        .reduce((sum, t) => sum + bytesOf(t) / 4, 0)
      return floats / (rows * tinyBackbone.width * tinyBackbone.depth)
    }
    expect(kept('off')).toBe(12)
    expect(kept('blocks')).toBe(1)
  })

  it('refuses a tensor that no arena of the target can hold', () => {
    const module = compiled(tinyStep())
    const codes = (() => {
      try {
        buildPlan(module, { class: 'arena', arenaLimitBytes: 4096 }, work)
      } catch (error) {
        if (error instanceof DiagnosticError) return error.diagnostics.map((d) => d.code)
        throw error
      }
      return []
    })()
    expect(codes).toEqual(['DINO0810'])
  })
})

describe('results that replace state', () => {
  const vector = { dtype: 'f32', shape: [4] } as const
  const state = (name: string) => ({
    name,
    type: vector,
    storedShape: [4],
    role: 'center' as const,
    init: { kind: 'zeros' as const },
  })
  function moduleOf(
    build: (b: FuncBuilder, a: number, c: number) => { value: number; sink: ResultSink }[],
  ): Module {
    const b = new FuncBuilder('forward')
    const a = b.param(vector, { kind: 'state', name: 'a' })
    const c = b.param(vector, { kind: 'state', name: 'c' })
    const func = b.finish(build(b, a, c))
    return {
      name: 'states',
      functions: { forward: func },
      entries: ['forward'],
      state: [state('a'), state('c')],
      inputs: [],
      microSteps: 1,
    }
  }
  const run = (module: Module) => {
    const plan = buildPlan(module, { class: 'arena', arenaLimitBytes: null }, work)
    const executed = openRun(plan, { a: Float64Array.of(1, 2, 3, 4), c: Float64Array.of(5, 6, 7, 8) })
    executed.run('forward')
    return { plan, a: [...executed.state.a!], c: [...executed.state.c!] }
  }

  it('are written in place where the op allows it', () => {
    const { plan, a } = run(
      moduleOf((b, a) => [{ value: b.one('scale', [a], { factor: 2 }), sink: { kind: 'state', name: 'a' } }]),
    )
    expect(a).toEqual([2, 4, 6, 8])
    expect(stepsOf(plan).map((step) => [step.op, step.operands, step.results])).toEqual([['scale', [0], [0]]])
  })

  it('may trade places', () => {
    const { a, c } = run(
      moduleOf((_, a, c) => [
        { value: c, sink: { kind: 'state', name: 'a' } },
        { value: a, sink: { kind: 'state', name: 'c' } },
      ]),
    )
    expect({ a, c }).toEqual({ a: [5, 6, 7, 8], c: [1, 2, 3, 4] })
  })

  it('leave an old value as it was for those who asked for it', () => {
    const module = moduleOf((b, a) => [
      { value: b.one('scale', [a], { factor: 2 }), sink: { kind: 'state', name: 'a' } },
      { value: a, sink: { kind: 'output', name: 'before' } },
    ])
    const plan = buildPlan(module, { class: 'arena', arenaLimitBytes: null }, work)
    const executed = openRun(plan, { a: Float64Array.of(1, 2, 3, 4), c: new Float64Array(4) })
    executed.run('forward')
    expect([...executed.read(plan.outputs[0]!.tensor)]).toEqual([1, 2, 3, 4])
    expect([...executed.state.a!]).toEqual([2, 4, 6, 8])
  })

  it('are copied at the end where the old value is still read', () => {
    const { plan, a, c } = run(
      moduleOf((b, a, c) => {
        const next = b.one('scale', [a], { factor: 2 })
        const sum = b.one('add', [a, c], {})
        return [
          { value: next, sink: { kind: 'state', name: 'a' } },
          { value: sum, sink: { kind: 'state', name: 'c' } },
        ]
      }),
    )
    expect({ a, c }).toEqual({ a: [2, 4, 6, 8], c: [6, 8, 10, 12] })
    expect(stepsOf(plan).map((step) => step.op)).toEqual(['scale', 'add', 'scale'])
  })
})
