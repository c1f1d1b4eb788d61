import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { define as defineDiff } from '../../cli/diff.js'
import { define as defineResolve } from '../../cli/resolve.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'

const base = (body = '', schedule = '') => `import { vit_nano } from "std/dinov2.dino"

experiment base extends vit_nano {
  backbone.depth = 2
  schedule { epoch = 20 steps, batch = 32 img ${schedule} }
  ${body}
  ablation { variant no_koleo { drop loss.koleo } }
}
`
const home = process.cwd()
let written = ''
vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
  written += String(text)
  return true
})
let told = ''
vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
  told += String(text)
  return true
})
beforeEach(() => {
  process.chdir(mkdtempSync(join(tmpdir(), 'dinoc-diff-')))
  writeFileSync('a.dino', base())
  writeFileSync('b.dino', base('crops.local.count = 4'))
})
afterAll(() => {
  process.chdir(home)
  process.exitCode = 0
})

async function call(define: (command: Command) => void, ...args: string[]): Promise<string> {
  written = ''
  const command = new Command().exitOverride()
  define(command)
  await command.parseAsync(args, { from: 'user' })
  return written
}
const json = async (...args: string[]) => JSON.parse(await call(defineDiff, '--json', ...args))

describe('dinoc diff', () => {
  it('keeps to 100 columns off a terminal: places move into a line of their own', async () => {
    const name = (letter: string) => `${letter.repeat(30)}.dino`
    for (const [letter, parent] of [
      ['x', 'vit_nano'],
      ['y', 'vits14'],
    ] as const)
      writeFileSync(
        name(letter),
        `import { ${parent} } from "std/dinov2.dino"\nexperiment e extends ${parent} { schedule.epoch = 20 steps }\n`,
      )
    const text = await call(defineDiff, name('x'), name('y'))
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100)
    expect(text).toMatch(/backbone\.depth.*->.*numerics\n {6}\S+:\d+:\d+ -> \S+:\d+:\d+\n/)
  })
})

describe('dinoc diff of long values', () => {
  it('elides what both sides share, and folds what it cannot', async () => {
    const lr = (to: string) => `schedule.pretrain.lr = warmup(0 -> 2e-3 over 1 epoch) |> cosine(to: ${to})`
    writeFileSync('a.dino', base(`${lr('1e-5')}, loss.dino.centering = sinkhorn(iterations: 3)`))
    writeFileSync(
      'b.dino',
      base(
        `${lr('2e-5')}, loss.dino.centering = sinkhorn(iterations: 5)`,
        ', phase hires { length = 1200 steps, resolution = 96px }',
      ),
    )
    const text = await call(defineDiff, 'a.dino#base.full', 'b.dino#base.full')
    expect(text).toMatch(/centering +sinkhorn\(iterations: 3\) +-> sinkhorn\(iterations: 5\) /)
    expect(text).toMatch(/lr +….*1e-5\) +-> ….*2e-5\) /)
    expect(text).toMatch(/\n\+ schedule\.hires +numerics\n {6}length 1200 steps, resolution 96px\n/)
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100)
  })
  it('shows values that share nothing in full, below their row', async () => {
    writeFileSync('a.dino', base('schedule.pretrain.lr = warmup(0 -> 2e-3 over 1 epoch) |> cosine(to: 1e-5)'))
    writeFileSync('b.dino', base('schedule.pretrain.lr = constant(0.0012345)'))
    const text = await call(defineDiff, 'a.dino#base.full', 'b.dino#base.full')
    expect(text.replace(/\s+/g, ' ')).toContain('warmup(0 -> 0.002 over 1 epoch) |> cosine(to: 1e-5)')
    expect(text).toContain('-> 0.0012345\n')
  })
})

