import fs from 'node:fs'
import promises from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import {
  compareCheckpoint,
  newestCheckpoint,
  type Position,
  restoreCheckpoint,
  stateDigest,
  writeCheckpoint,
} from '../../runtime/checkpoint.js'
import type { HostTensor, State } from '../../runtime/devices/device.js'

let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-checkpoint-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  fs.rmSync(directory, { recursive: true, force: true })
})

const shapes = new Map([
  ['student.backbone.cls_token', [1, 1, 4]],
  ['m.student.backbone.cls_token', [1, 1, 4]],
  ['center.dino', [3]],
])

function memoryState(fill: number): State & { tensors: Map<string, HostTensor> } {
  const tensors = new Map<string, HostTensor>()
  for (const [name, shape] of shapes)
    tensors.set(
      name,
      new Float32Array(shape.reduce((a, b) => a * b, 1)).map((_, i) => fill + i / 3),
    )
  return {
    tensors,
    names: [...shapes.keys()],
    read: async (name) => tensors.get(name)!.slice(),
    write: async (name, values) => void tensors.set(name, values),
    close: async () => {},
  }
}

const at = (step: number): Position => ({
  identity: 'abc',
  step,
  device: 'test',
  isa: 'none',
  numericsVersion: 1,
  monitors: { collapse: 2 },
})

test('a checkpoint gives back the state bit for bit, and its position', async () => {
  const state = memoryState(0.1)
  const written = await writeCheckpoint(directory, state, shapes, at(5), 2)
  await compareCheckpoint(written, state, shapes)
  const other = memoryState(9)
  const { checkpoint, diagnostics } = await newestCheckpoint(directory, shapes)
  expect(diagnostics).toEqual([])
  expect(checkpoint?.manifest).toMatchObject(at(5))
  await restoreCheckpoint(checkpoint!, other, shapes)
  expect(other.tensors).toEqual(state.tensors)
  expect(await stateDigest(other, shapes)).toBe(await stateDigest(state, shapes))
  other.tensors.get('center.dino')![0]! += 1e-7
  expect(await stateDigest(other, shapes)).not.toBe(await stateDigest(state, shapes))
  await expect(compareCheckpoint(written, other, shapes)).rejects.toThrow('DINO1035')
})

test('only the newest ones are kept', async () => {
  for (const step of [1, 2, 3, 10]) await writeCheckpoint(directory, memoryState(step), shapes, at(step), 2)
  expect(fs.readdirSync(directory).sort()).toEqual(['step-00000003', 'step-00000010'])
})

const damages: Readonly<Record<string, (checkpoint: string) => void>> = {
  'a flipped bit': (path) => {
    const file = join(path, 'state.safetensors')
    const bytes = fs.readFileSync(file)
    bytes[bytes.length - 1]! ^= 1
    fs.writeFileSync(file, bytes)
  },
  'a state cut short': (path) => fs.truncateSync(join(path, 'state.safetensors'), 100),
  'no state': (path) => fs.rmSync(join(path, 'state.safetensors')),
  'half a manifest': (path) => fs.truncateSync(join(path, 'manifest.json'), 40),
  'no manifest': (path) => fs.rmSync(join(path, 'manifest.json')),
}
test.each(Object.entries(damages))(
  'with %s the older checkpoint is used, with a warning',
  async (_, damage) => {
    await writeCheckpoint(directory, memoryState(1), shapes, at(1), 3)
    await writeCheckpoint(directory, memoryState(2), shapes, at(2), 3)
    damage(join(directory, 'step-00000002'))
    const { checkpoint, diagnostics } = await newestCheckpoint(directory, shapes)
    expect(checkpoint?.manifest.step).toBe(1)
    expect(diagnostics.map((d) => [d.code, d.severity])).toEqual([['DINO1033', 'warning']])
    // Set aside, not deleted; the next look is quiet.
    expect(fs.readdirSync(directory).some((name) => name.startsWith('damaged-step-00000002'))).toBe(true)
    expect((await newestCheckpoint(directory, shapes)).diagnostics).toEqual([])
  },
)

test('all damaged: the beginning', async () => {
  await writeCheckpoint(directory, memoryState(1), shapes, at(1), 3)
  fs.rmSync(join(directory, 'step-00000001', 'manifest.json'))
  const { checkpoint, diagnostics } = await newestCheckpoint(directory, shapes)
  expect(checkpoint).toBeNull()
  expect(diagnostics[0]?.message).toContain('the beginning')
})

test('what a killed process left half-written is ignored and swept away', async () => {
  await writeCheckpoint(directory, memoryState(1), shapes, at(1), 3)
  fs.mkdirSync(join(directory, '.writing-step-00000002-999'))
  expect((await newestCheckpoint(directory, shapes)).checkpoint?.manifest.step).toBe(1)
  await writeCheckpoint(directory, memoryState(2), shapes, at(2), 3)
  expect(fs.readdirSync(directory).sort()).toEqual(['step-00000001', 'step-00000002'])
})

test('a full disk is a diagnostic, and earlier checkpoints stay whole', async () => {
  await writeCheckpoint(directory, memoryState(1), shapes, at(1), 1)
  const empty = join(directory, 'other')
  const open = promises.open
  vi.spyOn(promises, 'open').mockImplementation(async (path, flags) => {
    const handle = await open(path, flags)
    if (String(path).endsWith('state.safetensors') && flags === 'w')
      handle.writeFile = async () => {
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
      }
    return handle
  })
  const error = await writeCheckpoint(directory, memoryState(2), shapes, at(2), 1).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(DiagnosticError)
  expect((error as DiagnosticError).diagnostics[0]).toMatchObject({ code: 'DINO1032', severity: 'error' })
  expect((error as DiagnosticError).message).toContain('the disk is full')
  const helpOf = (e: unknown) => (e as DiagnosticError).diagnostics[0]!.help.join()
  expect(helpOf(error)).toContain('earlier checkpoints are whole')
  // The very first one: there is no earlier one to speak of.
  const first = await writeCheckpoint(empty, memoryState(0), shapes, at(0), 1).catch((e: unknown) => e)
  expect(helpOf(first)).toBe('make room, or choose another place with --runs DIR')
  fs.rmSync(empty, { recursive: true })
  vi.restoreAllMocks()
  expect(fs.readdirSync(directory)).toEqual(['step-00000001'])
  expect((await newestCheckpoint(directory, shapes)).checkpoint?.manifest.step).toBe(1)
})
