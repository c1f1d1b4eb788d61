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

/** `stateBytes`: of one rank, which may hold only a share of what the plan names. */
export function planMemory(plan: Plan, stateShare: (name: string) => number): Memory {
  const byName = new Map<string, number>()
  const add = (name: string, bytes: number) => byName.set(name, (byName.get(name) ?? 0) + bytes)
  let stateBytes = 0
  for (const tensor of plan.state) {
    const bytes = tensorBytes(tensor) * stateShare(tensor.name)
    stateBytes += bytes
    add(stateGroup(tensor.name), bytes)
  }
  for (const { name, bytes } of aliveAtPeak(plan)) add(name, bytes)
  return {
    arenaBytes: plan.arenas.reduce((sum, arena) => sum + arena.bytes, 0),
    stateBytes,
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
  const change = new Map<number, number>()
  const at = (step: number, bytes: number) => change.set(step, (change.get(step) ?? 0) + bytes)
  for (const buffer of buffers) {
    at(buffer.from, buffer.bytes)
    at(buffer.to + 1, -buffer.bytes)
  }
  let alive = 0
  let most = 0
  let peakStep = 0
  for (const step of [...change.keys()].sort((a, b) => a - b)) {
    alive += change.get(step) ?? 0
    if (alive > most) {
      most = alive
      peakStep = step
    }
  }
  return buffers
    .filter((buffer) => buffer.from <= peakStep && peakStep <= buffer.to)
    .map(({ name, bytes }) => ({ name, bytes }))
}

interface Buffer {
  readonly name: string
  readonly bytes: number
  readonly from: number
  readonly to: number
}

/** Tensors at one place whose lifetimes touch are one buffer, named after its first. */
function sharedBuffers(plan: Plan): Buffer[] {
  const open = new Map<string, number>()
  const buffers: Buffer[] = []
  const placed = plan.tensors.filter((t) => t.place.kind !== 'state').sort((a, b) => a.live[0] - b.live[0])
  for (const tensor of placed) {
    const buffer: Buffer = {
      name: groupName(tensor),
      bytes: tensorBytes(tensor),
      from: tensor.live[0],
      to: tensor.live[1],
    }
    const { place } = tensor
    const key = place.kind === 'arena' ? `${place.arena}:${place.offset}` : null
    const index = key === null ? undefined : open.get(key)
    const before = index === undefined ? undefined : buffers[index]
    if (index !== undefined && before !== undefined && before.to >= buffer.from) {
      buffers[index] = {
        ...before,
        bytes: Math.max(before.bytes, buffer.bytes),
        to: Math.max(before.to, buffer.to),
      }
      continue
    }
    if (key !== null) open.set(key, buffers.length)
    buffers.push(buffer)
  }
  return buffers
}

/** `student.backbone.blocks.7.attn.qkv` -> `student.backbone.blocks.*.attn.qkv` */
function groupName(tensor: PlanTensor): string {
  return tensor.name.replace(/\bblocks\.\d+\b/g, 'blocks.*')
}
