import type { FileHandle } from 'node:fs/promises'
import fs from 'node:fs/promises'
import { replaceFile, writeFault } from './durable.js'
import type { EvaluationLine, TrainingLine } from './events.js'

/**
 * metrics.jsonl: one object a line, training lines and evaluation lines in the order they arose: the evaluation of
 * the state after s updates stands before the training line of step s. Two runs of one identity give the same file,
 * interrupted or not, but for the object `time` of each line. health.jsonl has the same form.
 */
export interface Log {
  append(line: MetricsLine | HealthLine): void
  /** Writes out what is pending and fsyncs. */
  sync(): Promise<void>
  close(): Promise<void>
}

interface LogLine {
  readonly step: number
}
export type MetricsLine = TrainingLine | EvaluationLine

/** What the monitors saw, of a step or of the features that an evaluation computed. */
export type HealthLine = StepHealth | EvaluationHealth

/** `entropy.dino`, `usage.ibot` */
export interface StepHealth extends LogLine {
  readonly phase: string
  readonly measures: Readonly<Record<string, number>>
}

/** By evaluation: `rank.cls`, `spread.cls`. */
export interface EvaluationHealth extends EvaluatedLine {
  readonly phase: string
}

interface EvaluatedLine extends LogLine {
  readonly eval: Readonly<Record<string, Readonly<Record<string, number>>>>
}

export function isEvaluation<L extends LogLine>(line: L): line is Extract<L, EvaluatedLine> {
  return 'eval' in line
}

/** Opens for appending what follows the state after `step` updates; whatever an interrupted run wrote beyond is cut. */
export async function openLog(path: string, step: number): Promise<Log> {
  let handle: FileHandle
  try {
    await cutBack(path, step)
    handle = await fs.open(path, 'a')
  } catch (error) {
    throw writeFault(error, path)
  }
  let pending: Promise<void> = Promise.resolve()
  let fault: unknown = null
  return {
    append(line) {
      const text = `${JSON.stringify(line)}\n`
      pending = pending
        .then(() => handle.appendFile(text))
        .catch((error: unknown) => {
          fault ??= writeFault(error, path)
        })
    },
    async sync() {
      await pending
      if (fault !== null) throw fault
      try {
        await handle.sync()
      } catch (error) {
        throw writeFault(error, path)
      }
    },
    async close() {
      await pending
      await handle.close()
    },
  }
}

/** What a run wrote; a torn last line is left out, and what else is none of its lines (`damagedFiles` tells of those). */
export async function readLog<L extends LogLine = MetricsLine>(path: string): Promise<L[]> {
  const { good } = splitLog(await fs.readFile(path, 'utf8').catch(() => ''))
  return good.map(({ line }) => line as L)
}

/** The lines that a run wrote, and the number of others; a last line without its end is torn, not damaged. */
export function splitLog(text: string): {
  readonly good: readonly { readonly text: string; readonly line: LogLine }[]
  readonly bad: number
} {
  const all = text.split('\n').map((part) => ({ text: part, line: parseLine(part) }))
  const good = all.filter((part): part is { text: string; line: LogLine } => part.line !== null)
  return { good, bad: all.slice(0, -1).filter(({ line }) => line === null).length }
}

function parseLine(text: string): LogLine | null {
  try {
    const line = JSON.parse(text) as LogLine | null
    return line !== null && typeof line.step === 'number' ? line : null
  } catch {
    return null
  }
}

async function cutBack(path: string, step: number): Promise<void> {
  const text = await fs.readFile(path, 'utf8').catch(() => '')
  const kept = splitLog(text)
    .good.filter(({ line }) => line.step < step || (line.step === step && isEvaluation(line)))
    .map((part) => `${part.text}\n`)
    .join('')
  if (kept === text) return
  if (text.startsWith(kept)) await fs.truncate(path, Buffer.byteLength(kept))
  else await replaceFile(path, kept)
}

/**
 * Puts evaluations that came later into a log where an undisturbed run of today's file would have them. What
 * stands there under names of `fresh` is taken out: results of another protocol.
 */
export async function mergeEvaluations(
  path: string,
  added: readonly EvaluatedLine[],
  fresh: ReadonlySet<string>,
): Promise<void> {
  const lines: (LogLine | EvaluatedLine)[] = []
  const isEvaluated = (line: LogLine): line is EvaluatedLine => 'eval' in line
  for (const line of await readLog<LogLine>(path)) {
    if (!isEvaluated(line)) {
      lines.push(line)
      continue
    }
    const kept = Object.entries(line.eval).filter(([name]) => !fresh.has(name))
    if (kept.length > 0) lines.push({ ...line, eval: Object.fromEntries(kept) })
  }
  for (const line of added) {
    const same = lines.findIndex((other) => isEvaluated(other) && other.step === line.step)
    if (same >= 0) {
      const other = lines[same] as EvaluatedLine
      lines[same] = { ...other, eval: { ...other.eval, ...line.eval } }
    } else {
      const after = lines.findIndex((other) => !isEvaluated(other) && other.step >= line.step)
      lines.splice(after < 0 ? lines.length : after, 0, line)
    }
  }
  await replaceFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}
