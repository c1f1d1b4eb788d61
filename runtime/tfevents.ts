import type { FileHandle } from 'node:fs/promises'
import fs from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { writeFault } from './durable.js'

/**
 * TensorBoard's event files: records of `length u64, masked crc32c(length), data, masked crc32c(data)`, where data is
 * an `Event` message. Only the fields used here are declared; numbers are those of tensorflow/core/util/event.proto
 * and framework/summary.proto.
 */
const schema = protobuf.parse(
  `syntax = "proto3";
  message Event {
    double wall_time = 1;
    int64 step = 2;
    oneof what { string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
  }
  message SessionLog { enum SessionStatus { STATUS_UNSPECIFIED = 0; START = 1; STOP = 2; } SessionStatus status = 1; }
  message Summary {
    message Value { string tag = 1; float simple_value = 2; }
    repeated Value value = 1;
  }`,
  { keepCase: true },
).root
const Event = schema.lookupType('Event')

export interface EventFile {
  scalars(step: number, values: Readonly<Record<string, number>>): void
  close(): Promise<void>
}

/** Where nothing is to be written. */
export const silentEvents: EventFile = { scalars: () => {}, close: async () => {} }

/**
 * A new file `events.out.tfevents.*` in the directory. With `fromStep` above 0 it says so: TensorBoard then drops
 * what earlier files hold from that step on, which is what an interrupted run repeats.
 */
export async function openEventFile(directory: string, fromStep: number): Promise<EventFile> {
  const seconds = Math.floor(Date.now() / 1000)
  const path = join(directory, `events.out.tfevents.${seconds}.${os.hostname()}.${process.pid}.${fromStep}`)
  let handle: FileHandle
  try {
    handle = await fs.open(path, 'a')
  } catch (error) {
    throw writeFault(error, path)
  }
  let pending: Promise<unknown> = Promise.resolve()
  // Charts are a convenience: a full disk is reported where it matters, by metrics.jsonl and the checkpoints.
  let broken = false
  const write = (event: Record<string, unknown>): void => {
    const record = encodeRecord(
      Event.encode(Event.create({ wall_time: Date.now() / 1000, ...event })).finish(),
    )
    pending = pending
      .then(() => (broken ? undefined : handle.appendFile(record)))
      .catch(() => {
        broken = true
      })
  }
  write({ file_version: 'brain.Event:2' })
  if (fromStep > 0) write({ step: fromStep, session_log: { status: 1 } })
  return {
    scalars(step, values) {
      const value = Object.entries(values).map(([tag, simple_value]) => ({ tag, simple_value }))
      if (value.length > 0) write({ step, summary: { value } })
    },
    async close() {
      await pending
      await handle.close()
    },
  }
}

export function encodeRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(16 + data.length)
  record.writeBigUInt64LE(BigInt(data.length), 0)
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8)
  record.set(data, 12)
  record.writeUInt32LE(maskedCrc(data), 12 + data.length)
  return record
}

/** The records of a file, checked; throws where a checksum is wrong. */
export function decodeRecords(
  file: Buffer,
): { wall_time: number; step: number; scalars: Record<string, number> }[] {
  const events: { wall_time: number; step: number; scalars: Record<string, number> }[] = []
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at))
    const data = file.subarray(at + 12, at + 12 + length)
    if (file.readUInt32LE(at + 8) !== maskedCrc(file.subarray(at, at + 8)))
      throw new Error(`length at byte ${at}`)
    if (file.readUInt32LE(at + 12 + length) !== maskedCrc(data)) throw new Error(`data at byte ${at}`)
    const event = Event.toObject(Event.decode(data), { longs: Number }) as {
      wall_time: number
      step?: number
      summary?: { value: { tag: string; simple_value: number }[] }
    }
    const scalars = Object.fromEntries((event.summary?.value ?? []).map((v) => [v.tag, v.simple_value]))
    events.push({ wall_time: event.wall_time, step: event.step ?? 0, scalars })
    at += 16 + length
  }
  return events
}

/** CRC-32C (Castagnoli), reflected polynomial 0x82f63b78. */
const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  return c
})

export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 0xff]!
  return (crc ^ 0xffffffff) >>> 0
}

/** TFRecord's masking: rotated right by 15 bits plus a constant, so that a crc of data with crcs stays strong. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
