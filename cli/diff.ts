import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import pc from 'picocolors'
import { type Change, type DiffResult, diff, type Pair, type Side } from '../compiler/resolve/diff.js'
import { savedExperiments } from '../compiler/resolve/saved.js'
import type { Diagnostic, Span } from '../diagnostics/diagnostic.js'
import { type Derived, derive, figureLines } from './diff/derived.js'
import { exit } from './exit.js'
import { addFileOptions, addFormatOption, type FileOptions, fileOptions, formatOption } from './options.js'
import { reportDiagnostics, usesColor } from './print.js'
import { resolveEntry, warningsOf } from './resolve-file.js'
import { aligned } from './terminal/figures.js'

interface Options {
  readonly format?: string
  readonly json?: boolean
  readonly set?: string[]
  readonly param?: string[]
  readonly exitCode?: boolean
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
  const warnings: Diagnostic[] = []
  const result = diff(sideOf(a, given, warnings), sideOf(b, given, warnings))
  // Both sides may be of one file: what they warn of alike is said once.
  reportDiagnostics(warnings, format)
  const derived = result.pairs.flatMap(derive)
  process.stdout.write(
    format === 'json'
      ? `${JSON.stringify({ formatVersion: 1, changes: result.changes, derived })}\n`
      : write(result, derived, a, b),
  )
  return options.exitCode && result.changes.length > 0 ? exit.findings : exit.good
}

function sideOf(entry: string, options: FileOptions, warnings: Diagnostic[]): Side[] {
  if (existsSync(entry) && statSync(entry).isDirectory()) return savedExperiments(entry)
  const resolution = resolveEntry(entry, options)
  warnings.push(...warningsOf(resolution))
  const hash = entry.lastIndexOf('#')
  const namesVariant = hash >= 0 && entry.includes('.', hash)
  return resolution.experiments.map((family) => ({
    name: family.name,
    variants: family.variants.map((variant) => variant.resolved),
    namesVariant,
  }))
}

function write(result: DiffResult, derived: readonly Derived[], a: string, b: string): string {
  if (result.changes.length === 0) return 'no differences in meaning\n'
  const colors = pc.createColors(usesColor(process.stdout))
  const lines: string[] = []
  const titles = new Map(result.pairs.map((pair) => [nameOf(pair.experiment, pair.variant), titleOf(pair)]))
  const names = [...new Set(result.changes.map(ownerOf(result.pairs)))]
  for (const name of names) {
    const changes = result.changes.filter((change) => ownerOf(result.pairs)(change) === name)
    const rows = changes.map((change) => row(change, name, [a, b]))
    const title = titles.get(name) ?? name
    lines.push(
      ...aligned([[`  ${title}`, '', '', '', ...headings(a, b), ''], ...rows], columns).map((line, i) => {
        if (i === 0) return colors.bold(line.slice(2))
        const sign = line[0]
        return sign === '-' ? colors.red(line) : sign === '+' ? colors.green(line) : line
      }),
    )
    lines.push(...figureLines(derived.filter((d) => nameOf(d.experiment, d.variant) === name)), '')
  }
  return `${lines.join('\n').trimEnd()}\n`
}

/** `base`, or what it is compared with where that has another name: `base -> base.no_koleo`. */
function titleOf({ before, after }: Pair): string {
  const [from, to] = [before, after].map(({ name, variant }) => nameOf(name, variant))
  return from === to ? from! : `${from} -> ${to}`
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
function nameOf(experiment: string, variant: string): string {
  return variant === 'full' ? experiment : `${experiment}.${variant}`
}

/** The experiment and variant that a change's path begins with. */
function ownerOf(pairs: readonly Pair[]): (change: Change) => string {
  const names = pairs.map((pair) => nameOf(pair.experiment, pair.variant)).sort((a, b) => b.length - a.length)
  return (change) => names.find((name) => change.path.startsWith(`${name}.`)) ?? change.path
}

function row(change: Change, name: string, [a, b]: readonly [string, string]): string[] {
  const path = change.path === name ? '(whole)' : change.path.slice(name.length + 1)
  const sign = change.afterText === null ? '-' : change.beforeText === null ? '+' : ' '
  const both = change.beforeText !== null && change.afterText !== null
  return [
    `${sign} ${path}`,
    clip(change.beforeText ?? change.afterText ?? ''),
    both ? '->' : '',
    both ? clip(change.afterText!) : '',
    placeText(change.at.before, a),
    placeText(change.at.after, b),
    change.effect,
  ]
}

function clip(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 39)}…`
}

/** Line and column, with the file where it is not the column's own: a preset, a parent. */
function placeText(span: Span | null, entry: string): string {
  if (span === null) return ''
  const place = `${span.startLine}:${span.startColumn}`
  const own = span.file === fileOf(entry) || existsSync(join(entry, 'resolved.json'))
  return own ? place : `${shortPath(span.file)}:${place}`
}

function fileOf(entry: string): string {
  return entry.includes('#') ? entry.slice(0, entry.lastIndexOf('#')) : entry
}

/** The last folder and the name: `std/dinov2.dino`. */
function shortPath(file: string): string {
  return file.split('/').slice(-2).join('/')
}

/** What heads the columns of both sides: their last names, and as many folders before as tell them apart. */
function headings(a: string, b: string): [string, string] {
  const [left, right] = [a, b].map((entry) => fileOf(entry).split('/').filter(Boolean)) as [
    string[],
    string[],
  ]
  const tail = (parts: string[], count: number) => parts.slice(-count).join('/')
  const longest = Math.max(left.length, right.length)
  let count = 1
  while (count < longest && tail(left, count) === tail(right, count)) count++
  // One file, of which two experiments are compared: its name is enough.
  return tail(left, count) === tail(right, count)
    ? [tail(left, 1), tail(right, 1)]
    : [tail(left, count), tail(right, count)]
}
