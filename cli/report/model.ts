import { intervalChart } from '../../compiler/codegen/charts.js'
import type {
  Fact,
  Gallery,
  MetricRow,
  MetricTable,
  PlainTable,
  ReportModel,
  VariantChanges,
} from '../../compiler/codegen/report.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import type { GalleryFile } from '../../runtime/eval/gallery.js'
import {
  primaryMetric,
  type ResultRow,
  type ResultTable,
  resultTable,
  type VariantResult,
} from '../../runtime/eval/results.js'
import { describeMethod, type Estimate } from '../../runtime/eval/statistics.js'
import { bytes, difference, duration, grouped, rate, score, significant } from '../terminal/figures.js'
import type { CollectedRun } from './collect.js'
import { curvesOf } from './curves.js'

export interface ReportContext {
  /** What a variant changes of `full`. */
  readonly changes: readonly VariantChanges[]
  /** The command that makes the runs again. */
  readonly command: string
}

/** Everything that the report of one experiment says, from what its runs left behind. */
export async function reportModel(
  runs: readonly CollectedRun[],
  context: ReportContext,
): Promise<ReportModel> {
  const first = runs[0]!
  const variants = variantResults(runs)
  const tables = metricsOf(runs, variants)
  return {
    title: first.record.experiment,
    description: first.resolved?.description ?? null,
    findings: tables[0] ? findingsOf(tables[0]) : [],
    facts: factsOf(runs),
    tables: await Promise.all(tables.slice(0, 1).map(metricTable)),
    plain: [...allMetrics(tables.slice(1)), costTable(runs)],
    curves: await curvesOf(runs),
    variants: context.changes,
    gallery: galleryOf(runs),
    health: runs.flatMap(({ variant, seed, record }) =>
      record.failure
        ? [{ level: 'error' as const, who: `${variant} seed ${seed}`, text: sentence(record.failure) }]
        : [],
    ),
    protocols: protocolsOf(runs),
    command: context.command,
  }
}

const sentence = ({ code, message }: Diagnostic) => `${code}: ${message}`

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

/** A table for every metric that was measured, the primary one first. */
function metricsOf(runs: readonly CollectedRun[], variants: readonly VariantResult[]): ResultTable[] {
  const file = variants.flatMap((v) => v.seeds)[0]?.evaluation
  if (file === undefined) return []
  const evaluations = Object.entries(file.evaluations).map(([name, { protocol }]) => ({
    name,
    k: protocol.k,
  }))
  const primary = primaryMetric(runs[0]!.resolved?.primary ?? [], evaluations)
  const all = Object.entries(file.evaluations).flatMap(([evaluation, record]) =>
    Object.keys((record.trained ?? record.untrained)?.metrics ?? {}).map((metric) => ({
      evaluation,
      metric,
    })),
  )
  const isPrimary = (m: { evaluation: string; metric: string }) =>
    m.evaluation === primary?.evaluation && m.metric === primary.metric
  const ordered = [...all.filter(isPrimary), ...all.filter((m) => !isPrimary(m))]
  return ordered.flatMap(({ evaluation, metric }) => resultTable(variants, evaluation, metric) ?? [])
}

