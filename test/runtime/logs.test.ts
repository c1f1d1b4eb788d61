import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { EvaluationLine, TrainingLine } from '../../runtime/events.js'
import { mergeEvaluation, openMetricsLog, readMetrics } from '../../runtime/metrics-log.js'

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
const evaluation = (step: number, name: string): EvaluationLine => ({
  ...{ step, phase: 'pretrain', eval: { [name]: { 'top1@1': 0.5 } }, time },
})
const shape = async (): Promise<string[]> =>
  (await readMetrics(path)).map((l) => ('eval' in l ? `${l.step} ${Object.keys(l.eval)}` : String(l.step)))

test('a log is cut back to the length that a checkpoint remembers', async () => {
  const log = await openMetricsLog(path, 0)
  for (let step = 0; step < 3; step++) log.append(training(step))
  const bytes = await log.sync()
  expect(bytes).toBe(fs.statSync(path).size)
  log.append(training(3))
  await log.close()
  expect(await shape()).toEqual(['0', '1', '2', '3'])
  expect((await readMetrics(path, bytes)).length).toBe(3)
  const again = await openMetricsLog(path, bytes)
  again.append(evaluation(3, 'knn'))
  expect(await again.sync()).toBe(fs.statSync(path).size)
  await again.close()
  expect(await shape()).toEqual(['0', '1', '2', '3 knn'])
})

test('a torn last line is left out', async () => {
  fs.writeFileSync(path, `${JSON.stringify(training(0))}\n{"step": 1, "ph`)
  expect(await shape()).toEqual(['0'])
})

test('a later evaluation stands where an undisturbed run would have it', async () => {
  const log = await openMetricsLog(path, 0)
  log.append(evaluation(0, 'knn'))
  for (let step = 0; step < 2; step++) log.append(training(step))
  await log.close()
  await mergeEvaluation(path, evaluation(2, 'other'))
  await mergeEvaluation(path, evaluation(0, 'other'))
  await mergeEvaluation(path, evaluation(1, 'other'))
  expect(await shape()).toEqual(['0 knn,other', '0', '1 other', '1', '2 other'])
})
