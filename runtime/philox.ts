/**
 * Counter-based randomness: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * A stream is named by (seed, step, slot, purpose); its numbers depend on nothing else, so any thread may draw them
 * in any order and a resumed run draws what an undisturbed one would have drawn.
 *
 * The key of the cipher is the seed (53 bits); the counter is (block, slot, step, purpose), where a block gives four
 * 32-bit words.
 */
export interface StreamKey {
  /** A whole number from 0 to 2^53 - 1. */
  readonly seed: number
  /** The step of the run, the number of a pass, or what else counts; below 2^32. */
  readonly step: number
  /** Which draw within the step: the image of the batch, the micro-step; below 2^32. */
  readonly slot: number
  readonly purpose: Purpose
}

/** What a stream is drawn for. The numbers are part of every run's bits: never renumber, only append. */
const purposes = {
  init: 1,
  order: 2,
  mix: 3,
  augment: 4,
  mask: 5,
  kept: 6,
  replacement: 7,
  bootstrap: 8,
  synthetic: 9,
} as const
export type Purpose = keyof typeof purposes

/** The four words of one block, written to `out`. Words are unsigned 32-bit numbers held as int32. */
export function philoxBlock(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Int32Array,
): void {
  rounds(counter[0] | 0, counter[1] | 0, counter[2] | 0, counter[3] | 0, key[0] | 0, key[1] | 0, out)
}

function rounds(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, out: Int32Array) {
  for (let round = 0; round < 10; round++) {
    const high0 = highWord(c0, 0xd251, 0x1f53)
    const low0 = Math.imul(c0, 0xd2511f53)
    const high1 = highWord(c2, 0xcd9e, 0x8d57)
    const low1 = Math.imul(c2, 0xcd9e8d57)
    c0 = high1 ^ c1 ^ k0
    c2 = high0 ^ c3 ^ k1
    c1 = low1
    c3 = low0
    k0 = (k0 + 0x9e3779b9) | 0
    k1 = (k1 + 0xbb67ae85) | 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/** The upper 32 bits of the product of `a` and `bHigh * 65536 + bLow`, all unsigned. */
function highWord(a: number, bHigh: number, bLow: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const low = Math.imul(aLow, bLow)
  const cross1 = Math.imul(aLow, bHigh)
  const cross2 = Math.imul(aHigh, bLow)
  const middle = (low >>> 16) + (cross1 & 0xffff) + (cross2 & 0xffff)
  return (Math.imul(aHigh, bHigh) + (cross1 >>> 16) + (cross2 >>> 16) + (middle >>> 16)) | 0
}

/** The 32-bit FNV-1a hash of a name's UTF-16 units: where a stream is named by a word instead of a number. */
export function hashName(name: string, basis = 0x811c9dc5): number {
  let hash = basis | 0
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i)
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193)
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193)
  }
  return hash >>> 0
}

/** A stream of numbers. `reset` starts another stream in the same object, so that hot loops allocate nothing. */
export class Random {
  private readonly words = new Int32Array(4)
  private k0 = 0
  private k1 = 0
  private block = 0
  private slot = 0
  private step = 0
  private purpose = 0
  private used = 4
  private spare = Number.NaN

  constructor(key: StreamKey) {
    this.reset(key.seed, key.step, key.slot, key.purpose)
  }

  reset(seed: number, step: number, slot: number, purpose: Purpose): this {
    this.k0 = seed | 0
    this.k1 = Math.floor(seed / 0x1_0000_0000) | 0
    this.step = step | 0
    this.slot = slot | 0
    this.purpose = purposes[purpose]
    this.block = 0
    this.used = 4
    this.spare = Number.NaN
    return this
  }

  /** 32 random bits, as a number from 0 to 2^32 - 1. */
  word(): number {
    if (this.used === 4) {
      rounds(this.block, this.slot, this.step, this.purpose, this.k0, this.k1, this.words)
      this.block = (this.block + 1) | 0
      this.used = 0
    }
    return this.words[this.used++]! >>> 0
  }

  /** In [low, high), with 53 random bits; like Python's random.uniform it also takes low > high. */
  uniform(low = 0, high = 1): number {
    const fraction = ((this.word() >>> 5) * 0x4000000 + (this.word() >>> 6)) / 0x20_0000_0000_0000
    return low + (high - low) * fraction
  }

  /**
   * A whole number from low to high, both included, each equally likely; the range holds at most 2^32 numbers. (Lemire,
   * "Fast random integer generation in an interval", 2019: the upper half of word * count, rejecting the surplus.)
   */
  integer(low: number, high: number): number {
    const count = high - low + 1
    if (count === 0x1_0000_0000) return low + this.word()
    const c = count | 0
    let word = this.word() | 0
    let rest = Math.imul(word, c) >>> 0
    if (rest < count) {
      const surplus = 0x1_0000_0000 % count
      while (rest < surplus) {
        word = this.word() | 0
        rest = Math.imul(word, c) >>> 0
      }
    }
    return low + (highWord(word, c >>> 16, c & 0xffff) >>> 0)
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.uniform() < probability
  }

  /** Standard normal (Box and Muller). */
  normal(): number {
    if (!Number.isNaN(this.spare)) {
      const spare = this.spare
      this.spare = Number.NaN
      return spare
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    const angle = 2 * Math.PI * this.uniform()
    this.spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  /** Fisher and Yates, in place. */
  shuffle<T extends { [index: number]: V; readonly length: number }, V>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(0, i)
      const item = items[i]!
      items[i] = items[j]!
      items[j] = item
    }
    return items
  }

  /** 0 .. count-1 in random order. */
  permutation(count: number): Uint32Array {
    const order = new Uint32Array(count)
    for (let i = 0; i < count; i++) order[i] = i
    return this.shuffle(order)
  }
}

/** `stream(seed, step, slot, 'augment')` */
export function stream(seed: number, step: number, slot: number, purpose: Purpose): Random {
  return new Random({ seed, step, slot, purpose })
}
