import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device } from '../../runtime/devices/device.js'
import { openDevice } from '../../runtime/devices/registry.js'
import { type Fixture, fixtureNames, loadFixture } from './fixture.js'
import { checkDirectory, checkFixture, type FixtureResult } from './run.js'
import { checkFor } from './subjects.js'

const directory = join(import.meta.dirname, 'fixtures')
const fixtures = fixtureNames(directory).map((name) => loadFixture(directory, name))
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
      "11-depth: not supported: metrics of BTS / AdaBins, as in the depth toolkit the reference's depth evaluation uses",
      '11-retrieval: not supported: protocol of Radenovic et al. 2018, Revisiting Oxford and Paris',
      "11-segmentation: not supported: mean IoU as in the mmsegmentation toolkit the reference's segmentation evaluation uses",
    ])
  })

  it('knows what a fixture is about by what it says, not by the name of its file', () => {
    for (const fixture of fixtures) expect(checkFor({ ...fixture, name: 'x' })).toBe(checkFor(fixture))
  })

  it('leaves alone what has an option that it does not know, and says so', () => {
    const reasonOf = (name: string, config: object) => {
      const fixture = fixtures.find((f) => f.name === name)!
      return checkFor({ ...fixture, config: { ...fixture.config, ...config } })
    }
    expect(reasonOf('01-vit-mlp', { depth: 2, rope: true })).toBe('not supported: rope = true')
    expect(reasonOf('01-vit-mlp', { ffn_layer: 'identity', qkv_bias: false })).toBe(
      'not supported: ffn_layer = "identity", qkv_bias = false',
    )
    expect(reasonOf('12-distill-step', { teacher_backbone: { depth: 1, gated: true } })).toBe(
      'not supported: teacher_backbone.gated = true',
    )
    expect(checkFor({ ...fixtures[0]!, json: {} })).toBe('not supported: it does not say what it `covers`')
  })

  it('counts a file that is not JSON as a failure, and goes on', async () => {
    const place = mkdtempSync(join(tmpdir(), 'dinoc-golden-'))
    writeFileSync(join(place, 'a.json'), '{"covers": [')
    for (const end of ['json', 'safetensors'])
      copyFileSync(join(directory, `07-koleo-loss.${end}`), join(place, `b.${end}`))
    copyFileSync(join(directory, '03-drop-path-bernoulli.json'), join(place, 'c.json'))
    const device = await openDevice('interpret', { threads: 1 })
    const results: FixtureResult[] = []
    for await (const result of checkDirectory(place, device)) results.push(result)
    await device.close()
    rmSync(place, { recursive: true })
    expect(results.map(({ name, passed }) => [name, passed > 0])).toEqual([
      ['a', false],
      ['b', true],
      ['c', false],
    ])
    expect(results[0]!.failures).toEqual([expect.stringMatching(/^cannot be read: .*a\.json is not JSON: /)])
    expect(results[2]!.failures).toEqual([expect.stringMatching(/^stopped: ENOENT.*03-drop-path-subset/)])
  })

  it.each(['12-distill-step', '10-step-b-separate-sinkhorn'])(
    'compares every expected tensor and loss of %s',
    async (name) => {
      const fixture = fixtures.find((f) => f.name === name)!
      const shifted = (value: unknown): unknown =>
        typeof value === 'number'
          ? value * 1.1 + 0.1
          : Array.isArray(value)
            ? value.map(shifted)
            : Object.fromEntries(Object.entries(value as object).map(([key, inner]) => [key, shifted(inner)]))
      const tensors = new Map(
        [...fixture.tensors].map(([key, tensor]) =>
          tensor.role === 'expected' && tensor.dtype === 'F32'
            ? [key, { ...tensor, data: Float32Array.from(tensor.data, (v) => v * 1.1 + 0.1) }]
            : [key, tensor],
        ),
      )
      const { trajectory, expected } = fixture.json as { trajectory?: object; expected?: object }
      const losses = (of: object | undefined) => {
        const { loss_dict, total_loss_backpropagated } = (of ?? {}) as Record<string, unknown>
        return (
          of && {
            ...of,
            loss_dict: shifted(loss_dict),
            total_loss_backpropagated: shifted(total_loss_backpropagated),
          }
        )
      }
      const json = { ...fixture.json, trajectory: losses(trajectory), expected: losses(expected) }
      const device = await openDevice('interpret', { threads: 1 })
      const wrong: Fixture = { ...fixture, json, tensors }
      const { failures } = await checkFixture(wrong, device)
      await device.close()
      const failed = new Set(failures.map((failure) => failure.split(':')[0]))
      for (const { name: key, role } of tensors.values())
        if (role === 'expected') expect(failed).toContain(key)
      expect([...failed].filter((key) => /(_loss|total)$/.test(key!)).length).toBeGreaterThan(3)
    },
  )

  it('runs only the parts that a fixture lists', async () => {
    const fixture = fixtures.find(({ name }) => name === '07-koleo-loss')!
    const whole = [...fixture.tensors].filter(([name]) => !name.startsWith('halves.'))
    const device = await openDevice('interpret', { threads: 1 })
    // Of the loss alone, of a batch that has no halves.
    const x = fixture.tensors.get('x')!
    const odd = { ...x, shape: [7, 32], data: x.data.slice(0, 7 * 32) }
    const distances = { ...fixture.tensors.get('distances')!, shape: [7] }
    const { failures } = await checkFixture(
      {
        ...fixture,
        tensors: new Map([
          ['x', odd],
          ['distances', distances],
        ]),
      },
      device,
    )
    expect(failures.join()).not.toContain('stopped')
    const results = await checkFixture({ ...fixture, tensors: new Map(whole) }, device)
    expect(results).toMatchObject({ failures: [], passed: whole.length - 1 })
    await device.close()
  })

  it('says where there is no directory', () => {
    expect(() => fixtureNames(join(directory, 'nope'))).toThrow(/nope is no directory of fixtures$/)
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
