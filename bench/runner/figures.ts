import type { Case } from './cases.js'
import type { TimedStep } from './programs.js'

export interface Pair {
  readonly ours: TimedStep
  readonly peer: Omit<TimedStep, 'gflops'>
}

export interface Row {
  readonly name: string
  readonly pairs: number
  /** Images per second. */
  readonly ours: number
  readonly peer: number
  readonly ratio: number
  readonly lowest: number
  readonly highest: number
  readonly wanted: Omit<Case, 'ours' | 'peer' | 'name'>
  readonly gflops: number
  readonly ofPeak: number | null
  /** Our peak memory over the peer's. */
  readonly memory: number
}

/** The middle one; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The ratio is the median of the pairs' own ratios: a machine whose speed drifts changes both sides of a pair. */
export function compare(
  { name, ...wanted }: Omit<Case, 'ours' | 'peer'>,
  pairs: readonly Pair[],
  peakGflops: number | null,
): Row {
  const ratios = pairs.map(({ ours, peer }) => ours.imagesPerSecond / peer.imagesPerSecond)
  const gflops = median(pairs.map(({ ours }) => ours.gflops))
  return {
    name,
    pairs: pairs.length,
    ours: median(pairs.map(({ ours }) => ours.imagesPerSecond)),
    peer: median(pairs.map(({ peer }) => peer.imagesPerSecond)),
    ratio: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    wanted,
    gflops,
    ofPeak: peakGflops === null ? null : gflops / peakGflops,
    memory: median(pairs.map(({ ours, peer }) => ours.peakRssBytes / peer.peakRssBytes)),
  }
}

export function markdown(rows: readonly Row[]): string {
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`
  const lines = rows.map(({ wanted, ...row }) => [
    row.name,
    row.pairs,
    row.ours.toFixed(2),
    row.peer.toFixed(2),
    `**${row.ratio.toFixed(2)}** (${row.lowest.toFixed(2)} to ${row.highest.toFixed(2)})`,
    wanted.least.toFixed(2),
    row.gflops.toFixed(0),
    row.ofPeak === null ? '' : percent(row.ofPeak),
    wanted.leastOfPeak === undefined ? '' : percent(wanted.leastOfPeak),
    row.memory.toFixed(2),
    wanted.mostMemory?.toFixed(2) ?? '',
  ])
  return [
    '| step | pairs | images/s | peer | ratio | least | GFLOP/s | of the multiply-add peak | least | peak memory, ratio | most |',
    `|${'---|'.repeat(11)}`,
    ...lines.map((cells) => `| ${cells.join(' | ')} |`),
  ].join('\n')
}
