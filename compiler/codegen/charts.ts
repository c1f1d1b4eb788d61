import type { TopLevelSpec } from 'vega-lite'
import { elidedNames } from '../../diagnostics/render/elided.js'
import { chunks } from '../../diagnostics/render/wrapped.js'

/** Okabe and Ito's colours, which stay apart for colour-blind readers; yellow, too pale for lines, is left out. */
export const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000']

/** For what is not a variant or not among those pointed out. */
export const quietColour = '#a9b0b7'

export interface Series {
  readonly name: string
  readonly colour: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

export interface LineChart {
  readonly x: string
  /** Drawn in this order: the last lies on top. A legend is the page's, one for all charts. */
  readonly series: readonly Series[]
  /** A dashed horizontal line and its meaning. */
  readonly reference?: { readonly y: number; readonly label: string }
}

/** A value with its 95 % interval for each variant. */
export interface IntervalChart {
  readonly x: string
  readonly rows: readonly {
    readonly name: string
    readonly colour: string
    readonly value: number
    readonly low: number
    readonly high: number
  }[]
  /** A vertical line, such as no difference. */
  readonly zero?: number
}

/** All charts are of this width, so that a page can lay them out in columns. */
const width = 360
const height = 210

const config = {
  background: 'transparent',
  font: 'system-ui, sans-serif',
  axis: {
    grid: true,
    gridColor: '#e8e8e8',
    domainColor: '#999',
    tickColor: '#999',
    labelColor: '#555',
    labelFontSize: 11,
    titleColor: '#555',
    titleFontSize: 11,
    titleFontWeight: 'normal',
  },
  view: { stroke: null },
} as const

const fit = { type: 'fit', contains: 'padding' } as const

/** Up to so many points of a line are marked: they were measured, what lies between was not. */
const fewPoints = 24

/** An SVG document as text: static, without scripts or references to anything outside. */
export async function lineChart({ x, series, reference }: LineChart): Promise<string> {
  const values = series.flatMap((s, order) =>
    s.points.map((p) => ({ ...p, order, colour: s.colour, thin: s.colour === quietColour ? 1 : 1.8 })),
  )
  const few = series.every((s) => s.points.length <= fewPoints)
  const lines = {
    data: { values },
    mark: { type: 'line', interpolate: 'linear', ...(few && { point: { size: 25 } }) },
    encoding: {
      x: { field: 'x', type: 'quantitative', title: x, axis: { tickCount: 6, tickMinStep: 1 } },
      y: { field: 'y', type: 'quantitative', title: null, scale: { zero: false }, axis: { tickCount: 5 } },
      detail: { field: 'order', type: 'ordinal' },
      color: { field: 'colour', type: 'nominal', scale: null },
      strokeWidth: { field: 'thin', type: 'quantitative', scale: null },
    },
  }
  const rule = reference && {
    data: { values: [reference] },
    mark: { type: 'rule', strokeDash: [4, 4], color: '#777' },
    encoding: { y: { field: 'y', type: 'quantitative' } },
  }
  // Above the chart: within it a curve may run through any place.
  const title = reference && {
    text: `╌╌ ${reference.label}`,
    anchor: 'end',
    fontSize: 11,
    fontWeight: 'normal',
    color: '#555',
    offset: 4,
  }
  const layer = rule ? [lines, rule] : [lines]
  return draw({ width, height, autosize: fit, layer, ...(title && { title }), config } as TopLevelSpec)
}

export async function intervalChart({ x, rows, zero }: IntervalChart): Promise<string> {
  // Names may be alike: rows are told apart by their number.
  const values = rows.map((row, i) => ({ ...row, row: String(i) }))
  const shown = labelsOf(rows.map((row) => row.name))
  const names = Object.fromEntries(shown.map((name, i) => [String(i), name]))
  const y = {
    field: 'row',
    type: 'nominal',
    sort: null,
    title: null,
    scale: { domain: Object.keys(names) },
    axis: {
      labelExpr: `(${JSON.stringify(names)})[datum.label]`,
      // They are short already: no second cut.
      labelLimit: 0,
      labelLineHeight,
      grid: false,
      ticks: false,
    },
  }
  const colour = { field: 'colour', type: 'nominal', scale: null }
  const layers: unknown[] = [
    {
      data: { values },
      mark: { type: 'rule', strokeWidth: 2.5 },
      encoding: {
        y,
        x: {
          field: 'low',
          type: 'quantitative',
          title: x,
          scale: { zero: false },
          axis: { tickCount: 5 },
        },
        x2: { field: 'high' },
        color: colour,
      },
    },
    {
      data: { values },
      mark: { type: 'point', filled: true, size: 60, opacity: 1 },
      encoding: { y, x: { field: 'value', type: 'quantitative' }, color: colour },
    },
  ]
  if (zero !== undefined)
    layers.unshift({
      data: { values: [{ x: zero }] },
      mark: { type: 'rule', strokeDash: [4, 4], color: '#777' },
      encoding: { x: { field: 'x', type: 'quantitative' } },
    })
  const lines = Math.max(1, ...shown.map((label) => label.length))
  const tall = 46 + rows.length * ((rows.length > 16 ? 17 : 26) + (lines - 1) * labelLineHeight)
  return draw({ width, height: tall, autosize: fit, layer: layers, config } as TopLevelSpec)
}

/** Characters of a label that leave a chart its room; where names differ by more, a label takes several lines. */
const longestLabel = 20
const longestLine = 28
const labelLineHeight = 13

/** Long names without what they have in common, which tells nothing: each in the lines that it takes. */
export function labelsOf(names: readonly string[]): string[][] {
  return elidedNames(names, longestLabel).map((name) => chunks(name, longestLine))
}

/** Vega is large and only reports need it. */
async function draw(spec: TopLevelSpec): Promise<string> {
  const [vega, lite] = await Promise.all([import('vega'), import('vega-lite')])
  const view = new vega.View(vega.parse(lite.compile(spec).spec), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  return svg
}
