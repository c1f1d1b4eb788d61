import type { Shards } from '../../compiler/ir/types.js'
import type { StateSpec } from '../../compiler/plan/plan.js'
import type { PartedState, State } from '../devices/device.js'

/** What each rank's device allocates: its part of every buffer in place of the buffer's tensors. */
export function rankSpec(spec: StateSpec, shards: Shards | null): StateSpec {
  if (shards === null) return spec
  const divided = new Set(shards.buffers.flatMap(({ tensors }) => tensors.map(({ name }) => name)))
  const parts = shards.buffers.map(({ name, length }) => ({
    name,
    dtype: 'f32' as const,
    shape: [length],
    storedShape: [length],
    init: { kind: 'zeros' as const },
  }))
  return { tensors: [...parts, ...spec.tensors.filter(({ name }) => !divided.has(name))] }
}

/**
 * The state of all ranks under the logical names of one: reading joins the parts of a tensor, writing takes it apart. So
 * checkpoints, initial values and evaluations know nothing of ranks.
 */
export function joinStates(spec: StateSpec, ranks: readonly PartedState[], shards: Shards | null): State {
  const places = new Map<string, Place>()
  for (const { name: buffer, length, tensors } of shards?.buffers ?? [])
    for (const { name, shape, start } of tensors)
      places.set(name, { buffer, part: length, start, end: start + shape.reduce((n, d) => n * d, 1) })
  return {
    names: spec.tensors.map(({ name }) => name),
    async read(name, into) {
      const place = places.get(name)
      if (place === undefined) return (ranks[0] as PartedState).read(name, into)
      const pieces = piecesOf(place)
      const length = place.end - place.start
      let joined: Float32Array | Float64Array | null = null
      for (const { rank, from, to } of pieces) {
        const memory = pieces.length === 1 ? into : undefined
        const part = await (ranks[rank] as PartedState).readPart(place.buffer, from, to, memory)
        if (pieces.length === 1) return part
        joined ??= part instanceof Float64Array ? new Float64Array(length) : room(length, into)
        joined.set(part, rank * place.part + from - place.start)
      }
      return joined as Float32Array | Float64Array
    },
    async write(name, values) {
      const place = places.get(name)
      if (place === undefined) {
        for (const state of ranks) await state.write(name, values)
        return
      }
      if (values.length !== place.end - place.start)
        throw new RangeError(`${name}: ${values.length} values for a tensor of ${place.end - place.start}`)
      for (const { rank, from, to } of piecesOf(place)) {
        const offset = rank * place.part - place.start
        await (ranks[rank] as PartedState).writePart(
          place.buffer,
          from,
          values.subarray(from + offset, to + offset),
        )
      }
    },
    async close() {
      for (const state of ranks) await state.close()
    },
  }
}

/** `length` values in float32, in `into` where they fit. */
const room = (length: number, into?: ArrayBuffer): Float32Array =>
  into !== undefined && 4 * length <= into.byteLength
    ? new Float32Array(into, 0, length)
    : new Float32Array(length)

/** Where a tensor lies in a buffer of parts of `part` values. */
interface Place {
  readonly buffer: string
  readonly part: number
  readonly start: number
  readonly end: number
}

/** From which ranks' parts it comes: positions within each part. */
function piecesOf({ part, start, end }: Place): { rank: number; from: number; to: number }[] {
  const pieces: { rank: number; from: number; to: number }[] = []
  for (let rank = Math.floor(start / part); rank * part < end; rank++)
    pieces.push({ rank, from: Math.max(0, start - rank * part), to: Math.min(part, end - rank * part) })
  return pieces
}
