import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runHere } from '../../cli/execute.js'
import type { Source } from '../../compiler/resolve/resolved.js'
import type { Device } from '../../runtime/devices/device.js'
import { openInterpret } from '../../runtime/devices/interpret.js'
import { openNative } from '../../runtime/devices/native/native.js'
import type { RunEvent, RunOutcome } from '../../runtime/events.js'
import { readLog } from '../../runtime/metrics-log.js'
import { runFiles } from '../../runtime/run-directory.js'
import { pictures, picturesIn, type TinyOptions, tinyJob } from './tiny-job.js'

let root: string
let source: Source
beforeAll(async () => {
  root = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-whole-'))
  source = await pictures(picturesIn(root), 6)
})
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

interface Wishes extends TinyOptions {
  readonly device?: Device
  readonly loaders?: number
  readonly stopAt?: number
}

async function run(name: string, wishes: Wishes = {}): Promise<{ outcome: RunOutcome; lines: object[] }> {
  const device = wishes.device ?? openInterpret({ border: 'f64' })
  const job = tinyJob(source, device, wishes)
  const settings = {
    ...{
      runsRoot: join(root, name),
      mode: 'train' as const,
      device: 'interpret',
      threads: 1,
      loaders: wishes.loaders ?? 1,
    },
    command: 'dinoc run whole.dino',
    evaluationImages: null,
  }
  let step = 0
  const outcome = await runHere(
    job,
    settings,
    async () => device,
    () => wishes.stopAt !== undefined && step >= wishes.stopAt,
    (event: RunEvent) => {
      if (event.type === 'step') step = event.line.step + 1
    },
  )
  const log = await readLog(runFiles(settings.runsRoot, job.spec).metrics)
  return { outcome, lines: log.map(({ time, ...line }) => line) }
}

test('a real, tiny experiment: trains, evaluates, and its lines are whole', async () => {
  const { outcome, lines } = await run('first')
  expect(outcome.failure).toBeNull()
  expect(outcome).toMatchObject({ status: 'finished', step: 6, steps: 6 })
  expect(lines).toHaveLength(6 + 4)
  const [untrained, first] = lines as [{ eval: { knn: Record<string, number> } }, Record<string, object>]
  expect(Object.keys(untrained.eval.knn)).toEqual(['top1@1', 'top5@1', 'top1@3', 'top5@3'])
  expect(Object.keys(first.loss!).sort()).toEqual(['dino_global', 'dino_local', 'ibot', 'koleo', 'total'])
  expect(Object.keys(first.grad_norm!).sort()).toEqual(['backbone', 'dino_head', 'ibot_head'])
  const loss = first.loss as Record<string, number>
  const sum = loss.dino_local! + loss.dino_global! + loss.ibot! + loss.koleo!
  expect(loss.total).toBeCloseTo(sum, 5)
})

test('stopped and continued, with other loader threads, the same bits; another seed, others', async () => {
  const { lines } = await run('undisturbed')
  const { outcome } = await run('disturbed', { stopAt: 3, loaders: 3 })
  expect(outcome.status).toBe('interrupted')
  expect((await run('disturbed', { loaders: 2 })).lines).toEqual(lines)
  expect((await run('seed', { seed: 1 })).lines).not.toEqual(lines)
})

test('micro-batches: gradients are averaged, masked rows are counted over the batch', async () => {
  const { outcome, lines } = await run('micro', { microBatch: 2 })
  expect(outcome.status).toBe('finished')
  expect((lines[1] as { masked_rows: number }).masked_rows).toBeGreaterThan(0)
})

test('a learning rate that explodes stops with the term and the step, the state before it kept', async () => {
  const steps = (value: number) => ({ value, unit: 'step' as const })
  const huge = { pieces: [{ kind: 'constant' as const, value: 1e38, over: null }] }
  const base = tinyJob(source, openInterpret()).resolved as { schedule: { phases: object[] } }
  const [phase] = base.schedule.phases as [object]
  const schedule = {
    ...{ batch: 4, microBatch: null, epoch: steps(2) },
    phases: [{ ...phase, name: 'pretrain', lr: huge, length: steps(6), resolution: 16 }],
  } as never
  const { outcome } = await run('huge', { overrides: { schedule } })
  expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'DINO1036' } })
  expect(outcome.failure!.message).toMatch(
    /^non-finite (loss|gradient of) `\w+` \(\S+\) at step [1-5]; the last good state is kept at step [1-5]$/,
  )
})

// Without a C++ compiler there is no native device; its build says so.
const native = await openNative({ threads: 1 }).catch(() => null)
await native?.close()

test.skipIf(native === null)(
  'native (not built here: skipped): 1 and 2 threads, and resume, the same bits',
  async () => {
    const on = async (name: string, threads: number, stopAt?: number) => {
      const device = await openNative({ threads })
      const result = await run(name, { device, ...(stopAt === undefined ? {} : { stopAt }) })
      await device.close()
      return result
    }
    const { lines, outcome } = await on('native', 1)
    expect(outcome.failure).toBeNull()
    expect(lines).toHaveLength(6 + 4)
    expect((await on('native two', 2)).lines).toEqual(lines)
    expect((await on('native resumed', 2, 3)).outcome.status).toBe('interrupted')
    expect((await on('native resumed', 1)).lines).toEqual(lines)
  },
)
