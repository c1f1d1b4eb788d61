import fs from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Workplace, workplace } from './workplace.js'

// Whole processes, several a test: seconds where the machine is free, minutes where it is not.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let place: Workplace
beforeAll(async () => {
  place = await workplace(24)
  const ended = await place.dinoc(['run', 'tiny.dino', '--runs', 'calm'])
  expect(ended.err).not.toContain('error')
  expect(ended.code).toBe(0)
})
afterAll(() => place.remove())

const calm = (variant = 'full'): object[] => place.metrics(variant, 0, 'calm')

test('a run ends with its table, its report and what is left to do', async () => {
  expect(calm()).toHaveLength(24 + 6)
  const again = await place.dinoc(['run', 'tiny.dino', '--runs', 'calm'])
  expect(again.code).toBe(0)
  const lines = again.out.trimEnd().split('\n')
  expect(lines[0]).toMatch(/^ +top1@1 +against full +images\/s +peak$/)
  expect(lines.slice(1, 5).map((line) => line.trim().split(/ {2,}/)[0])).toEqual([
    ...['untrained', 'full', 'no_koleo', 'raw pixels'],
  ])
  expect(lines[5]).toBe('  95 % bootstrap over 9 images')
  expect(lines[6]).toBe('report   calm/tiny/report.html')
  expect(lines[7]).toBe('again    dinoc run tiny.dino --runs calm     (nothing left to do: 2 of 2 finished)')
  expect(place.exists('calm/tiny/report.html')).toBe(true)
  for (const given of [
    ['tiny.dino', '--runs', 'calm'],
    ['tiny.dino#tiny', '--runs', 'calm'],
    ['calm/tiny'],
  ]) {
    const report = await place.dinoc(['report', ...given])
    expect(report).toMatchObject({ code: 0, out: 'report   calm/tiny/report.html\n' })
  }
})

test('kill -9 in the middle, then the same command: metrics as if undisturbed', async () => {
  const path = 'killed/tiny/full/seed-0/metrics.jsonl'
  for (const count of [4, 16]) {
    const first = place.start(['run', 'tiny.dino', '--runs', 'killed', '--only', 'full'])
    await first.lines(path, count)
    first.child.kill('SIGKILL')
    expect((await first.ended).signal).toBe('SIGKILL')
  }
  const status = JSON.parse(
    (await place.dinoc(['status', 'tiny.dino', '--runs', 'killed', '--json'])).out,
  ) as {
    runs: { variant: string; state: string; step: number; resumesFrom: number | null }[]
  }
  const full = status.runs.find((run) => run.variant === 'full')!
  expect(full.state).toBe('interrupted')
  expect(full.step).toBeGreaterThanOrEqual(full.resumesFrom!)
  const { code } = await place.dinoc(['run', 'tiny.dino', '--runs', 'killed', '--only', 'full'])
  expect(code).toBe(0)
  expect(place.metrics('full', 0, 'killed')).toEqual(calm())
})

test('a second process in the same directory is refused, the first one goes on', async () => {
  const first = place.start(['run', 'tiny.dino', '--runs', 'shared', '--only', 'full'])
  await first.lines('shared/tiny/full/seed-0/metrics.jsonl', 3)
  const second = await place.dinoc(['run', 'tiny.dino', '--runs', 'shared', '--only', 'full'])
  expect(second.code).toBe(2)
  expect(second.err).toContain(`error[DINO1030]: shared/tiny is in use by process ${first.child.pid}`)
  expect((await first.ended).code).toBe(0)
  expect(place.metrics('full', 0, 'shared')).toEqual(calm())
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s: a checkpoint, exit status %i, and the same command goes on', async (signal, status) => {
  const runs = `after-${signal}`
  const first = place.start(['run', 'tiny.dino', '--runs', runs, '--only', 'full'])
  await first.lines(`${runs}/tiny/full/seed-0/metrics.jsonl`, 6)
  first.child.kill(signal)
  const ended = await first.ended
  expect(ended.code).toBe(status)
  expect(ended.err).toContain('DINO1047')
  const record = JSON.parse(place.read(`${runs}/tiny/full/seed-0/run.json`)) as {
    status: string
    step: number
  }
  expect(record.status).toBe('interrupted')
  expect(
    place.exists(`${runs}/tiny/full/seed-0/checkpoints/step-${String(record.step).padStart(8, '0')}`),
  ).toBe(true)
  expect((await place.dinoc(['run', 'tiny.dino', '--runs', runs, '--only', 'full'])).code).toBe(0)
  expect(place.metrics('full', 0, runs)).toEqual(calm())
})

test('two jobs side by side give what one after the other gives; a killed parent takes them along', async () => {
  const first = place.start(['run', 'tiny.dino', '--runs', 'beside', '--jobs', '2'])
  await first.lines('beside/tiny/full/seed-0/metrics.jsonl', 3)
  first.child.kill('SIGKILL')
  await first.ended
  const { code } = await place.dinoc(['run', 'tiny.dino', '--runs', 'beside', '--jobs', '2'])
  expect(code).toBe(0)
  expect(place.metrics('full', 0, 'beside')).toEqual(calm())
  expect(place.metrics('no_koleo', 0, 'beside')).toEqual(calm('no_koleo'))
})

