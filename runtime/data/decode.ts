import sharp from 'sharp'
import type { Image } from './augment.js'
import { luma } from './colour.js'

/** How images of a source become bytes. */
export interface Decoding {
  /** 1 or 3. */
  readonly channels: number
  /** What shows through transparent pixels. */
  readonly background: readonly [number, number, number]
}

/**
 * The first frame of an image file, upright (EXIF orientation), in 8 bits, transparency laid on the background and
 * rounded; grey by ITU-R 601. Embedded colour profiles are ignored, as PIL ignores them. Throws sharp's error where
 * the file cannot be read to its end.
 */
export async function decodeFile(path: string, decoding: Decoding): Promise<Image> {
  const { data, info } = await sharp(path, { failOn: 'error', ignoreIcc: true, sequentialRead: true })
    .autoOrient()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return {
    data: toChannels(data, info.channels, decoding),
    width: info.width,
    height: info.height,
    channels: decoding.channels,
  }
}

/** Interleaved bytes of 1 (grey), 2 (grey, alpha), 3 or 4 channels, as the decoding wants them. */
export function toChannels(data: Uint8Array, from: number, { channels, background }: Decoding): Uint8Array {
  if (from === channels) return data
  const pixels = data.length / from
  const out = new Uint8Array(pixels * channels)
  const grey = from < 3
  const alpha = from === 2 || from === 4
  for (let i = 0; i < pixels; i++) {
    const at = i * from
    let r = data[at]!
    let g = grey ? r : data[at + 1]!
    let b = grey ? r : data[at + 2]!
    if (alpha) {
      const a = data[at + from - 1]!
      r = over(r, background[0], a)
      g = over(g, background[1], a)
      b = over(b, background[2], a)
    }
    if (channels === 1) out[i] = luma(r, g, b)
    else {
      out[i * 3] = r
      out[i * 3 + 1] = g
      out[i * 3 + 2] = b
    }
  }
  return out
}

/** (value * alpha + below * (255 - alpha)) / 255, rounded. */
function over(value: number, below: number, alpha: number): number {
  const sum = value * alpha + below * (255 - alpha) + 128
  return ((sum >> 8) + sum) >> 8
}
