import { expect, test } from 'vitest'
import { bench } from '../../runtime/bench.js'
import { openInterpret } from '../../runtime/devices/interpret.js'
import { tinyJob } from './tiny-job.js'

test('a benchmark needs shapes and no data', async () => {
  const device = openInterpret()
  const { spec, plans } = tinyJob({ type: 'folder', path: '/nowhere' } as never, device)
  const result = await bench({
    ...{ spec, phase: 'hires', plan: plans['plan-hires.json']!, device, steps: 3, warmup: 1 },
  })
  expect(result.secondsPerStep).toBeGreaterThan(0)
  expect(result.imagesPerSecond).toBeCloseTo(4 / result.secondsPerStep, 6)
  expect(result.gflops).toBeCloseTo(result.modelFlopsPerStep / result.secondsPerStep / 1e9, 12)
  expect(result.peakRssBytes).toBeGreaterThan(1e7)
})
