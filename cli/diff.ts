import { existsSync, statSync } from 'node:fs'
import type { Command } from 'commander'
import pc from 'picocolors'
import { embeddedTarget, planVariant } from '../compiler/compile.js'
import type { VariantCost } from '../compiler/plan/cost.js'
import { type Change, type DiffResult, diff, type Pair, type Side } from '../compiler/resolve/diff.js'
import { canonicalForm, configIdentity } from '../compiler/resolve/identity.js'
import { savedExperiments } from '../compiler/resolve/saved.js'
import type { Span } from '../diagnostics/diagnostic.js'
import { exit } from './exit.js'
import { addFileOptions, addFormatOption, type FileOptions, fileOptions, formatOption } from './options.js'
import { usesColor } from './print.js'
import { resolveFile } from './resolve-file.js'
import { aligned, significant } from './terminal/figures.js'

interface Options {
  readonly format?: string
  readonly json?: boolean
  readonly set?: string[]
  readonly param?: string[]
  readonly exitCode?: boolean
}

/** One figure that follows from the changes of a pair; null where it cannot be known without data. */
interface Derived {
  readonly experiment: string
  readonly variant: string
  /** `parameters`, `pretrain.peakBytes`. */
  readonly name: string
  readonly before: number | string | null
  readonly after: number | string | null
}

export function define(command: Command): void {
  addFormatOption(
    addFileOptions(
      command
        .argument('<a>', 'FILE, FILE#experiment.variant, or a run directory')
        .argument('<b>', 'the same, to compare with'),
    ),
  )
    .option('--exit-code', 'exit with 1 where anything differs')
    .action((a: string, b: string, options: Options) => {
      process.exitCode = run(a, b, options)
    })
}

function run(a: string, b: string, options: Options): number {
  const format = formatOption(options)
  const given = fileOptions({ ...options })
  const result = diff(sideOf(a, given, format), sideOf(b, given, format))
  const derived = result.pairs.flatMap(derive)
  process.stdout.write(
    format === 'json'
      ? `${JSON.stringify({ formatVersion: 1, changes: result.changes, derived })}\n`
      : write(result, derived, a, b),
  )
  return options.exitCode && result.changes.length > 0 ? exit.findings : exit.good
}

function sideOf(entry: string, options: FileOptions, format: 'human' | 'json'): Side[] {
  if (existsSync(entry) && statSync(entry).isDirectory()) return savedExperiments(entry)
  const { experiments } = resolveFile(entry, options, format)
  return experiments.map((family) => ({
    name: family.name,
    variants: family.variants.map((variant) => variant.resolved),
  }))
}

/** What follows from the differences of a pair; nothing where it differs in nothing that costs. */
function derive(pair: Pair): Derived[] {
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

function write(result: DiffResult, derived: readonly Derived[], a: string, b: string): string {
  if (result.changes.length === 0) return 'no differences in meaning\n'
  const colors = pc.createColors(usesColor(process.stdout))
  const lines: string[] = []
  const names = [...new Set(result.changes.map(ownerOf(result.pairs)))]
  for (const name of names) {
    const changes = result.changes.filter((change) => ownerOf(result.pairs)(change) === name)
    const rows = changes.map((change) => row(change, name))
    lines.push(
      ...[...aligned([[`  ${name}`, '', '', '', shortFile(a), shortFile(b), ''], ...rows], columns)].map(
        (line, i) => {
          if (i === 0) return colors.bold(line.slice(2))
          const sign = line[0]
          return sign === '-' ? colors.red(line) : sign === '+' ? colors.green(line) : line
        },
      ),
    )
    const own = derived.filter(
      (d) =>
        nameOf(d.experiment, d.variant) === name &&
        d.before !== null &&
        d.after !== null &&
        (d.before !== 0 || d.after !== 0),
    )
    if (own.length > 0) {
      lines.push('')
      const table = [['what follows', 'a', 'b', ''], ...own.map(figureRow)]
      lines.push(...aligned(table, figureColumns))
    }
    lines.push('')
  }
  return `${lines.join('\n').trimEnd()}\n`
}

const columns = [
  { align: 'left' },
  { align: 'left', gap: 3 },
  { align: 'left', gap: 1 },
  { align: 'left', gap: 1 },
  { align: 'left', gap: 3 },
  { align: 'left', gap: 3 },
  { align: 'left', gap: 3 },
] as const
const figureColumns = [
  { align: 'left' },
  { align: 'right', gap: 3 },
  { align: 'right', gap: 3 },
  { align: 'right', gap: 3 },
] as const

function nameOf(experiment: string, variant: string): string {
  return variant === 'full' ? experiment : `${experiment}.${variant}`
}

/** The experiment and variant that a change's path begins with. */
function ownerOf(pairs: readonly Pair[]): (change: Change) => string {
  const names = pairs.map((pair) => nameOf(pair.experiment, pair.variant)).sort((a, b) => b.length - a.length)
  return (change) => names.find((name) => change.path.startsWith(`${name}.`)) ?? change.path
}

function row(change: Change, name: string): string[] {
  const path = change.path === name ? '(whole)' : change.path.slice(name.length + 1)
  const sign = change.afterText === null ? '-' : change.beforeText === null ? '+' : ' '
  const both = change.beforeText !== null && change.afterText !== null
  return [
    `${sign} ${path}`,
    clip(change.beforeText ?? change.afterText ?? ''),
    both ? '->' : '',
    both ? clip(change.afterText!) : '',
    placeText(change.at.before),
    placeText(change.at.after),
    change.effect,
  ]
}

function clip(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 39)}…`
}

function placeText(span: Span | null): string {
  return span === null ? '' : `${span.startLine}:${span.startColumn}`
}

function shortFile(entry: string): string {
  const file = entry.includes('#') ? entry.slice(0, entry.lastIndexOf('#')) : entry
  return file.slice(file.lastIndexOf('/') + 1)
}

/** How each figure is called and written. */
const figureForms: Readonly<Record<string, readonly [label: string, write: (value: number) => string]>> = {
  parameters: ['parameters', scaled],
  tokensPerImage: ['tokens per image', scaled],
  modelFlopsPerImage: ['FLOP per image', scaled],
  executedFlopsPerStep: ['FLOP per step, executed', scaled],
  peakBytes: ['peak memory of a rank', binary],
  collectiveBytesPerStep: ['communication per step', binary],
  imagesSeen: ['images seen', scaled],
}

function figureRow({ name, before, after }: Derived): string[] {
  const [figure, phase] = name.split('.').reverse() as [string, string | undefined]
  const [label, write] = figureForms[figure] ?? [figure, String]
  const title = `  ${phase === undefined ? '' : `${phase}: `}${label}`
  if (typeof before === 'string' || typeof after === 'string') {
    const shared = before === after ? 'runs can be shared' : 'no run can be shared'
    return [title, `${String(before).slice(0, 4)}..`, `${String(after).slice(0, 4)}..`, shared]
  }
  const share = ((after! - before!) / (before || 1)) * 100
  const change = Math.abs(share) < 0.05 ? '' : `${share > 0 ? '+' : '-'}${significant(Math.abs(share), 2)} %`
  return [title, write(before!), write(after!), change]
}

function binary(value: number): string {
  if (value === 0) return '0'
  return value >= 2 ** 30
    ? `${significant(value / 2 ** 30, 3)} GiB`
    : `${significant(value / 2 ** 20, 3)} MiB`
}

function scaled(value: number): string {
  for (const [factor, letter] of [
    [1e15, 'P'],
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
  ] as const)
    if (value >= factor) return `${significant(value / factor, 3)} ${letter}`
  return String(Math.round(value))
}
