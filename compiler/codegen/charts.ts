import type { TopLevelSpec } from 'vega-lite'

/** Okabe and Ito's colours, which stay apart for colour-blind readers. */
export const palette = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#e69f00',
  '#56b4e9',
  '#000000',
  '#f0e442',
]

export interface Series {
  readonly name: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

export interface LineChart {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly series: readonly Series[]
  /** A horizontal line with its meaning, such as ln K. */
  readonly reference?: { readonly y: number; readonly label: string }
}

/** A metric with its 95 % interval for each variant. */
export interface IntervalChart {
  readonly title: string
  readonly x: string
  readonly rows: readonly {
    readonly name: string
    readonly value: number
    readonly low: number
    readonly high: number
  }[]
  /** A vertical line, such as no difference. */
  readonly zero?: number
}

const config = {
  background: 'transparent',
  font: 'system-ui, sans-serif',
  axis: {
    grid: true,
    gridColor: '#e8e8e8',
    domainColor: '#999',
    tickColor: '#999',
    labelColor: '#555',
    titleColor: '#333',
    titleFontWeight: 'normal',
  },
  legend: { orient: 'bottom', title: null, labelColor: '#333' },
  title: { anchor: 'start', fontSize: 13, fontWeight: 600, color: '#222' },
  view: { stroke: null },
} as const

/** An SVG document as text: static, without scripts or references to anything outside. */
export async function lineChart(chart: LineChart): Promise<string> {
  const values = chart.series.flatMap((s) => s.points.map((p) => ({ ...p, series: s.name })))
  const names = chart.series.map((s) => s.name)
  const lines = {
    data: { values },
    mark: { type: 'line', strokeWidth: 1.6, interpolate: 'linear' },
    encoding: {
      x: { field: 'x', type: 'quantitative', title: chart.x, axis: { tickCount: 6 } },
      y: { field: 'y', type: 'quantitative', title: chart.y, scale: { zero: false }, axis: { tickCount: 5 } },
      color: { field: 'series', type: 'nominal', scale: { domain: names, range: palette }, sort: null },
    },
  }
  const reference = chart.reference && [
    {
      data: { values: [chart.reference] },
      mark: { type: 'rule', strokeDash: [4, 4], color: '#888' },
      encoding: { y: { field: 'y', type: 'quantitative' } },
    },
    {
      data: { values: [chart.reference] },
      mark: { type: 'text', align: 'left', dx: 4, dy: -6, color: '#666', fontSize: 10 },
      encoding: { y: { field: 'y', type: 'quantitative' }, x: { value: 0 }, text: { field: 'label' } },
    },
  ]
  return draw({
    title: chart.title,
    width: 340,
    height: 190,
    layer: [lines, ...(reference ?? [])],
    config,
  } as TopLevelSpec)
}

export async function intervalChart(chart: IntervalChart): Promise<string> {
  const values = chart.rows.map((row, i) => ({ ...row, colour: palette[i % palette.length] }))
  const y = {
    field: 'name',
    type: 'nominal',
    sort: null,
    title: null,
    axis: { labelLimit: 240, grid: false },
  }
  const colour = { field: 'colour', type: 'nominal', scale: null }
  const layers: unknown[] = [
    {
      data: { values },
      mark: { type: 'rule', strokeWidth: 2.5 },
      encoding: {
        y,
        x: { field: 'low', type: 'quantitative', title: chart.x, scale: { zero: false } },
        x2: { field: 'high' },
        color: colour,
      },
    },
    {
      data: { values },
      mark: { type: 'point', filled: true, size: 70, opacity: 1 },
      encoding: { y, x: { field: 'value', type: 'quantitative' }, color: colour },
    },
  ]
  if (chart.zero !== undefined)
    layers.unshift({
      data: { values: [{ x: chart.zero }] },
      mark: { type: 'rule', strokeDash: [4, 4], color: '#888' },
      encoding: { x: { field: 'x', type: 'quantitative' } },
    })
  return draw({ title: chart.title, width: 340, height: { step: 26 }, layer: layers, config } as TopLevelSpec)
}

/** Vega is large and only reports need it. */
async function draw(spec: TopLevelSpec): Promise<string> {
  const [vega, lite] = await Promise.all([import('vega'), import('vega-lite')])
  const view = new vega.View(vega.parse(lite.compile(spec).spec), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  return svg
}
