import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../../diagnostics/package-root.js'
import { expectGolden } from '../support/golden.js'
import { currentTour } from './tour.js'

const path = join(packageRoot(), 'docs/tour.md')

test('the tour shows what its commands print', async () => {
  expectGolden(path, await currentTour(readFileSync(path, 'utf8')))
}, 300_000)

test('the tour shows the experiment as it stands', () => {
  const source = readFileSync(join(packageRoot(), 'experiments/tour.dino'), 'utf8')
  const shown = /```dino\n([\s\S]*?)```/.exec(readFileSync(path, 'utf8'))?.[1]
  expect(shown).toBe(source.slice(source.indexOf('experiment tour')))
})
