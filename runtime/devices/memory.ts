import { inPlace } from '../../compiler/ir/ops.js'
import type { Plan, PlanTensor, Step } from '../../compiler/plan/plan.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'

const alignment = 256
const bytesOf = { f32: 4, bf16: 2, i32: 4 } as const

export const tensorBytes = (t: Pick<PlanTensor, 'dtype' | 'shape'>) =>
  t.shape.reduce((n, size) => n * size, bytesOf[t.dtype])

interface Numbered {
  readonly step: Step
  /** Through all programs, from 0. */
  readonly number: number
}

/** Places, definitions before uses, lifetimes that cover every use, and live tensors that share memory. */
export function memoryFaults(plan: Plan): Diagnostic[] {
  const faults = [...placeFaults(plan), ...useFaults(plan)]
  return faults.length > 0 || plan.target.class !== 'arena' ? faults : overlaps(plan)
}

const label = (t: PlanTensor) => `${t.id} (${t.name})`

function tensorFault(plan: Plan, t: PlanTensor, fault: string): Diagnostic {
  return diagnose('DINO0822', null, { plan: plan.name, tensor: label(t), fault })
}

function placeFaults(plan: Plan): Diagnostic[] {
  if (plan.target.class === 'tensor-ops' && plan.arenas.length > 0)
    return [
      diagnose('DINO0825', null, {
        plan: `plan ${plan.name}`,
        name: 'arenas',
        fault: 'a plan of class tensor-ops has none',
      }),
    ]
  return plan.tensors.flatMap((t) => {
    if (t.place.kind !== 'arena') return []
    const { arena, offset } = t.place
    const size = plan.arenas[arena]?.bytes
    if (size === undefined) return [tensorFault(plan, t, `there is no arena ${arena}`)]
    if (offset % alignment !== 0)
      return [tensorFault(plan, t, `offset ${offset} is not a multiple of ${alignment}`)]
    const end = offset + tensorBytes(t)
    return end > size
      ? [tensorFault(plan, t, `ends at byte ${end} of arena ${arena}, which has ${size}`)]
      : []
  })
}

function numbered(plan: Plan): readonly Numbered[] {
  return plan.programs.flatMap((p) => p.steps).map((step, number) => ({ step, number }))
}

/**
 * Every tensor is defined before it is read: by the host, by state, or by an earlier step. Only the accumulator of
 * `accumulate` may come from the step's last run; it then lives from the start to the end.
 */
function useFaults(plan: Plan): Diagnostic[] {
  const faults: Diagnostic[] = []
  const steps = numbered(plan)
  const last = steps.length - 1
  const tensor = (id: number) => plan.tensors[id] as PlanTensor
  const inputs = new Set(plan.inputs.map((i) => i.tensor))
  const written = new Set(steps.flatMap(({ step }) => step.results))
  const defined = new Set(inputs)
  plan.tensors.forEach((t) => {
    if (t.place.kind === 'state') defined.add(t.id)
  })
  for (const id of inputs)
    if (tensor(id).live[0] !== -1)
      faults.push(tensorFault(plan, tensor(id), 'a host input lives from before step 0'))

  const covers = (id: number, number: number) => {
    const t = tensor(id)
    if (t.place.kind === 'state' || (t.live[0] <= number && number <= t.live[1])) return
    faults.push(tensorFault(plan, t, `is used at step ${number} and lives from ${t.live[0]} to ${t.live[1]}`))
  }
  for (const { step, number } of steps) {
    step.operands.forEach((id, i) => {
      if (id < 0) return
      const carried = step.op === 'accumulate' && i === 0 && written.has(id) && tensor(id).live[0] === -1
      if (!defined.has(id) && !carried)
        faults.push(
          diagnose('DINO0824', step.span, {
            plan: plan.name,
            step: number,
            op: step.op,
            fault: `reads tensor ${label(tensor(id))} before anything writes it`,
          }),
        )
      if (carried && tensor(id).live[1] < last)
        faults.push(tensorFault(plan, tensor(id), 'is carried between runs and dies before the last step'))
      covers(id, number)
    })
    for (const id of step.results) {
      defined.add(id)
      covers(id, number)
    }
    faults.push(...renewFaults(plan, step, number))
  }
  for (const { name, tensor: id } of [...plan.metrics, ...plan.outputs]) {
    const t = tensor(id)
    if (!defined.has(id)) faults.push(tensorFault(plan, t, `is read as ${name} and never written`))
    else if (t.place.kind !== 'state' && t.live[1] < last)
      faults.push(tensorFault(plan, t, `is read as ${name} after the last step and dies at ${t.live[1]}`))
  }
  return faults
}

