import { embeddedTarget, lowerPhase, optimizePhase } from '../../compiler/compile.js'
import type { PassEffect } from '../../compiler/passes/pipeline.js'
import { memoryText } from '../../compiler/plan/figures.js'
import { measure } from '../../compiler/plan/measure.js'
import type { ResolvedFamily } from '../../compiler/resolve/resolve.js'
import type { Phase, ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { aligned, grouped, significant } from '../terminal/figures.js'
import { UsageError } from '../usage-error.js'

/** What each pass saves, for one phase of the first variant of each experiment. */
export function explain(
  families: readonly ResolvedFamily[],
  phaseName: string | null,
  format: 'human' | 'json',
): string {
  const traces = families.map((family) => {
    const resolved = (family.variants[0] as ResolvedFamily['variants'][number]).resolved
    const phase = phaseOf(resolved, phaseName)
    const { trace } = optimizePhase(resolved, lowerPhase(resolved, phase), embeddedTarget, { measure })
    return { name: `${resolved.name}.${resolved.variant}`, phase: phase.name, trace, resolved }
  })
  if (format === 'json')
    return `${JSON.stringify({
      formatVersion: 1,
      experiments: traces.map(({ name, phase, trace }) => ({
        name,
        phase,
        passes: trace,
      })),
    })}\n`
  return `${traces.map(({ name, phase, trace }) => passTable(`${name}, phase ${phase}`, trace)).join('\n\n')}\n`
}

/** The phase of a name, the first one for null. */
export function phaseOf(experiment: ResolvedExperiment, name: string | null): Phase {
  const { phases } = experiment.schedule
  const phase = name === null ? phases[0] : phases.find((p) => p.name === name)
  if (phase !== undefined) return phase
  throw new UsageError(`${experiment.name} has no phase \`${name}\``, [
    `its phases are ${phases.map((p) => p.name).join(', ')}`,
  ])
}

function passTable(title: string, trace: readonly PassEffect[]): string {
  const head = ['pass', 'operations', '', '', 'GFLOP', '', '', 'GB moved', '', '', 'peak memory', '', '']
  const rows = trace.map(({ pass, before, after }) => [
    `  ${pass}`,
    ...change(before.ops, after.ops, grouped),
    ...change(before.executedFlops, after.executedFlops, (n) => figure(n / 1e9)),
    ...change(before.bytesMoved, after.bytesMoved, (n) => figure(n / 1e9)),
    ...change(before.peakBytes, after.peakBytes, memoryText),
  ])
  const first = trace[0]?.before
  const last = trace.at(-1)?.after
  if (first !== undefined && last !== undefined)
    rows.push([
      '  all',
      ...change(first.ops, last.ops, grouped),
      ...change(first.executedFlops, last.executedFlops, (n) => figure(n / 1e9)),
      ...change(first.bytesMoved, last.bytesMoved, (n) => figure(n / 1e9)),
      ...change(first.peakBytes, last.peakBytes, memoryText),
    ])
  const columns = head.map((_, i) => ({
    align: i === 0 || i % 3 === 2 ? ('left' as const) : ('right' as const),
    gap: i === 0 ? 0 : i % 3 === 1 ? 3 : 1,
  }))
  const lines = [
    title,
    ...aligned([[`  ${head[0]}`, ...head.slice(1)], ...rows], columns),
    '',
    '  one step of one rank; before a pass, the module as it would run with only what must still follow',
  ]
  return lines.join('\n')
}

/** `before`, an arrow and `after` where they differ; else the figure alone. */
function change(before: number, after: number, write: (n: number) => string): [string, string, string] {
  const [a, b] = [write(before), write(after)]
  return a === b ? [a, '', ''] : [a, '->', b]
}

function figure(n: number): string {
  return n >= 100 ? grouped(n) : significant(n, 3)
}
