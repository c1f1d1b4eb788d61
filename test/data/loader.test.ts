import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunSpec } from '../../compiler/plan/run-spec.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { openRunData } from '../../runtime/data/run-data.js'
import { folderSource, smallPlan, spanOf, withFolder, writePictures } from './small-run.js'

const root = mkdtempSync(join(tmpdir(), 'dinoc-loader-'))
const names = Array.from({ length: 10 }, (_, i) => `picture-${i}.png`)
beforeAll(() => writePictures(root, names))
afterAll(() => rmSync(root, { recursive: true }))

interface Wanted {
  spec?: RunSpec
  threads?: number
  from?: number
  steps?: number
  microSteps?: number
  imageCacheBytes?: number
}

/** All inputs of some steps, copied. */
async function load({
  spec = withFolder(root),
  threads = 1,
  from = 0,
  steps = 3,
  microSteps = 1,
  ...rest
}: Wanted) {
  const log: Diagnostic[] = []
  const data = await openRunData({
    spec,
    plan: () => smallPlan(microSteps),
    log: (d) => log.push(d),
    threads,
    cacheDirectory: null,
    ...rest,
  })
  try {
    const loader = await data.open(spanOf(spec), from)
    const batches = []
    for (let i = 0; i < steps; i++) {
      const { micro, step, maskedRows, corrupt } = await loader.next()
      batches.push(structuredClone({ micro, step, maskedRows, corrupt }))
    }
    await loader.close()
    return { batches, log, identity: data.identity, images: data.trainingImages }
  } finally {
    await data.close()
  }
}
const float = (values: unknown) => values as Float32Array

