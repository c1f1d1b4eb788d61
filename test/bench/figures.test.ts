import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { cases } from '../../bench/runner/cases.js'
import { compare, markdown, median } from '../../bench/runner/figures.js'
import { checkFile } from '../../compiler/compile.js'
import { nodeHost } from '../../compiler/resolve/host.js'

const result = (imagesPerSecond: number, peakRssBytes: number, gflops = 100) => ({
  imagesPerSecond,
  peakRssBytes,
  gflops,
})

test('a ratio is the median of pairs, not the ratio of medians', () => {
  const pairs = [
    { ours: result(2, 1), peer: result(1, 2) },
    { ours: result(30, 1), peer: result(10, 2) },
    { ours: result(4, 1), peer: result(1, 4) },
  ]
  const row = compare({ name: 'x', least: 1.1 }, pairs, 200)
  expect(row).toMatchObject({ ratio: 3, lowest: 2, highest: 4, ours: 4, peer: 1, ofPeak: 0.5, memory: 0.5 })
  expect(markdown([row]).split('\n')[2]).toBe(
    '| x | 3 | 4.00 | 1.00 | **3.00** (2.00 to 4.00) | 1.10 | 100 | 50 % |  | 0.50 |  |',
  )
  const held = compare({ name: 'x', least: 1.1, leastOfPeak: 0.55, mostMemory: 0.45 }, pairs, 200)
  expect(markdown([held]).split('\n')[2]).toMatch(/ 50 % \| 55 % \| 0.50 \| 0.45 \|$/)
  expect(median([4, 1, 3, 2])).toBe(2.5)
})

test('every case names a step that is there', () => {
  const { experiments } = checkFile('bench/models.dino', nodeHost(), { set: [], params: {}, env: {} })
  const steps = experiments.flatMap(({ name, variants }) =>
    variants.map(({ resolved }) => `${name}.${resolved.variant}`),
  )
  expect(cases.map((one) => one.ours).filter((name) => !steps.includes(name))).toEqual([])
})

const python = process.env.DINO_PEER_PYTHON ?? '.peer/bin/python'
const torch = spawnSync(python, ['-c', 'import numpy, torch']).status === 0
test.skipIf(!torch)(
  `the PyTorch peer gives the recorded losses${torch ? '' : ' (skipped: no PyTorch; npm run bench:peer -- --setup)'}`,
  () => {
    const { status, stdout } = spawnSync(python, ['bench/peer/check.py', 'test/golden/fixtures'], {
      encoding: 'utf8',
    })
    expect(stdout).toMatch(/2 passed, 0 failed/)
    expect(status).toBe(0)
  },
)
