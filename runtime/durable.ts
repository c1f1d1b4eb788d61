import fs from 'node:fs/promises'
import { dirname } from 'node:path'
import { diagnose } from '../diagnostics/catalogue.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'

/** What the system says when a disk is full, a quota is reached or a place cannot be written. */
const writeFaults: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is reached',
  EFBIG: 'the file would be larger than allowed here',
  EROFS: 'the file system is read-only',
  EACCES: 'permission is missing',
  EPERM: 'permission is missing',
  EIO: 'the disk reports an error',
  ENOTDIR: 'a file stands where a directory is needed',
  EMFILE: 'too many files are open',
}

/** A failed write as a diagnostic with its way out; anything else stays what it is. */
export function writeFault(error: unknown, path: string, help: readonly string[] = []): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reason = writeFaults[code]
  if (reason === undefined) return error
  return new DiagnosticError([
    diagnose(
      'DINO1032',
      null,
      { path, reason },
      {
        notes: [`the system says ${code}`],
        help: [...help, 'make room, or choose another place with --runs DIR'],
      },
    ),
  ])
}

/** fsync of a directory: makes the names in it durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Content in order; made as it is written where it is more than should be in memory at once. */
type Chunks = Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>

/** Writes all chunks and fsyncs the file; its name becomes durable with `syncDirectory`. */
export async function writeSynced(path: string, chunks: Chunks): Promise<void> {
  const handle = await fs.open(path, 'w')
  try {
    for await (const chunk of chunks) await handle.writeFile(chunk)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** After a crash at any moment `path` holds the old content or the new one, whole. */
export async function replaceChunks(path: string, chunks: Chunks): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    await writeSynced(temporary, chunks)
    await fs.rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await fs.rm(temporary, { force: true })
    throw writeFault(error, path)
  }
}

/** The same for content in one piece. */
export async function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  await replaceChunks(path, [content])
}

export async function replaceJson(path: string, value: unknown): Promise<void> {
  await replaceFile(path, `${JSON.stringify(value, null, 2)}\n`)
}

/** The parsed content, or null where the file is missing or not whole JSON. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await fs.readFile(path, 'utf8'))
  } catch {
    return null
  }
}