/** Ops that give state tensors their next values. */
const updates: ReadonlySet<string> = new Set(['adamw', 'adamw_ema', 'ema', 'update_center'])

/** A state tensor's next value goes where it is, not to another tensor. */
function renewFaults(plan: Plan, step: Step, number: number): Diagnostic[] {
  if (!updates.has(step.op)) return []
  const stateOf = (id: number | undefined) => {
    const place = plan.tensors[id ?? -1]?.place
    return place?.kind === 'state' ? place.name : null
  }
  return (inPlace[step.op] ?? []).flatMap(([r, o]) => {
    const [old, next] = [stateOf(step.operands[o]), stateOf(step.results[r])]
    if (old === null || next === null || old === next) return []
    const fault = `writes the next value of ${old} to ${next}`
    return [diagnose('DINO0824', step.span, { plan: plan.name, step: number, op: step.op, fault })]
  })
}

interface Block {
  readonly id: number
  readonly from: number
  readonly to: number
}

/**
 * Walks through the steps with the blocks of memory that are alive, kept disjoint and ordered by offset, one list an
 * arena. A tensor that starts where a live one lies is a fault, unless this step computes it in place of that one.
 */
function overlaps(plan: Plan): Diagnostic[] {
  const steps = numbered(plan)
  const starting = new Map<number, PlanTensor[]>()
  const ending = new Map<number, PlanTensor[]>()
  const file = (index: Map<number, PlanTensor[]>, at: number, t: PlanTensor) => {
    const list = index.get(at)
    if (list) list.push(t)
    else index.set(at, [t])
  }
  for (const t of plan.tensors)
    if (t.place.kind === 'arena' && tensorBytes(t) > 0) {
      file(starting, t.live[0], t)
      file(ending, t.live[1], t)
    }
  const alive: Block[][] = plan.arenas.map(() => [])
  for (let number = -1; number < steps.length; number++) {
    for (const t of ending.get(number - 1) ?? []) remove(alive, t)
    for (const t of starting.get(number) ?? []) {
      const other = insert(alive, t, (id) => replaces(plan, steps[number]?.step, t, id, number))
      if (other !== null)
        return [
          diagnose('DINO0823', steps[number]?.step.span ?? null, {
            plan: plan.name,
            first: label(plan.tensors[other] as PlanTensor),
            second: label(t),
            step: number,
          }),
        ]
    }
  }
  return []
}

/** Whether the step writes `t` over tensor `id`, which dies there, as its kernel allows. */
function replaces(plan: Plan, step: Step | undefined, t: PlanTensor, id: number, number: number): boolean {
  const old = plan.tensors[id] as PlanTensor
  if (!step || old.live[1] !== number || t.place.kind !== 'arena' || old.place.kind !== 'arena') return false
  if (t.place.offset !== old.place.offset || tensorBytes(t) !== tensorBytes(old)) return false
  const pairs = inPlace[step.op] ?? []
  return step.operands.every(
    (operand, i) => operand !== id || pairs.some(([r, o]) => step.results[r] === t.id && o === i),
  )
}

function position(blocks: readonly Block[], from: number): number {
  let [low, high] = [0, blocks.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((blocks[middle] as Block).from < from) low = middle + 1
    else high = middle
  }
  return low
}

function remove(alive: readonly Block[][], t: PlanTensor): void {
  if (t.place.kind !== 'arena') return
  const blocks = alive[t.place.arena] as Block[]
  const at = position(blocks, t.place.offset)
  if (blocks[at]?.id === t.id) blocks.splice(at, 1)
}

/** Returns the id of a live tensor in the way, or null. */
function insert(alive: readonly Block[][], t: PlanTensor, replaced: (id: number) => boolean): number | null {
  if (t.place.kind !== 'arena') return null
  const blocks = alive[t.place.arena] as Block[]
  const block = { id: t.id, from: t.place.offset, to: t.place.offset + tensorBytes(t) }
  const at = position(blocks, block.from)
  const before = blocks[at - 1]
  if (before && before.to > block.from) return before.id
  const after = blocks[at]
  if (after && after.from < block.to) {
    if (!replaced(after.id)) return after.id
    blocks.splice(at, 1, block)
    return null
  }
  blocks.splice(at, 0, block)
  return null
}
