import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import { join } from 'node:path'
import { diagnose } from '../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import type { HostTensor, State } from './devices/device.js'
import { readJson, syncDirectory, writeFault, writeSynced } from './durable.js'
import type { MonitorCounts } from './monitors.js'
import { openSafetensors, type StoredTensor, safetensorsHead, tensorBytes } from './safetensors.js'

/**
 * A checkpoint is a directory `checkpoints/step-00000100/` with `state.safetensors` (every tensor of the state: both
 * networks, moments, centers) and `manifest.json`. It is written under a temporary name, fsynced and renamed, so a
 * directory of that name is always whole, as far as the disk keeps its word; the checksums notice where it does not.
 */
export interface Manifest {
  readonly format: 'dinoc-checkpoint'
  readonly version: 1
  readonly identity: string
  /** Updates done. */
  readonly step: number
  readonly device: string
  /** Instruction set or library; empty where the device names none. */
  readonly isa: string
  readonly numericsVersion: number
  readonly monitors: MonitorCounts
  readonly tensors: Readonly<Record<string, TensorRecord>>
}

export interface TensorRecord {
  readonly dtype: StoredTensor['dtype']
  readonly shape: readonly number[]
  /** SHA-256 of its bytes, little endian, row-major. */
  readonly sha256: string
}

/** Everything in a manifest that the caller knows. */
export type Position = Omit<Manifest, 'format' | 'version' | 'tensors'>

export interface Checkpoint {
  readonly directory: string
  readonly manifest: Manifest
}

const stateFile = 'state.safetensors'
const manifestFile = 'manifest.json'

/** Shapes of the state's tensors by name: what the run spec says. */
export type Shapes = ReadonlyMap<string, readonly number[]>

/**
 * Writes the state after `position.step` updates and, only then, removes all but the newest `keep`. A write that
 * fails (DINO1032 where the disk is full) leaves the earlier ones as they were. The state is read twice, a tensor at a
 * time, first for what stands before the data: the host never holds a second one.
 */
export async function writeCheckpoint(
  directory: string,
  state: State,
  shapes: Shapes,
  position: Position,
  keep: number,
): Promise<Checkpoint & { bytes: number }> {
  const records = new Map<string, TensorRecord>()
  for await (const [name, tensor] of readState(state, shapes)) records.set(name, record(tensor))
  const manifest: Manifest = {
    format: 'dinoc-checkpoint',
    version: 1,
    ...position,
    tensors: Object.fromEntries(records),
  }
  const metadata = { step: String(position.step), identity: position.identity }
  const { head, names, fileBytes } = safetensorsHead(records, metadata)
  const memory = memoryFor(shapes)
  async function* content(): AsyncGenerator<Uint8Array> {
    yield head
    for (const name of names)
      yield tensorBytes(name, await readTensor(state, name, shapes.get(name)!, memory))
  }
  const name = checkpointName(position.step)
  const target = join(directory, name)
  const temporary = join(directory, `.writing-${name}-${process.pid}`)
  try {
    await fs.mkdir(directory, { recursive: true })
    await removeLeftovers(directory)
    await fs.mkdir(temporary)
    await writeSynced(join(temporary, stateFile), content())
    await writeSynced(join(temporary, manifestFile), [`${JSON.stringify(manifest, null, 1)}\n`])
    await syncDirectory(temporary)
    const replaced = join(directory, `.replaced-${name}-${process.pid}`)
    await fs.rename(target, replaced).catch(() => {})
    await fs.rename(temporary, target)
    await syncDirectory(directory)
    await fs.rm(replaced, { recursive: true, force: true })
  } catch (error) {
    await fs.rm(temporary, { recursive: true, force: true }).catch(() => {})
    const earlier = (await checkpointNames(directory)).length > 0
    throw writeFault(
      error,
      target,
      earlier ? ['earlier checkpoints are whole: the same command resumes from the newest'] : [],
    )
  }
  const older = (await checkpointNames(directory)).filter((other) => other !== name)
  for (const other of older.slice(Math.max(0, keep - 1)))
    await fs.rm(join(directory, other), { recursive: true, force: true })
  return { directory: target, manifest, bytes: fileBytes }
}

/**
 * The newest checkpoint that is whole, newest first; each damaged one found on the way is reported by DINO1033 and
 * set aside under another name, never deleted.
 */
export async function newestCheckpoint(
  directory: string,
  shapes: Shapes,
): Promise<{ checkpoint: Checkpoint | null; diagnostics: Diagnostic[] }> {
  const diagnostics: Diagnostic[] = []
  const names = await checkpointNames(directory)
  for (const [position, name] of names.entries()) {
    const path = join(directory, name)
    const found = await verify(path, shapes)
    if (typeof found !== 'string') return { checkpoint: { directory: path, manifest: found }, diagnostics }
    const next = names[position + 1]
    const instead = next === undefined ? 'the beginning' : next
    diagnostics.push(diagnose('DINO1033', null, { checkpoint: path, reason: found, instead }))
    await fs.rename(path, join(directory, `damaged-${name}-${Date.now()}`))
  }
  return { checkpoint: null, diagnostics }
}

