/**
 * Colour steps on interleaved 8-bit images, each clamped and truncated exactly as Pillow and torchvision's PIL path do
 * (ImageEnhance, Blend.c, Convert.c, functional_pil.adjust_hue). All work in place on the first `pixels` pixels.
 */
const { fround } = Math
const table = new Uint8Array(256)

/** ITU-R 601 luma in fixed point: Pillow's mode "L". */
export function luma(r: number, g: number, b: number): number {
  return (r * 19595 + g * 38470 + b * 7471 + 0x8000) >>> 16
}

/** Pillow's blend of two bytes: float32, then truncated; clamped where alpha extrapolates. */
function blend(degenerate: number, value: number, alpha: number): number {
  const mixed = fround(degenerate + fround(alpha * (value - degenerate)))
  return mixed <= 0 ? 0 : mixed >= 255 ? 255 : Math.trunc(mixed)
}

function applyTable(image: Uint8Array, bytes: number) {
  for (let i = 0; i < bytes; i++) image[i] = table[image[i]!]!
}

export function adjustBrightness(image: Uint8Array, pixels: number, channels: number, factor: number): void {
  const alpha = fround(factor)
  for (let v = 0; v < 256; v++) table[v] = blend(0, v, alpha)
  applyTable(image, pixels * channels)
}

/** Towards or away from the image's mean luma, rounded to a whole number. */
export function adjustContrast(image: Uint8Array, pixels: number, channels: number, factor: number): void {
  let sum = 0
  if (channels === 3)
    for (let i = 0; i < pixels * 3; i += 3) sum += luma(image[i]!, image[i + 1]!, image[i + 2]!)
  else for (let i = 0; i < pixels; i++) sum += image[i]!
  const mean = Math.trunc(sum / pixels + 0.5)
  const alpha = fround(factor)
  for (let v = 0; v < 256; v++) table[v] = blend(mean, v, alpha)
  applyTable(image, pixels * channels)
}

const offsets = new Float32Array(511)

/** Towards or away from each pixel's luma. Grey images have no saturation. */
export function adjustSaturation(image: Uint8Array, pixels: number, channels: number, factor: number): void {
  if (channels !== 3) return
  const alpha = fround(factor)
  for (let d = -255; d <= 255; d++) offsets[d + 255] = alpha * d
  for (let i = 0; i < pixels * 3; i += 3) {
    const r = image[i]!
    const g = image[i + 1]!
    const b = image[i + 2]!
    const grey = luma(r, g, b)
    image[i] = toByte(fround(grey + offsets[r - grey + 255]!))
    image[i + 1] = toByte(fround(grey + offsets[g - grey + 255]!))
    image[i + 2] = toByte(fround(grey + offsets[b - grey + 255]!))
  }
}

function toByte(x: number): number {
  return x <= 0 ? 0 : x >= 255 ? 255 : x | 0
}

// rgb -> hsv: saturation by (spread, largest); the ratio distance / spread in float32.
const saturations = new Uint8Array(65536)
const ratios = new Float32Array(65536)
for (let spread = 1; spread < 256; spread++) {
  for (let v = 0; v < 256; v++) {
    ratios[spread * 256 + v] = v / spread
    if (v >= spread) saturations[spread * 256 + v] = Math.trunc(fround(spread / v) * 255)
  }
}
// hsv -> rgb: sector and remainder by hue; saturation as a float32 share.
const sectors = new Uint8Array(256)
const remainders = new Float32Array(256)
const shares = new Float32Array(256)
for (let v = 0; v < 256; v++) {
  const sector = Math.floor((v * 6) / 255)
  sectors[v] = sector % 6
  remainders[v] = (v * 6) / 255 - sector
  shares[v] = v / 255
}

/** Adds `factor` (-0.5 .. 0.5 of the circle, in whole 255ths) to each pixel's 8-bit hue. Grey images stay. */
export function adjustHue(image: Uint8Array, pixels: number, channels: number, factor: number): void {
  if (channels !== 3) return
  const shift = Math.trunc(factor * 255) & 255
  for (let i = 0; i < pixels * 3; i += 3) {
    const r = image[i]!
    const g = image[i + 1]!
    const b = image[i + 2]!
    const largest = r > g ? Math.max(r, b) : Math.max(g, b)
    const smallest = r < g ? Math.min(r, b) : Math.min(g, b)
    const spread = largest - smallest
    if (spread === 0) continue
    const row = spread << 8
    const saturation = saturations[row | largest]!
    if (saturation === 0) {
      image[i] = largest
      image[i + 1] = largest
      image[i + 2] = largest
      continue
    }
    let turn: number
    if (r === largest) turn = fround(ratios[row | (largest - b)]! - ratios[row | (largest - g)]!)
    else if (g === largest) turn = fround(2 + ratios[row | (largest - r)]! - ratios[row | (largest - b)]!)
    else turn = fround(4 + ratios[row | (largest - g)]! - ratios[row | (largest - r)]!)
    turn = turn / 6 + 1
    if (turn >= 1) turn -= 1
    const hue = (Math.trunc(fround(turn) * 255) + shift) & 255
    const share = shares[saturation]!
    const rest = remainders[hue]!
    const p = Math.floor(largest * (1 - share) + 0.5)
    const q = Math.floor(largest * (1 - fround(share * rest)) + 0.5)
    const t = Math.floor(largest * (1 - share * (1 - rest)) + 0.5)
    switch (sectors[hue]) {
      case 0:
        image[i] = largest
        image[i + 1] = t
        image[i + 2] = p
        break
      case 1:
        image[i] = q
        image[i + 1] = largest
        image[i + 2] = p
        break
      case 2:
        image[i] = p
        image[i + 1] = largest
        image[i + 2] = t
        break
      case 3:
        image[i] = p
        image[i + 1] = q
        image[i + 2] = largest
        break
      case 4:
        image[i] = t
        image[i + 1] = p
        image[i + 2] = largest
        break
      default:
        image[i] = largest
        image[i + 1] = p
        image[i + 2] = q
    }
  }
}

export function toGrey(image: Uint8Array, pixels: number, channels: number): void {
  if (channels !== 3) return
  for (let i = 0; i < pixels * 3; i += 3) {
    const grey = luma(image[i]!, image[i + 1]!, image[i + 2]!)
    image[i] = grey
    image[i + 1] = grey
    image[i + 2] = grey
  }
}

/** Inverts the bytes at or above the threshold. */
export function solarize(image: Uint8Array, pixels: number, channels: number, threshold: number): void {
  for (let v = 0; v < 256; v++) table[v] = v < threshold ? v : 255 - v
  applyTable(image, pixels * channels)
}
