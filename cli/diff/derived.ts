import { embeddedTarget, planVariant } from '../../compiler/compile.js'
import type { VariantCost } from '../../compiler/plan/cost.js'
import type { Pair } from '../../compiler/resolve/diff.js'
import { canonicalForm, configIdentity } from '../../compiler/resolve/identity.js'
import { aligned, grouped, significant } from '../terminal/figures.js'

/** One figure that follows from the changes of a pair; null where it cannot be known without data. */
export interface Derived {
  readonly experiment: string
  readonly variant: string
  /** `parameters`, `pretrain.peakBytes`. */
  readonly name: string
  readonly before: number | string | null
  readonly after: number | string | null
}

/** What follows from the differences of a pair; nothing where it differs in nothing that costs. */
export function derive(pair: Pair): Derived[] {
  const { before, after, experiment, variant } = pair
  const costly =
    JSON.stringify([before.hardware, canonicalForm(before)]) !==
    JSON.stringify([after.hardware, canonicalForm(after)])
  if (!costly) return []
  const [a, b] = [before, after].map((resolved) => figures(planVariant(resolved, embeddedTarget, null)))
  a!.set('identity', configIdentity(before, 0))
  b!.set('identity', configIdentity(after, 0))
  const names = [...new Set([...a!.keys(), ...b!.keys()])]
  return names.map((name) => ({
    experiment,
    variant,
    name,
    before: a!.get(name) ?? null,
    after: b!.get(name) ?? null,
  }))
}

/** By name; those of a phase carry its name where there are several. */
function figures(cost: VariantCost): Map<string, number | string | null> {
  const found = new Map<string, number | string | null>([['parameters', cost.parameters.total]])
  const several = cost.phases.length > 1
  for (const phase of cost.phases) {
    const put = (name: string, value: number | null) =>
      found.set(several ? `${phase.name}.${name}` : name, value)
    put('tokensPerImage', phase.tokensPerImage)
    put('modelFlopsPerImage', phase.modelFlopsPerImage)
    put('executedFlopsPerStep', phase.executedFlopsPerStep)
    put('peakBytes', phase.perRank.peakBytes)
    put('collectiveBytesPerStep', phase.perRank.collectiveBytesPerStep)
    put('imagesSeen', phase.imagesSeen)
  }
  return found
}

/** The figures of a pair as a table; what neither side has, or one cannot know, is left out. */
export function figureLines(derived: readonly Derived[]): string[] {
  const rows = derived.flatMap((figure) => {
    const { before, after } = figure
    if (before === null || after === null || (before === 0 && after === 0)) return []
    return [figureRow(figure, before, after)]
  })
  if (rows.length === 0) return []
  return ['', ...aligned([['what follows', 'a', 'b', ''], ...rows], figureColumns)]
}

const figureColumns = [
  { align: 'left' },
  { align: 'right', gap: 3 },
  { align: 'right', gap: 3 },
  { align: 'right', gap: 3 },
] as const

interface Unit {
  readonly factor: number
  readonly name: string
}

/** From the smallest on; below the first a number is written out. */
const decimal: readonly Unit[] = ['M', 'G', 'T', 'P', 'E'].map((name, i) => ({
  factor: 1e6 * 1000 ** i,
  name,
}))
const binaryBytes: readonly Unit[] = ['KiB', 'MiB', 'GiB', 'TiB'].map((name, i) => ({
  factor: 1024 ** (i + 1),
  name,
}))
const decimalBytes: readonly Unit[] = ['kB', 'MB', 'GB', 'TB'].map((name, i) => ({
  factor: 1000 ** (i + 1),
  name,
}))

/** How each figure is called, and the units that it comes in; `*` is where the name says the unit. */
const figureForms: Readonly<Record<string, readonly [label: string, units: readonly Unit[]]>> = {
  parameters: ['parameters', decimal],
  tokensPerImage: ['tokens per image', decimal],
  modelFlopsPerImage: ['*FLOP per image', decimal],
  executedFlopsPerStep: ['*FLOP per step, executed', decimal],
  peakBytes: ['peak memory of a rank', binaryBytes],
  collectiveBytesPerStep: ['communication per step', decimalBytes],
  imagesSeen: ['images seen', decimal],
}

function figureRow({ name }: Derived, before: number | string, after: number | string): string[] {
  const [figure, phase] = name.split('.').reverse() as [string, string | undefined]
  const [label, units] = figureForms[figure] ?? [figure, decimal]
  const title = (text: string) => `  ${phase === undefined ? '' : `${phase}: `}${text}`
  if (typeof before === 'string' || typeof after === 'string') {
    const shared = before === after ? 'runs can be shared' : 'no run can be shared'
    return [title(label), `${String(before).slice(0, 4)}..`, `${String(after).slice(0, 4)}..`, shared]
  }
  const share = ((after - before) / (before || 1)) * 100
  const change = Math.abs(share) < 0.05 ? '' : `${share > 0 ? '+' : '-'}${significant(Math.abs(share), 2)} %`
  const { unit, texts } = inOneUnit([before, after], units)
  const named = label.startsWith('*')
  const cells = texts.map((text) => (named || unit === '' ? text : `${text} ${unit}`))
  return [title(label.replace('*', unit)), ...cells, change]
}

/** Numbers of one row in the unit that suits the largest, with as many decimals as tell the smallest. */
function inOneUnit(values: readonly number[], units: readonly Unit[]): { unit: string; texts: string[] } {
  const largest = Math.max(...values)
  const unit = units.findLast(({ factor }) => largest >= factor)
  if (unit === undefined) return { unit: '', texts: values.map(grouped) }
  const scaled = values.map((value) => value / unit.factor)
  const smallest = Math.min(...scaled.filter((value) => value > 0))
  const decimals = Math.max(0, Math.min(3, 2 - Math.floor(Math.log10(smallest))))
  return { unit: unit.name, texts: scaled.map((value) => value.toFixed(decimals)) }
}