/** Whose checkpoints these are, by the newest manifest that can be read; null where none can. */
export async function identityOfCheckpoints(directory: string): Promise<string | null> {
  for (const name of await checkpointNames(directory)) {
    const manifest = (await readJson(join(directory, name, manifestFile))) as Manifest | null
    if (manifest?.format === 'dinoc-checkpoint' && typeof manifest.identity === 'string')
      return manifest.identity
  }
  return null
}

/** Puts every tensor of a checkpoint into the state. */
export async function restoreCheckpoint(checkpoint: Checkpoint, state: State, shapes: Shapes): Promise<void> {
  const file = openSafetensors(join(checkpoint.directory, stateFile))
  try {
    for (const [name, shape] of shapes) await state.write(name, asHost(file.read(name, shape)))
  } finally {
    file.close()
  }
}

/** Reads a checkpoint just written and compares it with the state, bit for bit; DINO1035 where they differ. */
export async function compareCheckpoint(checkpoint: Checkpoint, state: State, shapes: Shapes): Promise<void> {
  const fail = (tensor: string, reason: string) =>
    new DiagnosticError([diagnose('DINO1035', null, { checkpoint: checkpoint.directory, tensor, reason })])
  const found = await verify(checkpoint.directory, shapes)
  if (typeof found === 'string') throw fail('', `cannot be read: ${found}`)
  for await (const [name, tensor] of readState(state, shapes))
    if (record(tensor).sha256 !== found.tensors[name]?.sha256) throw fail(name, 'has other bits')
}

/** SHA-256 over all tensors of the state by name: equal exactly where two states are, bit for bit. */
export async function stateDigest(state: State, shapes: Shapes): Promise<string> {
  const digest = createHash('sha256')
  for await (const [name, tensor] of readState(state, shapes))
    digest.update(`${name} ${record(tensor).sha256}\n`)
  return digest.digest('hex')
}

/** The manifest, or what is wrong with the checkpoint. */
async function verify(path: string, shapes: Shapes): Promise<Manifest | string> {
  const manifest = (await readJson(join(path, manifestFile))) as Manifest | null
  if (manifest === null) return 'its manifest is missing or cut short'
  if (manifest.format !== 'dinoc-checkpoint' || manifest.version !== 1)
    return 'its manifest has another format'
  try {
    const file = openSafetensors(join(path, stateFile))
    try {
      const memory = memoryFor(shapes)
      for (const [name, shape] of shapes) {
        const expected = manifest.tensors[name]
        if (expected === undefined) return `its manifest lacks tensor ${name}`
        if (record(file.read(name, shape, memory)).sha256 !== expected.sha256)
          return `tensor ${name} has another checksum`
      }
    } finally {
      file.close()
    }
  } catch (error) {
    if (error instanceof DiagnosticError) return error.diagnostics[0]!.message
    return error instanceof Error && 'code' in error
      ? `its state cannot be read: ${error.code}`
      : String(error)
  }
  return manifest
}

/** One after another, by name; each is gone when the next is asked for. */
async function* readState(state: State, shapes: Shapes): AsyncGenerator<[string, StoredTensor]> {
  const memory = memoryFor(shapes)
  for (const [name, shape] of [...shapes].sort(([a], [b]) => (a < b ? -1 : 1)))
    yield [name, await readTensor(state, name, shape, memory)]
}

async function readTensor(
  state: State,
  name: string,
  shape: readonly number[],
  memory: ArrayBuffer,
): Promise<StoredTensor> {
  const data = await state.read(name, memory)
  return { dtype: dtypeOf(data), shape, data }
}

/**
 * Room for any of the tensors in float32, the same each time: arrays of their own would pile up until they are collected.
 * What is done with the tensors of one state is done one thing after another.
 */
function memoryFor(shapes: Shapes): ArrayBuffer {
  const known = rooms.get(shapes)
  if (known !== undefined) return known
  const counts = Array.from(shapes.values(), (shape) => shape.reduce((product, n) => product * n, 1))
  const room = new ArrayBuffer(4 * counts.reduce((most, count) => Math.max(most, count), 0))
  rooms.set(shapes, room)
  return room
}
const rooms = new WeakMap<Shapes, ArrayBuffer>()

function dtypeOf(data: HostTensor): 'F32' | 'F64' | 'I32' {
  return data instanceof Float32Array ? 'F32' : data instanceof Float64Array ? 'F64' : 'I32'
}

function asHost(tensor: StoredTensor): HostTensor {
  if (tensor.data instanceof Uint8Array) return Int32Array.from(tensor.data)
  return tensor.data
}

function record({ dtype, shape, data }: StoredTensor): TensorRecord {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return { dtype, shape, sha256: createHash('sha256').update(bytes).digest('hex') }
}

export function checkpointName(step: number): string {
  return `step-${String(step).padStart(8, '0')}`
}

/** Newest first. */
export async function checkpointNames(directory: string): Promise<string[]> {
  const names = await fs.readdir(directory).catch(() => [])
  return names
    .filter((name) => /^step-\d+$/.test(name))
    .sort((a, b) => Number(b.slice(5)) - Number(a.slice(5)))
}

/** What a killed process left half-written. The lock on the run directory says that nobody is writing it. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await fs.readdir(directory))
    if (/^\.(writing|replaced)-/.test(name))
      await fs.rm(join(directory, name), { recursive: true, force: true })
}
