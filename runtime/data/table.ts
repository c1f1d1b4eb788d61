import { readFileSync } from 'node:fs'
import { csvParse, tsvParse } from 'd3-dsv'
import type { Source } from '../../compiler/plan/run-spec.js'
import { type SourceContext, sourceError } from './source.js'

export interface Row {
  readonly label: string | null
  readonly by: string | null
}

/** Rows by file name, and whether they have a `by`. */
export interface Table {
  readonly by: boolean
  readonly files: Iterable<string>
  get(file: string): Row | undefined
}

type Cells = Readonly<Record<string, unknown>>

/**
 * A label table: JSON (a list of objects, or an object of objects), JSON lines, CSV or TSV. With `nested`, each row
 * also holds further rows under that column (a list, or an object of them): these give their own `file`, while `label`
 * and `by` are read from the outer row.
 */
export function readTable(context: SourceContext, labels: NonNullable<Source['labels']>): Table {
  const { split } = context.spec
  const by = split.kind === 'hash' ? split.by : null
  const rows = readRows(context, 'labels', labels.table)
  const known = new Set(rows.flatMap((row) => Object.keys(row)))
  for (const column of [labels.file, labels.label, by, labels.nested]) {
    if (column === null || known.has(column)) continue
    throw sourceError(context, 'labels', 'DINO1005', { source: context.name, path: labels.table, column }, [
      `its columns: ${[...known].slice(0, 20).join(', ')}`,
    ])
  }
  const byFile = new Map<string, Row>()
  const add = (file: unknown, row: Row) => {
    if (typeof file !== 'string') return
    const before = byFile.get(file)
    if (before && (before.label !== row.label || before.by !== row.by)) {
      const shown = ({ label, by: group }: Row) => [label, group].filter((v) => v !== null).join(', ')
      throw sourceError(context, 'labels', 'DINO1019', {
        source: context.name,
        file,
        first: shown(before),
        second: shown(row),
      })
    }
    byFile.set(file, row)
  }
  for (const outer of rows) {
    const row: Row = {
      label: labels.label === null ? null : text(outer[labels.label]),
      by: by === null ? null : text(outer[by]),
    }
    add(outer[labels.file], row)
    const inner = labels.nested === null ? null : outer[labels.nested]
    if (typeof inner === 'object' && inner !== null)
      for (const nested of Object.values(inner)) if (isCells(nested)) add(nested[labels.file], row)
  }
  return { by: by !== null, files: byFile.keys(), get: (file) => byFile.get(file) }
}

/** All rows of a table file, whatever its format. `field` is the one to blame. */
export function readRows(context: SourceContext, field: string, path: string): Cells[] {
  const fail = (reason: string) =>
    sourceError(context, field, 'DINO1004', { source: context.name, path, reason })
  let content: string
  try {
    content = readFileSync(path, 'utf8').replace(/^\uFEFF/, '')
  } catch (error) {
    throw fail(
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message,
    )
  }
  if (/\.(csv|tsv)$/i.test(path)) return [...(/\.csv$/i.test(path) ? csvParse(content) : tsvParse(content))]
  let parsed: unknown
  try {
    parsed = /\.jsonl$/i.test(path)
      ? content
          .split('\n')
          .filter((line) => line.trim() !== '')
          .map((line) => JSON.parse(line) as unknown)
      : JSON.parse(content)
  } catch (error) {
    throw fail(`not JSON (${(error as Error).message}); tables are .json, .jsonl, .csv or .tsv`)
  }
  if (typeof parsed !== 'object' || parsed === null) throw fail('expected a list of rows')
  const rows = Object.values(parsed)
  if (!rows.every(isCells)) throw fail('expected every row to be an object')
  return rows
}

const isCells = (value: unknown): value is Cells =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A cell as text; null for nothing. */
function text(value: unknown): string | null {
  if (value === null || value === undefined || value === '') return null
  return typeof value === 'string' ? value : JSON.stringify(value)
}
