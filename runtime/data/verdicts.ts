import { appendFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'

/**
 * Which contents can be decoded, remembered between runs by content hash, so that a large evaluation set is not decoded
 * whole at every start. Another version of the decoder starts anew. Losing the file costs time, nothing else.
 */
export interface Verdicts {
  /** Why the content cannot be read; null where it can; undefined where nobody tried. */
  get(hash: string): string | null | undefined
  set(hash: string, reason: string | null): void
  save(): void
}

export function openVerdicts(directory: string | null): Verdicts {
  const known = new Map<string, string | null>()
  const path =
    directory === null
      ? null
      : join(directory, `decodable-${sharp.versions.sharp}-${sharp.versions.vips}.tsv`)
  try {
    for (const line of path === null ? [] : readFileSync(path, 'utf8').split('\n')) {
      const [hash, reason] = line.split('\t')
      if (reason !== undefined) known.set(hash!, reason === '' ? null : reason)
    }
  } catch {
    // Nothing is remembered yet.
  }
  let fresh: string[] = []
  return {
    get: (hash) => known.get(hash),
    set(hash, reason) {
      if (known.has(hash)) return
      known.set(hash, reason)
      fresh.push(`${hash}\t${reason?.replace(/[\t\r\n]+/g, ' ') ?? ''}\n`)
    },
    save() {
      if (path === null || fresh.length === 0) return
      try {
        mkdirSync(directory!, { recursive: true })
        appendFileSync(path, fresh.join(''))
      } catch {
        // A folder that cannot be written only means that the next run decodes again.
      }
      fresh = []
    },
  }
}