async function metricTable(table: ResultTable): Promise<MetricTable> {
  const variants = table.rows.filter((row) => row.kind === 'variant')
  const charted = table.rows.filter((row) => row.kind !== 'floor' && row.value.interval !== null)
  return {
    title: table.metric,
    interval: `${describeMethod(variants[0]!.value)}. Differences are paired by seed and image.`,
    rows: table.rows.map(metricRow),
    figure:
      charted.length < 2
        ? null
        : {
            svg: await intervalChart({
              title: table.metric,
              x: '95 % interval',
              rows: charted.map(({ name, value }) => ({
                name,
                value: value.mean,
                low: value.interval![0],
                high: value.interval![1],
              })),
            }),
            alt: `${table.metric} with 95 % intervals: ${charted.map((r) => `${r.name} ${score(r.value.mean)}`).join(', ')}`,
          },
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

const range = ({ interval }: Estimate, format: (x: number) => string) =>
  interval === null ? '' : `${format(interval[0])} to ${format(interval[1])}`

function verdictOf(against: Estimate | null): MetricRow['verdict'] {
  if (against?.interval == null) return null
  if (against.interval[0] > 0) return 'better'
  return against.interval[1] < 0 ? 'worse' : 'unclear'
}

/** What the primary metric says, in sentences. */
function findingsOf({ metric, rows }: ResultTable): string[] {
  const base = rows.find((row) => row.kind === 'variant' && row.against === null)
  const untrained = rows.find((row) => row.kind === 'untrained')
  const findings: string[] = []
  if (base && untrained?.against?.interval) {
    const gain = -untrained.against.mean
    const [low, high] = untrained.against.interval.map((x) => -x).reverse() as [number, number]
    const clear = low > 0 ? 'a gain' : high < 0 ? 'a loss' : 'with these images no clear difference'
    findings.push(
      `Training takes ${metric} of ${base.name} from ${score(untrained.value.mean)} to ${score(base.value.mean)}: ` +
        `${clear} (${difference(gain)}, 95 % interval ${difference(low)} to ${difference(high)}).`,
    )
  }
  const changed = rows.filter((row) => row.kind === 'variant' && row.against?.interval)
  const clear = changed.filter((row) => verdictOf(row.against) !== 'unclear')
  for (const row of clear)
    findings.push(
      `${row.name} is ${verdictOf(row.against)} than ${base!.name} by ${score(Math.abs(row.against!.mean))} ` +
        `(${range(row.against!, difference)}).`,
    )
  const unclear = changed.filter((row) => !clear.includes(row)).map((row) => row.name)
  if (unclear.length > 0)
    findings.push(
      `No difference from ${base!.name} can be told for ${listed(unclear)} with these seeds and images.`,
    )
  return findings
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

function allMetrics(tables: readonly ResultTable[]): PlainTable[] {
  if (tables.length === 0) return []
  const names = [...new Set(tables.flatMap((t) => t.rows.map((r) => r.name)))]
  const cell = (table: ResultTable, name: string) => {
    const row = table.rows.find((r) => r.name === name)
    return row ? score(row.value.mean) : ''
  }
  return [
    {
      title: 'Other metrics',
      columns: tables.map((t) => t.metric),
      rows: names.map((name) => ({ name, cells: tables.map((t) => cell(t, name)) })),
    },
  ]
}

function costTable(runs: readonly CollectedRun[]): PlainTable {
  const columns = [
    'parameters',
    'GFLOP/image',
    'steps',
    'images/s',
    'GFLOP/s',
    'planned peak',
    'process peak',
    'training time',
  ]
  const names = [...new Set(runs.map((run) => run.variant))]
  const rows = names.map((name) => {
    const own = runs.filter((run) => run.variant === name)
    const run = own[0]!
    const plans = Object.values(run.plans)
    const student = (run.spec?.state ?? []).filter((t) => t.role === 'student')
    const parameters = student.reduce((sum, t) => sum + t.shape.reduce((a, b) => a * b, 1), 0)
    const perImage = plans[0] ? plans[0].modelFlopsPerStep / (run.spec?.batch.images ?? 1) : null
    const speeds = own.flatMap((r) => r.record.imagesPerSecond ?? [])
    const speed = speeds.length === 0 ? null : speeds.reduce((a, b) => a + b, 0) / speeds.length
    const seconds = own.map((r) => r.training.reduce((sum, line) => sum + line.time.seconds, 0))
    const state = (run.spec?.state ?? []).reduce((sum, t) => sum + 4 * t.shape.reduce((a, b) => a * b, 1), 0)
    const peak = Math.max(0, ...plans.map((p) => p.arenas.reduce((sum, a) => sum + a.bytes, 0))) + state
    return {
      name,
      cells: [
        `${significant(parameters / 1e6, 3)} M`,
        perImage === null ? '' : significant(perImage / 1e9, 3),
        grouped(run.record.steps),
        speed === null ? '' : rate(speed),
        speed === null || perImage === null ? '' : rate((speed * perImage) / 1e9),
        bytes(peak),
        bytes(Math.max(...own.map((r) => r.record.peakRssBytes))),
        duration(Math.max(...seconds)),
      ],
    }
  })
  return { title: 'Cost', columns, rows }
}

function factsOf(runs: readonly CollectedRun[]): Fact[] {
  const run = runs.find((r) => r.environment !== null) ?? runs[0]!
  const { environment, spec } = run
  const facts: Fact[] = []
  if (environment) {
    const { device, machine, commit } = environment
    facts.push({ label: 'device', value: `${device.name}: ${device.description}` })
    facts.push({
      label: 'machine',
      value: `${machine.cpu}, ${machine.cores} cores, ${bytes(machine.memoryBytes)}`,
    })
    const state = commit ? ` at ${commit.hash.slice(0, 10)}${commit.dirty ? ', changed since' : ''}` : ''
    facts.push({ label: 'dinoc', value: `${environment.dinoc}${state}, Node ${environment.node}` })
  }
  if (spec) facts.push({ label: 'batch', value: `${grouped(spec.batch.images)} images` })
  const finished = runs.filter((r) => r.record.status === 'finished').length
  facts.push({ label: 'runs', value: `${finished} of ${runs.length} finished` })
  facts.push({ label: 'seeds', value: [...new Set(runs.map((r) => r.seed))].join(', ') })
  const clock = runs
    .flatMap((r) => r.training.at(-1)?.time.clock ?? [])
    .sort()
    .at(-1)
  if (clock !== undefined) facts.push({ label: 'last step', value: clock.slice(0, 16).replace('T', ' ') })
  facts.push({ label: 'identity of full', value: runs[0]!.record.identity })
  return facts
}

function protocolsOf(runs: readonly CollectedRun[]): ReportModel['protocols'] {
  const evaluations = runs.find((r) => r.evaluation !== null)?.evaluation?.evaluations ?? {}
  return Object.entries(evaluations).map(([name, { protocol, protocolIdentity, images }]) => {
    const left = images.unlabelled > 0 ? `, ${grouped(images.unlabelled)} without a label left out` : ''
    const detail =
      protocol.type === 'knn'
        ? `k = ${(protocol.k ?? []).join(', ')}, temperature ${protocol.temperature ?? 0.07}, `
        : ''
    return {
      name,
      identity: protocolIdentity.slice(0, 12),
      text:
        `${protocol.type} of the ${protocol.of} at ${protocol.resolution} px: ${detail}` +
        `${grouped(images.test)} test images against ${grouped(images.train)}, ${grouped(images.classes)} classes${left}`,
    }
  })
}

function galleryOf(runs: readonly CollectedRun[]): Gallery | null {
  const found = runs.find((r) => r.gallery?.trained)?.gallery ?? runs.find((r) => r.gallery)?.gallery
  if (!found) return null
  return { maps: mapsOf(found), neighbours: neighboursOf(found) }
}

function mapsOf({ untrained, trained }: GalleryFile): Gallery['maps'] {
  const exhibits = [
    untrained && (['untrained', untrained] as const),
    trained && (['trained', trained] as const),
  ].filter((e) => e !== null)
  const [base] = exhibits
  if (base === undefined) return null
  return {
    caption:
      'The first three principal components of the patch features as red, green and blue: patches of one colour look alike to the backbone.',
    heads: ['image', ...exhibits.map(([name]) => name)],
    rows: base[1].maps.map((image, i) => ({
      alt: image.label,
      pictures: [image.uri, ...exhibits.flatMap(([, exhibit]) => exhibit.maps[i]?.map ?? [])],
    })),
  }
}

function neighboursOf({ untrained, trained, evaluation }: GalleryFile): Gallery['neighbours'] {
  const blocks = [
    untrained && { name: 'untrained', rows: untrained.neighbours },
    trained && { name: 'trained', rows: trained.neighbours },
  ]
  return {
    caption: `Test images of ${evaluation} (left) and their nearest neighbours among its training images, nearest first; framed where the label agrees.`,
    blocks: blocks.filter((b) => b !== null),
  }
}
