import { intervalChart, quietColour } from '../../compiler/codegen/charts.js'
import type { Figure, MetricRow, MetricTable, PlainTable } from '../../compiler/codegen/report.js'
import {
  primaryMetric,
  type ResultRow,
  type ResultTable,
  resultTable,
  type VariantResult,
} from '../../runtime/eval/results.js'
import { describeMethod } from '../../runtime/eval/statistics.js'
import { difference, score } from '../terminal/figures.js'
import type { CollectedRun } from './collect.js'
import type { Colours } from './colours.js'
import { range, verdictOf } from './findings.js'

export interface Metrics {
  readonly primary: { readonly evaluation: string; readonly metric: string } | null
  /** The table of the primary metric; null where no variant was evaluated after training. */
  readonly table: ResultTable | null
  readonly others: readonly ResultTable[]
}

/** A table for every metric that was measured, over all variants. */
export function metricsOf(runs: readonly CollectedRun[]): Metrics {
  const variants = variantResults(runs)
  const measured = new Map<string, { evaluation: string; metric: string }>()
  const evaluations = new Map<string, { name: string; k: readonly number[] | undefined }>()
  for (const { evaluation: file } of variants.flatMap((v) => v.seeds))
    for (const [evaluation, record] of Object.entries(file.evaluations)) {
      if (!evaluations.has(evaluation))
        evaluations.set(evaluation, { name: evaluation, k: record.protocol.k })
      for (const metric of Object.keys((record.trained ?? record.untrained)?.metrics ?? {}))
        measured.set(`${evaluation}.${metric}`, { evaluation, metric })
    }
  const wished = runs.find((run) => run.resolved !== null)?.resolved?.primary ?? []
  const primary = primaryMetric(wished, [...evaluations.values()])
  const table = primary && resultTable(variants, primary.evaluation, primary.metric)
  const others = [...measured.values()]
    .filter((m) => m.evaluation !== primary?.evaluation || m.metric !== primary.metric)
    .flatMap(({ evaluation, metric }) => resultTable(variants, evaluation, metric) ?? [])
  return { primary, table, others }
}

function variantResults(runs: readonly CollectedRun[]): VariantResult[] {
  const names = [...new Set(runs.map((run) => run.variant))]
  return names.map((variant) => ({
    variant,
    seeds: runs.flatMap(({ variant: own, seed, evaluation, record }) =>
      own === variant && evaluation !== null
        ? [{ seed, evaluation, imagesPerSecond: record.imagesPerSecond, peakRssBytes: record.peakRssBytes }]
        : [],
    ),
  }))
}

export async function metricTable(table: ResultTable, colours: Colours): Promise<MetricTable> {
  const variants = table.rows.filter((row) => row.kind === 'variant')
  const base = variants.find((row) => row.against === null) ?? variants[0]!
  const compared = variants.length > 1
  return {
    title: table.metric,
    base: base.name,
    interval: `${describeMethod(base.value)}. Differences are paired by seed and image${
      compared ? ', so they can be clear where the intervals of the values overlap' : ''
    }.`,
    rows: table.rows.map(metricRow),
    figures: (
      await Promise.all([valuesFigure(table, colours), differencesFigure(table, base, colours)])
    ).flatMap((f) => f ?? []),
  }
}

function metricRow(row: ResultRow): MetricRow {
  return {
    name: row.name,
    reference: row.kind !== 'variant',
    value: score(row.value.mean),
    interval: range(row.value, score),
    seeds: row.kind === 'floor' ? '' : String(row.value.seeds),
    difference: row.against && difference(row.against.mean),
    differenceInterval: row.against && range(row.against, difference),
    verdict: row.kind === 'variant' ? verdictOf(row.against) : null,
  }
}

async function valuesFigure({ metric, rows }: ResultTable, colours: Colours): Promise<Figure | null> {
  const shown = rows.filter((row) => row.value.interval !== null)
  if (shown.length < 2) return null
  const colour = (row: ResultRow) => (row.kind === 'variant' ? colours.of(row.name) : quietColour)
  return {
    title: `${metric} with 95 % interval`,
    svg: await intervalChart({
      x: metric,
      rows: shown.map((row) => ({
        ...{ name: row.name, colour: colour(row), value: row.value.mean },
        ...{ low: row.value.interval![0], high: row.value.interval![1] },
      })),
    }),
    alt: `${metric}: ${shown.map((r) => `${r.name} ${score(r.value.mean)}`).join(', ')}`,
  }
}

async function differencesFigure(
  { metric, rows }: ResultTable,
  base: ResultRow,
  colours: Colours,
): Promise<Figure | null> {
  const shown = rows.filter((row) => row.kind === 'variant' && row.against?.interval)
  if (shown.length === 0) return null
  return {
    title: `difference to ${base.name}, paired, with 95 % interval`,
    svg: await intervalChart({
      x: `${metric} minus that of ${base.name}`,
      zero: 0,
      rows: shown.map((row) => ({
        ...{ name: row.name, colour: colours.of(row.name), value: row.against!.mean },
        ...{ low: row.against!.interval![0], high: row.against!.interval![1] },
      })),
    }),
    alt: `Difference to ${base.name}: ${shown.map((r) => `${r.name} ${difference(r.against!.mean)}`).join(', ')}`,
  }
}

/** All other metrics side by side, without intervals. */
export function otherMetrics(tables: readonly ResultTable[]): PlainTable[] {
  if (tables.length === 0) return []
  const names = [...new Set(tables.flatMap((t) => t.rows.map((r) => r.name)))]
  const cell = (table: ResultTable, name: string) => {
    const row = table.rows.find((r) => r.name === name)
    return row ? score(row.value.mean) : ''
  }
  return [
    {
      title: 'Other metrics',
      caption: null,
      columns: tables.map((t) => t.metric),
      rows: names.map((name) => ({ name, cells: tables.map((t) => cell(t, name)) })),
    },
  ]
}
