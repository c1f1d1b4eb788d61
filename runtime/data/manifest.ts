import { existsSync } from 'node:fs'
import { readDigits } from './digits.js'
import { readFolder } from './folder.js'
import { readIdx } from './idx.js'
import { readImagenet } from './imagenet.js'
import { readList } from './list.js'
import { type FoundImages, type PackedImages, type SourceContext, sourceError } from './source.js'
import { assignSplits } from './split.js'

/**
 * The images of one source, found but not read: what each is called, its label, its group, its split. Columns instead
 * of objects, since a source may have millions of images. Images stand in order of name, so that the same files give
 * the same manifest anywhere.
 */
export interface SourceManifest {
  readonly source: string
  readonly channels: number
  readonly background: string | null
  /** `train/0/12.png`: unique, with `/`, relative to `root`. */
  readonly names: readonly string[]
  /** Where the files are; null for packed images. */
  readonly root: string | null
  /** Class names, sorted; `labels[i]` is an index into it, -1 without a label. */
  readonly classes: readonly string[]
  readonly labels: Int32Array
  /** The values of the split's `by`, sorted; `groups[i]` is an index into it, -1 without one. Null without `by`. */
  readonly groupNames: readonly string[]
  readonly groups: Int32Array | null
  /** `splitOf[i]` is an index into it, -1 for images in no split. */
  readonly splits: readonly string[]
  readonly splitOf: Int8Array
  /** Small images that stand in one file. */
  readonly packed: PackedImages | null
  /** Files that the label table names and that are not there. */
  readonly missing: readonly string[]
}

const readers: Readonly<Record<string, (context: SourceContext) => FoundImages>> = {
  folder: readFolder,
  list: readList,
  imagenet: readImagenet,
  idx: readIdx,
  mnist: (context) => {
    const folder = [`${context.spec.path}/src/digits`, context.spec.path!].find((path) =>
      existsSync(`${path}/0.json`),
    )
    return folder ? readDigits(context, folder) : readIdx(context)
  },
}

/** DINO10xx where the source cannot be read, holds no images, or is of a type for a later version. */
export function readSource(context: SourceContext): SourceManifest {
  const { name, spec } = context
  const read = Object.hasOwn(readers, spec.type) ? readers[spec.type]! : null
  if (!read)
    throw sourceError(context, 'type', 'DINO1006', { what: `source \`${name}\``, type: spec.type }, [
      `this version reads ${Object.keys(readers).join(', ')}`,
    ])
  const path = spec.path
  if (path === null || !existsSync(path))
    throw sourceError(context, 'path', 'DINO1001', { source: name, path: path ?? '(no path)' }, [
      'data paths are relative to the working directory',
    ])
  const found = refusing(context, read)
  if (found.names.length === 0) throw sourceError(context, 'path', 'DINO1002', { source: name, path })
  const order = Uint32Array.from(found.names, (_, i) => i).sort((a, b) =>
    found.names[a]! < found.names[b]! ? -1 : found.names[a]! > found.names[b]! ? 1 : 0,
  )
  const sorted: FoundImages = {
    ...found,
    names: Array.from(order, (i) => found.names[i]!),
    labels: Array.from(order, (i) => found.labels[i]!),
    groups: found.groups && Array.from(order, (i) => found.groups![i]!),
    published: found.published && Array.from(order, (i) => found.published![i]!),
    packed: found.packed && reorder(found.packed, order),
  }
  const [classes, labels] = enumerate(sorted.labels)
  const [groupNames, groups] = sorted.groups ? enumerate(sorted.groups) : [[], null]
  const { splits, splitOf } = assignSplits(context, sorted)
  return {
    source: name,
    channels: spec.channels,
    background: spec.background,
    names: sorted.names,
    root: sorted.root,
    classes,
    labels,
    groupNames,
    groups,
    splits,
    splitOf,
    packed: sorted.packed,
    missing: sorted.missing,
  }
}

/** What the file system refuses on the way (a file where a folder should be, no permission) is a fault of the source. */
function refusing(context: SourceContext, read: (context: SourceContext) => FoundImages): FoundImages {
  try {
    return read(context)
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException
    if (code === undefined || path === undefined) throw error
    const reason = code === 'ENOTDIR' ? 'it is no folder' : (error as Error).message
    throw sourceError(context, 'path', 'DINO1004', { source: context.name, path, reason })
  }
}

function enumerate(values: readonly (string | null)[]): [string[], Int32Array] {
  const names = [...new Set(values.filter((v) => v !== null))].sort()
  const index = new Map(names.map((name, i) => [name, i]))
  return [names, Int32Array.from(values, (v) => (v === null ? -1 : index.get(v)!))]
}

function reorder(packed: PackedImages, order: Uint32Array): PackedImages {
  const bytes = packed.width * packed.height * packed.channels
  const from = new Uint8Array(packed.pixels)
  const pixels = new SharedArrayBuffer(from.length)
  const to = new Uint8Array(pixels)
  for (const [i, old] of order.entries()) to.set(from.subarray(old * bytes, (old + 1) * bytes), i * bytes)
  return { ...packed, pixels }
}
