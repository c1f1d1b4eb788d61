import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import {
  decodeSafetensors,
  encodeSafetensors,
  openSafetensors,
  type StoredTensor,
} from '../../runtime/safetensors.js'

const dir = mkdtempSync(join(tmpdir(), 'dinoc-safetensors-'))
afterAll(() => rmSync(dir, { recursive: true }))

const sample = new Map<string, StoredTensor>([
  ['b', { dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 1 / 3) }],
  ['mask', { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 0, 255) }],
  ['a', { dtype: 'F32', shape: [], data: Float32Array.of(-0) }],
  ['wide', { dtype: 'F64', shape: [1], data: Float64Array.of(Math.PI) }],
  ['index', { dtype: 'I32', shape: [0, 4], data: new Int32Array(0) }],
  ['__proto__', { dtype: 'I32', shape: [1], data: Int32Array.of(-7) }],
])
const bytes = Buffer.concat(encodeSafetensors(sample, { made: 'by a test' }))

function file(header: unknown, data = new Uint8Array(16), length?: bigint): Uint8Array {
  const text = typeof header === 'string' ? header : JSON.stringify(header)
  const json = new TextEncoder().encode(text)
  const head = new Uint8Array(8)
  new DataView(head.buffer).setBigUint64(0, length ?? BigInt(json.length), true)
  return Buffer.concat([head, json, data])
}
const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
})

describe('safetensors', () => {
  it('reads back what it wrote, from memory and from a file', () => {
    const read = decodeSafetensors(bytes, 'x')
    const path = join(dir, 'x.safetensors')
    writeFileSync(path, bytes)
    const opened = openSafetensors(path)
    expect([...read.keys()].sort()).toEqual([...sample.keys()].sort())
    for (const [name, tensor] of sample) {
      expect(read.get(name)).toEqual(tensor)
      expect(opened.read(name, tensor.shape)).toEqual(tensor)
    }
    expect(opened.header.metadata).toEqual({ made: 'by a test' })
    expect(() => opened.read('b', [3, 2])).toThrow(
      `DINO1009: ${path}: tensor \`b\`: expected shape [3, 2], found`,
    )
    expect(() => opened.read('c')).toThrow('expected a tensor of that name, found none')
    opened.close()
  })

  it('gives equal bytes for equal contents in any order', () => {
    const reversed = new Map([...sample].reverse())
    expect(Buffer.concat(encodeSafetensors(reversed, { made: 'by a test' }))).toEqual(bytes)
  })

  it.each([
    ['shorter than a length', new Uint8Array(5), 'shorter than 8 bytes'],
    ['a huge header', file({}, new Uint8Array(0), 2n ** 63n), 'header claims'],
    [
      'a header past the end',
      file({}, new Uint8Array(0), 99n),
      'header claims 99 bytes, the file has 2 left',
    ],
    ['no JSON', file('{"a": '), 'not JSON'],
    ['no object', file([1]), 'not an object'],
    ['not UTF-8', Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe])]), 'not UTF-8'],
    ['an offset past the end', file({ a: f32(0, 400) }), 'lie outside 16 bytes'],
    ['offsets reversed', file({ a: f32(16, 0, [4]) }), 'lie outside'],
    ['negative offsets', file({ a: f32(-4, 0, [1]) }), 'not two whole numbers'],
    ['an overlap', file({ a: f32(0, 12), b: f32(8, 16) }), '`b` overlaps'],
    ['a gap', file({ a: f32(0, 4), b: f32(8, 16) }), 'belong to none'],
    ['trailing bytes', file({ a: f32(0, 12) }), 'end at byte 12 of 16'],
    ['a shape of another size', file({ a: f32(0, 16, [5]) }), 'shape [5] needs 20 bytes'],
    ['a shape that overflows', file({ a: f32(0, 16, [2 ** 40, 2 ** 40]) }), 'needs'],
    ['a negative shape', file({ a: f32(0, 16, [-2, -2]) }), 'not a list of whole'],
    ['an unknown dtype', file({ a: { dtype: 'F7', shape: [], data_offsets: [0, 16] } }), 'unknown dtype'],
    [
      'an inherited dtype',
      file({ a: { dtype: 'toString', shape: [], data_offsets: [0, 16] } }),
      'unknown dtype',
    ],
    ['an entry that is none', file({ a: 3 }), 'not an object'],
    ['metadata that is no text', file({ __metadata__: { a: 1 }, a: f32(0, 16) }), 'is not text'],
  ])('refuses %s', (_, content, reason) => {
    expect(() => decodeSafetensors(content, 'hostile')).toThrow(reason)
    const path = join(dir, 'hostile.safetensors')
    writeFileSync(path, content)
    expect(() => openSafetensors(path)).toThrow(reason)
    expect(() => decodeSafetensors(content, 'hostile')).toThrow(DiagnosticError)
  })

  it('says that a file is missing', () => {
    expect(() => openSafetensors(join(dir, 'none.safetensors'))).toThrow(
      /^DINO1008: .*there is no such file$/,
    )
  })

  it('names a dtype that it does not read', () => {
    const half = file({ a: { dtype: 'F16', shape: [8], data_offsets: [0, 16] } })
    expect(() => decodeSafetensors(half, 'half')).toThrow('expected dtype F32, F64, I32 or U8, found F16')
  })

  it('never throws anything but a diagnostic, whatever one byte becomes', () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const changed = Uint8Array.from(bytes)
        changed[at] = value
        try {
          decodeSafetensors(changed, 'changed')
        } catch (error) {
          expect(error).toBeInstanceOf(DiagnosticError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
