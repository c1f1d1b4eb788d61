import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device } from '../../runtime/devices/device.js'
import { openDevice } from '../../runtime/devices/registry.js'
import { loadFixtures } from './fixture.js'
import { checkFixture, checkFor } from './run.js'

const fixtures = loadFixtures(join(import.meta.dirname, 'fixtures'))
/** `GOLDEN_DEVICES=wasm,tensorflow npx vitest run test/golden` adds others. */
const names = ['interpret', 'native', ...(process.env.GOLDEN_DEVICES?.split(',') ?? [])]

for (const name of names) {
  const device = await openDevice(name, { threads: 1 }).catch((error: unknown) => {
    if (error instanceof DiagnosticError) return error.diagnostics[0]?.message ?? 'not there'
    throw error
  })
  const missing = typeof device === 'string'
  describe.skipIf(missing)(`golden numbers on ${name}${missing ? `: ${device}` : ''}`, () => {
    checkAll(missing ? null : device)
  })
}

function checkAll(device: Device | null): void {
  afterAll(() => device?.close())
  for (const fixture of fixtures)
    if (typeof checkFor(fixture) !== 'string')
      it(fixture.name, async () => {
        const { passed, failures } = await checkFixture(fixture, device!)
        expect(failures).toEqual([])
        expect(passed).toBeGreaterThan(0)
      })
}

describe('the runner', () => {
  it('says what it does not check', () => {
    const skipped = fixtures.flatMap((fixture) => {
      const check = checkFor(fixture)
      return typeof check === 'string' ? [`${fixture.name}: ${check}`] : []
    })
    expect(skipped).toEqual([
      '10-step-common: shared data of other fixtures',
      '11-depth: not supported yet',
      '11-retrieval: not supported yet',
      '11-segmentation: not supported yet',
    ])
  })

  it('counts a wrong number as a failure, and names the worst element', async () => {
    const fixture = fixtures.find(({ name }) => name === '07-koleo-loss')!
    const loss = fixture.tensors.get('grad.x')!
    const data = Float32Array.from(loss.data)
    data[5]! += 1e-3
    data[6]! += 1e-2
    const wrong = { ...fixture, tensors: new Map([...fixture.tensors, ['grad.x', { ...loss, data }]]) }
    const device = await openDevice('interpret', { threads: 1 })
    const { failures } = await checkFixture(wrong, device)
    expect(failures).toHaveLength(1)
    expect(failures[0]).toMatch(/^grad\.x: element 6 of 256 is /)
    await device.close()
  })
})
