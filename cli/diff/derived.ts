import { embeddedTarget, planVariant } from '../../compiler/compile.js'
import type { VariantCost } from '../../compiler/plan/cost.js'
import type { Pair } from '../../compiler/resolve/diff.js'
import { canonicalForm, configIdentity } from '../../compiler/resolve/identity.js'
import { aligned, grouped, significant } from '../terminal/figures.js'

/**
 * One figure that follows from the changes of a pair; null where it cannot be known without data, or a side has no
 * phase of that name.
 */
export interface Derived {
  readonly experiment: string
  readonly variant: string
  /** `parameters`, `peakBytes`; `pretrain.peakBytes` where a side has several phases. */
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
  const costs = [before, after].map((resolved) => planVariant(resolved, embeddedTarget, null))
  const several = costs.some(({ phases }) => phases.length > 1)
  const [a, b] = costs.map((cost) => figures(cost, several))
  const names = [...new Set([...a!.keys(), ...b!.keys()]), 'identity']
  a!.set('identity', configIdentity(before, 0))
  b!.set('identity', configIdentity(after, 0))
  return names.map((name) => ({
    experiment,
    variant,
    name,
    before: a!.get(name) ?? null,
    after: b!.get(name) ?? null,
  }))
}

/** By name; those of a phase carry its name where `several` are compared, so that phases pair by name. */
function figures(cost: VariantCost, several: boolean): Map<string, number | string | null> {
  const found = new Map<string, number | string | null>([['parameters', cost.parameters.total]])
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
    if (!before && !after) return []
    if (before !== null && after !== null) return [figureRow(figure, before, after)]
    return lacksPhase(derived, figure) ? [oneSidedRow(figure)] : []
  })
  if (rows.length === 0) return []
  return ['', ...aligned([['what follows', 'a', 'b', ''], ...rows], figureColumns)]
}

/** Whether a side has nothing of a figure's phase while the other has this figure: the phase was dropped or added. */
function lacksPhase(derived: readonly Derived[], { name, before, after }: Derived): boolean {
  const phase = phaseOf(name)
  if (phase === undefined || (before === null && after === null)) return false
  const own = derived.filter((figure) => phaseOf(figure.name) === phase)
  return own.every((figure) => figure.before === null) || own.every((figure) => figure.after === null)
}

function phaseOf(name: string): string | undefined {
  return name.includes('.') ? name.slice(0, name.lastIndexOf('.')) : undefined
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
  if (typeof before === 'string' || typeof after === 'string') {
    const shared = before === after ? 'runs can be shared' : 'no run can be shared'
    return [titled(name, ''), `${String(before).slice(0, 4)}..`, `${String(after).slice(0, 4)}..`, shared]
  }
  const { unit, texts } = inOneUnit([before, after], formOf(name)[1])
  return [titled(name, unit), ...cellsOf(name, unit, texts), changeText(before, after)]
}

/** A figure of a phase that only one side has. */
function oneSidedRow({ name, before, after }: Derived): string[] {
  const { unit, texts } = inOneUnit([Number(before ?? after)], formOf(name)[1])
  const [cell = ''] = cellsOf(name, unit, texts)
  return before === null
    ? [titled(name, unit), '-', cell, 'added']
    : [titled(name, unit), cell, '-', 'dropped']
}

/** `+15 %`; nothing where the change is too small to tell, and of what was nothing before no share. */
function changeText(before: number, after: number): string {
  if (before === 0) return ''
  const share = ((after - before) / before) * 100
  return Math.abs(share) < 0.05 ? '' : `${share > 0 ? '+' : '-'}${significant(Math.abs(share), 2)} %`
}

function formOf(name: string): readonly [label: string, units: readonly Unit[]] {
  const figure = name.slice(name.lastIndexOf('.') + 1)
  return figureForms[figure] ?? [figure, decimal]
}

function titled(name: string, unit: string): string {
  const phase = phaseOf(name)
  return `  ${phase === undefined ? '' : `${phase}: `}${formOf(name)[0].replace('*', unit)}`
}

function cellsOf(name: string, unit: string, texts: readonly string[]): string[] {
  const named = formOf(name)[0].startsWith('*')
  return texts.map((text) => (named || unit === '' ? text : `${text} ${unit}`))
}

/** Numbers of one row in the unit that suits the largest, with as many decimals as tell the smallest. */
function inOneUnit(values: readonly number[], units: readonly Unit[]): { unit: string; texts: string[] } {
  const largest = Math.max(...values)
  const unit = units.findLast(({ factor }) => largest >= factor)
  if (unit === undefined) return { unit: '', texts: values.map(grouped) }
  const scaled = values.map((value) => value / unit.factor)
  const smallest = Math.min(...scaled.filter((value) => value > 0))
  const decimals = Math.max(0, Math.min(3, 2 - Math.floor(Math.log10(smallest))))
  return { unit: unit.name, texts: scaled.map((value) => (value === 0 ? '0' : value.toFixed(decimals))) }
}
