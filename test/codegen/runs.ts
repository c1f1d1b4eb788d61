import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EvalFile } from '../../runtime/eval/eval-file.js'
import type { GalleryFile } from '../../runtime/eval/gallery.js'
import type { RunRecord } from '../../runtime/run-directory.js'

/** A run as it would lie on disk, with made-up numbers. */
export interface MadeRun {
  readonly variant?: string
  readonly seed?: number
  readonly record?: Partial<RunRecord>
  /** Right (1) or wrong (0) for each test image, after training; null: not evaluated yet; absent: no eval block. */
  readonly correct?: string | null
  readonly losses?: readonly Readonly<Record<string, number | null>>[]
  readonly gallery?: GalleryFile
  readonly name?: string
  /** What was typed for it. */
  readonly command?: string
}

const pixel =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg=='

export const untrainedCorrect = '1000000000000000000010000000000000000000'
export const pixelsCorrect = untrainedCorrect.replace(/00/g, '01')

/** Writes `DIRECTORY/<number>/seed-<n>/`; the directory's own names do not matter, run.json has them. */
export function writeRun(directory: string, run: MadeRun, number: number): void {
  const { variant = 'full', seed = 0, correct, losses = curve(variant.length) } = run
  const at = join(directory, `v${number}`, `seed-${seed}`)
  mkdirSync(at, { recursive: true })
  const write = (name: string, value: unknown) => writeFileSync(join(at, name), JSON.stringify(value))
  const lines = (name: string, values: readonly unknown[]) =>
    writeFileSync(join(at, name), values.map((value) => `${JSON.stringify(value)}\n`).join(''))
  write('run.json', {
    ...{ formatVersion: 1, identity: 'ab12cd34ef56ab78', configIdentity: 'c', dataIdentity: 'd' },
    ...{ experiment: run.name ?? 'made', variant, seed, status: 'finished', step: losses.length },
    ...{ steps: losses.length, failure: null, imagesPerSecond: 120, peakRssBytes: 3e8 },
    ...run.record,
  })
  lines(
    'metrics.jsonl',
    losses.map((loss, step) => ({
      ...{ step, phase: 'pretrain', loss, grad_norm: {}, masked_rows: 1, lr: 0, weight_decay: 0 },
      ...{ teacher_temp: 0.04, momentum: 0.9, time: { clock: '2026-01-02T03:04:05.000Z', seconds: 0.5 } },
    })),
  )
  const seen = (step: number, rank: number) =>
    correct === undefined
      ? []
      : [{ step, phase: 'pretrain', eval: { knn: { 'rank.cls': rank, 'spread.cls': 0.5 } } }]
  lines('health.jsonl', [
    ...seen(0, 9),
    ...losses.map((_, step) => ({
      ...{ step, phase: 'pretrain' },
      measures: { 'entropy.dino': 5, 'usage.dino': 40 + step },
    })),
    ...seen(losses.length, 30),
  ])
  if (correct !== undefined) write('eval.json', evalFile(correct))
  if (run.command !== undefined)
    write('environment.json', {
      ...{
        formatVersion: 1,
        dinoc: '0.1.0',
        node: 'v20',
        command: run.command,
        commit: null,
        threads: 1,
        loaders: 1,
      },
      device: { name: 'native', isa: 'avx2', description: 'AVX2' },
      machine: { platform: 'linux', cpu: 'a processor', cores: 2, memoryBytes: 4e9 },
    })
  if (run.gallery) write('gallery.json', run.gallery)
}

const curve = (shift: number) =>
  Array.from({ length: 12 }, (_, i) => ({ total: 9 - i / 10 + shift / 100, ibot: 3 - i / 20, koleo: 0.1 }))

function evalFile(correct: string | null): EvalFile {
  const measured = (text: string) => ({
    metrics: { 'top1@1': [...text].filter((c) => c === '1').length / text.length },
    correct: { 'top1@1': text },
  })
  const names = Array.from({ length: untrainedCorrect.length }, (_, i) => `${i}.png`)
  return {
    formatVersion: 1,
    run: 'ab12cd34ef56ab78',
    evaluations: {
      knn: {
        protocol: { type: 'knn', of: 'teacher', resolution: 64, k: [1] } as never,
        ...{ protocolIdentity: 'p', identity: 'i', test: { names, groups: null }, history: [] },
        images: { train: 80, test: names.length, classes: 10, unlabelled: 0 },
        untrained: measured(untrainedCorrect),
        trained: correct === null ? null : measured(correct),
        rawPixels: measured(pixelsCorrect),
      },
    },
  }
}

/** Pictures of one pixel, labelled as given. */
export function galleryOf(label: string): GalleryFile {
  const picture = { uri: pixel, label }
  const exhibit = (step: number) => ({
    step,
    maps: Array.from({ length: 6 }, () => ({ ...picture, map: pixel })),
    neighbours: [
      { query: picture, found: Array.from({ length: 6 }, (_, i) => ({ ...picture, same: i === 2 })) },
    ],
  })
  return { formatVersion: 1, evaluation: 'knn', untrained: exhibit(0), trained: exhibit(12) }
}

export const wellTrained = '1110111011101110111011101110111011101110'
export const wellTrainedToo = '1110111011101110111011101110111011101111'
export const halfTrained = '1000100010001000100010001000100010001000'

/** Two variants with two seeds each, as most reports have them. */
export const usual: readonly MadeRun[] = [
  { seed: 0, correct: wellTrained, gallery: galleryOf('cat & dog') },
  { seed: 1, correct: wellTrainedToo },
  { variant: 'no_koleo', seed: 0, correct: halfTrained },
  { variant: 'no_koleo', seed: 1, correct: halfTrained },
]

/** Names, labels and text that would break a page that does not set them as text. */
export const hostile = `<img src=x onerror="alert(1)"></svg><script>alert(1)</script>'"&{{x}}`
