import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { diagnose } from '../diagnostics/catalogue.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'

/**
 * The safetensors container: 8 bytes of header length (little endian), a JSON header
 * `{name: {dtype, shape, data_offsets: [begin, end]}, __metadata__?: {text: text}}`, then the data. Offsets count
 * from the end of the header, follow one another without gap or overlap, and cover the file to its end.
 *
 * Files come from anywhere, so everything is checked before memory is taken: a header of 4 GB, an offset past the
 * end or two tensors on the same bytes is DINO1008.
 */
export type StoredDtype = 'F32' | 'I32' | 'U8' | 'F64'

export type StoredData = Float32Array | Int32Array | Uint8Array | Float64Array

export interface StoredTensor {
  readonly dtype: StoredDtype
  readonly shape: readonly number[]
  /** Row-major. */
  readonly data: StoredData
}

export interface TensorEntry {
  /** Of any dtype: only those of `StoredDtype` can be read. */
  readonly dtype: string
  readonly shape: readonly number[]
  /** From the end of the header. */
  readonly begin: number
  readonly end: number
}

export interface SafetensorsHeader {
  /** Bytes before the data. */
  readonly dataStart: number
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly metadata: Readonly<Record<string, string>>
}

/** The reference implementation's limit too. */
const maxHeaderBytes = 100_000_000
const bytesOf: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
}

function malformed(path: string, reason: string): DiagnosticError {
  return new DiagnosticError([diagnose('DINO1008', null, { path, reason })])
}

/** Checks a header against the file's size. `bytes` starts with the 8 bytes of the length. */
function parseHeader(path: string, length: number, text: string, fileBytes: number): SafetensorsHeader {
  let header: unknown
  try {
    header = JSON.parse(text)
  } catch {
    throw malformed(path, 'the header is not JSON')
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw malformed(path, 'the header is not an object')
  const dataBytes = fileBytes - 8 - length
  const tensors = new Map<string, TensorEntry>()
  const metadata: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (typeof value !== 'object' || value === null) throw malformed(path, '__metadata__ is not an object')
      for (const [key, item] of Object.entries(value)) {
        if (typeof item !== 'string') throw malformed(path, `__metadata__ \`${key}\` is not text`)
        metadata[key] = item
      }
      continue
    }
    tensors.set(name, checkEntry(path, name, value, dataBytes))
  }
  let position = 0
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)
  for (const [name, tensor] of inOrder) {
    if (tensor.begin < position) throw malformed(path, `tensor \`${name}\` overlaps another`)
    if (tensor.begin > position) throw malformed(path, `bytes before tensor \`${name}\` belong to none`)
    position = tensor.end
  }
  if (position !== dataBytes)
    throw malformed(path, `the tensors end at byte ${position} of ${dataBytes} bytes of data`)
  return { dataStart: 8 + length, tensors, metadata }
}

function checkEntry(path: string, name: string, value: unknown, dataBytes: number): TensorEntry {
  const fail = (reason: string) => malformed(path, `tensor \`${name}\`: ${reason}`)
  if (typeof value !== 'object' || value === null) throw fail('its entry is not an object')
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>
  const whole = (n: unknown): n is number => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0
  if (typeof dtype !== 'string' || !Object.hasOwn(bytesOf, dtype)) throw fail('unknown dtype')
  if (!Array.isArray(shape) || !shape.every(whole)) throw fail('its shape is not a list of whole numbers')
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(whole))
    throw fail('data_offsets are not two whole numbers')
  const [begin, end] = offsets as [number, number]
  if (begin > end || end > dataBytes)
    throw fail(`its offsets ${begin}..${end} lie outside ${dataBytes} bytes of data`)
  const bytes = (shape as number[]).reduce((product, n) => product * n, bytesOf[dtype]!)
  if (bytes !== end - begin)
    throw fail(`shape [${shape}] needs ${bytes} bytes, its offsets span ${end - begin}`)
  return { dtype, shape: shape as number[], begin, end }
}

function headerLength(path: string, prefix: Uint8Array, fileBytes: number): number {
  if (fileBytes < 8) throw malformed(path, 'it is shorter than 8 bytes')
  const view = new DataView(prefix.buffer, prefix.byteOffset, 8)
  const length = Number(view.getBigUint64(0, true))
  if (length > maxHeaderBytes) throw malformed(path, `its header claims ${length} bytes`)
  if (length > fileBytes - 8)
    throw malformed(path, `its header claims ${length} bytes, the file has ${fileBytes - 8} left`)
  return length
}

const utf8 = new TextDecoder('utf-8', { fatal: true })
function headerText(path: string, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw malformed(path, 'the header is not UTF-8')
  }
}

/** A whole file in memory. `path` is for messages. The data is copied, so `bytes` may be reused. */
export function decodeSafetensors(bytes: Uint8Array, path: string): Map<string, StoredTensor> {
  const length = headerLength(path, bytes, bytes.length)
  const header = parseHeader(path, length, headerText(path, bytes.subarray(8, 8 + length)), bytes.length)
  const tensors = new Map<string, StoredTensor>()
  for (const [name, entry] of header.tensors) {
    const data = allocate(path, name, entry)
    asBytes(data).set(bytes.subarray(header.dataStart + entry.begin, header.dataStart + entry.end))
    tensors.set(name, { dtype: entry.dtype as StoredDtype, shape: entry.shape, data })
  }
  return tensors
}

