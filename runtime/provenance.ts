import type { Span } from '../diagnostics/diagnostic.js'

/**
 * The place of a setting, for messages at run time: a run spec's `provenance` maps dotted paths to
 * `file:line:column`. A path that is not there is looked up by its parents (`sources.a.labels.table` ->
 * `sources.a.labels` -> `sources.a`); null where none is known. Offsets are unknown and 0.
 */
export function placeOf(provenance: Readonly<Record<string, string>>, path: string): Span | null {
  for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
    const place = Object.hasOwn(provenance, at) ? /^(.*):(\d+):(\d+)$/.exec(provenance[at]!) : null
    if (place) {
      const [startLine, startColumn] = [Number(place[2]), Number(place[3])]
      return {
        file: place[1]!,
        start: 0,
        end: 0,
        startLine,
        startColumn,
        endLine: startLine,
        endColumn: startColumn + 1,
      }
    }
  }
  return null
}
