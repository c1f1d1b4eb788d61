import { stream } from '../philox.js'

/**
 * How sure a metric is. Over at least 3 seeds the interval is Student's t over the seeds' means: it holds for another
 * seed on the same images. With fewer it is a bootstrap over the test images, their values averaged over the seeds
 * there are: it holds for other images with the same weights. Images that belong together (`by`: skin tones of one
 * emoji) are drawn together.
 */
export interface Estimate {
  readonly mean: number
  /** 95 %; null where there is nothing to judge by. */
  readonly interval: readonly [number, number] | null
  readonly method: 'seeds' | 'images' | 'groups' | 'none'
  readonly seeds: number
  /** Test images, or groups of them. */
  readonly units: number
}

/** What one seed measured: one value for each test image, 1 where it was right. */
export interface Measurement {
  readonly seed: number
  readonly values: ArrayLike<number>
}

export interface TestImages {
  /** What each image belongs to; null: each stands for itself. */
  readonly groups: readonly string[] | null
}

/** "95 % bootstrap over 545 images" */
export function describeMethod({ method, seeds, units }: Estimate): string {
  switch (method) {
    case 'seeds':
      return `95 % Student's t over ${seeds} seeds`
    case 'images':
      return `95 % bootstrap over ${units} images`
    case 'groups':
      return `95 % bootstrap over ${units} groups of images`
    case 'none':
      return 'no interval'
    default:
      throw method satisfies never
  }
}

/** A metric's mean over seeds and images, with its interval. All measurements are of the same images in one order. */
export function estimate(measurements: readonly Measurement[], images: TestImages): Estimate {
  const bySeed = measurements.map(({ values }) => mean(values))
  if (bySeed.length >= 3) return studentEstimate(bySeed, units(measurements, images).length)
  return bootstrapEstimate(measurements, images)
}

/**
 * The difference `a - b` of two variants (or of the trained and the untrained backbone), paired by seed and image:
 * what both have in common cancels. Seeds that only one side has are left out.
 */
export function pairedDifference(
  a: readonly Measurement[],
  b: readonly Measurement[],
  images: TestImages,
): Estimate {
  const other = new Map(b.map((measurement) => [measurement.seed, measurement.values]))
  const pairs = a.flatMap(({ seed, values }): Measurement[] => {
    const against = other.get(seed)
    if (!against) return []
    if (against.length !== values.length) throw new RangeError('paired measurements are of different images')
    return [{ seed, values: Float64Array.from(values, (value, i) => value - against[i]!) }]
  })
  return estimate(pairs, images)
}

function studentEstimate(values: readonly number[], count: number): Estimate {
  const n = values.length
  const center = mean(values)
  const variance = values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (n - 1)
  const half = studentQuantile(0.975, n - 1) * Math.sqrt(variance / n)
  return { mean: center, interval: [center - half, center + half], method: 'seeds', seeds: n, units: count }
}

/** A unit of resampling: the sum of its images' values and how many they are. */
interface Unit {
  readonly sum: number
  readonly count: number
}

function units(measurements: readonly Measurement[], { groups }: TestImages): Unit[] {
  const first = measurements[0]
  if (!first) return []
  const values = Float64Array.from(first.values, (_, i) => mean(measurements.map((m) => m.values[i]!)))
  if (groups === null) return Array.from(values, (sum) => ({ sum, count: 1 }))
  const byGroup = new Map<string, { sum: number; count: number }>()
  for (const [i, value] of values.entries()) {
    const group = byGroup.get(groups[i]!) ?? { sum: 0, count: 0 }
    group.sum += value
    group.count++
    byGroup.set(groups[i]!, group)
  }
  return [...byGroup.values()]
}

const resamples = 10_000

function bootstrapEstimate(measurements: readonly Measurement[], images: TestImages): Estimate {
  const all = units(measurements, images)
  const [sum, count] = all.reduce(([s, c], unit) => [s + unit.sum, c + unit.count], [0, 0])
  const seeds = measurements.length
  const method = all.length < 2 ? 'none' : images.groups === null ? 'images' : 'groups'
  const center = count === 0 ? Number.NaN : sum / count
  if (method === 'none') return { mean: center, interval: null, method, seeds, units: all.length }
  const sums = Float64Array.from(all, (unit) => unit.sum)
  const counts = Float64Array.from(all, (unit) => unit.count)
  const means = new Float64Array(resamples)
  // The same draws for every metric, so that equal results have equal intervals.
  const random = stream(0, 0, 0, 'bootstrap')
  for (let r = 0; r < resamples; r++) {
    let total = 0
    let drawn = 0
    for (let i = 0; i < all.length; i++) {
      const unit = random.integer(0, all.length - 1)
      total += sums[unit]!
      drawn += counts[unit]!
    }
    means[r] = total / drawn
  }
  means.sort()
  return {
    mean: center,
    interval: [quantile(means, 0.025), quantile(means, 0.975)],
    method,
    seeds,
    units: all.length,
  }
}

/** Linear between the sorted values. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const at = share * (sorted.length - 1)
  const low = Math.floor(at)
  const below = sorted[low]!
  return below + (at - low) * ((sorted[low + 1] ?? below) - below)
}

function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / values.length
}

/** The value that Student's t with `freedom` degrees stays below with the given probability (above one half). */
export function studentQuantile(probability: number, freedom: number): number {
  let [low, high] = [0, 1]
  while (studentProbability(high, freedom) < probability) high *= 2
  for (let i = 0; i < 200 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2
    if (studentProbability(middle, freedom) < probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** P(T <= t) for t >= 0, by the incomplete beta function. */
function studentProbability(t: number, freedom: number): number {
  return 1 - 0.5 * incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5)
}

/** Regularised incomplete beta function by its continued fraction (Lentz; Numerical Recipes 6.4). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a)
  const front =
    Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a
  const tiny = 1e-300
  const away = (value: number) => (Math.abs(value) < tiny ? tiny : value)
  let c = 1
  let d = 1 / away(1 - ((a + b) * x) / (a + 1))
  let fraction = d
  for (let m = 1; m < 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / away(1 + even * d)
    c = away(1 + even / c)
    fraction *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / away(1 + odd * d)
    c = away(1 + odd / c)
    fraction *= d * c
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return front * fraction
}

/** Lanczos, g = 7, 9 terms. */
function logGamma(x: number): number {
  const terms = [
    676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
    -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ]
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  const shifted = x - 1
  const series = terms.reduce((sum, term, i) => sum + term / (shifted + i + 1), 0.99999999999980993)
  const t = shifted + 7.5
  return 0.5 * Math.log(2 * Math.PI) + (shifted + 0.5) * Math.log(t) - t + Math.log(series)
}
