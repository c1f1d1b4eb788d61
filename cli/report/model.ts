import type { Fact, ReportModel, VariantChanges } from '../../compiler/codegen/report.js'
import { memoryText } from '../../compiler/plan/figures.js'
import { grouped } from '../terminal/figures.js'
import type { CollectedRun } from './collect.js'
import { coloursOf } from './colours.js'
import { costTable } from './cost.js'
import { healthOf, trainingOf } from './curves.js'
import { findingsOf } from './findings.js'
import { galleryOf } from './gallery.js'
import { metricsOf, metricTable, otherMetrics } from './metric.js'
import { noticesOf } from './notices.js'

/**
 * Everything that the report of one experiment says, from what its runs (at least one) left behind. `changes`: what
 * each variant changes of `full`.
 */
export async function reportModel(
  runs: readonly CollectedRun[],
  changes: readonly VariantChanges[],
): Promise<ReportModel> {
  const first = runs[0]!
  const { primary, table, others } = metricsOf(runs)
  const against = new Map(table?.rows.map((row) => [row.name, Math.abs(row.against?.mean ?? 0)]))
  const colours = coloursOf([...new Set(runs.map((run) => run.variant))], (name) => against.get(name) ?? 0)
  return {
    title: first.record.experiment,
    description: first.resolved?.description ?? null,
    findings: findingsOf(table, runs),
    notices: noticesOf(runs),
    metric: table && (await metricTable(table, colours)),
    plain: [...otherMetrics(others), costTable(runs, table)],
    training: await trainingOf(runs, primary, colours),
    health: await healthOf(runs, colours),
    gallery: galleryOf(runs),
    variants: changes,
    facts: factsOf(runs),
    protocols: protocolsOf(runs),
    commands: [...new Set(runs.flatMap((run) => run.environment?.command ?? []))],
  }
}

function factsOf(runs: readonly CollectedRun[]): Fact[] {
  const { environment, spec } = runs.find((r) => r.environment !== null) ?? runs[0]!
  const facts: Fact[] = []
  if (environment) {
    const { device, machine, commit } = environment
    facts.push({ label: 'device', value: `${device.name}: ${device.description}` })
    facts.push({
      label: 'machine',
      value: `${machine.cpu}, ${machine.cores} cores, ${memoryText(machine.memoryBytes)}`,
    })
    const state = commit ? ` at ${commit.hash.slice(0, 10)}${commit.dirty ? ', changed since' : ''}` : ''
    facts.push({ label: 'dinoc', value: `${environment.dinoc}${state}, Node ${environment.node}` })
  }
  if (spec) facts.push({ label: 'batch', value: `${grouped(spec.batch.images)} images` })
  const finished = runs.filter((r) => r.record.status === 'finished').length
  facts.push({ label: 'runs', value: `${finished} of ${runs.length} finished` })
  facts.push({ label: 'seeds', value: [...new Set(runs.map((r) => r.seed))].join(', ') })
  const clock = runs
    .flatMap((r) => r.training.at(-1)?.time?.clock ?? [])
    .sort()
    .at(-1)
  if (clock !== undefined)
    facts.push({ label: 'last step', value: `${clock.slice(0, 16).replace('T', ' ')} UTC` })
  facts.push({
    label: `identity of ${runs[0]!.variant}, seed ${runs[0]!.seed}`,
    value: runs[0]!.record.identity,
  })
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
