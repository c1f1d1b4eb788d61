import pc from 'picocolors'
import type { Diagnostic, Label, Severity, Span } from '../diagnostic.js'
import { type Cells, cellsOf, sliceCells } from './cells.js'
import { wrapped } from './wrapped.js'

export interface HumanOptions {
  /** The lines of a file, null where it cannot be read: then places are named without their lines. */
  readonly lines: (file: string) => readonly string[] | null
  readonly color: boolean
  /** Columns of the terminal; longer source lines are cut around what they show. */
  readonly width: number
}

interface Mark extends Label {
  readonly primary: boolean
}

/** Rust's frame: what is wrong, where, every place that contributes, why, and what to type. */
export function renderHuman(diagnostic: Diagnostic, options: HumanOptions): string {
  const paint = painter(diagnostic.severity, options.color)
  const marks: Mark[] = [
    ...(diagnostic.primary ? [{ ...diagnostic.primary, primary: true }] : []),
    ...diagnostic.labels.map((label) => ({ ...label, primary: false })),
  ]
  const gutter = String(Math.max(0, ...marks.map((mark) => mark.span.startLine))).length
  const lines = headline(diagnostic, options.width, paint)
  for (const [index, group] of byFile(marks).entries()) {
    const first = group.find((mark) => mark.primary) ?? group[0]!
    lines.push(`${' '.repeat(gutter)}${paint.frame(index === 0 ? '-->' : ':::')} ${place(first.span)}`)
    lines.push(...snippet(group, first.span, gutter, options, paint))
  }
  const aside = (kind: string, text: string) => {
    const indent = ' '.repeat(gutter + 5 + kind.length)
    // A command, which somebody may copy, stays in one piece.
    const room = command.test(text) ? Number.POSITIVE_INFINITY : Math.max(20, options.width - indent.length)
    const [head, ...rest] = text.split('\n').flatMap((line) => folded(line, room))
    return [
      `${' '.repeat(gutter + 1)}${paint.frame('=')} ${paint.bold(`${kind}:`)} ${head}`,
      ...rest.map((line) => indent + line),
    ]
  }
  for (const note of diagnostic.notes) lines.push(...aside('note', note))
  for (const help of diagnostic.help) lines.push(...aside('help', help))
  lines.push(...aside('more', `dinoc explain ${diagnostic.code}`))
  return lines.join('\n')
}

/** What is wrong, in as many lines as the terminal takes. */
function headline({ severity, code, message }: Diagnostic, width: number, paint: Painter): string[] {
  const label = `${severity}[${code}]`
  const [first = '', ...rest] = folded(`${label}: ${message}`, width, '  ')
  return [
    `${paint.severity(label)}${paint.bold(first.slice(label.length))}`,
    ...rest.map((line) => paint.bold(line)),
  ]
}

const command = /^(dinoc|npm|npx|node|chmod|--\w+) /

