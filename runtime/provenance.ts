import type { Span } from '../diagnostics/diagnostic.js'

/**
 * The place of a setting, for messages at run time: a run spec's `provenance` maps dotted paths to
 * `file:line:column-column`, or `file:line:column-line:column`. A path that is not there is looked up by its parents
 * (`sources.a.labels.table` -> `sources.a.labels` -> `sources.a`); null where none is known. Offsets are unknown and 0.
 */
export function placeOf(provenance: Readonly<Record<string, string>>, path: string): Span | null {
  for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
    const place = Object.hasOwn(provenance, at) ? parsePlace(provenance[at]!) : null
    if (place) return place
  }
  return null
}

/** Run specs of earlier versions give no end: then one column is shown. */
function parsePlace(text: string): Span | null {
  const found = /^(.*):(\d+):(\d+)(?:-(?:(\d+):)?(\d+))?$/s.exec(text)
  if (!found) return null
  const [startLine, startColumn] = [Number(found[2]), Number(found[3])]
  return {
    file: found[1]!,
    start: 0,
    end: 0,
    startLine,
    startColumn,
    endLine: Number(found[4] ?? startLine),
    endColumn: Number(found[5] ?? startColumn + 1),
  }
}
