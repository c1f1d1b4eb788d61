import { createHash } from 'node:crypto'
import { readLines } from './list.js'
import { type FoundImages, type SourceContext, sourceError } from './source.js'

/**
 * The split of each image. `hash` places an image by a hash of its `by` value (of its name without one), so it never
 * moves when others are added or removed; images with equal values fall on one side.
 */
export function assignSplits(
  context: SourceContext,
  found: FoundImages,
): { splits: readonly string[]; splitOf: Int8Array } {
  const { split } = context.spec
  const { names, groups, published } = found
  switch (split.kind) {
    case 'all':
      return published ? numbered(published) : { splits: [split.split], splitOf: new Int8Array(names.length) }
    case 'published':
      return published ? numbered(published) : { splits: ['train'], splitOf: new Int8Array(names.length) }
    case 'hash': {
      const splits = Object.keys(split.shares)
      const bounds: number[] = []
      for (const name of splits) bounds.push((bounds.at(-1) ?? 0) + split.shares[name]!)
      const place = (key: string) => {
        const at = hashShare(key)
        return bounds.findIndex((bound) => at < bound - 1e-12 || (bound >= 1 - 1e-9 && at < 1))
      }
      return { splits, splitOf: Int8Array.from(names, (name, i) => place(groups?.[i] ?? name)) }
    }
    case 'listed':
      return listed(context, split.files, names)
    default:
      throw split satisfies never
  }
}

/** In [0, 1), from the first 48 bits of SHA-256. */
export function hashShare(key: string): number {
  return createHash('sha256').update(key, 'utf8').digest().readUIntBE(0, 6) / 2 ** 48
}

function numbered(published: readonly string[]) {
  const splits = [...new Set(published)].sort()
  return { splits, splitOf: Int8Array.from(published, (name) => splits.indexOf(name)) }
}

function listed(context: SourceContext, files: Readonly<Record<string, string>>, names: readonly string[]) {
  const splits = Object.keys(files)
  const index = new Map(names.map((name, i) => [name, i]))
  const splitOf = new Int8Array(names.length).fill(-1)
  for (const [number, split] of splits.entries()) {
    const lines = readLines(context, files[split]!)
    const missing = lines.filter((line) => !index.has(line))
    if (missing.length > 0)
      throw sourceError(context, 'split', 'DINO1012', {
        source: context.name,
        missing: missing.length,
        first: missing[0]!,
        list: files[split]!,
      })
    for (const line of lines) {
      const at = index.get(line)!
      if (splitOf[at] !== -1 && splitOf[at] !== number)
        throw sourceError(context, 'split', 'DINO1019', {
          source: context.name,
          file: line,
          first: splits[splitOf[at]!]!,
          second: split,
        })
      splitOf[at] = number
    }
  }
  return { splits, splitOf }
}
