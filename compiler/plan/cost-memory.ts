import type { Plan, PlanTensor } from './plan.js'

/**
 * Where the memory of a plan goes. `peakBytes` is what a device allocates: arenas plus state. The contributors say
 * what is alive in the arenas at the worst step, by name, with the blocks of a network under one name.
 */
export interface Memory {
  readonly arenaBytes: number
  readonly stateBytes: number
  /** Largest first; state by its role. */
  readonly contributors: readonly { readonly name: string; readonly bytes: number }[]
}

const bytesOf = { f32: 4, bf16: 2, i32: 4 } as const

export function tensorBytes(tensor: { dtype: keyof typeof bytesOf; shape: readonly number[] }): number {
  return tensor.shape.reduce((n, size) => n * size, bytesOf[tensor.dtype])
}

/** What a device allocates for a plan. */
export function allocated(plan: Plan): Pick<Memory, 'arenaBytes' | 'stateBytes'> {
  return {
    arenaBytes: plan.arenas.reduce((sum, arena) => sum + arena.bytes, 0),
    stateBytes: plan.state.reduce((sum, tensor) => sum + tensorBytes(tensor), 0),
  }
}

/** Of one rank. */
export function planMemory(plan: Plan): Memory {
  const byName = new Map<string, number>()
  const add = (name: string, bytes: number) => byName.set(name, (byName.get(name) ?? 0) + bytes)
  for (const tensor of plan.state) add(stateGroup(tensor.name), tensorBytes(tensor))
  for (const { name, bytes } of aliveAtPeak(plan)) add(name, bytes)
  return {
    ...allocated(plan),
    contributors: [...byName]
      .map(([name, bytes]) => ({ name, bytes }))
      .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1)),
  }
}

function stateGroup(name: string): string {
  if (name.startsWith('m.') || name.startsWith('v.')) return 'moments'
  const role = name.split('.')[0] ?? name
  return role === 'center' ? 'centers' : `${role} parameters`
}

/** Buffers alive at the step where most bytes are; tensors computed in place share one. */
function aliveAtPeak(plan: Plan): { name: string; bytes: number }[] {
  const buffers = sharedBuffers(plan)
  const last = buffers.reduce((most, buffer) => Math.max(most, buffer.to), 0)
  // Inputs live from step -1.
  const change = new Float64Array(last + 3)
  for (const { from, to, bytes } of buffers) {
    change[from + 1] = (change[from + 1] as number) + bytes
    change[to + 2] = (change[to + 2] as number) - bytes
  }
  let alive = 0
  let most = 0
  let peakStep = -1
  for (const [i, bytes] of change.entries()) {
    alive += bytes
    if (alive > most) {
      most = alive
      peakStep = i - 1
    }
  }
  return buffers
    .filter((buffer) => buffer.from <= peakStep && peakStep <= buffer.to)
    .map(({ tensor, bytes }) => ({ name: groupName(tensor), bytes }))
}

interface Buffer {
  /** The first of those that share it, which gives it its name. */
  readonly tensor: PlanTensor
  bytes: number
  readonly from: number
  to: number
}

/** Tensors at one place whose lifetimes touch are one buffer. */
function sharedBuffers(plan: Plan): Buffer[] {
  const open = new Map<number, Buffer>()
  const buffers: Buffer[] = []
  const placed = plan.tensors.filter((t) => t.place.kind !== 'state').sort((a, b) => a.live[0] - b.live[0])
  for (const tensor of placed) {
    const { place, live } = tensor
    const bytes = tensorBytes(tensor)
    // Offsets are multiples of 256: the arena fits below.
    const key = place.kind === 'arena' ? place.offset + place.arena : null
    const before = key === null ? undefined : open.get(key)
    if (before !== undefined && before.to >= live[0]) {
      before.bytes = Math.max(before.bytes, bytes)
      before.to = Math.max(before.to, live[1])
      continue
    }
    const buffer: Buffer = { tensor, bytes, from: live[0], to: live[1] }
    if (key !== null) open.set(key, buffer)
    buffers.push(buffer)
  }
  return buffers
}

/** `student.backbone.blocks.7.attn.qkv` -> `student.backbone.blocks.*.attn.qkv` */
function groupName(tensor: PlanTensor): string {
  return tensor.name.replace(/\bblocks\.\d+\b/g, 'blocks.*')
}