/** A line that is too long, broken between words, code in backticks being one; `indent` stands before all but the first. */
function folded(line: string, width: number, indent = ''): string[] {
  if (cellsOf(line).text.length <= width) return [line]
  const [first = '', ...rest] = wrapped(line.match(/(?:`[^`]*`|[^ ])+/g) ?? [], ' ', width - indent.length)
  return [first, ...rest.map((part) => indent + part)]
}

interface Painter {
  readonly severity: (text: string) => string
  readonly bold: (text: string) => string
  readonly frame: (text: string) => string
  readonly mark: (mark: Mark, text: string) => string
}

function painter(severity: Severity, enabled: boolean): Painter {
  const colors = pc.createColors(enabled)
  const own = { error: colors.red, warning: colors.yellow, note: colors.cyan }[severity]
  return {
    severity: (text) => colors.bold(own(text)),
    bold: colors.bold,
    frame: (text) => colors.bold(colors.blue(text)),
    mark: (mark, text) => (mark.primary ? colors.bold(own(text)) : colors.blue(text)),
  }
}

export function place(span: Span): string {
  return `${span.file}:${span.startLine}:${span.startColumn}`
}

/** The file of the primary span first, the others in the order in which labels name them. */
function byFile(marks: readonly Mark[]): Mark[][] {
  const groups = new Map<string, Mark[]>()
  for (const mark of marks) groups.set(mark.span.file, [...(groups.get(mark.span.file) ?? []), mark])
  return [...groups.values()]
}

/** The lines of one file that have marks, with `...` where lines between are left out. */
function snippet(
  marks: readonly Mark[],
  shown: Span,
  gutter: number,
  options: HumanOptions,
  paint: Painter,
): string[] {
  const bar = `${' '.repeat(gutter + 1)}${paint.frame('|')}`
  const source = options.lines(marks[0]!.span.file)
  if (!source) {
    // the place of the first mark stands above already
    const said = marks.filter((mark) => mark.message)
    const where = (mark: Mark) => (mark.span === shown ? '' : `${place(mark.span)}: `)
    return [...said.map((mark) => `${bar} ${where(mark)}${mark.message}`), bar]
  }
  const lines = [bar]
  const numbers = [...new Set(marks.map((mark) => mark.span.startLine))].sort((a, b) => a - b)
  let previous: number | null = null
  for (const number of numbers) {
    const skipped = previous === null ? 0 : number - previous - 1
    if (skipped === 1)
      lines.push(sourceLine(previous! + 1, cellsOf(source[previous!] ?? '').text, gutter, options, paint))
    else if (skipped > 1) lines.push(paint.frame('...'))
    const onLine = marks.filter((mark) => mark.span.startLine === number)
    for (const stretch of stretches(source[number - 1] ?? '', onLine))
      for (const window of windows(cellsOf(stretch.text), stretch.marks, gutter, options))
        lines.push(
          sourceLine(number, window.text, gutter, options, paint),
          ...underlines(window.marks, bar, roomFor(gutter, options), paint),
        )
    previous = number
  }
  return [...lines, bar]
}

function sourceLine(
  number: number,
  text: string,
  gutter: number,
  options: HumanOptions,
  paint: Painter,
): string {
  const room = roomFor(gutter, options)
  const cut = sliceCells(text, 0, room)
  const shown = cut.length < text.trimEnd().length ? `${sliceCells(text, 0, room - 3)}...` : text
  return `${paint.frame(`${String(number).padStart(gutter)} |`)} ${shown}`.trimEnd()
}

/** Cells beside the bar. */
function roomFor(gutter: number, { width }: HumanOptions): number {
  return Math.max(20, width - gutter - 3)
}

/** The lines of a text, as diagnostics count them. */
export function linesOf(text: string): string[] {
  return text.split(/\r\n|\r|\n/)
}

const longest = 4096

/** A line as a whole; of one that no terminal could show, the part around each mark. */
function stretches(line: string, marks: readonly Mark[]): { text: string; marks: readonly Mark[] }[] {
  if (line.length <= longest) return [{ text: line, marks }]
  return marks.map((mark) => {
    const from = Math.max(0, mark.span.startColumn - 1 - longest / 4)
    const { startColumn, endColumn } = mark.span
    const span = { ...mark.span, startColumn: startColumn - from, endColumn: endColumn - from }
    return { text: line.slice(from, from + longest), marks: [{ ...mark, span }] }
  })
}

interface Placed {
  readonly mark: Mark
  /** First cell of the underline, and the number of cells. */
  readonly start: number
  readonly length: number
}

/** A line that fits is shown once; a longer one once for each of its marks, cut around the mark. */
function windows(
  cells: Cells,
  marks: readonly Mark[],
  gutter: number,
  options: HumanOptions,
): { text: string; marks: Placed[] }[] {
  const total = cells.at.at(-1)!
  const placed = marks
    .map((mark) => {
      const start = cells.at[Math.min(mark.span.startColumn - 1, cells.at.length - 1)]!
      const sameLine = mark.span.endLine === mark.span.startLine
      const end = sameLine
        ? (cells.at[Math.min(mark.span.endColumn - 1, cells.at.length - 1)] ?? total)
        : total
      return { mark, start, length: Math.max(1, end - start) }
    })
    .sort((a, b) => a.start - b.start)
  const room = roomFor(gutter, options)
  if (total <= room) return [{ text: cells.text, marks: placed }]
  return placed.map((p) => {
    const from = Math.max(0, Math.min(p.start - Math.floor(room / 3), total - room + 3))
    const cutLeft = from > 0
    const cutRight = from + room < total
    const start = cutLeft ? from + 3 : from
    const end = from + room - (cutRight ? 3 : 0)
    const text = `${cutLeft ? '...' : ''}${sliceCells(cells.text, start, end)}${cutRight ? '...' : ''}`
    return { text, marks: [{ ...p, start: p.start - from, length: Math.min(p.length, end - p.start) }] }
  })
}

/**
 * The marks under one line: `^` for the primary, `-` for others; messages beside the last where there is room, then
 * below, right to left, under their marks or as far left of them as it takes to fit.
 */
function underlines(placed: readonly Placed[], bar: string, room: number, paint: Painter): string[] {
  const last = placed.at(-1)!
  const message = ({ mark }: Placed) =>
    (mark.message + (mark.span.endLine > mark.span.startLine ? ` (to line ${mark.span.endLine})` : '')).trim()
  // the rightmost message stands beside its mark, unless another mark lies under it
  const free = placed.every((p) => p === last || p.start + p.length <= last.start)
  const beside = free && last.start + last.length + 1 + message(last).length <= room ? last : null
  let row = ''
  let cell = 0
  for (const { mark, start, length } of placed) {
    const from = Math.max(start, cell)
    const to = Math.max(from, start + length)
    row += ' '.repeat(from - cell) + paint.mark(mark, (mark.primary ? '^' : '-').repeat(to - from))
    cell = to
  }
  const besideText = beside && message(beside)
  const lines = [`${bar} ${row}${besideText ? ` ${paint.mark(beside.mark, besideText)}` : ''}`]
  const below = placed.filter((p) => p !== beside && message(p))
  for (let i = below.length - 1; i >= 0; i--) {
    const own = below[i]!
    const parts = wrapped(message(own).split(' '), ' ', room)
    const column = Math.max(0, Math.min(own.start, room - Math.max(...parts.map((part) => part.length))))
    for (const part of parts) {
      let text = ''
      let at = 0
      for (const p of below.slice(0, i)) {
        // a bar that would touch the message is left out
        if (p.start < at || p.start >= column - 1) continue
        text += `${' '.repeat(p.start - at)}${paint.mark(p.mark, '|')}`
        at = p.start + 1
      }
      lines.push(`${bar} ${text}${' '.repeat(Math.max(0, column - at))}${paint.mark(own.mark, part)}`)
    }
  }
  return lines
}
