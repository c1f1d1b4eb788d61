import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { RunSpec } from '../compiler/plan/run-spec.js'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import { checkpointNames, identityOfCheckpoints } from './checkpoint.js'
import { readJson, replaceFile, replaceJson, syncDirectory } from './durable.js'

/**
 * Where a run keeps its files: `runs/<experiment>/<variant>/seed-<n>/`. The directory above the variants belongs to
 * one process at a time (`.lock`) and holds `report.html` and `.earlier/<identity>/`, runs of other identities that
 * stood in the way of a newer one.
 */
export interface RunFiles {
  readonly directory: string
  readonly record: string
  readonly runSpec: string
  readonly resolved: string
  readonly metrics: string
  readonly health: string
  readonly checkpoints: string
  readonly evaluation: string
  readonly gallery: string
  readonly environment: string
  readonly log: string
}

/** `run.json`: how far a run is. Everything else about it stands in files of its own. */
export interface RunRecord {
  readonly formatVersion: 1
  readonly identity: string
  readonly configIdentity: string
  readonly dataIdentity: string
  readonly experiment: string
  readonly variant: string
  readonly seed: number
  /** `running` with a dead owner means interrupted: `kill -9` leaves it so. */
  readonly status: 'running' | 'finished' | 'interrupted' | 'failed'
  readonly step: number
  readonly steps: number
  readonly failure: Diagnostic | null
  /** Null before two steps were timed. */
  readonly imagesPerSecond: number | null
  readonly peakRssBytes: number
}

export function experimentDirectory(runsRoot: string, experiment: string): string {
  return join(runsRoot, escapeName(experiment))
}

export function lockPath(runsRoot: string, experiment: string): string {
  return join(experimentDirectory(runsRoot, experiment), '.lock')
}

export function runFiles(
  runsRoot: string,
  run: { readonly experiment: string; readonly variant: string; readonly seed: number },
): RunFiles {
  const directory = join(
    experimentDirectory(runsRoot, run.experiment),
    escapeName(run.variant),
    `seed-${run.seed}`,
  )
  return filesIn(directory)
}

export function filesIn(directory: string): RunFiles {
  return {
    directory,
    record: join(directory, 'run.json'),
    runSpec: join(directory, 'run-spec.json'),
    resolved: join(directory, 'resolved.json'),
    metrics: join(directory, 'metrics.jsonl'),
    health: join(directory, 'health.jsonl'),
    checkpoints: join(directory, 'checkpoints'),
    evaluation: join(directory, 'eval.json'),
    gallery: join(directory, 'gallery.json'),
    environment: join(directory, 'environment.json'),
    log: join(directory, 'log.jsonl'),
  }
}

/** LANGUAGE.md: characters outside `A-Za-z0-9._%=,[]-` are escaped, as `%` and two hex digits a byte of UTF-8. */
export function escapeName(name: string): string {
  const escaped = name.replace(/[^A-Za-z0-9._%=,[\]-]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  )
  return escaped === '.' || escaped === '..' ? escaped.replaceAll('.', '%2E') : escaped
}

/**
 * What makes two runs the same: the configuration with its seed (the compiler's hash), the contents of the training
 * data, and the version of the runtime's numerics. Short enough to be read aloud, long enough never to meet another.
 */
export function runIdentity(spec: RunSpec, dataIdentity: string): string {
  return digest({
    config: spec.configIdentity,
    data: dataIdentity,
    seed: spec.seed,
    numerics: spec.numericsVersion,
  })
}

/** An evaluation's identity: its protocol and images plus the run that it measures. */
export function evaluationIdentity(run: string, protocol: string, images: string): string {
  return digest({ run, protocol, images })
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)
}

export async function readRecord(files: RunFiles): Promise<RunRecord | null> {
  const record = (await readJson(files.record)) as RunRecord | null
  return record !== null && record.formatVersion === 1 && typeof record.identity === 'string' ? record : null
}

/** Whose run a directory holds; the checkpoints know where its record is lost. */
export async function identityIn(files: RunFiles): Promise<string | null> {
  return (await readRecord(files))?.identity ?? (await identityOfCheckpoints(files.checkpoints))
}

