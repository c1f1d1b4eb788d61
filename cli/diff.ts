import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import pc from 'picocolors'
import { type Change, type DiffResult, diff, type Pair, type Side } from '../compiler/resolve/diff.js'
import { savedExperiments } from '../compiler/resolve/saved.js'
import type { Diagnostic, Span } from '../diagnostics/diagnostic.js'
import { elided, elidedNames } from '../diagnostics/render/elided.js'
import { chunks, wrapped } from '../diagnostics/render/wrapped.js'
import { type Derived, derive, figureLines } from './diff/derived.js'
import { exit } from './exit.js'
import {
  addFileOptions,
  addFormatOption,
  type FileFlags,
  type FileOptions,
  type FormatFlags,
  fileOptions,
  formatOption,
} from './options.js'
import { columnsOf, reportDiagnostics, usesColor } from './print.js'
import { resolveEntry, warningsOf } from './resolve-file.js'
import { aligned } from './terminal/figures.js'
import { cut, shortened } from './terminal/screen.js'

interface Options extends FileFlags, FormatFlags {
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
      : write(result, derived, [a, b], columnsOf(process.stdout)),
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

function write(
  result: DiffResult,
  derived: readonly Derived[],
  [a, b]: readonly [string, string],
  width: number,
): string {
  if (result.changes.length === 0) return 'no differences in meaning\n'
  const colors = pc.createColors(usesColor(process.stdout))
  const lines: string[] = []
  const titles = new Map(result.pairs.map((pair) => [nameOf(pair.experiment, pair.variant), titleOf(pair)]))
  const names = [...new Set(result.changes.map(ownerOf(result.pairs)))]
  for (const name of names) {
    const changes = result.changes.filter((change) => ownerOf(result.pairs)(change) === name)
    lines.push(
      ...changeLines(changes, name, titles.get(name) ?? name, [a, b], width).map((line, i) => {
        if (i === 0) return colors.bold(line)
        const sign = line[0]
        return sign === '-' ? colors.red(line) : sign === '+' ? colors.green(line) : line
      }),
    )
    lines.push(...figureLines(derived.filter((d) => nameOf(d.experiment, d.variant) === name)), '')
  }
  return `${lines.join('\n').trimEnd()}\n`
}

/** How a table of changes is set. Values that do not fit, cut to where they differ, stand below their row. */
interface Form {
  /** Characters of a path and of a value. */
  readonly path: number
  readonly value: number
  /** The last folder and name of another file, its name alone, or places in a line of their own. */
  readonly places: 'folder' | 'name' | 'below'
}

/** Of those that fit, the first that keeps the most values in its columns, and whole. */
const forms: readonly Form[] = [
  { path: 60, value: 40, places: 'folder' },
  { path: 40, value: 28, places: 'folder' },
  { path: 36, value: 24, places: 'name' },
  { path: 32, value: 18, places: 'name' },
  { path: 40, value: 28, places: 'below' },
  { path: 40, value: 20, places: 'below' },
  { path: 24, value: 12, places: 'below' },
  { path: 24, value: 0, places: 'below' },
]

/** A title and the changes, at most `width` wide. */
function changeLines(
  changes: readonly Change[],
  name: string,
  title: string,
  entries: readonly [string, string],
  width: number,
): string[] {
  const tables = forms.map((form) => ({
    lines: tableLines(changes, name, title, entries, form, width),
    lost: changes.reduce((sum, change) => sum + lostIn(change, form), 0),
  }))
  const fitting = tables.filter(({ lines }) => lines.every((line) => line.length <= width))
  const least = Math.min(...fitting.map(({ lost }) => lost))
  const table = fitting.find(({ lost }) => lost === least)
  return table?.lines ?? tables.at(-1)!.lines.map((line) => cut(line, width))
}

function tableLines(
  changes: readonly Change[],
  name: string,
  title: string,
  entries: readonly [string, string],
  form: Form,
  width: number,
): string[] {
  const head = elidedNames(headings(...entries), Math.max(form.value, 12))
  const rows = changes.map((change) => row(change, name, form))
  const places = changes.map((change) => [
    placeText(change.at.before, entries[0], form),
    placeText(change.at.after, entries[1], form),
  ])
  const values = changes.map((change) => (valueCells(change, form) === null ? valueLines(change, width) : []))
  if (form.places !== 'below') {
    const cells = rows.map((cells, i) => [...cells.slice(0, 4), ...places[i]!, cells[4]!])
    const [first, ...rest] = aligned([[`  ${title}`, '', '', '', ...head, ''], ...cells], columns)
    return [first!.slice(2), ...rest.flatMap((line, i) => [line, ...values[i]!])]
  }
  const lines = aligned(rows, columns.slice(0, 5))
  const [left, right] = head
  return [
    left === right ? `${title}   ${left}` : `${title}   ${left} -> ${right}`,
    ...lines.flatMap((line, i) => {
      const at = places[i]!.filter((place) => place !== '').join(' -> ')
      return [line, ...values[i]!, ...(at === '' ? [] : [`${indent}${at}`])]
    }),
  ]
}

const indent = ' '.repeat(6)

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

/** Path, value, arrow, new value, effect. */
function row(change: Change, name: string, form: Form): string[] {
  const path = change.path === name ? '(whole)' : change.path.slice(name.length + 1)
  const sign = change.afterText === null ? '-' : change.beforeText === null ? '+' : ' '
  return [
    `${sign} ${shortened(path, form.path)}`,
    ...(valueCells(change, form) ?? ['', '', '']),
    change.effect,
  ]
}

/** Value, arrow, new value; null where they do not fit, cut to where they differ. */
function valueCells({ beforeText, afterText }: Change, { value }: Form): [string, string, string] | null {
  const texts = elided(
    [beforeText, afterText].flatMap((text) => text ?? []),
    value,
  )
  if (texts.some((text) => text.length > value)) return null
  return texts.length === 2 ? [texts[0]!, '->', texts[1]!] : [texts[0] ?? '', '', '']
}

/** How much of a change its columns do not show: a value below its row counts as two that are cut. */
function lostIn(change: Change, form: Form): number {
  const cells = valueCells(change, form)
  if (cells === null) return 2
  const whole = [change.beforeText, change.afterText].every((text) => text === null || cells.includes(text))
  return whole ? 0 : 1
}

/** Both values in full, in as many lines as they take. */
function valueLines({ beforeText, afterText }: Change, width: number): string[] {
  const before = beforeText === null ? [] : folded(beforeText, width - indent.length)
  if (afterText === null) return before.map((line) => indent + line)
  const arrow = beforeText === null ? '' : '-> '
  const after = folded(afterText, width - indent.length - arrow.length)
  return [
    ...before.map((line) => indent + line),
    ...after.map((line, i) => indent + (i === 0 ? arrow : ' '.repeat(arrow.length)) + line),
  ]
}

/** A text in lines of at most `width`, folded at spaces where it has them. */
function folded(text: string, width: number): string[] {
  const words = text.split(' ').flatMap((word) => chunks(word, Math.max(1, width)))
  return wrapped(words, ' ', width)
}

/** Line and column, with the file where it is not the column's own: a preset, a parent. */
function placeText(span: Span | null, entry: string, { places }: Form): string {
  if (span === null) return ''
  const place = `${span.startLine}:${span.startColumn}`
  const own = span.file === fileOf(entry) || existsSync(join(entry, 'resolved.json'))
  return own ? place : `${lastParts(span.file, places === 'folder' ? 2 : 1)}:${place}`
}

function fileOf(entry: string): string {
  return entry.includes('#') ? entry.slice(0, entry.lastIndexOf('#')) : entry
}

/** The last folder and the name: `std/dinov2.dino`; or the name alone. */
function lastParts(file: string, count: number): string {
  return file.split('/').slice(-count).join('/')
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
