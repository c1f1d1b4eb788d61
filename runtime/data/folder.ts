import { readdirSync, realpathSync, statSync } from 'node:fs'
import { type FoundImages, type SourceContext, sourceError } from './source.js'
import { readTable } from './table.js'

/**
 * A folder of images. Without a label table, the first folder below it is an image's class; with one, a row names the
 * image (by its path below the folder, or by its file name alone) and its label. Images without a row have no label.
 */
export function readFolder(context: SourceContext): FoundImages {
  const { spec } = context
  const root = spec.path!
  const { names, folders } = imagesOf(context, root)
  if (spec.labels) {
    const table = readTable(context, spec.labels)
    const rowOf = (name: string) =>
      table.get(name) ?? table.get(name.slice(name.lastIndexOf('/') + 1)) ?? null
    const rows = names.map(rowOf)
    const there = new Set(names.flatMap((name) => [name, name.slice(name.lastIndexOf('/') + 1)]))
    return {
      names,
      root,
      labels: rows.map((row) => row?.label ?? null),
      groups: table.by ? rows.map((row) => row?.by ?? null) : null,
      published: null,
      packed: null,
      missing: [...table.files].filter((file) => !there.has(file)),
    }
  }
  refuseBy(context)
  const labels = names.map((name) => (name.includes('/') ? name.slice(0, name.indexOf('/')) : null))
  const filled = new Set(labels)
  const empty = folders.filter((folder) => !folder.includes('/') && !filled.has(folder))
  // Folders beside images in the folder itself are no classes.
  if (empty.length > 0 && names.length > 0 && !filled.has(null))
    throw sourceError(context, 'path', 'DINO1003', { source: context.name, folder: `${root}/${empty[0]}` }, [
      'remove the folder, or put its images there',
    ])
  return { names, root, labels, groups: null, published: null, packed: null, missing: [] }
}

/** `findImages` of a source; DINO1004 where a folder may not be looked into. */
export function imagesOf(context: SourceContext, root: string): ReturnType<typeof findImages> {
  try {
    return findImages(root)
  } catch (error) {
    const path = closedFolder(error)
    if (path === null) throw error
    const reason = 'permission is missing'
    throw sourceError(context, 'path', 'DINO1004', { source: context.name, path, reason }, [
      `chmod -R u+rX ${root}`,
    ])
  }
}

/** The folder that a failed `findImages` may not look into; null where it failed otherwise. */
export function closedFolder(error: unknown): string | null {
  const { code, path } = error as NodeJS.ErrnoException
  return (code === 'EACCES' || code === 'EPERM') && path !== undefined ? path : null
}

/** `by` names a column of a label table: without a table there is none. */
export function refuseBy(context: SourceContext): void {
  const { split, path } = context.spec
  if (split.kind === 'hash' && split.by !== null)
    throw sourceError(context, 'split', 'DINO1005', { source: context.name, path: path!, column: split.by }, [
      'labels = table("labels.csv", file: "image", label: "class")',
    ])
}

const imageName = /\.(png|jpe?g|webp|gif|avif|tiff?)$/i

/** Paths of images and of folders below `root`, with `/`; hidden files and folders are left out. */
export function findImages(root: string): { names: string[]; folders: string[] } {
  const names: string[] = []
  const folders: string[] = []
  const visited = new Set<string>()
  const visit = (below: string) => {
    const directory = below === '' ? root : `${root}/${below}`
    const real = realpathSync(directory)
    if (visited.has(real)) return
    visited.add(real)
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue
      const name = below === '' ? entry.name : `${below}/${entry.name}`
      const link = entry.isSymbolicLink() ? statSync(`${root}/${name}`, { throwIfNoEntry: false }) : null
      if (entry.isDirectory() || link?.isDirectory()) {
        folders.push(name)
        visit(name)
      } else if ((entry.isFile() || link?.isFile()) && imageName.test(entry.name)) names.push(name)
    }
  }
  visit('')
  return { names, folders }
}