/** What is wrong with the record of a run that is there; null where nothing is, or where no run is. */
export async function recordFault(files: RunFiles): Promise<string | null> {
  if ((await readRecord(files)) !== null) return null
  const exists = await fs.access(files.record).then(
    () => true,
    () => false,
  )
  if (exists) return 'it holds no record of a run'
  return (await checkpointNames(files.checkpoints)).length > 0 ? 'it is missing' : null
}

export async function writeRecord(files: RunFiles, record: RunRecord): Promise<void> {
  await replaceJson(files.record, record)
}

/**
 * Makes the directory ready for a run of this identity: what belongs to another one is moved whole to
 * `.earlier/<identity>/` (with `moved.json` saying from where), and a run of this identity that was moved there
 * earlier is brought back.
 */
export async function claimDirectory(
  runsRoot: string,
  spec: RunSpec,
  identity: string,
): Promise<{ record: RunRecord | null; diagnostics: Diagnostic[] }> {
  const files = runFiles(runsRoot, spec)
  const earlier = join(experimentDirectory(runsRoot, spec.experiment), '.earlier')
  const diagnostics: Diagnostic[] = []
  const stands = await identityIn(files)
  // What ended before its first record, killed or refused, left a half-written one or the log of why.
  const found = await fs.readdir(files.directory).catch(() => [])
  const inhabited = found.some((name) => !name.endsWith('.tmp') && name !== 'log.jsonl')
  if (inhabited && stands !== identity) {
    const other = stands ?? 'unknown'
    const fault = await recordFault(files)
    if (fault !== null) {
      const whose =
        stands === null ? 'no checkpoint says whose run it was' : `its checkpoints are those of ${stands}`
      diagnostics.push(diagnose('DINO1053', null, { path: files.record, what: `${fault}, and ${whose}` }))
    }
    const moved = await freeName(join(earlier, other))
    await fs.mkdir(earlier, { recursive: true })
    await fs.rename(files.directory, moved)
    await syncDirectory(earlier)
    await replaceJson(join(moved, 'moved.json'), {
      from: join(escapeName(spec.variant), `seed-${spec.seed}`),
      replacedBy: identity,
    })
    diagnostics.push(diagnose('DINO1031', null, { directory: files.directory, identity: other, moved }))
  }
  if (stands !== identity) {
    const back = join(earlier, identity)
    if ((await identityIn(filesIn(back))) === identity) {
      await fs.mkdir(dirname(files.directory), { recursive: true })
      await fs.rm(files.directory, { recursive: true, force: true })
      await fs.rename(back, files.directory)
      await fs.rm(join(files.directory, 'moved.json'), { force: true })
      diagnostics.push(diagnose('DINO1052', null, { identity, directory: files.directory }))
    }
  }
  await fs.mkdir(files.directory, { recursive: true })
  return { record: await readRecord(files), diagnostics }
}

async function freeName(path: string): Promise<string> {
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? path : `${path}-${n}`
    if ((await fs.readdir(candidate).catch(() => null)) === null) return candidate
  }
}

/**
 * log.jsonl: interruptions, resumes, warnings and failures, which must not stand in metrics.jsonl. Never fails a run;
 * a run that has no directory yet has no log.
 */
export async function noteInLog(files: RunFiles, entry: Readonly<Record<string, unknown>>): Promise<void> {
  const line = `${JSON.stringify({ clock: new Date().toISOString(), ...entry })}\n`
  await fs.appendFile(files.log, line).catch(() => {})
}

/** The run spec, its plans and the resolved experiment beside it: enough to train without the compiler. */
export async function writeInputs(
  files: RunFiles,
  spec: RunSpec,
  plans: Readonly<Record<string, unknown>>,
  resolved: unknown,
): Promise<void> {
  await replaceJson(files.runSpec, spec)
  if (resolved !== undefined) await replaceJson(files.resolved, resolved)
  for (const [name, plan] of Object.entries(plans))
    await replaceFile(join(files.directory, name), `${JSON.stringify(plan)}\n`)
}
