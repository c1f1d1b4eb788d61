import { isKind, isStructural, resultTypes } from '../../compiler/ir/ops.js'
import type { TensorType } from '../../compiler/ir/types.js'
import type { Plan, PlanTensor, Step } from '../../compiler/plan/plan.js'
import { planVersion } from '../../compiler/plan/plan.js'
import planSchema from '../../compiler/plan/plan.schema.json' with { type: 'json' }
import { diagnose } from '../../diagnostics/catalogue.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { checkForm } from './form.js'
import { memoryFaults } from './memory.js'

/**
 * Accepts a plan that came from a file or another process, or refuses it with every fault found: its form and version
 * (DINO0820, DINO0821), types inferred again from the operands of each step (DINO06xx, DINO0824), names (DINO0825),
 * places and lifetimes (DINO0822) and live tensors that share memory (DINO0823). A device that runs an accepted plan
 * reads nothing undefined and writes only inside its arenas and state; index values are the kernels' to check.
 */
export function validatePlan(plan: unknown): Plan {
  const checked = checkForm('plan', plan, planSchema, 'dinoc-plan', planVersion) as Plan
  for (const faults of [tensorFaults, nameFaults, stepFaults, memoryFaults]) {
    const found = faults(checked)
    if (found.length > 0) throw new DiagnosticError(found)
  }
  return checked
}

/** The type of a plan's tensor as ops see it. */
export function typeOf({ dtype, shape, segments, rows }: PlanTensor): TensorType {
  return { dtype, shape, ...(segments && { segments }), ...(rows !== undefined && { rows }) }
}

const elements = (shape: readonly number[]) => shape.reduce((n, size) => n * size, 1)

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((size, i) => size === b[i])

/** Ids, shapes, and state: all that a tensor says by itself. */
function tensorFaults(plan: Plan): Diagnostic[] {
  const faults: Diagnostic[] = []
  const state = new Map(plan.state.map((s) => [s.name, s]))
  const bounds = new Set(plan.inputs.map((i) => i.name))
  for (const { name, shape } of plan.state)
    if (!Number.isSafeInteger(elements(shape) * 4))
      faults.push(
        diagnose('DINO0822', null, { plan: plan.name, tensor: name, fault: 'is too large to address' }),
      )
  plan.tensors.forEach((t, id) => {
    const fault = (text: string) =>
      faults.push(diagnose('DINO0822', null, { plan: plan.name, tensor: `${id} (${t.name})`, fault: text }))
    if (t.id !== id) fault(`expected id ${id}, found ${t.id}`)
    if (!Number.isSafeInteger(elements(t.shape) * 4)) fault('is too large to address')
    const rows = t.segments?.reduce((n, g) => n + g.count * g.length, 0)
    if (rows !== undefined && rows !== t.shape[0])
      fault(`its segments have ${rows} rows, its shape ${t.shape[0]}`)
    if (t.rows !== undefined && !bounds.has(t.rows)) fault(`no input named ${t.rows} bounds its rows`)
    if (t.live[0] > t.live[1]) fault(`lives from step ${t.live[0]} to ${t.live[1]}`)
    const { place } = t
    if (place.kind === 'state') {
      const own = state.get(place.name)
      if (!own) fault(`no state tensor is named ${place.name}`)
      else if (own.dtype !== t.dtype || !sameShape(own.shape, t.shape))
        fault(`state ${place.name} has another dtype or shape`)
    } else if ((place.kind === 'arena') !== (plan.target.class === 'arena'))
      fault(`a plan of class ${plan.target.class} has no place of kind ${place.kind}`)
  })
  return faults
}

/** Inputs, metrics, outputs, programs and state: each name once, each reference to something that exists. */
function nameFaults(plan: Plan): Diagnostic[] {
  const faults: Diagnostic[] = []
  const fault = (name: string, text: string) =>
    faults.push(diagnose('DINO0825', null, { plan: `plan ${plan.name}`, name, fault: text }))
  const once = (what: string, names: readonly string[]) => {
    const seen = new Set<string>()
    for (const name of names) {
      if (seen.has(name)) fault(name, `expected one ${what} of this name, found several`)
      seen.add(name)
    }
    return seen
  }
  once(
    'state tensor',
    plan.state.map((s) => s.name),
  )
  once(
    'input',
    plan.inputs.map((i) => i.name),
  )
  once(
    'metric',
    plan.metrics.map((m) => m.name),
  )
  once(
    'output',
    plan.outputs.map((o) => o.name),
  )
  const programs = once(
    'program',
    plan.programs.map((p) => p.name),
  )
  for (const { name, tensor } of [...plan.inputs, ...plan.metrics, ...plan.outputs])
    if (!plan.tensors[tensor])
      fault(name, `expected a tensor id below ${plan.tensors.length}, found ${tensor}`)
  for (const input of plan.inputs) {
    if (!programs.has(input.program)) fault(input.name, `expected a program, found ${input.program}`)
    const type = plan.tensors[input.tensor]
    if (type?.place.kind === 'state') fault(input.name, 'an input cannot be state')
  }
  for (const t of plan.tensors) {
    if (t.rows === undefined) continue
    const scalar = plan.tensors[plan.inputs.find((i) => i.name === t.rows)?.tensor ?? -1]
    if (scalar && (scalar.dtype !== 'i32' || scalar.shape.length > 0))
      fault(t.rows, 'expected i32[], since it bounds rows')
  }
  return faults
}

/** Operand counts, attributes and types of every step; that the plan owns up to the kernels that it uses. */
function stepFaults(plan: Plan): Diagnostic[] {
  const faults: Diagnostic[] = []
  const requires = new Set(plan.target.requires)
  let number = 0
  for (const program of plan.programs)
    for (const step of program.steps) faults.push(...stepFault(plan, step, number++, requires))
  return faults
}

function stepFault(plan: Plan, step: Step, number: number, requires: ReadonlySet<string>): Diagnostic[] {
  const op: string = step.op
  const fault = (text: string) => [
    diagnose('DINO0824', step.span, { plan: plan.name, step: number, op, fault: text }),
  ]
  if (!isKind(op) || isStructural(op)) return fault('no kernel has this name')
  if (!requires.has(`op:${op}`)) return fault(`the plan's target does not require op:${op}`)
  const unknown = [...step.operands, ...step.results].find((id) => id >= plan.tensors.length)
  if (unknown !== undefined)
    return fault(`expected a tensor id below ${plan.tensors.length}, found ${unknown}`)
  const type = (id: number) => typeOf(plan.tensors[id] as PlanTensor)
  try {
    const context = {
      span: step.span,
      callee: () => [],
    }
    const inferred = resultTypes(
      op,
      step.operands.map((id) => (id < 0 ? null : type(id))),
      step.attrs,
      context,
    )
    if (inferred.length !== step.results.length)
      return fault(`expected ${inferred.length} results, found ${step.results.length}`)
    for (const [i, expected] of inferred.entries()) {
      const found = plan.tensors[step.results[i] as number] as PlanTensor
      if (expected.dtype !== found.dtype || !sameShape(expected.shape, found.shape))
        return fault(
          `expected result ${i} of ${expected.dtype}[${expected.shape}], found ${found.dtype}[${found.shape}]`,
        )
    }
  } catch (error) {
    if (error instanceof DiagnosticError)
      return error.diagnostics.map((d) => ({
        ...d,
        notes: [...d.notes, `in step ${number} of plan ${plan.name}, ${step.module}`],
      }))
    throw error
  }
  return []
}
