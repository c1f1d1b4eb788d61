import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Dataset, locate, type Selection } from './dataset.js'

/** Bytes and content hash (32 hex digits of SHA-256) of each image of a selection, in its order. */
export interface Contents {
  readonly sizes: Float64Array
  readonly hashes: readonly string[]
}

/** Where content hashes are remembered between runs. */
export function defaultCacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dinoc')
}

interface Remembered {
  readonly size: number
  readonly modified: number
  readonly hash: string
}

const readsAtATime = 16

/**
 * Hashes the images' contents. Files whose size and time of modification are those of an earlier run are not read
 * again: `cacheDirectory` holds one file a source folder. Null remembers nothing. A file that cannot be read hashes
 * as `unreadable`.
 */
export async function contentsOf(
  dataset: Dataset,
  images: Uint32Array,
  cacheDirectory: string | null,
): Promise<Contents> {
  const sizes = new Float64Array(images.length)
  const hashes = new Array<string>(images.length)
  for (const [number, source] of dataset.sources.entries()) {
    const mine = [...images.keys()].filter((i) => locate(dataset, images[i]!).source === number)
    if (mine.length === 0) continue
    if (source.packed) {
      const { pixels, width, height, channels } = source.packed
      const bytes = width * height * channels
      for (const i of mine) {
        const { index } = locate(dataset, images[i]!)
        sizes[i] = bytes
        hashes[i] = digest(new Uint8Array(pixels, index * bytes, bytes))
      }
      continue
    }
    const memory = cacheDirectory === null ? null : openMemory(cacheDirectory, source.root!)
    const queue = mine[Symbol.iterator]()
    const work = async () => {
      for (const i of queue) {
        const name = source.names[locate(dataset, images[i]!).index]!
        const path = `${source.root}/${name}`
        try {
          const { size, mtimeMs } = await stat(path)
          const known = memory?.known.get(name)
          const fresh = known && known.size === size && known.modified === mtimeMs
          const hash = fresh ? known.hash : digest(await readFile(path))
          if (!fresh) memory?.remember(name, { size, modified: mtimeMs, hash })
          sizes[i] = size
          hashes[i] = hash
        } catch {
          hashes[i] = 'unreadable'
        }
      }
    }
    await Promise.all(Array.from({ length: readsAtATime }, work))
    memory?.save()
  }
  return { sizes, hashes }
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32)
}

/** Lines of `size TAB modified TAB hash TAB name`. Losing or corrupting the file costs time, nothing else. */
function openMemory(directory: string, root: string) {
  const path = join(directory, `contents-${digest(Buffer.from(resolve(root)))}.tsv`)
  const known = new Map<string, Remembered>()
  try {
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      const [size, modified, hash, name] = line.split('\t')
      if (name !== undefined && /^[0-9a-f]{32}$/.test(hash!))
        known.set(name, { size: Number(size), modified: Number(modified), hash: hash! })
    }
  } catch {
    // No earlier run.
  }
  let changed = false
  return {
    known,
    remember(name: string, entry: Remembered) {
      if (/[\t\n]/.test(name)) return
      known.set(name, entry)
      changed = true
    },
    save() {
      if (!changed) return
      const lines = [...known].map(([name, e]) => `${e.size}\t${e.modified}\t${e.hash}\t${name}\n`)
      try {
        mkdirSync(directory, { recursive: true })
        writeFileSync(`${path}.${process.pid}`, lines.join(''))
        renameSync(`${path}.${process.pid}`, path)
      } catch {
        // A folder that cannot be written only means that the next run hashes again.
      }
    },
  }
}

/**
 * The identity of the images that a selection trains on: a hash of names (within their sources), sizes, contents and
 * the shares of a mix. Where the files lie, how sources are called and what the labels are does not count.
 */
export async function trainingIdentity(
  dataset: Dataset,
  selection: Selection,
  cacheDirectory: string | null,
): Promise<string> {
  const hash = createHash('sha256')
  for (const { share, images } of selection.parts) {
    const contents = await contentsOf(dataset, images, cacheDirectory)
    hash.update(`part\t${share}\n`)
    for (const line of lines(dataset, images, contents, () => '')) hash.update(line)
  }
  return hash.digest('hex')
}

/** The same for an evaluation, whose labels count. */
export function evaluationIdentity(dataset: Dataset, images: Uint32Array, contents: Contents): string {
  const hash = createHash('sha256')
  for (const line of lines(dataset, images, contents, (image) => labelOf(dataset, image) ?? ''))
    hash.update(line)
  return hash.digest('hex')
}

function* lines(
  dataset: Dataset,
  images: Uint32Array,
  { sizes, hashes }: Contents,
  label: (image: number) => string,
): Generator<string> {
  for (const [i, image] of images.entries()) {
    const { source, index } = locate(dataset, image)
    const name = dataset.sources[source]!.names[index]!
    yield `${JSON.stringify(name)}\t${sizes[i]}\t${hashes[i]}\t${JSON.stringify(label(image))}\n`
  }
}

/** The class of an image by name; null without one. */
export function labelOf(dataset: Dataset, image: number): string | null {
  const { source, index } = locate(dataset, image)
  const { labels, classes } = dataset.sources[source]!
  return classes[labels[index]!] ?? null
}

/** The value of the split's `by`; null without one. */
export function groupOf(dataset: Dataset, image: number): string | null {
  const { source, index } = locate(dataset, image)
  const { groups, groupNames } = dataset.sources[source]!
  return groups === null ? null : (groupNames[groups[index]!] ?? null)
}
