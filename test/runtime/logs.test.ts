import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { EvaluationLine, TrainingLine } from '../../runtime/events.js'
import { mergeEvaluations, openLog, readLog } from '../../runtime/metrics-log.js'

let path: string
beforeEach(() => {
  path = join(fs.mkdtempSync(join(os.tmpdir(), 'dinoc-logs-')), 'metrics.jsonl')
})
afterEach(() => fs.rmSync(join(path, '..'), { recursive: true, force: true }))

const time = { clock: '2026-01-01T00:00:00.000Z', seconds: 1 }
const training = (step: number): TrainingLine => ({
  ...{ step, phase: 'pretrain', loss: { total: step }, grad_norm: { backbone: 1 }, masked_rows: 3 },
  ...{ lr: 1e-3, weight_decay: 0.04, teacher_temp: 0.04, momentum: 0.99, time },
})
const evaluation = (step: number, name: string, top1 = 0.5): EvaluationLine => ({
  ...{ step, phase: 'pretrain', eval: { [name]: { 'top1@1': top1 } }, time },
})
const shape = async (): Promise<string[]> =>
  (await readLog(path)).map((l) => ('eval' in l ? `${l.step} ${Object.keys(l.eval)}` : String(l.step)))

async function write(lines: readonly (TrainingLine | EvaluationLine)[], step = 0): Promise<void> {
  const log = await openLog(path, step)
  for (const line of lines) log.append(line)
  await log.sync()
  await log.close()
}

test('a log is cut back to the step it resumes from: evaluations of that state stay, its training step goes', async () => {
  await write([
    evaluation(0, 'knn'),
    training(0),
    training(1),
    evaluation(2, 'knn'),
    training(2),
    training(3),
  ])
  expect(await shape()).toEqual(['0 knn', '0', '1', '2 knn', '2', '3'])
  await write([training(2)], 2)
  expect(await shape()).toEqual(['0 knn', '0', '1', '2 knn', '2'])
  await write([training(0)], 0)
  expect(await shape()).toEqual(['0 knn', '0'])
})

test('a torn last line is left out, and cut away', async () => {
  fs.writeFileSync(path, `${JSON.stringify(training(0))}\n{"step": 1, "ph`)
  expect(await shape()).toEqual(['0'])
  await write([training(1)], 1)
  expect(await shape()).toEqual(['0', '1'])
})

test('a later evaluation stands where an undisturbed run would have it, and replaces what had its name', async () => {
  await write([evaluation(0, 'knn'), training(0), evaluation(1, 'other', 0.1), training(1)])
  await mergeEvaluations(path, [evaluation(0, 'other'), evaluation(2, 'other')], new Set(['other']))
  expect(await shape()).toEqual(['0 knn,other', '0', '1', '2 other'])
  const first = (await readLog(path))[0] as EvaluationLine
  expect(first.eval.other).toEqual({ 'top1@1': 0.5 })
})
