import type { FileHandle } from 'node:fs/promises'
import fs from 'node:fs/promises'
import { replaceFile, writeFault } from './durable.js'
import type { EvaluationLine, TrainingLine } from './events.js'

/**
 * metrics.jsonl: one object a line, training lines and evaluation lines in the order they arose. Two runs of one
 * identity give the same file, interrupted or not, but for the object `time` of each line.
 */
export interface MetricsLog {
  append(line: TrainingLine | EvaluationLine): void
  /** Writes out what is pending and fsyncs; returns the length of the file in bytes, which a checkpoint remembers. */
  sync(): Promise<number>
  close(): Promise<void>
}

/** Opens for appending after `bytes`, the length at the checkpoint that a run resumes from; 0 starts over. */
export async function openMetricsLog(path: string, bytes: number): Promise<MetricsLog> {
  let handle: FileHandle
  try {
    handle = await fs.open(path, 'a')
    await handle.truncate(bytes)
  } catch (error) {
    throw writeFault(error, path)
  }
  let length = bytes
  let pending: Promise<void> = Promise.resolve()
  let fault: unknown = null
  return {
    append(line) {
      const text = `${JSON.stringify(line)}\n`
      length += Buffer.byteLength(text)
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
      return length
    },
    async close() {
      await pending
      await handle.close()
    },
  }
}

export type MetricsLine = TrainingLine | EvaluationLine

export function isEvaluation(line: MetricsLine): line is EvaluationLine {
  return 'eval' in line
}

/** Whole lines of the first `bytes` bytes; a torn last line is left out. */
export async function readMetrics(path: string, bytes?: number): Promise<MetricsLine[]> {
  let text: string
  try {
    const content = await fs.readFile(path)
    text = content.subarray(0, bytes ?? content.length).toString('utf8')
  } catch {
    return []
  }
  const lines: MetricsLine[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    try {
      lines.push(JSON.parse(line) as MetricsLine)
    } catch {
      break
    }
  }
  return lines
}

/**
 * Adds an evaluation that came later to the file of a finished run, where an undisturbed run of today's file would
 * have it: in the line of its step, or a line of its own before the training line of that step.
 */
export async function mergeEvaluation(path: string, added: EvaluationLine): Promise<void> {
  const lines = await readMetrics(path)
  const same = lines.findIndex((line) => isEvaluation(line) && line.step === added.step)
  if (same >= 0) {
    const line = lines[same] as EvaluationLine
    lines[same] = { ...line, eval: { ...line.eval, ...added.eval } }
  } else {
    const after = lines.findIndex((line) => !isEvaluation(line) && line.step >= added.step)
    lines.splice(after < 0 ? lines.length : after, 0, added)
  }
  await replaceFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}