test('a job whose process is killed fails alone', async () => {
  const first = place.start(['run', 'tiny.dino', '--runs', 'alone', '--jobs', '2'])
  await first.lines('alone/tiny/no_koleo/seed-0/metrics.jsonl', 2)
  const { helpers } = JSON.parse(place.read('alone/tiny/.lock')) as { helpers: { pid: number }[] }
  process.kill(helpers[1]!.pid, 'SIGKILL')
  const { code, err } = await first.ended
  expect(code).toBe(4)
  expect(err).toMatch(
    /error\[DINO1046\]: the process of tiny\.\w+ seed 0 ended without a result: signal SIGKILL/,
  )
  expect((await place.dinoc(['run', 'tiny.dino', '--runs', 'alone'])).code).toBe(0)
  expect(place.metrics('full', 0, 'alone')).toEqual(calm())
  expect(place.metrics('no_koleo', 0, 'alone')).toEqual(calm('no_koleo'))
})

test('without the native device a run goes on with wasm and says so; asked for by name it is an error', async () => {
  const env = { DINO_NATIVE_ISA: 'none' }
  const args = ['run', 'tiny.dino', '--smoke', '--only', 'full']
  const { code, err, out } = await place.dinoc([...args, '--set', 'hardware.device=native'], { env })
  expect(err).toContain('warning[DINO1041]')
  expect(out).toBe('smoke test passed: 1 of 1 runs, wasm\n')
  expect(code).toBe(0)
  const asked = await place.dinoc([...args, '--device', 'native'], { env })
  expect(asked.code).toBe(2)
  expect(asked.err).toContain('error[DINO0901]')
})

test('what is missing in one variant is met before any is trained', async () => {
  const file = place.read('tiny.dino').replace('drop loss.koleo', 'data { train = gone }')
  fs.writeFileSync(join(place.directory, 'gone.dino'), `source gone: folder { path = "gone" }\n${file}`)
  const { code, err } = await place.dinoc(['run', 'gone.dino', '--runs', 'gone-runs'])
  expect(code).toBe(2)
  expect(err).toContain('error[DINO1001]: source `gone`: gone does not exist')
  expect(err).toContain('--> gone.dino:1:')
  expect(place.exists('gone-runs')).toBe(false)
})

test('no training data, no run', async () => {
  fs.writeFileSync(
    join(place.directory, 'empty.dino'),
    'import { vit_nano } from "std/dinov2.dino"\nexperiment empty extends vit_nano { }\n',
  )
  const { code, err } = await place.dinoc(['run', 'empty.dino'])
  expect(code).toBe(2)
  expect(err).toContain('error[DINO1039]: experiment `empty` has no training data')
})

test('a smoke test leaves nothing behind', async () => {
  const ended = await place.dinoc(['run', 'tiny.dino', '--smoke'])
  expect(ended.code).toBe(0)
  expect(ended.out).toBe('smoke test passed: 2 of 2 runs, interpret\n')
  expect(place.exists('runs')).toBe(false)
})

test('a full disk: a diagnostic, a failed run, earlier checkpoints whole', async () => {
  const small = await place.dinoc(['run', 'tiny.dino', '--runs', 'tight', '--only', 'full'], {
    fileLimit: 40,
  })
  expect(small.code).toBe(3)
  expect(small.err).toMatch(
    /error\[DINO1032\]: cannot write [\s\S]*: the\s+file\s+would\s+be\s+larger\s+than\s+allowed\s+here/,
  )
  const { code } = await place.dinoc(['run', 'tiny.dino', '--runs', 'tight', '--only', 'full'])
  expect(code).toBe(0)
  expect(place.metrics('full', 0, 'tight')).toEqual(calm())
})

test('one variant fails, the other goes on: exit status 4', async () => {
  const file = place.read('tiny.dino').replace('drop loss.koleo', 'schedule.pretrain.lr = 1e38')
  fs.writeFileSync(join(place.directory, 'wild.dino'), file)
  const ended = await place.dinoc(['run', 'wild.dino', '--runs', 'wild'])
  expect(ended.code).toBe(4)
  expect(ended.err).toContain('error[DINO1036]: non-finite')
  expect(ended.out).toMatch(/^ {2}no_koleo {3}failed {3}seed 0 {3}DINO1036$/m)
  expect(place.metrics('full', 0, 'wild')).toEqual(calm())
})

