import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Handlebars from 'handlebars'

/**
 * What a report says, ready to be set: numbers are text already, charts are SVG text, pictures are data URIs. The
 * template decides nothing.
 */
export interface ReportModel {
  readonly title: string
  readonly description: string | null
  /** One or two sentences: what mattered, and how sure that is. */
  readonly findings: readonly string[]
  readonly facts: readonly Fact[]
  readonly tables: readonly MetricTable[]
  /** All metrics, and what each variant cost. */
  readonly plain: readonly PlainTable[]
  readonly curves: readonly Figure[]
  readonly variants: readonly VariantChanges[]
  readonly gallery: Gallery | null
  /** Monitors that spoke, runs that failed or were interrupted. */
  readonly health: readonly {
    readonly level: 'warning' | 'error'
    readonly who: string
    readonly text: string
  }[]
  readonly protocols: readonly { readonly name: string; readonly identity: string; readonly text: string }[]
  /** How to make it again: one command. */
  readonly command: string
}

export interface Fact {
  readonly label: string
  readonly value: string
}

export interface Figure {
  readonly svg: string
  /** For readers who cannot see it. */
  readonly alt: string
}

export interface MetricTable {
  readonly title: string
  /** "95 % bootstrap over 757 test images, 10,000 resamples" */
  readonly interval: string
  readonly rows: readonly MetricRow[]
  readonly figure: Figure | null
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
    readonly heads: readonly string[]
    /** One row an image: the picture, then its feature map for each head. */
    readonly rows: readonly { readonly alt: string; readonly pictures: readonly string[] }[]
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
  const style = readFileSync(join(templates, 'report.css'), 'utf8')
  const page = handlebars.compile(readFileSync(join(templates, 'report.hbs'), 'utf8'), { strict: true })
  return page({ ...model, style })
}
