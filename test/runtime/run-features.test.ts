import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runFeatures } from '../../runtime/run-features.js'
import { runVariant } from '../../runtime/run-variant.js'
import { pretendDevice, pretendJob, pretendSettings } from './pretend.js'

let root: string
beforeAll(() => {
  root = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-features-'))
})
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

test('features of a trained run and of the untrained network, with what names the images', async () => {
  const settings = pretendSettings(root, { mode: 'evaluate', device: pretendDevice() })
  const images = { kind: 'source' as const, source: 'test', splits: null }
  const order = { plan: 'features', images, outputs: ['cls'] as const, untrained: false }
  await expect(runFeatures(pretendJob(), order, settings)).rejects.toThrow('DINO1045')
  await runVariant(pretendJob(), pretendSettings(root))
  await expect(runFeatures(pretendJob({ config: 'other' }), order, settings)).rejects.toThrow('DINO1045')
  const trained = await runFeatures(pretendJob(), order, settings)
  expect(trained).toMatchObject({ step: 12, images: 5 })
  expect(trained.tensors.get('labels')!.data).toEqual(Int32Array.of(0, 1, 0, -1, 0))
  expect(JSON.parse(trained.metadata.names!)).toEqual([0, 1, 2, 3, 4].map((i) => `test/${i}.png`))
  const untrained = await runFeatures(pretendJob(), { ...order, untrained: true }, settings)
  expect(untrained.step).toBe(0)
  expect(untrained.tensors.get('cls')!.data).not.toEqual(trained.tensors.get('cls')!.data)
})
