import { existsSync, readFileSync } from 'node:fs'
import { refuseBy } from './folder.js'
import { type FoundImages, type SourceContext, sourceError } from './source.js'
import { readRows } from './table.js'

/**
 * Images that a file lists, below `path`: `images` is a text file with one path a line, or a table whose `column` holds
 * the paths (and whose column `label`, where that is set, the labels). Every file must exist.
 */
export function readList(context: SourceContext): FoundImages {
  const { spec, name } = context
  const root = spec.path!
  const field = (key: string) => (typeof spec[key] === 'string' ? (spec[key] as string) : null)
  const [images, column, label] = [field('images'), field('column'), field('label')]
  if (images === null)
    throw sourceError(context, 'images', 'DINO1004', {
      source: name,
      path: root,
      reason: '`images` names no list',
    })
  refuseBy(context)
  const path = existsSync(`${root}/${images}`) ? `${root}/${images}` : images
  const byName = new Map<string, string | null>()
  const add = (file: string, value: string | null) => {
    const before = byName.get(file)
    if (before !== undefined && before !== value)
      throw sourceError(context, 'images', 'DINO1019', {
        source: name,
        file,
        first: before ?? 'no label',
        second: value ?? 'no label',
      })
    byName.set(file, value)
  }
  if (column === null) for (const line of readLines(context, path)) add(line, null)
  else {
    const rows = readRows(context, 'images', path)
    for (const wanted of [column, label])
      if (wanted !== null && !rows.some((row) => Object.hasOwn(row, wanted)))
        throw sourceError(context, 'column', 'DINO1005', { source: name, path, column: wanted })
    for (const row of rows) {
      const value = label === null ? null : row[label]
      add(String(row[column]), value === null || value === undefined || value === '' ? null : String(value))
    }
  }
  const names = [...byName.keys()]
  const missing = names.filter((file) => !existsSync(`${root}/${file}`))
  if (missing.length > 0)
    throw sourceError(context, 'images', 'DINO1012', {
      source: name,
      missing: missing.length,
      first: missing[0]!,
      list: path,
    })
  return {
    names,
    root,
    labels: [...byName.values()],
    groups: null,
    published: null,
    packed: null,
    missing: [],
  }
}

/** The lines of a list, without empty ones. */
export function readLines(context: SourceContext, path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').split(/\r?\n/)
    return lines.map((line) => line.trim()).filter((line) => line !== '')
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const reason = missing ? 'there is no such file' : (error as Error).message
    throw sourceError(context, 'images', 'DINO1004', { source: context.name, path, reason })
  }
}
