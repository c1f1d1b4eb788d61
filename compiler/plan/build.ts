import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Module } from '../ir/types.js'
import { aligned, type Buffer, placeBuffers } from './arena.js'
import { draftPlan, type PlanDraft } from './draft.js'
import { type Liveness, liveness } from './liveness.js'
import { type Plan, type PlanTensor, planVersion } from './plan.js'

export interface PlanTarget {
  readonly class: 'arena' | 'tensor-ops'
  /** Largest arena in bytes; null: no limit but memory. */
  readonly arenaLimitBytes: number | null
}

/** What the module no longer says: images a run of the first program, and the exact work of a step. */
export interface PlannedWork {
  readonly images: number
  readonly modelFlopsPerStep: number
}

/**
 * From a legalized module (kernels only) to a plan: each entry becomes a program in `schedule`'s order, each value a
 * tensor with a lifetime, tensors share buffers where a kernel may compute in place, and buffers get offsets.
 *
 *   %x_mid = residual_add(%x, %y, %gamma)   ->   {op: 'residual_add', operands: [41, 57, 12, -1, -1], results: [58]}
 *                                               tensor 58 at arena 0, offset 1572864: where 41 was
 *
 * State stays in the device's `State`: a result that replaces a state tensor names that tensor itself, if nothing
 * still reads its old value; otherwise a copy at the end of the program does it.
 */
export function buildPlan(module: Module, target: PlanTarget, work: PlannedWork): Plan {
  const draft = draftPlan(module)
  const live = liveness(draft.steps, draft.tensors)
  const places = target.class === 'arena' ? placeTensors(draft, live, target.arenaLimitBytes) : null

  const tensors = draft.tensors.map((tensor, id): PlanTensor => {
    const { dtype, shape, segments, rows } = tensor.type
    const start = live.start[id]!
    const own: PlanTensor = {
      id,
      name: tensor.name,
      dtype,
      shape,
      place:
        tensor.state !== null
          ? { kind: 'state', name: tensor.state }
          : places === null
            ? { kind: 'device' }
            : { kind: 'arena', arena: places.arena[id]!, offset: places.offset[id]! },
      live: [start, Math.max(start, live.end[id]!)],
    }
    if (segments === undefined && rows === undefined) return own
    return { ...own, ...(segments && { segments }), ...(rows !== undefined && { rows }) }
  })
  return {
    format: 'dinoc-plan',
    version: planVersion,
    name: module.name,
    target: { class: target.class, requires: requirements(draft) },
    arenas: (places?.arenas ?? []).map((bytes) => ({ bytes })),
    tensors,
    inputs: draft.inputs,
    state: [...draft.state].map(([name, id]) => ({
      name,
      dtype: draft.tensors[id]!.type.dtype,
      shape: draft.tensors[id]!.type.shape,
    })),
    programs: draft.programs,
    microSteps: module.microSteps,
    metrics: draft.metrics,
    outputs: draft.outputs,
    images: work.images,
    modelFlopsPerStep: work.modelFlopsPerStep,
  }
}

/** The buffers that a module's plan places, for figures that need no offsets. */
export function planBuffers(module: Module): readonly Buffer[] {
  const draft = draftPlan(module)
  return sharedBuffers(draft, liveness(draft.steps, draft.tensors)).buffers
}

function requirements(draft: PlanDraft): string[] {
  const requires = [...draft.kinds].map((kind) => `op:${kind}`).sort()
  if (draft.tensors.some((tensor) => tensor.type.dtype === 'bf16')) requires.push('bf16')
  return requires
}

function placeTensors(
  draft: PlanDraft,
  live: Liveness,
  limitBytes: number | null,
): { arena: number[]; offset: number[]; arenas: readonly number[] } {
  draft.tensors.forEach((tensor, id) => {
    if (tensor.planned) checkSize(draft, id, limitBytes)
  })
  const { buffers, indexOf } = sharedBuffers(draft, live)
  const placed = placeBuffers(buffers, limitBytes)
  const at = (list: readonly number[]) =>
    draft.tensors.map((tensor, id) => (tensor.planned ? list[indexOf.get(live.buffer[id]!)!]! : -1))
  return { arena: at(placed.arena), offset: at(placed.offset), arenas: placed.arenas }
}

/** One buffer for each chain of tensors that share it, and its index by the tensor at the head of the chain. */
function sharedBuffers(
  draft: PlanDraft,
  live: Liveness,
): { buffers: readonly Buffer[]; indexOf: ReadonlyMap<number, number> } {
  const indexOf = new Map<number, number>()
  const buffers: { bytes: number; start: number; end: number }[] = []
  draft.tensors.forEach((tensor, id) => {
    if (!tensor.planned) return
    const head = live.buffer[id]!
    const start = live.start[id]!
    const end = Math.max(start, live.end[id]!)
    const index = indexOf.get(head)
    if (index === undefined) {
      indexOf.set(head, buffers.length)
      buffers.push({ bytes: Math.max(1, tensor.bytes), start, end })
      return
    }
    const buffer = buffers[index]!
    buffer.start = Math.min(buffer.start, start)
    buffer.end = Math.max(buffer.end, end)
  })
  return { buffers, indexOf }
}

function checkSize(draft: PlanDraft, id: number, limitBytes: number | null): void {
  const { name, bytes, type, op } = draft.tensors[id]!
  if (limitBytes === null || aligned(bytes) <= limitBytes) return
  const reader = draft.programs.flatMap(({ steps }) => steps).find((step) => step.operands.includes(id))
  throw new DiagnosticError([
    diagnose(
      'DINO0810',
      (op ?? reader)?.span ?? null,
      { tensor: name, bytes, limitBytes },
      {
        notes: [`${type.shape.join(' x ')} values in one piece`],
        help: [
          name.startsWith('grad.')
            ? 'make that layer smaller (fewer prototypes, where it is a last layer), or use another device'
            : 'set schedule.micro_batch to run fewer images at a time, or use another device',
        ],
      },
    ),
  ])
}