test('--json: one object a line, the result last', async () => {
  const { out, err } = await place.dinoc(['run', 'tiny.dino', '--runs', 'calm', '--json'])
  const objects = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { formatVersion: number; type: string; table?: { rows: unknown[] } })
  expect(err).toBe('')
  expect(objects.every((o) => o.formatVersion === 1)).toBe(true)
  expect(objects.map((o) => o.type)).toEqual(['done', 'done', 'result'])
  expect(objects.at(-1)!.table!.rows).toHaveLength(4)
})

test('status, eval and features of what is trained', async () => {
  fs.cpSync(join(place.directory, 'calm'), join(place.directory, 'after'), { recursive: true })
  const status = await place.dinoc(['status', 'tiny.dino', '--runs', 'after'])
  const lines = status.out.trimEnd().split('\n')
  expect(lines[0]).toBe('tiny   2 of 2 runs finished')
  expect(lines[1]).toMatch(/^ {2}full +seed 0 +finished +24\/24 +top1@1 0\.\d{3}$/)
  const other = await place.dinoc(['status', 'tiny.dino', '--runs', 'after', '--set', 'backbone.depth=2'])
  expect(other.out).toContain('2 with other settings')

  const evaluated = await place.dinoc([
    'eval',
    'tiny.dino',
    '--runs',
    'after',
    '--set',
    'eval.knn.k=[1, 5]',
    '--json',
  ])
  expect(evaluated.code).toBe(0)
  const steps = evaluated.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { step?: number; eval?: { knn: object }; type?: string })
  expect(steps.map((line) => line.type ?? line.step)).toEqual([0, 24, 0, 24, 'result'])
  expect(Object.keys(steps[0]!.eval!.knn)).toEqual(['top1@1', 'top5@1', 'top1@5', 'top5@5'])
  const missing = await place.dinoc(['eval', 'tiny.dino', '--runs', 'none'])
  expect(missing.code).toBe(3)
  expect(missing.err).toContain('DINO1045')

  const features = ['features', 'tiny.dino#tiny.no_koleo', '--runs', 'after', '--out', 'x.safetensors']
  const written = await place.dinoc([...features, '--what', 'cls,patches', '--images', 'pictures'])
  expect(written.out).toBe(
    'x.safetensors   24 images at 16 px, teacher after step 24: cls [24, 16], patches [24, 16, 16], labels [24]\n',
  )
  const wrong = await place.dinoc([...features, '--images', 'picture'])
  expect(wrong.code).toBe(2)
  expect(wrong.err).toContain('no source `picture` here')
  const bench = await place.dinoc(['bench', 'tiny.dino', '--steps', '2', '--json'])
  const keys = [
    'device',
    'secondsPerStep',
    'imagesPerSecond',
    'modelFlopsPerStep',
    'gflops',
    'peakRssBytes',
    'parts',
  ]
  expect(Object.keys(JSON.parse(bench.out) as object)).toEqual(['formatVersion', ...keys])
})

test.each([
  [['--only', 'no_kolea'], 'DINO1040', 'no_koleo'],
  [['--seed', '7'], 'DINO1040', 'there is 0'],
  [['--device', 'abacus'], 'DINO0900', 'native'],
  [['--threads', 'many'], 'whole number', '--threads'],
  [['--jobs', '0'], 'whole number', '--jobs'],
] as const)('wrong usage %j is told and changes nothing', async (args, code, hint) => {
  const ended = await place.dinoc(['run', 'tiny.dino', '--runs', 'nowhere', ...args])
  expect(ended.code).toBe(2)
  expect(ended.err).toContain(code)
  expect(ended.err).toContain(hint)
  expect(place.exists('nowhere/tiny/full')).toBe(false)
})

test('two ranks, killed, go on with one; wasm has no ranks', async () => {
  const global = ['--set', 'hardware.semantics=global', '--set', 'hardware.groups=2']
  const run = ['run', 'tiny.dino', '--runs', 'ranks', '--only', 'full', ...global]
  const first = place.start([...run, '--ranks', '2'])
  await first.lines('ranks/tiny/full/seed-0/metrics.jsonl', 12)
  first.child.kill('SIGKILL')
  await first.ended
  const refused = await place.dinoc([...run, '--ranks', '2', '--device', 'wasm'])
  expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('error[DINO0908]')])
  const { code, err } = await place.dinoc(run)
  expect(code).toBe(0)
  expect(err).toMatch(/warning\[DINO1034\]: [^=]*2\s+ranks/)
  const one = await place.dinoc(['run', 'tiny.dino', '--runs', 'one', '--only', 'full', ...global])
  expect(one.code).toBe(0)
  const [mixed, alone] = [place.metrics('full', 0, 'ranks'), place.metrics('full', 0, 'one')] as {
    step: number
    loss?: Record<string, number>
  }[][]
  expect(mixed!.map(({ step }) => step)).toEqual(alone!.map(({ step }) => step))
  const total = (lines: typeof mixed) => lines!.flatMap(({ loss }) => loss?.total ?? []).slice(0, 5)
  for (const [i, value] of total(mixed).entries()) expect(value / total(alone)[i]!).toBeCloseTo(1, 4)
})
