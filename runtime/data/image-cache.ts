import type { Image } from './augment.js'

/**
 * Decoded images in memory that all loader threads share, each decoded once. An image takes the next free bytes; when
 * they are used up, further images are decoded every time. An index entry is (state, offset / 8, width, height).
 */
export interface ImageCacheMemory {
  readonly index: SharedArrayBuffer
  readonly bytes: SharedArrayBuffer
  /** One counter: the next free place, in units of 8 bytes. */
  readonly next: SharedArrayBuffer
}

export function allocateImageCache(images: number, bytes: number): ImageCacheMemory {
  return {
    index: new SharedArrayBuffer(images * 16),
    bytes: new SharedArrayBuffer(Math.ceil(bytes / 8) * 8),
    next: new SharedArrayBuffer(4),
  }
}

const absent = 0
const writing = 1
const ready = 2

export interface ImageCache {
  get(image: number, channels: number): Image | null
  put(image: number, decoded: Image): void
}

/** One thread's view of the shared memory. */
export function openImageCache(memory: ImageCacheMemory): ImageCache {
  const index = new Int32Array(memory.index)
  const bytes = new Uint8Array(memory.bytes)
  const next = new Int32Array(memory.next)
  return {
    get(image, channels) {
      const entry = image * 4
      if (Atomics.load(index, entry) !== ready) return null
      const start = index[entry + 1]! * 8
      const [width, height] = [index[entry + 2]!, index[entry + 3]!]
      return { data: bytes.subarray(start, start + width * height * channels), width, height, channels }
    },
    put(image, { data, width, height }) {
      const entry = image * 4
      const units = Math.ceil(data.length / 8)
      if (Atomics.load(next, 0) + units > bytes.length / 8) return
      if (Atomics.compareExchange(index, entry, absent, writing) !== absent) return
      const start = Atomics.add(next, 0, units)
      if (start + units > bytes.length / 8) {
        // Another thread took the last place in between: the entry stays in `writing`, which nobody reads.
        Atomics.sub(next, 0, units)
        return
      }
      bytes.set(data, start * 8)
      index[entry + 1] = start
      index[entry + 2] = width
      index[entry + 3] = height
      Atomics.store(index, entry, ready)
    },
  }
}