function allocate(path: string, name: string, entry: TensorEntry, into?: ArrayBuffer): StoredData {
  const bytes = entry.end - entry.begin
  const memory = into !== undefined && bytes <= into.byteLength ? into : null
  switch (entry.dtype) {
    case 'F32':
      return new Float32Array(memory ?? new ArrayBuffer(bytes), 0, bytes / 4)
    case 'I32':
      return new Int32Array(memory ?? new ArrayBuffer(bytes), 0, bytes / 4)
    case 'F64':
      return new Float64Array(memory ?? new ArrayBuffer(bytes), 0, bytes / 8)
    case 'U8':
      return new Uint8Array(memory ?? new ArrayBuffer(bytes), 0, bytes)
    default:
      throw new DiagnosticError([
        diagnose('DINO1009', null, {
          path,
          tensor: name,
          expected: 'dtype F32, F64, I32 or U8',
          found: entry.dtype,
        }),
      ])
  }
}

const asBytes = (data: StoredData) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/** An open file whose tensors are read one by one: files may be larger than memory. */
export interface SafetensorsFile {
  readonly path: string
  readonly header: SafetensorsHeader
  /** DINO1009 where there is none of that name, or where its shape is not `shape`. Data that fits lies in `into`. */
  read(name: string, shape?: readonly number[], into?: ArrayBuffer): StoredTensor
  close(): void
}

/** DINO1008 where the file cannot be opened or its header is wrong. */
export function openSafetensors(path: string): SafetensorsFile {
  const file = openForReading(path)
  try {
    const fileBytes = fstatSync(file).size
    const prefix = new Uint8Array(8)
    readFully(file, path, prefix.subarray(0, Math.min(8, fileBytes)), 0)
    const length = headerLength(path, prefix, fileBytes)
    const text = new Uint8Array(length)
    readFully(file, path, text, 8)
    const header = parseHeader(path, length, headerText(path, text), fileBytes)
    return {
      path,
      header,
      read(name, shape, into) {
        const entry = header.tensors.get(name)
        const expected = shape ? `shape [${shape.join(', ')}]` : 'a tensor of that name'
        const found = entry ? `shape [${entry.shape.join(', ')}]` : 'none'
        if (
          !entry ||
          (shape && (shape.length !== entry.shape.length || shape.some((n, i) => n !== entry.shape[i])))
        )
          throw new DiagnosticError([diagnose('DINO1009', null, { path, tensor: name, expected, found })])
        const data = allocate(path, name, entry, into)
        readFully(file, path, asBytes(data), header.dataStart + entry.begin)
        return { dtype: entry.dtype as StoredDtype, shape: entry.shape, data }
      },
      close: () => closeSync(file),
    }
  } catch (error) {
    closeSync(file)
    throw error
  }
}

function openForReading(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw malformed(path, missing ? 'there is no such file' : (error as Error).message)
  }
}

function readFully(file: number, path: string, into: Uint8Array, at: number) {
  const chunk = 1 << 30
  for (let done = 0; done < into.length; ) {
    const read = readSync(file, into, done, Math.min(chunk, into.length - done), at + done)
    if (read === 0) throw malformed(path, 'the file ends early')
    done += read
  }
}

/** What the header says of a tensor. */
export type StoredForm = Pick<StoredTensor, 'dtype' | 'shape'>

/**
 * The head of a file and the order in which the tensors' own bytes follow it. Wider types come first so that every
 * tensor is aligned, and names are sorted so that equal contents give equal bytes.
 */
export function safetensorsHead(
  tensors: ReadonlyMap<string, StoredForm>,
  metadata: Readonly<Record<string, string>> = {},
): { readonly head: Uint8Array; readonly names: readonly string[]; readonly fileBytes: number } {
  const names = [...tensors.keys()].sort((a, b) => {
    const width = bytesOf[tensors.get(b)!.dtype]! - bytesOf[tensors.get(a)!.dtype]!
    return width || (a < b ? -1 : 1)
  })
  const header: Record<string, unknown> = Object.create(null)
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata
  let position = 0
  for (const name of names) {
    const { dtype, shape } = tensors.get(name)!
    const bytes = shape.reduce((product, n) => product * n, bytesOf[dtype]!)
    header[name] = { dtype, shape, data_offsets: [position, position + bytes] }
    position += bytes
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil(json.length / 8) * 8
  const head = new Uint8Array(8 + padded).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true)
  head.set(json, 8)
  return { head, names, fileBytes: head.length + position }
}

/** The chunks of a file, in order: the head, then the tensors' own bytes without a copy. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] {
  const { head, names } = safetensorsHead(tensors, metadata)
  return [head, ...names.map((name) => tensorBytes(name, tensors.get(name)!))]
}

/** The bytes that follow the head for one tensor: its own, without a copy. */
export function tensorBytes(name: string, { dtype, shape, data }: StoredTensor): Uint8Array {
  const bytes = shape.reduce((product, n) => product * n, bytesOf[dtype]!)
  if (bytes !== data.byteLength)
    throw new RangeError(
      `tensor ${name}: shape [${shape}] needs ${bytes} bytes, its data has ${data.byteLength}`,
    )
  return asBytes(data)
}
