import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { acquireLock, lockOwner } from '../../runtime/lock.js'

let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-lock-'))
})
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }))

const codes = (error: unknown): string[] =>
  error instanceof DiagnosticError ? error.diagnostics.map((d) => d.code) : [String(error)]

test('one owner at a time; a released lock can be taken again', async () => {
  const path = join(directory, '.lock')
  const lock = await acquireLock(path)
  expect(lockOwner(path)?.pid).toBe(process.pid)
  const refused = await acquireLock(path).catch(codes)
  expect(refused).toEqual(['DINO1030'])
  lock.release()
  expect(lockOwner(path)).toBeNull()
  ;(await acquireLock(path)).release()
  expect(fs.readdirSync(directory)).toEqual([])
})

test('the lock of a killed process is void at once', async () => {
  const path = join(directory, '.lock')
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  await once(child, 'spawn')
  const lock = await acquireLock(path)
  // What the child would have written, had it taken the lock.
  const file = JSON.parse(fs.readFileSync(path, 'utf8')) as { owner: { pid: number; startTime: string } }
  const stat = fs.readFileSync(`/proc/${child.pid}/stat`, 'utf8')
  file.owner.pid = child.pid!
  file.owner.startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!
  fs.writeFileSync(path, JSON.stringify(file))
  lock.release()
  expect(await acquireLock(path).catch(codes)).toEqual(['DINO1030'])
  child.kill('SIGKILL')
  await once(child, 'exit')
  ;(await acquireLock(path)).release()
})

test('a living process that merely has the pid of a dead owner does not hold its lock', async () => {
  const path = join(directory, '.lock')
  for (const change of [{ startTime: '1' }, { bootId: 'another boot' }]) {
    const lock = await acquireLock(path)
    const file = JSON.parse(fs.readFileSync(path, 'utf8')) as { owner: object }
    fs.writeFileSync(path, JSON.stringify({ ...file, owner: { ...file.owner, ...change } }))
    lock.release()
    ;(await acquireLock(path)).release()
  }
})

test('the next owner removes what dead processes were writing, and nothing else', async () => {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  const dead = child.pid!
  fs.mkdirSync(join(directory, 'full/seed-0/checkpoints'), { recursive: true })
  const kept = [`full/seed-0/run.json.${process.ppid}.tmp`, 'full/seed-0/run.json', 'notes.tmp']
  const left = [`report.html.${dead}.tmp`, `.lock.${dead}.void`, `full/seed-0/run.json.${process.pid}.tmp`]
  for (const name of [...kept, ...left]) fs.writeFileSync(join(directory, name), '')
  ;(await acquireLock(join(directory, '.lock'))).release()
  for (const name of kept) expect(fs.existsSync(join(directory, name)), name).toBe(true)
  for (const name of left) expect(fs.existsSync(join(directory, name)), name).toBe(false)
})

test('half a lock file holds nobody up', async () => {
  const path = join(directory, '.lock')
  fs.writeFileSync(path, '{"owner": {"pi')
  ;(await acquireLock(path)).release()
})

test('the next owner waits for helpers of a dead one', async () => {
  const path = join(directory, '.lock')
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 400)'])
  await once(child, 'spawn')
  const lock = await acquireLock(path)
  lock.addHelper(child.pid!)
  const file = JSON.parse(fs.readFileSync(path, 'utf8')) as { owner: object }
  fs.writeFileSync(path, JSON.stringify({ ...file, owner: { ...file.owner, startTime: '1' } }))
  const from = Date.now()
  const next = await acquireLock(path)
  expect(Date.now() - from).toBeGreaterThan(100)
  const state = fs.existsSync(`/proc/${child.pid}`)
    ? fs.readFileSync(`/proc/${child.pid}/stat`, 'utf8')
    : ') Z'
  expect(state.slice(state.lastIndexOf(')') + 2, state.lastIndexOf(')') + 3)).toBe('Z')
  next.release()
})
