import { median } from '../runner/figures.js'

/** The ratio that the project holds itself to; null where none is stated. */
export type Wanted = { readonly least: number } | { readonly most: number } | null

/** One figure of two ways of doing the same. The ratio is that of the first over the second. */
export interface Row {
  readonly name: string
  readonly unit: string
  /** Measured in turn; one pair where the figure is exact. */
  readonly pairs: readonly (readonly [number, number])[]
  readonly wanted: Wanted
}

export interface Table {
  readonly sides: readonly [string, string]
  readonly rows: readonly Row[]
}

export interface Section {
  readonly title: string
  /** What is compared, and how. */
  readonly note: string
  /** In markdown. */
  readonly tables: readonly string[]
}

export interface Ratio {
  readonly sides: readonly [number, number]
  /** The median of the pairs' own ratios: a machine whose speed drifts changes both sides of a pair. */
  readonly median: number
  readonly lowest: number
  readonly highest: number
  /** Null where nothing is wanted. */
  readonly met: boolean | null
}

export function ratioOf({ pairs, wanted }: Pick<Row, 'pairs' | 'wanted'>): Ratio {
  const ratios = pairs.map(([a, b]) => a / b)
  const middle = median(ratios)
  return {
    sides: [median(pairs.map(([a]) => a)), median(pairs.map(([, b]) => b))],
    median: middle,
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    met: wanted === null ? null : 'least' in wanted ? middle >= wanted.least : middle <= wanted.most,
  }
}

/**
 * Measures both sides `count` times, each first in every other pair: neither always has the machine as the other leaves
 * it. `tell` hears of each pair.
 */
export async function inPairs<T>(
  count: number,
  sides: readonly [() => T | Promise<T>, () => T | Promise<T>],
  tell: (pair: number, first: T, second: T) => void,
): Promise<readonly (readonly [T, T])[]> {
  const pairs: (readonly [T, T])[] = []
  for (let i = 0; i < count; i++) {
    const early = await sides[i % 2]!()
    const late = await sides[1 - (i % 2)]!()
    const pair = i % 2 === 0 ? ([early, late] as const) : ([late, early] as const)
    pairs.push(pair)
    tell(i + 1, ...pair)
  }
  return pairs
}

export function markdown({ sides, rows }: Table): string {
  return tableText(
    ['', 'pairs', ...sides, 'unit', 'ratio', 'wanted', 'met'],
    rows.map((row) => {
      const ratio = ratioOf(row)
      const spread = row.pairs.length > 1 ? ` (${fraction(ratio.lowest)} to ${fraction(ratio.highest)})` : ''
      return [
        row.name,
        String(row.pairs.length),
        ...ratio.sides.map(figure),
        row.unit,
        `**${fraction(ratio.median)}**${spread}`,
        wantedText(row.wanted),
        ratio.met === null ? '' : ratio.met ? 'yes' : 'no',
      ]
    }),
  )
}

export function tableText(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(heads), `|${'---|'.repeat(heads.length)}`, ...rows.map(line)].join('\n')
}

export function page(machine: string, sections: readonly Section[]): string {
  const parts = sections.flatMap(({ title, note, tables }) => [`## ${title}`, note, ...tables])
  return `${['# Our ways of computing, beside one another', `${machine}. Sides are measured in turn; a ratio is the median over pairs (lowest to highest).`, ...parts].join('\n\n')}\n`
}

const wantedText = (wanted: Wanted): string =>
  wanted === null
    ? ''
    : 'least' in wanted
      ? `at least ${fraction(wanted.least)}`
      : `at most ${fraction(wanted.most)}`

/** Three places; two digits of small ratios: 0.012. */
const fraction = (x: number): string => (x < 0.1 ? String(Number(x.toPrecision(2))) : x.toFixed(3))
const figure = (x: number): string =>
  x >= 1000 ? Math.round(x).toLocaleString('en-US') : String(Number(x.toPrecision(4)))