describe('batches', () => {
  it('are the same, bit for bit, for 1 and for 4 loader threads, with and without an image cache', async () => {
    const [one, four, uncached] = await Promise.all([
      load({ threads: 1, steps: 5 }),
      load({ threads: 4, steps: 5 }),
      load({ threads: 2, steps: 5, imageCacheBytes: 0 }),
    ])
    expect(four.batches).toEqual(one.batches)
    expect(uncached.batches).toEqual(one.batches)
    expect(one.images).toBe(10)
  })

  it('are the same from any first step on', async () => {
    const all = await load({ steps: 8 })
    const late = await load({ from: 5, steps: 3 })
    expect(late.batches).toEqual(all.batches.slice(5))
  })

  it('differ by seed and by step, and hold no gaps', async () => {
    const spec = withFolder(root)
    const first = await load({ spec, steps: 2 })
    const second = await load({ spec: { ...spec, seed: 1 }, steps: 2 })
    const crops = (of: typeof first, step: number) => float(of.batches[step]!.micro[0]!.global)
    expect(crops(second, 0)).not.toEqual(crops(first, 0))
    expect(crops(first, 1)).not.toEqual(crops(first, 0))
    for (const name of ['global', 'local'] as const) {
      const values = float(first.batches[0]!.micro[0]![name])
      expect(values).toHaveLength(name === 'global' ? 12 * 768 : 12 * 192)
      expect(values.every((v) => Number.isFinite(v) && Math.abs(v) < 4)).toBe(true)
      // No plane is left untouched: every view of every image was written.
      for (let at = 0; at < values.length; at += values.length / 36)
        expect(values.subarray(at, at + values.length / 36).some((v) => v !== 0)).toBe(true)
    }
  })

  it('are cut by image into micro-batches, whose crops stand crop after crop', async () => {
    const whole = await load({ steps: 1 })
    const halves = await load({
      spec: withFolder(root, { batch: { images: 6, microSteps: 2, imageGroups: 1 } }),
      microSteps: 2,
      steps: 1,
    })
    const size = 3 * 16 * 16
    const crop = (of: typeof whole, micro: number, row: number) =>
      float(of.batches[0]!.micro[micro]!.global).subarray(row * size, (row + 1) * size)
    for (let slot = 0; slot < 6; slot++)
      for (const view of [0, 1])
        expect(crop(halves, Math.floor(slot / 3), view * 3 + (slot % 3))).toEqual(
          crop(whole, 0, view * 6 + slot),
        )
    const { micro } = halves.batches[0]!
    expect(micro.map((m) => m.first)).toEqual([Int32Array.of(1), Int32Array.of(0)])
    expect(micro[0]!.mask).not.toEqual(micro[1]!.mask)
  })

  it('have the inputs that are no images', async () => {
    const { batches } = await load({ from: 1, steps: 2 })
    const [{ micro, step, maskedRows }] = batches as [(typeof batches)[0], (typeof batches)[0]]
    const inputs = micro[0]!
    expect(step).toEqual({ lr: Float32Array.of(1), last: Float32Array.of(0), adam: Int32Array.of(2) })
    expect(batches[1]!.step).toEqual({
      lr: Float32Array.of(2),
      last: Float32Array.of(2),
      adam: Int32Array.of(3),
    })
    const mask = inputs.mask as Int32Array
    const masked = mask.reduce((sum, bit) => sum + bit, 0)
    expect([maskedRows, ...(inputs.count as Int32Array)]).toEqual([masked, masked])
    const rows = [...(inputs.rows as Int32Array)].slice(0, masked)
    expect(rows).toEqual(
      [...mask.keys()].filter((i) => mask[i] === 1).map((i) => Math.floor(i / 16) * 17 + 1 + (i % 16)),
    )
    const weights = float(inputs.weights)
    const crops = new Set(rows.map((row) => Math.floor(row / 17))).size
    expect(weights.reduce((sum, w) => sum + w, 0)).toBeCloseTo(crops, 5)
    const kept = [...(inputs.kept as Int32Array)]
    expect(kept.slice(0, 9).every((k) => k < 12) && kept.slice(9).every((k) => k >= 12 && k < 24)).toBe(true)
    expect(new Set(kept).size).toBe(16)
    expect(kept).toEqual([...kept].sort((a, b) => a - b))
    for (const factor of float(inputs.factors)) expect([0, Math.fround(4 / 3)]).toContain(factor)
  })

  it('go through every image once in a pass', async () => {
    // Whole views without augmentation, so that a view tells its image.
    const spec = withFolder(root, { batch: { images: 5, microSteps: 1, imageGroups: 1 } })
    const plain: RunSpec = {
      ...spec,
      augment: {
        ...spec.augment,
        aspect: { min: 1, max: 1 },
        flip: 0,
        grayscale: 0,
        jitter: { ...spec.augment.jitter, probability: 0 },
        blur: { ...spec.augment.blur, probability: [0, 0, 0] },
        solarize: { ...spec.augment.solarize, probability: [0, 0, 0] },
      },
      crops: spec.crops.map((crop) => ({ ...crop, scale: { min: 1, max: 1 } })),
    }
    const plan = smallPlan()
    const five = {
      ...plan,
      tensors: plan.tensors.map((t) => ({
        ...t,
        shape: t.shape[0] === 12 && t.shape.length === 4 ? [10, ...t.shape.slice(1)] : t.shape,
      })),
    }
    const data = await openRunData({
      spec: plain,
      plan: () => five,
      log: () => {},
      threads: 1,
      cacheDirectory: null,
    })
    const loader = await data.open(spanOf(plain), 0)
    const passes: string[][] = [[], []]
    for (let step = 0; step < 4; step++) {
      const global = float((await loader.next()).micro[0]!.global)
      for (let i = 0; i < 5; i++)
        passes[Math.floor(step / 2)]!.push(global.slice(i * 768, i * 768 + 768).join())
    }
    await data.close()
    expect(new Set(passes[0]).size).toBe(10)
    expect([...passes[1]!].sort()).toEqual([...passes[0]!].sort())
    expect(passes[1]).not.toEqual(passes[0])
  })
})

