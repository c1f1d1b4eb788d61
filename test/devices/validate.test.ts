import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Plan, PlanTensor, Step } from '../../compiler/plan/plan.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { tensorBytes } from '../../runtime/devices/memory.js'
import { validatePlan } from '../../runtime/devices/validate.js'
import { faultsOf } from '../support/faults.js'
import { tinyPlan } from './small-plan.js'

type Json = { [key: string]: unknown }
type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object ? Mutable<T[K]> : T[K] }

const { plan } = tinyPlan()
const text = JSON.stringify(plan)

/** Faults of the plan after a change. */
function faults(change: (p: Mutable<Plan>) => void): readonly string[] {
  const copy = JSON.parse(text) as Mutable<Plan>
  change(copy)
  return faultsOf(() => validatePlan(copy))
}

const steps = plan.programs.flatMap((p) => p.steps)
const stepOf = (op: string): readonly [number, number] => {
  for (const [p, program] of plan.programs.entries()) {
    const i = program.steps.findIndex((s) => s.op === op)
    if (i >= 0) return [p, i]
  }
  throw new Error(`the plan has no ${op}`)
}
const at = (p: Mutable<Plan>, op: string): Mutable<Step> => {
  const [program, step] = stepOf(op)
  return p.programs[program]?.steps[step] as Mutable<Step>
}
const numberOf = (op: string) => steps.findIndex((s) => s.op === op)
const name = plan.name
/** The first tensor in an arena that steps write, and one that lives at the same time. */
const inArena = plan.tensors.filter(
  (t) => t.place.kind === 'arena' && t.live[0] >= 0,
) as readonly PlanTensor[]
const one = inArena.find((t) => t.live[1] > t.live[0] + 1 && t.live[1] < steps.length - 1) as PlanTensor
const other = inArena.find((t) => t.live[0] === one.live[0] + 1 && tensorBytes(t) > 0) as PlanTensor
const place = (t: PlanTensor) => t.place as { arena: number; offset: number }

