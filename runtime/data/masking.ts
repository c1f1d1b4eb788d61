import type { Masking } from '../../compiler/plan/run-spec.js'

/**
 * Masks of the student's global crops (dinov2/data/masking.py and collate.py; golden fixtures 08). A mask is a row of
 * `height * width` bytes, 1 where the patch is masked. "Crops" are all global crops of a micro-batch: 2B.
 */
export interface MaskDraws {
  /** In [low, high]; low may exceed high, as Python's random.uniform allows. */
  uniform(low: number, high: number): number
  /** A whole number, both ends included. */
  integer(low: number, high: number): number
}

export interface BlockMaskOptions {
  /** Patches. */
  readonly height: number
  readonly width: number
  /** Bounds of one block's area, in patches; the upper one is a real number. */
  readonly minPatches: number
  readonly maxPatches: number
  /** Bounds of a block's height over width. */
  readonly minAspect: number
  readonly maxAspect: number
  /** Patches to mask: never exceeded, and missed by a few where no further block fits. */
  readonly target: number
}

/** One mask of rectangular blocks. Each block has ten attempts; the first that masks something new is taken. */
export function blockMask(random: MaskDraws, options: BlockMaskOptions): Uint8Array {
  const { height, width, target } = options
  const mask = new Uint8Array(height * width)
  let masked = 0
  while (masked < target) {
    const added = addBlock(random, options, mask, Math.min(target - masked, options.maxPatches))
    if (added === 0) break
    masked += added
  }
  return mask
}

function addBlock(random: MaskDraws, options: BlockMaskOptions, mask: Uint8Array, most: number): number {
  const { height, width } = options
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = random.uniform(options.minPatches, most)
    const aspect = Math.exp(random.uniform(Math.log(options.minAspect), Math.log(options.maxAspect)))
    const h = roundHalfEven(Math.sqrt(area * aspect))
    const w = roundHalfEven(Math.sqrt(area / aspect))
    if (w >= width || h >= height) continue
    const top = random.integer(0, height - h)
    const left = random.integer(0, width - w)
    let fresh = 0
    for (let y = top; y < top + h; y++)
      for (let x = left; x < left + w; x++) if (mask[y * width + x] === 0) fresh++
    if (fresh === 0 || fresh > most) continue
    for (let y = top; y < top + h; y++) mask.fill(1, y * width + left, y * width + left + w)
    return fresh
  }
  return 0
}

/** Python's round(): halves go to the even neighbour. */
export function roundHalfEven(x: number): number {
  const low = Math.floor(x)
  const rest = x - low
  if (rest < 0.5) return low
  if (rest > 0.5) return low + 1
  return low % 2 === 0 ? low : low + 1
}

/** `target` patches anywhere, each equally likely: exactly as many as asked. */
export function randomMask(random: MaskDraws, patches: number, target: number): Uint8Array {
  const mask = new Uint8Array(patches)
  // Floyd's sampling: one draw a masked patch.
  for (let last = patches - target; last < patches; last++) {
    const at = random.integer(0, last)
    mask[mask[at] === 0 ? at : last] = 1
  }
  return mask
}

/**
 * The largest area of one block for crops of a resolution: half the patches, by the reference's expression
 * `0.5 * img // patch * img // patch` with floor division on floats, from left to right.
 */
export function largestBlock(resolutionPx: number, patchPx: number): number {
  return Math.floor((Math.floor((0.5 * resolutionPx) / patchPx) * resolutionPx) / patchPx)
}

export interface BatchMaskOptions {
  /** Global crops of the micro-batch, 2B. */
  readonly crops: number
  /** Patches of a side of the crop. */
  readonly grid: number
  /** `largestBlock(resolution, patch)` */
  readonly maxPatches: number
  readonly masking: Masking
}

export interface BatchMasks {
  /** `[crops, patches]`, 1 where masked. */
  readonly masks: Uint8Array
  /** Masked patches of each crop. */
  readonly counts: Int32Array
  /** Their sum. */
  readonly rows: number
}

/**
 * Masks of a micro-batch: `int(crops * probability)` crops are masked, the i-th of them asking for
 * `int(patches * uniform(p_i, p_i+1))` patches with p = linspace over the ratio range; then the masks are shuffled
 * over all crops. Ratios are float32, as in the reference, since an `int` stands on them.
 */
export function batchMasks(
  random: MaskDraws & { shuffle(items: Uint8Array[]): Uint8Array[] },
  options: BatchMaskOptions,
): BatchMasks {
  const { crops, grid, masking } = options
  const patches = grid * grid
  const bounds = ratioBounds(crops, masking)
  const each: Uint8Array[] = []
  for (let i = 0; i + 1 < bounds.length; i++) {
    const ratio = Math.fround(random.uniform(bounds[i]!, bounds[i + 1]!))
    const target = Math.trunc(Math.fround(patches * ratio))
    each.push(
      masking.type === 'random'
        ? randomMask(random, patches, target)
        : blockMask(random, {
            height: grid,
            width: grid,
            minPatches: masking.minPatches,
            maxPatches: options.maxPatches,
            minAspect: masking.aspect.min,
            maxAspect: masking.aspect.max,
            target,
          }),
    )
  }
  while (each.length < crops) each.push(new Uint8Array(patches))
  random.shuffle(each)
  const masks = new Uint8Array(crops * patches)
  const counts = new Int32Array(crops)
  let rows = 0
  for (const [crop, mask] of each.entries()) {
    masks.set(mask, crop * patches)
    counts[crop] = mask.reduce((sum, bit) => sum + bit, 0)
    rows += counts[crop]!
  }
  return { masks, counts, rows }
}

/** linspace(min, max, masked + 1) in float32; a single number where no crop is masked. */
export function ratioBounds(crops: number, masking: Masking): Float32Array {
  const masked = Math.trunc(crops * masking.probability)
  const { fround } = Math
  const [min, max] = [fround(masking.ratio.min), fround(masking.ratio.max)]
  const step = masked === 0 ? 0 : fround(fround(max - min) / masked)
  // torch.linspace counts its second half back from the end.
  return Float32Array.from({ length: masked + 1 }, (_, i) =>
    i < (masked + 1) / 2 || masked === 0 ? min + fround(step * i) : max - fround(step * (masked - i)),
  )
}

/** Rows that masked patches of a micro-batch can take at most: the size of static buffers. */
export function maskedRowsBound(crops: number, patches: number, masking: Masking): number {
  const bounds = ratioBounds(crops, masking)
  let rows = 0
  for (let i = 1; i < bounds.length; i++) rows += Math.trunc(Math.fround(patches * bounds[i]!))
  return rows
}

/**
 * Row of each masked patch in a `[crops * (prefix + patches), d]` token tensor, ascending. Beyond the real rows `out`
 * is filled with row 0.
 */
export function maskRows(masks: Uint8Array, patches: number, prefix: number, out: Int32Array): Int32Array {
  let row = 0
  for (let i = 0; i < masks.length; i++)
    if (masks[i] === 1) out[row++] = Math.floor(i / patches) * (prefix + patches) + prefix + (i % patches)
  return out.fill(0, row)
}

/** 1 / (masked patches in the crop of each masked patch), in the order of `maskRows`; 0 beyond. */
export function maskWeights(counts: Int32Array, out: Float32Array): Float32Array {
  let row = 0
  for (const count of counts) {
    out.fill(1 / count, row, row + count)
    row += count
  }
  return out.fill(0, row)
}
