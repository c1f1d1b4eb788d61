import { readdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { type Random, stream } from '../../runtime/philox.js'
import { root } from '../runner/programs.js'

const size = 500

/** Coarse to fine, as photographs have it: pixels across before enlarging, and how much they add or take away. */
const octaves = [
  { across: 4, strength: 90 },
  { across: 16, strength: 45 },
  { across: 64, strength: 25 },
  { across: size, strength: 14 },
] as const

/** Writes JPEGs of 500 px, drawings on backgrounds of noise: what they cost to read and decode is that of photographs. */
export async function writePhotographs(folder: string, count: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const drawings = join(root, 'node_modules/emoji-datasource-google/img/google/64')
  const names = readdirSync(drawings).sort()
  const noise = noisePool()
  for (let i = 0; i < count; i++) {
    const random = stream(0, i, 0, 'synthetic')
    const edge = Math.round(random.uniform(200, 420))
    const drawing = await sharp(join(drawings, names[Math.floor((i * names.length) / count)]!))
      .resize(edge, edge)
      .toBuffer()
    const place = () => Math.floor(random.uniform(0, size - edge))
    await sharp(await background(noise, random), { raw: { width: size, height: size, channels: 3 } })
      .composite([{ input: drawing, left: place(), top: place() }])
      .jpeg({ quality: 90 })
      .toFile(join(folder, `${String(i).padStart(4, '0')}.jpg`))
  }
}

async function background(noise: Uint8Array, random: Random): Promise<Buffer> {
  const sum = new Float32Array(size * size * 3).fill(128)
  for (const { across, strength } of octaves) {
    const bytes = across * across * 3
    const start = Math.floor(random.uniform(0, noise.length - bytes))
    const raw = { width: across, height: across, channels: 3 } as const
    const layer = await sharp(noise.subarray(start, start + bytes), { raw })
      .resize(size, size, { kernel: 'cubic' })
      .raw()
      .toBuffer()
    for (let i = 0; i < sum.length; i++) sum[i]! += (strength * (layer[i]! - 128)) / 128
  }
  return Buffer.from(Uint8ClampedArray.from(sum).buffer)
}

/** Drawn once; each background is cut from it at places of its own. */
function noisePool(): Uint8Array {
  const random = stream(0, 0, 1, 'synthetic')
  return Uint8Array.from({ length: 2 * size * size * 3 }, () => Math.floor(random.uniform(0, 256)))
}
