import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openDevice } from '../../runtime/devices/registry.js'
import { loadFixtures } from './fixture.js'
import { checkFixture, checkFor } from './run.js'

const fixtures = loadFixtures(join(import.meta.dirname, 'fixtures'))

for (const name of ['interpret'] as const)
  describe(`golden numbers on ${name}`, async () => {
    const device = await openDevice(name, { threads: 1 })
    afterAll(() => device.close())
    for (const fixture of fixtures)
      if (typeof checkFor(fixture) !== 'string')
        it(fixture.name, async () => {
          const { passed, failures } = await checkFixture(fixture, device)
          expect(failures).toEqual([])
          expect(passed).toBeGreaterThan(0)
        })
  })