describe('what follows', () => {
  const hires = ', phase hires { length = 20 steps, resolution = 96px }'
  it('pairs phases by name where one side has more of them', async () => {
    writeFileSync('c.dino', base('', hires))
    const { derived } = await json('c.dino#base.full', 'a.dino#base.full')
    const find = (name: string) => derived.find((d: { name: string }) => d.name === name)
    expect(find('pretrain.tokensPerImage')).toMatchObject({ before: 232, after: 232 })
    expect(find('hires.tokensPerImage')).toMatchObject({ before: expect.any(Number), after: null })
    expect(find('tokensPerImage')).toBeUndefined()
    const dropped = await call(defineDiff, 'c.dino#base.full', 'a.dino#base.full')
    expect(dropped).toMatch(/^ {2}pretrain: tokens per image +232 +232$/m)
    expect(dropped).toMatch(/^ {2}hires: tokens per image +\d+ +- +dropped$/m)
    const added = await call(defineDiff, 'a.dino#base.full', 'c.dino#base.full')
    expect(added).toMatch(/^ {2}hires: peak memory of a rank +- +[\d.]+ MiB +added$/m)
    expect(added).not.toContain('hires: communication')
    expect(added.trimEnd().split('\n').at(-1)).toMatch(/^ {2}identity /)
  })
  it('has no percentage of nothing', async () => {
    writeFileSync('c.dino', base('hardware.ranks = 2'))
    const text = await call(defineDiff, 'a.dino#base.full', 'c.dino#base.full')
    expect(text).toMatch(/^ {2}communication per step +0 MB +[\d.]+ MB$/m)
  })
})

describe('dinoc diff --json', () => {
  it('is one document of changes and of what follows from them', async () => {
    const { formatVersion, changes, derived } = await json('a.dino#base.full', 'a.dino#base.no_koleo')
    expect(formatVersion).toBe(1)
    expect(changes).toHaveLength(1)
    expect(changes[0]).toMatchObject({
      path: 'base.loss.koleo',
      after: null,
      effect: 'numerics',
      at: { before: { file: 'std/dinov2.dino' }, after: { file: 'a.dino', startLine: 7, startColumn: 33 } },
    })
    expect(derived.map((d: { name: string }) => d.name)).toEqual([
      'parameters',
      'tokensPerImage',
      'modelFlopsPerImage',
      'executedFlopsPerStep',
      'peakBytes',
      'collectiveBytesPerStep',
      'imagesSeen',
      'identity',
    ])
    for (const d of derived) expect(d).toMatchObject({ experiment: 'base', variant: 'full' })
  })
  it('derives costs of both sides, for every variant that differs', async () => {
    const { changes, derived } = await json('a.dino', 'b.dino')
    expect(changes.map((c: { path: string }) => c.path)).toEqual([
      'base.crops.local.count',
      'base.no_koleo.crops.local.count',
    ])
    const tokens = derived.filter((d: { name: string }) => d.name === 'tokensPerImage')
    // Two global crops of 8 x 8 patches and six or four local ones of 4 x 4, each with a class token.
    expect(tokens.map((d: { before: number; after: number }) => [d.before, d.after])).toEqual([
      [2 * 65 + 6 * 17, 2 * 65 + 4 * 17],
      [2 * 65 + 6 * 17, 2 * 65 + 4 * 17],
    ])
    expect(derived.find((d: { name: string }) => d.name === 'imagesSeen')).toMatchObject({
      before: 6400,
      after: 6400,
    })
  })
  it('is empty where only the text differs', async () => {
    writeFileSync(
      'c.dino',
      `// the same\n${base().replace('backbone.depth = 2', 'backbone { depth = 1 + 1 }')}`,
    )
    expect(await json('a.dino', 'c.dino')).toEqual({ formatVersion: 1, changes: [], derived: [] })
  })
  it('reads run directories, and refuses what is none', async () => {
    mkdirSync('runs/base/full/seed-0', { recursive: true })
    const { experiments } = JSON.parse(await call(defineResolve, '--json', 'a.dino#base.full'))
    const { aliasOf: _, ...resolved } = experiments[0]
    writeFileSync('runs/base/full/seed-0/resolved.json', JSON.stringify(resolved))
    expect(
      (await json('runs/base', 'b.dino#base.full')).changes.map((c: { path: string }) => c.path),
    ).toEqual(['base.crops.local.count'])
    writeFileSync(
      'runs/base/full/seed-0/resolved.json',
      JSON.stringify({ ...resolved, backbone: { type: 'vit' } }),
    )
    const refused = await json('runs/base', 'b.dino').catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(DiagnosticError)
    expect((refused as DiagnosticError).diagnostics.map((d) => d.code)).toEqual(['DINO0529'])
  })
})

