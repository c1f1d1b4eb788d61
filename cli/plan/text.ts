import pc from 'picocolors'
import type { KeptSamples, PhaseCost, VariantCost } from '../../compiler/plan/cost.js'
import { memoryText, rate, trafficText } from '../../compiler/plan/figures.js'
import type { ScheduleSummary } from '../../compiler/plan/times.js'
import { rankDependentTerms } from '../../compiler/resolve/identity.js'
import type { DataReference, ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { wrapped } from '../../diagnostics/render/wrapped.js'
import { aligned, type Column, grouped, significant } from '../terminal/figures.js'
import type { PlannedFamily, PlannedVariant } from './planned.js'

export interface PlanTextOptions {
  readonly color: boolean
  readonly width: number
  /** Everything alive at the peak, not only the largest. */
  readonly memory: boolean
}

type Colors = ReturnType<typeof pc.createColors>

/** The first variant of each experiment in full, the others as a table beside it. */
export function planText(families: readonly PlannedFamily[], options: PlanTextOptions): string {
  const colors = pc.createColors(options.color)
  return `${families.map((family) => familyLines(family, options, colors).join('\n')).join('\n\n')}\n`
}

function familyLines({ variants }: PlannedFamily, options: PlanTextOptions, colors: Colors): string[] {
  const [first] = variants
  if (first === undefined) return []
  const lines = variantLines(first, options, colors)
  if (variants.length > 1) lines.push('', ...variantTable(variants, colors))
  return lines
}

function variantLines(variant: PlannedVariant, options: PlanTextOptions, colors: Colors): string[] {
  const { resolved, cost } = variant
  const title = `${resolved.name}.${resolved.variant}`
  const placement = placementText(resolved, cost.phases[0] as PhaseCost)
  const gap = ' '.repeat(Math.max(3, options.width - title.length - placement.length))
  const sections = [
    aligned(
      [
        ['parameters', parameterText(cost)],
        ['data', dataText(variant)],
      ],
      [left(0), left(3)],
    ),
    phaseTable(cost, colors),
    aligned(memoryRows(cost, options), [left(0), left(3)]),
    scheduleTable(resolved, cost, colors),
  ]
  return [
    `${colors.bold(title)}${gap}${colors.dim(placement)}`,
    ...sections
      .filter((section) => section.length > 0)
      .flatMap((section, i) => [...(i === 0 ? [] : ['']), ...section.map((line) => `  ${line}`.trimEnd())]),
  ]
}

const left = (gap: number): Column => ({ align: 'left', gap })
const right = (gap: number): Column => ({ align: 'right', gap })

/** `96 ranks x 32 images, bf16, fsdp` */
function placementText({ hardware, optimize, schedule }: ResolvedExperiment, phase: PhaseCost): string {
  const images =
    phase.microSteps > 1
      ? `${phase.microSteps} x ${phase.imagesPerRank / phase.microSteps}`
      : phase.imagesPerRank
  return hardware.ranks === 1
    ? `${schedule.batch === phase.imagesPerRank ? '' : `batch ${schedule.batch}, `}${images} images, ${optimize.precision}`
    : `${hardware.ranks} ranks x ${images} images, ${optimize.precision}, ${hardware.shard === 'fsdp' ? 'fsdp' : 'whole on each rank'}`
}

function parameterText({ parameters }: VariantCost): string {
  const heads = Object.entries(parameters.byHead).map(([part, n]) => `${part.replace('_', ' ')} ${count(n)}`)
  const teacher =
    parameters.frozenTeacher === null
      ? '(teacher: the same)'
      : `(frozen teacher ${count(parameters.frozenTeacher)})`
  return [`backbone ${count(parameters.backbone)}`, ...heads, teacher].join('   ')
}

function dataText({ resolved, trainingImages }: PlannedVariant): string {
  const train = resolved.data?.train
  if (train === undefined) return 'none: images seen are counted, passes over them are not'
  const name = referenceText(train)
  if (trainingImages !== null) return `${name}, ${grouped(trainingImages)} images`
  const curated = train.kind === 'curation'
  return `${name} (${curated ? 'a curation, not built' : 'not at hand'}: passes unknown)`
}

function referenceText(reference: DataReference): string {
  switch (reference.kind) {
    case 'source':
      return [reference.source, ...(reference.splits ?? [])].join('.')
    case 'curation':
      return reference.stage === null ? reference.curation : `${reference.curation}.${reference.stage}`
    case 'mix':
      return `mix(${reference.parts.map((part) => referenceText(part.of)).join(', ')})`
    default:
      return reference satisfies never
  }
}

function phaseTable({ phases }: VariantCost, colors: Colors): string[] {
  const unit = flopUnit(Math.max(...phases.map((phase) => phase.modelFlopsPerImage)))
  const head = [
    'phase',
    'resolution',
    'steps',
    'epochs',
    'tokens/img',
    `${unit.name}/img`,
    'student',
    'teacher',
    'heads',
    'peak/rank',
  ]
  const rows = phases.map((phase) => {
    const share = (part: number) => `${Math.round((100 * part) / phase.modelFlopsPerImage)} %`
    return [
      phase.name,
      phase.localResolutionPx === null
        ? `${phase.resolutionPx} px`
        : `${phase.resolutionPx} + ${phase.localResolutionPx} px`,
      phase.steps === null ? '?' : grouped(phase.steps),
      phase.epochs === null ? '?' : significant(phase.epochs, 3),
      grouped(phase.tokensPerImage),
      unit.write(phase.modelFlopsPerImage),
      share(phase.modelFlops.student),
      share(phase.modelFlops.teacher),
      share(phase.modelFlops.heads),
      memoryText(phase.perRank.peakBytes),
    ]
  })
  const [header = '', ...body] = aligned(
    [head, ...rows],
    head.map((_, i) => (i < 2 ? left(i === 0 ? 0 : 2) : right(2))),
  )
  return [colors.dim(header), ...body]
}

function memoryRows(cost: VariantCost, { memory, width }: PlanTextOptions): string[][] {
  const worst = cost.phases.reduce((a, b) => (b.perRank.peakBytes > a.perRank.peakBytes ? b : a))
  const { contributors } = worst.memory
  const name = cost.phases.length > 1 ? `peak memory, ${worst.name}` : 'peak memory'
  const shown = contributors.filter(({ bytes }) => bytes > 0).slice(0, memory ? contributors.length : 6)
  const rest = contributors.length - shown.length
  const items = shown.map((item) => `${shortName(item.name)} ${memoryText(item.bytes)}`)
  const rows: string[][] = memory
    ? items.map((item, i) => [i === 0 ? name : '', item])
    : wrapped([...items, ...(rest > 0 ? [`${rest} more (--memory)`] : [])], '   ', width - 33).map(
        (line, i) => [i === 0 ? name : '', line],
      )
  const { communication, ranks } = worst
  if (ranks > 1) rows.push(...communicationRows(communication, width))
  const kept = worst.perRank.keptSamples.filter((k) => JSON.stringify(k.kept) !== JSON.stringify(k.of))
  if (kept.length > 0)
    rows.push(['kept by stochastic depth', `${kept.map(keptText).join(', ')} crops in each branch`])
  for (const phase of cost.phases) {
    const own = (what: string) => (cost.phases.length > 1 ? `${what}, ${phase.name}` : what)
    if (phase.maskedRows !== null) {
      const { expected, bound } = phase.maskedRows
      // The bound has been cut to whole crops and patches; the expectation of the cost model has not.
      rows.push([
        own('iBOT rows'),
        `${grouped(Math.min(expected, bound))} expected, at most ${grouped(bound)} in a pass`,
      ])
    }
  }
  const unit = flopUnit(Math.max(...cost.phases.map((phase) => phase.executedFlopsPerStep)))
  const executed = cost.phases.map(
    (phase) =>
      `${cost.phases.length > 1 ? `${phase.name} ` : ''}${unit.write(phase.executedFlopsPerStep)} ${unit.name}`,
  )
  rows.push(['executed/step', executed.join('   ')])
  return rows
}

function communicationRows(c: PhaseCost['communication'], width: number): string[][] {
  const parts = [
    ...(c.allGatherBytes > 0 ? [`all-gather ${trafficText(c.allGatherBytes)}`] : []),
    ...(c.reduceScatterBytes > 0 ? [`reduce-scatter ${trafficText(c.reduceScatterBytes)}`] : []),
    `all-reduce ${trafficText(c.allReduceBytes)} (targets ${trafficText(c.targetBytes)})`,
  ]
  const share = (bytes: number) => {
    const less = Math.round(100 * (1 - bytes / c.dataParallelBytes))
    return less === 0 ? 'the same' : less < 0 ? `${-less} % more` : `${less} % less`
  }
  const against =
    c.allGatherBytes > 0
      ? [
          [
            '',
            `beside data parallelism ${share(c.bytesPerStep)}, with a whole teacher ${share(c.wholeTeacherBytes)}`,
          ],
        ]
      : []
  return [
    ...wrapped(parts, '   ', width - 33).map((line, i) => [i === 0 ? 'communication/rank' : '', line]),
    ...against,
  ]
}

function keptText({ group, kept, of }: KeptSamples): string {
  const text = typeof kept === 'number' ? String(kept) : `${Math.min(...kept)}..${Math.max(...kept)}`
  return `${text} of ${of} ${group}`
}

const scheduleNames: Readonly<Record<string, string>> = {
  lr: 'lr',
  weight_decay: 'weight decay',
  teacher_temp: 'teacher temp',
  momentum: 'momentum',
  keep_momentum: 'keep momentum',
}

function scheduleTable(resolved: ResolvedExperiment, cost: VariantCost, colors: Colors): string[] {
  const several = cost.phases.length > 1
  const rows = Object.keys(scheduleNames).flatMap((name) =>
    cost.phases.flatMap((phase) => {
      const schedule = phase.schedules[name]
      if (schedule === undefined) return []
      const label = scheduleNames[name] ?? name
      return [
        [
          several ? `${label}, ${phase.name}` : label,
          rate(schedule.first),
          peakText(schedule),
          rate(schedule.last),
          name === 'lr' ? layerText(resolved, phase) : '',
        ],
      ]
    }),
  )
  const seen = cost.phases.reduce<number | null>(
    (sum, phase) => (sum === null || phase.imagesSeen === null ? null : sum + phase.imagesSeen),
    0,
  )
  const [header = '', ...body] = aligned(
    [['schedule', 'first', 'peak', 'last', ''], ...rows],
    [left(0), left(4), left(3), left(3), left(3)],
  )
  const dependent = rankDependentTerms(resolved).map(({ term, sees }) => `${term} (${sees})`)
  return [
    colors.dim(header),
    ...body,
    '',
    `images seen   ${seen === null ? '?' : count(seen)}   batch ${resolved.schedule.batch}`,
    ...(dependent.length > 0
      ? dependent.map((text, i) => `${i === 0 ? 'depends on ranks   ' : ' '.repeat(19)}${text}`)
      : []),
  ]
}

function peakText({ first, peak, peakAt, last }: ScheduleSummary): string {
  if (peak === first || peak === last)
    return peakAt === null || peakAt === 0 || peak !== last ? '' : `@${short(peakAt)}`
  return `${rate(peak)}${peakAt === null ? '' : ` @${short(peakAt)}`}`
}

function layerText({ optimizer }: ResolvedExperiment, phase: PhaseCost): string {
  const { layerRates: r } = phase
  return optimizer.layerDecay === 1
    ? `patch embed ${rate(r.patchEmbed)}`
    : `patch embed ${rate(r.patchEmbed)}, blocks ${rate(r.firstBlock)}..${rate(r.lastBlock)}, heads ${rate(r.heads)}`
}

function variantTable(variants: readonly PlannedVariant[], colors: Colors): string[] {
  const flops = variants.map(({ cost }) => Math.max(...cost.phases.map((phase) => phase.modelFlopsPerImage)))
  const unit = flopUnit(Math.max(...flops))
  const aliases = variants.some(({ aliasOf }) => aliasOf !== null)
  const head = [
    'variant',
    'parameters',
    'tokens/img',
    `${unit.name}/img`,
    'peak/rank',
    aliases ? 'same as' : '',
  ]
  const rows = variants.map(({ resolved, aliasOf, cost }, i) => [
    resolved.variant,
    count(cost.parameters.total),
    grouped(Math.max(...cost.phases.map((phase) => phase.tokensPerImage))),
    unit.write(flops[i] as number),
    memoryText(Math.max(...cost.phases.map((phase) => phase.perRank.peakBytes))),
    aliasOf ?? '',
  ])
  const [header = '', ...body] = aligned(
    [head, ...rows],
    [left(0), right(3), right(3), right(3), right(3), left(3)],
  )
  return [colors.dim(`  ${header}`), ...body.map((line) => `  ${line}`)]
}

/** `student.backbone.blocks.*.mlp.fc1.linear` -> `student blocks: mlp.fc1.linear` */
function shortName(name: string): string {
  return name.replace(/^(student|teacher|keep)\.backbone\.blocks\.\*\./, '$1 blocks: ')
}

/** `304.8 M`, `1.92 G` */
function count(n: number): string {
  if (n >= 1e9) return `${significant(n / 1e9, 3)} G`
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} M`
  return grouped(n)
}

/** `100k` */
function short(n: number): string {
  return n >= 10_000 && n % 1000 === 0 ? `${n / 1000}k` : grouped(n)
}

function flopUnit(largest: number): { name: string; write: (n: number) => string } {
  const [factor, name] = largest >= 1e11 ? [1e12, 'TFLOP'] : largest >= 1e8 ? [1e9, 'GFLOP'] : [1e6, 'MFLOP']
  return {
    name,
    write: (n) =>
      n / factor >= 1000 ? grouped(n / factor) : (n / factor).toFixed(n / factor >= 100 ? 0 : 3),
  }
}
