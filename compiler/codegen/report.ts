import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Handlebars from 'handlebars'

/**
 * What a report says, ready to be set: numbers are text already, charts are SVG text, pictures are data URIs. The
 * template decides nothing, and sets all text as text: names may hold anything.
 */
export interface ReportModel {
  readonly title: string
  readonly description: string | null
  /** Sentences: what mattered, and how sure that is. */
  readonly findings: readonly string[]
  /** Monitors that spoke, runs that failed or were interrupted. */
  readonly notices: readonly Notice[]
  /** The primary metric. */
  readonly metric: MetricTable | null
  /** All other metrics, and what each variant cost. */
  readonly plain: readonly PlainTable[]
  readonly training: Curves | null
  /** Curves of what the monitors watch. */
  readonly health: Curves | null
  readonly gallery: Gallery | null
  readonly variants: readonly VariantChanges[]
  readonly facts: readonly Fact[]
  readonly protocols: readonly { readonly name: string; readonly identity: string; readonly text: string }[]
  /** What was typed for the runs: usually one command. */
  readonly commands: readonly string[]
}

export interface Notice {
  readonly level: 'warning' | 'error'
  readonly who: string
  readonly text: string
}

export interface Fact {
  readonly label: string
  readonly value: string
}

export interface Figure {
  readonly title: string
  readonly svg: string
  /** For readers who cannot see it. */
  readonly alt: string
}

/** Curves of all variants with one legend for all of them. */
export interface Curves {
  readonly caption: string
  readonly legend: readonly { readonly name: string; readonly colour: string }[]
  readonly curves: readonly Figure[]
}

export interface MetricTable {
  readonly title: string
  /** The variant that the others are compared with. */
  readonly base: string
  /** "95 % bootstrap over 757 test images, 10,000 resamples" */
  readonly interval: string
  readonly rows: readonly MetricRow[]
  readonly figures: readonly Figure[]
}

export interface MetricRow {
  readonly name: string
  /** Reference rows (untrained, raw pixels) are set apart from the variants. */
  readonly reference: boolean
  readonly value: string
  readonly interval: string
  readonly seeds: string
  readonly difference: string | null
  readonly differenceInterval: string | null
  readonly verdict: 'better' | 'worse' | 'unclear' | null
}

export interface PlainTable {
  readonly title: string
  readonly caption: string | null
  readonly columns: readonly string[]
  readonly rows: readonly { readonly name: string; readonly cells: readonly string[] }[]
}

export interface VariantChanges {
  readonly name: string
  readonly rows: readonly {
    readonly path: string
    readonly before: string
    readonly after: string
    readonly effect: string
    readonly at: string
  }[]
}

export interface Gallery {
  readonly maps: {
    readonly caption: string
    /** The pictures, then their feature maps by one run a strip; the same pictures in the same order in each. */
    readonly strips: readonly { readonly name: string; readonly pictures: readonly Picture[] }[]
  } | null
  readonly neighbours: {
    readonly caption: string
    readonly blocks: readonly {
      readonly name: string
      readonly rows: readonly {
        readonly query: Picture
        readonly found: readonly (Picture & { readonly same: boolean })[]
      }[]
    }[]
  } | null
}

export interface Picture {
  readonly uri: string
  readonly label: string
}

const templates = join(fileURLToPath(new URL('.', import.meta.url)), 'templates')

/** One self-contained HTML page: no scripts, no network. */
export function renderReport(model: ReportModel): string {
  const handlebars = Handlebars.create()
  handlebars.registerHelper('inlineCode', inlineCode)
  const style = readFileSync(join(templates, 'report.css'), 'utf8')
  const page = handlebars.compile(readFileSync(join(templates, 'report.hbs'), 'utf8'), { strict: true })
  return page({ ...model, style })
}

/** Text in which diagnostics quote code between backticks; each piece is set as text. */
function inlineCode(text: string): Handlebars.SafeString {
  const asText = Handlebars.escapeExpression
  const pieces = text.split(/`([^`]+)`/)
  return new Handlebars.SafeString(
    pieces.map((piece, i) => (i % 2 === 0 ? asText(piece) : `<code>${asText(piece)}</code>`)).join(''),
  )
}