describe('unreadable images', () => {
  const bad = mkdtempSync(join(tmpdir(), 'dinoc-bad-'))
  afterAll(() => rmSync(bad, { recursive: true }))

  it('are replaced, counted, and named once; the same by any number of threads', async () => {
    await writePictures(
      bad,
      Array.from({ length: 19 }, (_, i) => `good-${i}.png`),
    )
    writeFileSync(join(bad, 'broken.png'), 'this is no image')
    const spec = withFolder(bad)
    const one = await load({ spec, steps: 8 })
    const four = await load({ spec, threads: 4, steps: 8 })
    expect(four.batches).toEqual(one.batches)
    const late = await load({ spec, from: 4, steps: 4 })
    expect(late.batches).toEqual(one.batches.slice(4))
    expect(one.batches.reduce((sum, batch) => sum + batch.corrupt, 0)).toBeGreaterThanOrEqual(2)
    expect(one.log.map((d) => [d.code, d.message])).toEqual([
      [
        'DINO1017',
        expect.stringMatching(
          /^cannot read image .*broken\.png: .*unsupported image format.*another image takes its place$/,
        ),
      ],
    ])
  })

  it('stop the run where they are too many', async () => {
    for (let i = 0; i < 6; i++) writeFileSync(join(bad, `broken-${i}.png`), 'nor is this')
    const failed = await load({ spec: withFolder(bad), steps: 12 }).catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(DiagnosticError)
    expect((failed as DiagnosticError).diagnostics.map((d) => d.code)).toEqual(['DINO1007'])
  })

  it('of an evaluation alone do not count as training images', async () => {
    const both = mkdtempSync(join(tmpdir(), 'dinoc-both-'))
    await writePictures(both, ['0.png', '1.png', '2.png'])
    const other = mkdtempSync(join(tmpdir(), 'dinoc-other-'))
    await writePictures(
      other,
      Array.from({ length: 28 }, (_, i) => `good-${i}.png`),
    )
    for (let i = 0; i < 3; i++) writeFileSync(join(other, `broken-${i}.png`), `no image ${i}`)
    const spec = withFolder(both)
    const test = { kind: 'source', source: 'other', splits: null } as const
    const sources = { ...spec.data.sources, other: folderSource(other) }
    const log: Diagnostic[] = []
    const data = await openRunData({
      spec: {
        ...spec,
        data: { ...spec.data, sources },
        evaluations: [{ name: 'knn', protocol: { type: 'knn', train: null, test } }] as never,
      },
      plan: () => smallPlan(),
      log: (d) => log.push(d),
      threads: 1,
      cacheDirectory: null,
    })
    await data.images(test)
    expect(log.map((d) => d.code)).toEqual(['DINO1022', 'DINO1022', 'DINO1022'])
    const loader = await data.open(spanOf(spec), 0)
    expect((await loader.next()).corrupt).toBe(0)
    await loader.close()
    await data.close()
  })

  it('that an evaluation met first are named as replaced too', async () => {
    const shared = mkdtempSync(join(tmpdir(), 'dinoc-shared-'))
    await writePictures(
      shared,
      Array.from({ length: 19 }, (_, i) => `good-${i}.png`),
    )
    writeFileSync(join(shared, 'broken.png'), 'this is no image')
    const spec = withFolder(shared)
    const log: Diagnostic[] = []
    const data = await openRunData({
      ...{ spec, plan: () => smallPlan(), threads: 1, cacheDirectory: null },
      log: (d) => log.push(d),
    })
    await data.images(spec.data.train!)
    const loader = await data.open(spanOf(spec), 0)
    for (let step = 0; step < 8; step++) await loader.next()
    expect(log.map((d) => d.code)).toEqual(['DINO1022', 'DINO1017'])
    expect(data.corruptImages()).toBe(1)
    await loader.close()
    await data.close()
    rmSync(shared, { recursive: true })
  })

  it('stop the run where all are', async () => {
    const none = mkdtempSync(join(tmpdir(), 'dinoc-none-'))
    for (let i = 0; i < 3; i++) writeFileSync(join(none, `broken-${i}.jpg`), '')
    await expect(load({ spec: withFolder(none) })).rejects.toThrow('DINO1007')
    rmSync(none, { recursive: true })
  })
})

it('refuses inputs that it cannot make', async () => {
  await expect(load({ spec: withFolder(root, { masking: null }) })).rejects.toThrow(
    'DINO1018: input `mask`: the data loader cannot make `mask`',
  )
  await expect(
    load({ spec: withFolder(root, { batch: { images: 5, microSteps: 1, imageGroups: 1 } }) }),
  ).rejects.toThrow('DINO1018: input `global`')
})

it('refuses a run without training data', async () => {
  const spec = withFolder(root)
  await expect(load({ spec: { ...spec, data: { ...spec.data, train: null } } })).rejects.toThrow('DINO1039')
})
