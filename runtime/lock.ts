import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import { dirname, join } from 'node:path'
import { diagnose } from '../diagnostics/catalogue.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'

/**
 * Who owns a run directory. A pid alone is not enough: after a crash another process may get it. Together with the
 * time the process started and the id of the machine's boot it names one process, so a dead owner's lock is void at
 * once, without waiting and without anybody cleaning up.
 */
export interface Owner {
  readonly pid: number
  /** As the system states it; compared, never read. */
  readonly startTime: string
  readonly bootId: string
  readonly host: string
}

export interface Lock {
  /** Names the process that works for the owner (`--jobs`), so that the next owner waits for its end. */
  addHelper(pid: number): void
  release(): void
}

interface LockFile {
  readonly owner: Owner
  readonly helpers: readonly Owner[]
}

const helperPatienceMs = 30_000

/**
 * Takes the lock or throws DINO1030 with the owner's pid. The content arrives by `link`, so no reader ever sees half
 * of it.
 */
export async function acquireLock(path: string): Promise<Lock> {
  const owner = describeProcess(process.pid) ?? {
    pid: process.pid,
    startTime: '',
    bootId: bootId(),
    host: os.hostname(),
  }
  const own = `${path}.${process.pid}.tmp`
  let content: LockFile = { owner, helpers: [] }
  for (let attempt = 0; attempt < 10; attempt++) {
    fs.writeFileSync(own, JSON.stringify(content))
    try {
      fs.linkSync(own, path)
      fs.rmSync(own)
      removeLeftovers(dirname(path))
      return {
        addHelper(pid) {
          const helper = describeProcess(pid)
          if (helper === null) return
          content = { ...content, helpers: [...content.helpers.filter(isAlive), helper] }
          fs.writeFileSync(own, JSON.stringify(content))
          fs.renameSync(own, path)
        },
        release() {
          const held = readLock(path)
          if (held !== null && sameProcess(held.owner, owner)) fs.rmSync(path, { force: true })
        },
      }
    } catch (error) {
      fs.rmSync(own, { force: true })
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    const held = readLock(path)
    if (held === null) {
      // Not ours to read: a torn disk or a foreign file. Void unless it changes under us.
      if (fs.existsSync(path)) fs.rmSync(path, { force: true })
      continue
    }
    if (isAlive(held.owner)) throw refused(path, held.owner)
    await helpersGone(path, held.helpers)
    takeAway(path, held)
  }
  throw refused(path, readLock(path)?.owner ?? owner)
}

/**
 * Files that a killed process was about to rename, anywhere below the directory. One with our own pid is none of ours:
 * in a container every run may have the same.
 */
function removeLeftovers(directory: string): void {
  try {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true, recursive: true })) {
      const pid = Number(/\.(\d+)\.(?:tmp|void)$/.exec(entry.name)?.[1])
      if (!entry.isFile() || Number.isNaN(pid)) continue
      if (pid === process.pid || processStart(pid) === null)
        fs.rmSync(join(entry.parentPath, entry.name), { force: true })
    }
  } catch {
    // They only take room: what may not be looked into or removed here hinders no run.
  }
}

/** Whether a living process owns the directory; for `dinoc status`. */
export function lockOwner(path: string): Owner | null {
  const held = readLock(path)
  return held !== null && isAlive(held.owner) ? held.owner : null
}

/** Removes a void lock; if another process was quicker and this is its fresh one, gives it back. */
function takeAway(path: string, expected: LockFile): void {
  const aside = `${path}.${process.pid}.void`
  try {
    fs.renameSync(path, aside)
  } catch {
    return
  }
  const taken = readLock(aside)
  if (taken !== null && !sameProcess(taken.owner, expected.owner)) {
    try {
      fs.linkSync(aside, path)
    } catch {
      // A third process holds it by now.
    }
  }
  fs.rmSync(aside, { force: true })
}

/** Helpers end by themselves when their owner is gone; until then they might still write. */
async function helpersGone(path: string, helpers: readonly Owner[]): Promise<void> {
  const deadline = Date.now() + helperPatienceMs
  let alive = helpers.filter(isAlive)
  while (alive.length > 0) {
    if (Date.now() > deadline) throw refused(path, alive[0]!)
    await new Promise((resolve) => setTimeout(resolve, 50))
    alive = alive.filter(isAlive)
  }
}

function refused(path: string, owner: Owner): DiagnosticError {
  const elsewhere = owner.host !== os.hostname() && owner.bootId !== bootId()
  return new DiagnosticError([
    diagnose(
      'DINO1030',
      null,
      { directory: path.replace(/\/[^/]*$/, ''), pid: owner.pid },
      {
        notes: elsewhere
          ? [`the owner runs on the machine ${owner.host}, which cannot be asked from here`]
          : [],
        help: elsewhere
          ? [`if that process is gone, remove ${path}`]
          : ['wait for it, stop it (its work is kept), or run with --runs DIR to write elsewhere'],
      },
    ),
  ])
}

function readLock(path: string): LockFile | null {
  try {
    const value = JSON.parse(fs.readFileSync(path, 'utf8')) as Partial<LockFile>
    return value.owner !== undefined && typeof value.owner.pid === 'number'
      ? { owner: value.owner, helpers: value.helpers ?? [] }
      : null
  } catch {
    return null
  }
}

function sameProcess(a: Owner, b: Owner): boolean {
  return a.pid === b.pid && a.startTime === b.startTime && a.bootId === b.bootId
}

function isAlive(owner: Owner): boolean {
  if (owner.bootId !== bootId()) return owner.host !== os.hostname()
  const now = describeProcess(owner.pid)
  return now !== null && now.startTime === owner.startTime
}

function describeProcess(pid: number): Owner | null {
  const startTime = processStart(pid)
  return startTime === null ? null : { pid, startTime, bootId: bootId(), host: os.hostname() }
}

/** Linux: clock ticks since boot, the 22nd field of /proc/PID/stat; the name in field 2 may hold spaces. */
function processStart(pid: number): string | null {
  if (process.platform === 'linux') {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      // A zombie holds no files and writes nothing.
      return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null)
    } catch {
      return null
    }
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || null
  } catch {
    return null
  }
}

let cachedBootId: string | null = null
function bootId(): string {
  if (cachedBootId === null) {
    try {
      cachedBootId =
        process.platform === 'linux'
          ? fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
          : execFileSync('sysctl', ['-n', 'kern.boottime'], { encoding: 'utf8' }).trim()
    } catch {
      cachedBootId = 'unknown'
    }
  }
  return cachedBootId
}