describe('dinoc diff', () => {
  it('shows changes with places and effect, then what follows', async () => {
    const lines = (await call(defineDiff, 'a.dino#base.full', 'b.dino#base.full')).split('\n')
    expect(lines[0]).toMatch(/^base +a\.dino +b\.dino$/)
    expect(lines[1]).toMatch(/^ {2}crops\.local\.count +6 +-> 4 +std\/dinov2\.dino:\d+:\d+ +6:23 +numerics$/)
    expect(lines.some((l) => /^ {2}tokens per image +232 +198 +-15 %$/.test(l))).toBe(true)
    expect(lines.some((l) => /^ {2}identity .*no run can be shared$/.test(l))).toBe(true)
  })
  it('writes both sides of a figure in one unit, as many decimals as the smaller one needs', async () => {
    writeFileSync('c.dino', base('backbone.width = 384\n  backbone.heads = 6\n  hardware.ranks = 2'))
    writeFileSync('d.dino', base('hardware.ranks = 2'))
    const lines = (await call(defineDiff, 'd.dino#base.full', 'c.dino#base.full')).split('\n')
    const figures = lines.slice(lines.findIndex((l) => l.startsWith('what follows')) + 1)
    const shown = figures
      .map((line) => line.trim().split(/ {3,}/))
      .filter(([name]) => name && name !== 'identity')
    expect(
      shown.map(([name, a, b]) => [name, ...[a, b].map((text) => text?.replace(/[\d.,]+/, 'N'))]),
    ).toEqual([
      ['parameters', 'N M', 'N M'],
      ['tokens per image', 'N', 'N'],
      ['GFLOP per image', 'N', 'N'],
      ['GFLOP per step, executed', 'N', 'N'],
      ['peak memory of a rank', 'N MiB', 'N MiB'],
      ['communication per step', 'N MB', 'N MB'],
      ['images seen', 'N', 'N'],
    ])
    const [, small, large] = shown.find(([name]) => name === 'parameters')!
    expect(small!.split('.')[1]!.length).toBe(large!.split('.')[1]!.length)
  })
  it('warns once of what is said of both sides', async () => {
    writeFileSync('w.dino', base('hardware.engine = torchrun'))
    told = ''
    await call(defineDiff, 'w.dino#base.full', 'w.dino#base.no_koleo')
    expect(told.match(/^warning\[DINO0890\]/gm)).toHaveLength(1)
  })
  it('names both where an experiment is compared with a variant of it', async () => {
    const [title, change] = (await call(defineDiff, 'a.dino#base', 'a.dino#base.no_koleo')).split('\n')
    expect(title).toMatch(/^base -> base\.no_koleo +a\.dino +a\.dino$/)
    expect(change).toMatch(/^- loss\.koleo /)
  })
  it('heads the columns so that directories and files of one name can be told apart', async () => {
    for (const [folder, entry] of Object.entries({ one: 'a.dino#base.full', two: 'b.dino#base.full' })) {
      mkdirSync(`runs/${folder}/seed-0`, { recursive: true })
      const { experiments } = JSON.parse(await call(defineResolve, '--json', entry))
      const { aliasOf: _, ...resolved } = experiments[0]
      writeFileSync(`runs/${folder}/seed-0/resolved.json`, JSON.stringify(resolved))
      writeFileSync(`runs/${folder}/same.dino`, base(folder === 'two' ? 'crops.local.count = 4' : ''))
    }
    const head = async (...sides: string[]) => (await call(defineDiff, ...sides)).split('\n')[0]
    expect(await head('runs/one/seed-0', 'runs/two/seed-0/')).toMatch(/^base +one\/seed-0 +two\/seed-0$/)
    expect(await head('runs/one/same.dino', 'runs/two/same.dino')).toMatch(
      /^base +one\/same\.dino +two\/same\.dino$/,
    )
  })
  it('tells with --exit-code whether anything differs', async () => {
    await call(defineDiff, '--exit-code', 'a.dino', 'b.dino')
    expect(process.exitCode).toBe(1)
    await call(defineDiff, '--exit-code', 'a.dino', 'a.dino')
    expect(process.exitCode).toBe(0)
  })
})

describe('dinoc resolve', () => {
  it('prints the experiment whole, with places where they are wanted', async () => {
    expect(await call(defineResolve, 'a.dino')).toContain('\n    depth = 2\n')
    expect(await call(defineResolve, '--places', 'a.dino')).toContain('\n    depth = 2 // a.dino:4\n')
    expect(await call(defineResolve, 'a.dino', '--set', 'backbone.depth=5')).toContain('\n    depth = 5\n')
    expect(await call(defineResolve, 'a.dino#base.no_koleo')).not.toContain('koleo {')
  })
  it('says where a value comes from', async () => {
    expect(await call(defineResolve, 'a.dino', '--where', 'backbone.depth')).toMatch(
      /^base: backbone\.depth = 2\n {2}set at a\.dino:4:20\n {2}over std\/dinov2\.dino:\d+:\d+\n$/,
    )
  })
})