describe('validatePlan', () => {
  test('accepts what the planner makes, as JSON', () => {
    expect(validatePlan(JSON.parse(text))).toEqual(plan)
    expect(faultsOf(() => validatePlan(tinyPlan('tensor-ops', 2).plan))).toEqual([])
  })

  test('refuses another form', () => {
    expect(faultsOf(() => validatePlan(null))).toEqual(['DINO0820: plan: the document: must be object'])
    expect(faultsOf(() => validatePlan({}))).toEqual([
      "DINO0820: plan: the document: must have required property 'format'",
    ])
    expect(faults((p) => Object.assign(p, { format: 'other' }))).toEqual([
      'DINO0820: plan: /format: expected "dinoc-plan"',
    ])
    expect(faults((p) => Object.assign(p, { version: 2 }))).toEqual([
      'DINO0821: this plan is of version 2, expected 1',
    ])
    expect(faults((p) => Object.assign(p.tensors[3] as Json, { extra: 1 }))).toEqual([
      'DINO0820: plan: /tensors/3: has an unknown field extra',
    ])
    expect(faults((p) => Object.assign(p.tensors[3] as Json, { dtype: 'f64' }))).toEqual([
      'DINO0820: plan: /tensors/3/dtype: expected one of f32, bf16, i32',
    ])
    expect(faults((p) => Object.assign(p, { microSteps: 0 }))).toEqual([
      'DINO0820: plan: /microSteps: must be >= 1',
    ])
  })

  test('refuses a wrong place', () => {
    const label = `plan ${name}: tensor ${one.id} (${one.name})`
    const move = (change: Json) => faults((p) => Object.assign(p.tensors[one.id]?.place as Json, change))
    expect(move({ offset: place(one).offset + 4 })).toEqual([
      `DINO0822: ${label}: offset ${place(one).offset + 4} is not a multiple of 256`,
    ])
    const size = plan.arenas[place(one).arena]?.bytes as number
    const beyond = Math.ceil(size / 256) * 256
    expect(move({ offset: beyond })).toEqual([
      `DINO0822: ${label}: ends at byte ${beyond + tensorBytes(one)} of arena ${place(one).arena}, which has ${size}`,
    ])
    expect(move({ arena: 7 })).toEqual([`DINO0822: ${label}: there is no arena 7`])
    expect(faults((p) => Object.assign(p.tensors[one.id] as Json, { place: { kind: 'device' } }))).toEqual([
      `DINO0822: ${label}: a plan of class arena has no place of kind device`,
    ])
    expect(
      faults((p) => Object.assign(p.tensors[one.id] as Json, { place: { kind: 'state', name: 'odd' } })),
    ).toEqual([`DINO0822: ${label}: no state tensor is named odd`])
    expect(faults((p) => Object.assign(p.arenas[0] as Json, { bytes: 0 })).length).toBeGreaterThan(0)
  })

  test('refuses live tensors that share memory', () => {
    const found = faults((p) => Object.assign(p.tensors[other.id]?.place as Json, place(one)))
    expect(found.length).toBe(1)
    expect(found[0]).toMatch(/^DINO0823: .* share memory while both are alive at step \d+$/)
  })

  test('refuses lifetimes that are too short', () => {
    expect(
      faults((p) => Object.assign(p.tensors[one.id] as Json, { live: [one.live[0], one.live[0]] })),
    ).toContain(
      `DINO0822: plan ${name}: tensor ${one.id} (${one.name}): is used at step ${one.live[1]} and lives from ${one.live[0]} to ${one.live[0]}`,
    )
    const metric = plan.metrics[0] as Plan['metrics'][number]
    const t = plan.tensors[metric.tensor] as PlanTensor
    expect(
      faults((p) => Object.assign(p.tensors[t.id] as Json, { live: [t.live[0], t.live[0]] })).join(),
    ).toContain(`is read as ${metric.name} after the last step and dies at ${t.live[0]}`)
    const input = plan.tensors[plan.inputs[0]?.tensor ?? -1] as PlanTensor
    expect(faults((p) => Object.assign(p.tensors[input.id] as Json, { live: [0, input.live[1]] }))).toEqual([
      `DINO0822: plan ${name}: tensor ${input.id} (${input.name}): a host input lives from before step 0`,
    ])
  })

  test('refuses a wrong step', () => {
    const step = (op: string, fault: string) => [
      `DINO0824: plan ${name}: step ${numberOf(op)}, ${op}: ${fault}`,
    ]
    const count = plan.tensors.length
    expect(
      faults((p) => {
        at(p, 'attention').operands[0] = count
      }),
    ).toEqual(step('attention', `expected a tensor id below ${count}, found ${count}`))
    expect(faults((p) => Object.assign(at(p, 'attention'), { op: 'attend' }))).toEqual([
      `DINO0824: plan ${name}: step ${numberOf('attention')}, attend: no kernel has this name`,
    ])
    expect(faults((p) => Object.assign(at(p, 'attention'), { op: 'call' }))).toEqual([
      `DINO0824: plan ${name}: step ${numberOf('attention')}, call: no kernel has this name`,
    ])
    const heads = faults((p) => Object.assign(at(p, 'attention').attrs, { heads: 5 }))
    expect(heads.length).toBeGreaterThan(0)
    expect(heads[0]).toMatch(/^DINO0603: attention: attribute heads: expected a divisor of/)
    expect(faults((p) => Object.assign(at(p, 'attention').attrs, { heads: '2' }))[0]).toBe(
      'DINO0603: attention: attribute heads: expected a whole number from 1, found "2"',
    )
    expect(faults((p) => at(p, 'attention').operands.pop())).toEqual([
      'DINO0602: attention: expected operands (qkv), found 0',
    ])
    expect(faults((p) => at(p, 'attention').results.pop())).toEqual(
      step('attention', 'expected 2 results, found 1'),
    )
    const later = steps[steps.length - 1]?.results[0] as number
    expect(
      faults((p) => {
        const first = p.programs[0]?.steps.find((s) => s.op === 'linear') as Mutable<Step>
        first.operands[2] = later
      }).length,
    ).toBeGreaterThan(0)
    expect(
      faults((p) => {
        p.target.requires = p.target.requires.filter((r) => r !== 'op:attention')
      })[0],
    ).toBe(step('attention', "the plan's target does not require op:attention")[0])
  })

  test('refuses a read before any write', () => {
    const [p0, i] = stepOf('attention')
    const found = faults((p) => {
      const list = p.programs[p0]?.steps as Mutable<Step>[]
      const [moved] = list.splice(i, 1)
      list.splice(0, 0, moved as Mutable<Step>)
    })
    expect(found[0]).toMatch(/^DINO0824: .* step 0, attention: reads tensor .* before anything writes it$/)
  })

  test('refuses another shape than the ops give', () => {
    const id = at(plan as Mutable<Plan>, 'attention').results[0] as number
    const found = faults((p) => {
      const t = p.tensors[id] as unknown as { shape: number[] }
      t.shape[1] = (t.shape[1] as number) + 1
    })
    expect(found[0]).toMatch(/^DINO0824: .* attention: expected result 0 of f32\[/)
  })

  test('refuses state that is too large, and updates of one tensor that end in another', () => {
    const large = { name: 'large', dtype: 'f32', shape: [1024, 2 ** 52] } as Mutable<Plan>['state'][number]
    expect(faults((p) => p.state.push(large))).toEqual([
      `DINO0822: plan ${name}: tensor large: is too large to address`,
    ])
    const update = plan.programs[1]!.steps.find((s) => s.op === 'adamw_ema' || s.op === 'adamw') as Step
    const [own, others] = [update.results[0]!, plan.tensors.filter((t) => t.place.kind === 'state')]
    const { shape, place } = plan.tensors[own]!
    const another = others.find((t) => t.id !== own && t.shape.join() === shape.join()) as PlanTensor
    const found = faults((p) => {
      const step = p.programs[1]!.steps.find((s) => s.results[0] === own) as Mutable<Step>
      step.results[0] = another.id
    })
    const [from, to] = [place, another.place].map((at) => (at as { name: string }).name)
    expect(found.at(-1)).toMatch(`${update.op}: writes the next value of ${from} to ${to}`)
  })

  test('refuses names that refer to nothing', () => {
    const named = (who: string, fault: string) => [`DINO0825: plan ${name}: ${who}: ${fault}`]
    const input = plan.inputs[0] as Plan['inputs'][number]
    expect(faults((p) => Object.assign(p.inputs[0] as Json, { program: 'odd' }))).toEqual(
      named(input.name, 'expected a program, found odd'),
    )
    expect(faults((p) => p.inputs.push({ ...p.inputs[0] } as Mutable<Plan>['inputs'][number]))).toEqual(
      named(input.name, 'expected one input of this name, found several'),
    )
    expect(faults((p) => Object.assign(p.metrics[0] as Json, { tensor: plan.tensors.length }))).toEqual(
      named(
        plan.metrics[0]?.name ?? '',
        `expected a tensor id below ${plan.tensors.length}, found ${plan.tensors.length}`,
      ),
    )
    const state = plan.state[0] as Plan['state'][number]
    const held = plan.tensors.find(
      (t) => t.place.kind === 'state' && t.place.name === state.name,
    ) as PlanTensor
    expect(faults((p) => p.state.shift())).toEqual([
      `DINO0822: plan ${name}: tensor ${held.id} (${held.name}): no state tensor is named ${state.name}`,
    ])
  })

  test('whatever number or text is changed, the answer is a plan or a diagnostic', () => {
    const paths: (readonly (string | number)[])[] = []
    const walk = (value: unknown, path: readonly (string | number)[]) => {
      if (typeof value !== 'object' || value === null) paths.push(path)
      else for (const [key, inner] of Object.entries(value)) walk(inner, [...path, key])
    }
    walk(plan, [])
    const replacement = fc.oneof(
      fc.integer({ min: -2, max: 4000 }),
      fc.constantFrom<unknown>(null, '', 'x', 1e300, -1, 0.5, [], {}, true, 2 ** 40),
    )
    fc.assert(
      fc.property(fc.constantFrom(...paths), replacement, (path, value) => {
        const copy = JSON.parse(text) as Json
        let inner = copy
        for (const key of path.slice(0, -1)) inner = inner[key] as Json
        inner[path.at(-1) as string] = value
        try {
          validatePlan(copy)
        } catch (error) {
          expect(error).toBeInstanceOf(DiagnosticError)
          expect((error as DiagnosticError).diagnostics.length).toBeGreaterThan(0)
        }
      }),
      { numRuns: 300 },
    )
  })
})
