import { diagnose } from '../../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../../diagnostics/diagnostic.js'
import type { ResolvedExperiment } from '../resolve/resolved.js'
import type { PhaseCost, VariantCost } from './cost.js'
import { memoryText, rate } from './figures.js'

/** What a plan's figures have to say about the file: memory over its budget, jumps where phases meet, missing passes. */

/** Bytes that one rank may use, by the file: `optimize.memory_budget`, else `hardware.memory`; null: it does not say. */
export function memoryBudget(experiment: ResolvedExperiment): number | null {
  return experiment.optimize.memoryBudget ?? experiment.hardware.memory
}

/** The budget defaults to the hardware's memory, so the place where it was set tells which of the two it is. */
function budgetPath(experiment: ResolvedExperiment): string {
  return spanAt(experiment, 'optimize.memory_budget') === null ? 'hardware.memory' : 'optimize.memory_budget'
}

/**
 * DINO0801 for each phase that does not fit: a warning in `check` and `plan`, which `run` takes as an error.
 * `deviceBytes`: what a device reports, where the file says nothing.
 */
export function overBudget(
  experiment: ResolvedExperiment,
  cost: VariantCost,
  deviceBytes: number | null,
): Diagnostic[] {
  const said = memoryBudget(experiment)
  const budget = said ?? deviceBytes
  if (budget === null) return []
  const path = budgetPath(experiment)
  const at = said === null ? null : spanAt(experiment, path)
  return cost.phases
    .filter((phase) => phase.perRank.peakBytes > budget)
    .map((phase) =>
      diagnose(
        'DINO0801',
        at ?? spanAt(experiment, `schedule.${phase.name}.resolution`) ?? spanAt(experiment, 'schedule.batch'),
        {
          experiment: experiment.name,
          phase: phase.name,
          ...peakAndBudget(phase.perRank.peakBytes, budget),
          setBy: said === null ? 'the device' : `\`${path}\``,
        },
        {
          label: 'the budget',
          notes: memoryNotes(experiment, phase),
          help: memoryHelp(experiment, phase, budget),
        },
      ),
    )
}

/** Both as text, in bytes where they would read the same. */
export function peakAndBudget(peakBytes: number, budgetBytes: number): { peak: string; budget: string } {
  const [peak, budget] = [memoryText(peakBytes), memoryText(budgetBytes)]
  return peak === budget ? { peak: `${peakBytes} B`, budget: `${budgetBytes} B` } : { peak, budget }
}

function memoryNotes({ optimize }: ResolvedExperiment, phase: PhaseCost): string[] {
  const { arenaBytes, stateBytes, contributors } = phase.memory
  const largest = contributors.slice(0, 4).map(({ name, bytes }) => `${name} ${memoryText(bytes)}`)
  return [
    `${memoryText(arenaBytes)} of activations and gradients + ${memoryText(stateBytes)} of state`,
    `largest: ${largest.join(', ')}`,
    ...(optimize.recompute === 'auto'
      ? ['`recompute = auto` comes no lower: all that helps is given up']
      : []),
  ]
}

/** Fewer images in one pass, by the share that activations have; recomputation where the file does not leave it to us. */
function memoryHelp(experiment: ResolvedExperiment, phase: PhaseCost, budget: number): string[] {
  const { arenaBytes, stateBytes } = phase.memory
  const images = phase.imagesPerRank / phase.microSteps
  const fits = Math.floor((images * (budget - stateBytes)) / arenaBytes)
  const divisor = divisorUpTo(phase.imagesPerRank, fits)
  return [
    ...(divisor >= 2
      ? [
          `schedule.micro_batch = ${divisor} img   (what KoLeo, Sinkhorn-Knopp and centers see shrinks with it)`,
        ]
      : []),
    ...(experiment.optimize.recompute === 'auto' ? [] : ['optimize.recompute = auto']),
    ...(stateBytes > budget ? ['hardware.shard = fsdp, over more ranks: the state alone is too large'] : []),
  ]
}

function divisorUpTo(n: number, most: number): number {
  for (let d = Math.min(n, most); d > 1; d--) if (n % d === 0) return d
  return 1
}

/**
 * DINO2011: the learning rate more than doubles where one phase follows another: a warm-up counts as what it leads
 * to.
 */
export function jumps(experiment: ResolvedExperiment, cost: VariantCost): Diagnostic[] {
  const found: Diagnostic[] = []
  for (const [i, phase] of cost.phases.entries()) {
    const before = cost.phases[i - 1]?.schedules.lr
    const [first] = experiment.schedule.phases[i]?.lr.pieces ?? []
    if (before === undefined || first === undefined) continue
    const now = first.kind === 'warmup' ? first.to : first.kind === 'constant' ? first.value : first.from
    if (now <= 2 * before.last) continue
    found.push(
      diagnose(
        'DINO2011',
        spanAt(experiment, `schedule.${phase.name}.lr`),
        { from: rate(before.last), to: rate(now), phase: phase.name },
        {
          label: first.kind === 'warmup' ? 'warms up to this' : 'starts here',
          notes: [`phase \`${cost.phases[i - 1]?.name}\` ends at ${rate(before.last)}`],
        },
      ),
    )
  }
  return found
}

/** DINO0811 where the experiment asks for products in bf16 of a target that has none. */
export function missingPrecision(
  experiment: ResolvedExperiment,
  capabilities: ReadonlySet<string>,
): Diagnostic[] {
  const { precision } = experiment.optimize
  if (precision === 'float32' || capabilities.has(precision)) return []
  const help = ['run on a device that has it: native or interpret', 'set optimize.precision = float32']
  return [diagnose('DINO0811', spanAt(experiment, 'optimize.precision'), { op: precision }, { help })]
}

/** DINO0908 where the experiment asks for several ranks of a target that cannot exchange anything. */
export function missingRanks(
  experiment: ResolvedExperiment,
  capabilities: ReadonlySet<string>,
): Diagnostic[] {
  const { ranks } = experiment.hardware
  if (ranks === 1 || capabilities.has('op:all_reduce')) return []
  const help = ['run on a device that has ranks: native or interpret', 'set hardware.ranks = 1']
  return [diagnose('DINO0908', spanAt(experiment, 'hardware.ranks'), { ranks, most: 1 }, { help })]
}

function spanAt(experiment: ResolvedExperiment, path: string): Span | null {
  return experiment.provenance[path]?.at ?? null
}
