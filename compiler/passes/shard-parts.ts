import type { Func, ParamSource, ResultSink, ShardBuffer, Shards, ValueId } from '../ir/types.js'
import { type Draft, openDraft } from './rewrite.js'

/** A tensor's buffer, by the tensor's name. */
export interface Parts {
  readonly ranks: number
  readonly buffers: readonly ShardBuffer[]
  readonly of: ReadonlyMap<string, ShardBuffer>
}

export function partsOf({ ranks, buffers }: Shards): Parts {
  const of = new Map(buffers.flatMap((buffer) => buffer.tensors.map((t) => [t.name, buffer] as const)))
  return { ranks, buffers, of }
}

/** Values of a function's parameters of one kind, by name. */
export function paramsOf(func: Func, kind: 'state' | 'carried'): Map<string, ValueId> {
  return new Map(
    func.params.flatMap(({ value, source }) => (source.kind === kind ? [[source.name, value] as const] : [])),
  )
}

/**
 * A draft without the state and carried tensors of these names: their values are for others to define. `results` may be
 * added to until it is closed.
 */
export function openWithout(func: Func, names: ReadonlySet<string>): { draft: Draft; results: Result[] } {
  const stays = (end: ParamSource | ResultSink) =>
    !((end.kind === 'state' || end.kind === 'carried') && names.has(end.name))
  const results: Result[] = func.results.filter(({ sink }) => stays(sink))
  const params = func.params.filter(({ source }) => stays(source))
  return { draft: openDraft({ ...func, params, results }), results }
}
type Result = Func['results'][number]
