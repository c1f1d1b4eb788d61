import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { RunSpec } from '../../compiler/plan/run-spec.js'
import {
  claimDirectory,
  escapeName,
  type RunRecord,
  readRecord,
  runFiles,
  runIdentity,
  writeRecord,
} from '../../runtime/run-directory.js'

let root: string
beforeEach(() => {
  root = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-runs-'))
})
afterEach(() => fs.rmSync(root, { recursive: true, force: true }))

const spec = {
  ...{ experiment: 'quick', variant: 'full', seed: 0, configIdentity: 'c1', numericsVersion: 1, ranks: 1 },
} as unknown as RunSpec

const record = (identity: string): RunRecord => ({
  ...{
    formatVersion: 1,
    identity,
    configIdentity: 'c',
    dataIdentity: 'd',
    experiment: 'quick',
    variant: 'full',
  },
  ...{ seed: 0, status: 'finished', step: 3, steps: 3, failure: null },
  ...{ imagesPerSecond: 10, peakRssBytes: 1e8 },
})

test('the identity follows configuration, data and seed', () => {
  const base = runIdentity(spec, 'd1')
  expect(runIdentity({ ...spec, variant: 'other' }, 'd1')).toBe(base)
  expect(runIdentity({ ...spec, configIdentity: 'c2' }, 'd1')).not.toBe(base)
  expect(runIdentity({ ...spec, seed: 1 }, 'd1')).not.toBe(base)
  expect(runIdentity({ ...spec, numericsVersion: 2 }, 'd1')).not.toBe(base)
  expect(runIdentity(spec, 'd2')).not.toBe(base)
})

test('the same identity stays, another one moves aside whole and comes back when asked for again', async () => {
  const files = runFiles(root, spec)
  expect((await claimDirectory(root, spec, 'A')).record).toBeNull()
  await writeRecord(files, record('A'))
  fs.writeFileSync(files.metrics, 'of A')
  expect((await claimDirectory(root, spec, 'A')).record?.identity).toBe('A')

  const other = await claimDirectory(root, spec, 'B')
  expect(other.record).toBeNull()
  expect(other.diagnostics.map((d) => d.code)).toEqual(['DINO1031'])
  const moved = join(root, 'quick', '.earlier', 'A')
  expect(fs.readFileSync(join(moved, 'metrics.jsonl'), 'utf8')).toBe('of A')
  expect(JSON.parse(fs.readFileSync(join(moved, 'moved.json'), 'utf8'))).toEqual({
    from: 'full/seed-0',
    replacedBy: 'B',
  })
  expect(fs.readdirSync(files.directory)).toEqual([])
  await writeRecord(files, record('B'))

  const back = await claimDirectory(root, spec, 'A')
  expect(back.diagnostics.map((d) => d.code)).toEqual(['DINO1031', 'DINO1052'])
  expect(back.record?.identity).toBe('A')
  expect(fs.readFileSync(files.metrics, 'utf8')).toBe('of A')
  expect((await readRecord(runFiles(root, spec)))?.identity).toBe('A')
  expect(fs.existsSync(join(root, 'quick', '.earlier', 'B', 'run.json'))).toBe(true)
})

test('a damaged record is told before what stands there is moved aside', async () => {
  const files = runFiles(root, spec)
  fs.mkdirSync(files.directory, { recursive: true })
  fs.writeFileSync(files.record, 'junk')
  const { record: found, diagnostics } = await claimDirectory(root, spec, 'A')
  expect(found).toBeNull()
  expect(diagnostics.map((d) => d.message.replaceAll(root, 'runs'))).toEqual([
    'runs/quick/full/seed-0/run.json is damaged: it holds no record of a run, and no checkpoint says whose run it was',
    'runs/quick/full/seed-0 held a run of another identity (unknown): moved whole to runs/quick/.earlier/unknown',
  ])
})

test('files that belong to no run are moved aside too, never overwritten', async () => {
  const files = runFiles(root, spec)
  for (const content of ['first', 'second']) {
    fs.mkdirSync(files.directory, { recursive: true })
    fs.writeFileSync(join(files.directory, 'notes.txt'), content)
    await claimDirectory(root, spec, 'A')
  }
  const earlier = join(root, 'quick', '.earlier')
  expect(fs.readFileSync(join(earlier, 'unknown', 'notes.txt'), 'utf8')).toBe('first')
  expect(fs.readFileSync(join(earlier, 'unknown-2', 'notes.txt'), 'utf8')).toBe('second')
})

test('a claim that was cut off before the first record leaves nothing that would be moved', async () => {
  const files = runFiles(root, spec)
  fs.mkdirSync(files.directory, { recursive: true })
  fs.writeFileSync(join(files.directory, 'run.json.99.tmp'), '{')
  fs.writeFileSync(join(files.directory, 'log.jsonl'), '{}')
  expect((await claimDirectory(root, spec, 'A')).diagnostics).toEqual([])
})

test('names become directory names', () => {
  expect(escapeName('masks[probability=30%,ratio=10%..50%]')).toBe('masks[probability=30%,ratio=10%..50%]')
  expect(escapeName('a/b c')).toBe('a%2Fb%20c')
  expect(escapeName('..')).toBe('%2E%2E')
})
