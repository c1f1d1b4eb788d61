import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { damagedFiles } from '../../runtime/damage.js'
import { openLog, readLog } from '../../runtime/metrics-log.js'
import { filesIn } from '../../runtime/run-directory.js'

let directory: string
beforeAll(() => {
  directory = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-damage-'))
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

const line = (step: number): string => JSON.stringify({ step, phase: 'pretrain', loss: { total: step } })

test('damaged files are DINO1053, torn ends and absent files are not', async () => {
  const files = filesIn(directory)
  expect(await damagedFiles(files)).toEqual([])
  fs.writeFileSync(files.metrics, `${line(0)}\n${line(1)}\n{"step": 2, "ph`)
  expect(await damagedFiles(files)).toEqual([])

  fs.writeFileSync(files.metrics, `${line(0)}\njunk\n${line(1)}\n`)
  fs.writeFileSync(files.evaluation, '{}')
  fs.writeFileSync(files.record, '{"formatVersion": 1, "iden')
  const found = await damagedFiles(files)
  expect(found.map((d) => [d.code, d.severity, d.message.replace(directory, 'run')])).toEqual([
    [
      ...['DINO1053', 'warning'],
      'run/run.json is damaged: it holds no record of a run; `run` begins it anew',
    ],
    ['DINO1053', 'warning', "run/metrics.jsonl is damaged: 1 line is none of a run's and left out"],
    ['DINO1053', 'warning', 'run/eval.json is damaged: it holds no results; `run` measures them again'],
  ])
})

test('a log goes on with every good line up to the step, whatever stands between them', async () => {
  const path = join(directory, 'log.jsonl')
  fs.writeFileSync(path, `${line(0)}\njunk\n${line(1)}\n${line(2)}\n${line(3)}\n`)
  const log = await openLog(path, 3)
  const health = { step: 3, phase: 'pretrain', measures: {} }
  log.append(health)
  await log.sync()
  await log.close()
  expect(await readLog(path)).toEqual([...[0, 1, 2].map((step) => JSON.parse(line(step))), health])
  expect(fs.readFileSync(path, 'utf8')).not.toContain('junk')
})
