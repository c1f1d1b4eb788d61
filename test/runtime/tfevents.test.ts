import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { crc32c, decodeRecords, encodeRecord, openEventFile } from '../../runtime/tfevents.js'

test('crc32c gives the check values of RFC 3720, appendix B.4', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e)
})

test('the first record of a file that TensorFlow wrote is reproduced byte for byte', () => {
  // tf.summary.create_file_writer, wall_time 1.7e9: Event { wall_time, file_version: "brain.Event:2" }
  const data = Buffer.concat([
    Buffer.from([0x09]),
    (() => {
      const b = Buffer.alloc(8)
      b.writeDoubleLE(1.7e9)
      return b
    })(),
    Buffer.from([0x1a, 13]),
    Buffer.from('brain.Event:2'),
  ])
  const record = encodeRecord(data)
  expect(record.length).toBe(16 + 24)
  // Length 24 has the masked crc that every event file starts with.
  expect(record.subarray(0, 12).toString('hex')).toBe('1800000000000000a37f4b22')
})

test('scalars come back; a flipped bit does not pass', async () => {
  const directory = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-events-'))
  const file = await openEventFile(directory, 7)
  file.scalars(7, { 'loss/total': 6.5, 'eval/knn/top1@20': 0.25 })
  await file.close()
  const [name] = fs.readdirSync(directory)
  expect(name).toMatch(/^events\.out\.tfevents\.\d+\./)
  const bytes = fs.readFileSync(join(directory, name!))
  const records = decodeRecords(bytes)
  expect(records.map((r) => [r.step, r.scalars])).toEqual([
    [0, {}],
    [7, {}],
    [7, { 'loss/total': 6.5, 'eval/knn/top1@20': 0.25 }],
  ])
  bytes[bytes.length - 10]! ^= 1
  expect(() => decodeRecords(bytes)).toThrow()
  fs.rmSync(directory, { recursive: true })
})
