import type { RunOutcome } from '../../runtime/events.js'
import type { Job } from '../../runtime/job.js'
import { aligned } from './figures.js'
import { shortened } from './screen.js'

/** The runs of a variant that have no number in the table of results. */
export interface FailedVariant {
  readonly variant: string
  readonly seeds: readonly number[]
  /** Of the diagnostics that ended them. */
  readonly codes: readonly string[]
}

/** The failed runs of an experiment, by variant. */
export function failedVariants(
  experiment: string,
  jobs: readonly Job[],
  outcomes: readonly (RunOutcome | null)[],
): readonly FailedVariant[] {
  const found = new Map<string, { variant: string; seeds: number[]; codes: string[] }>()
  for (const [i, { spec }] of jobs.entries()) {
    const outcome = outcomes[i]
    if (spec.experiment !== experiment || outcome?.status !== 'failed') continue
    const row = found.get(spec.variant) ?? { variant: spec.variant, seeds: [], codes: [] }
    found.set(spec.variant, row)
    row.seeds.push(spec.seed)
    const code = outcome.failure?.code
    if (code !== undefined && !row.codes.includes(code)) row.codes.push(code)
  }
  return [...found.values()]
}

/** Rows below the table of results: `  hot   failed   seeds 0, 1   DINO1036`. */
export function failedLines(failed: readonly FailedVariant[], name = 48): string[] {
  const left = { align: 'left', gap: 3 } as const
  return aligned(
    failed.map(({ variant, seeds, codes }) => [
      `  ${shortened(variant, name)}`,
      'failed',
      `${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}`,
      codes.join(', '),
    ]),
    [left, left, left, left],
  )
}
