import fs from 'node:fs/promises'
import { join } from 'node:path'
import type { Plan } from '../../compiler/plan/plan.js'
import type { RunSpec } from '../../compiler/plan/run-spec.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'
import { readJson } from '../../runtime/durable.js'
import type { Environment } from '../../runtime/environment.js'
import { type EvalFile, readEvalFile } from '../../runtime/eval/eval-file.js'
import { type GalleryFile, readGallery } from '../../runtime/eval/gallery.js'
import type { EvaluationLine, TrainingLine } from '../../runtime/events.js'
import { type HealthLine, readLog } from '../../runtime/metrics-log.js'
import { filesIn, type RunRecord, readRecord } from '../../runtime/run-directory.js'

/** What one run left behind, as far as it got. */
export interface CollectedRun {
  readonly variant: string
  readonly seed: number
  readonly directory: string
  readonly record: RunRecord
  readonly resolved: ResolvedExperiment | null
  readonly spec: RunSpec | null
  readonly plans: Readonly<Record<string, Plan>>
  readonly evaluation: EvalFile | null
  readonly environment: Environment | null
  readonly gallery: GalleryFile | null
  readonly training: readonly TrainingLine[]
  readonly evaluations: readonly EvaluationLine[]
  /** What the monitors watched, of each step and of each evaluation. */
  readonly health: readonly HealthLine[]
}

/** All runs below `runs/<experiment>/`: `full` first, the others by `order`, then by name; seeds rising. */
export async function collectRuns(directory: string, order: readonly string[] = []): Promise<CollectedRun[]> {
  const runs: CollectedRun[] = []
  for (const run of await runDirectories(directory)) {
    const found = await collectRun(run)
    if (found !== null) runs.push(found)
  }
  const rank = (name: string) =>
    name === 'full' ? -1 : order.includes(name) ? order.indexOf(name) : order.length
  return runs.sort(
    (a, b) =>
      rank(a.variant) - rank(b.variant) ||
      (a.variant === b.variant ? a.seed - b.seed : a.variant < b.variant ? -1 : 1),
  )
}

/** `runs/quickstart/full/seed-0`, ...: whatever is left in them. */
export async function runDirectories(experiment: string): Promise<string[]> {
  const found: string[] = []
  for (const variant of await subdirectories(experiment))
    for (const seed of await subdirectories(join(experiment, variant)))
      if (seed.startsWith('seed-')) found.push(join(experiment, variant, seed))
  return found
}

async function subdirectories(directory: string): Promise<string[]> {
  const entries = await fs.readdir(directory, { withFileTypes: true }).catch(() => [])
  return entries.filter((e) => e.isDirectory() && !e.name.startsWith('.')).map((e) => e.name)
}

async function collectRun(directory: string): Promise<CollectedRun | null> {
  const files = filesIn(directory)
  const record = await readRecord(files)
  if (record === null) return null
  const spec = (await readJson(files.runSpec)) as RunSpec | null
  const plans: Record<string, Plan> = {}
  for (const { plan } of spec?.phases ?? []) {
    const found = (await readJson(join(directory, plan))) as Plan | null
    if (found !== null) plans[plan] = found
  }
  const lines = await readLog(files.metrics)
  return {
    variant: record.variant,
    seed: record.seed,
    directory,
    record,
    resolved: (await readJson(files.resolved)) as ResolvedExperiment | null,
    spec,
    plans,
    evaluation: await readEvalFile(files.evaluation),
    environment: (await readJson(files.environment)) as Environment | null,
    gallery: await readGallery(files.gallery),
    training: lines.filter((line): line is TrainingLine => 'loss' in line),
    evaluations: lines.filter((line): line is EvaluationLine => 'eval' in line),
    health: await readLog<HealthLine>(files.health),
  }
}
