import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseModule } from '../../compiler/ir/parse.js'
import { passNames } from '../../compiler/passes/pipeline.js'
import { builtCli } from '../support/built-cli.js'

let main = ''
beforeAll(async () => {
  main = await builtCli()
})
afterAll(() => rmSync(dirname(main), { recursive: true, force: true }))

function plan(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'plan', ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '' },
    maxBuffer: 1 << 28,
  })
  return { status, stdout, stderr }
}

const nano = 'experiments/emoji_ablation.dino'
/** No data on disk is asked for, so that the figures are the same everywhere. */
const plain = ['--set', 'schedule.epoch=10 steps']

describe('dinoc plan', () => {
  test('says in 100 columns what a variant costs, and the others beside it', () => {
    const { status, stdout, stderr } = plan(nano, ...plain)
    expect(status).toBe(0)
    const lines = stdout.split('\n')
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100)
    expect(lines.some((line) => line !== line.trimEnd())).toBe(false)
    expect(stdout).toMatch(/^emoji_parts\.full +32 images, float32\n {2}parameters +backbone 473,280/)
    expect(stdout).toMatch(/kept by stochastic depth +57 of 64 global, 172 of 192 local crops/)
    expect(stdout).toMatch(/lr, pretrain +0 +1\.0e-3 @10 +1\.0e-5/)
    expect(stdout).toMatch(/^ {2}no_ibot +613,632 /m)
    // Warnings are no part of the result.
    expect(stdout).not.toContain('DINO2011')
    expect(stderr).toContain(
      'warning[DINO2011]: lr jumps from 1.0e-5 to 1.0e-3 at the start of phase `hires`',
    )
  })

  test('keeps its contract as JSON', () => {
    const { status, stdout } = plan(nano, '--json', ...plain)
    expect(status).toBe(0)
    expect(stdout.trimEnd().split('\n')).toHaveLength(1)
    const result = JSON.parse(stdout)
    expect(result.formatVersion).toBe(1)
    expect(result.experiments.map((e: { name: string }) => e.name)).toEqual(['emoji_parts'])
    const [full] = result.experiments[0].variants
    expect(full).toMatchObject({ name: 'full', grid: null, aliasOf: null, tokensPerImage: 232 })
    expect(full.parameters).toEqual({ backbone: 473_280, heads: 280_704, total: 753_984 })
    const [pretrain] = full.phases
    expect(pretrain).toMatchObject({
      name: 'pretrain',
      resolutionPx: 64,
      steps: 20,
      imagesSeen: 640,
      ranks: 1,
    })
    expect(pretrain.modelFlopsPerImage).toBeGreaterThan(7e8)
    expect(pretrain.executedFlopsPerStep).toBeGreaterThan(32 * pretrain.modelFlopsPerImage)
    expect(pretrain.perRank.collectiveBytesPerStep).toBe(0)
    expect(pretrain.perRank.keptSamples).toEqual([
      { group: 'global', kept: 57, of: 64 },
      { group: 'local', kept: 172, of: 192 },
    ])
    expect(pretrain.perRank.peakBytes).toBeGreaterThan(pretrain.perRank.stateBytes)
  })

  test('writes bytes and operations as whole numbers, of a rank that holds a share as well', () => {
    const { stdout } = plan(
      `${nano}#emoji_parts.full`,
      '--json',
      ...plain,
      '--set',
      'hardware.ranks=3',
      '--set',
      'schedule.batch=30 img',
    )
    const [pretrain] = JSON.parse(stdout).experiments[0].variants[0].phases
    const { memory, communication, perRank, modelFlopsByPart, executedFlopsPerStep } = pretrain
    const numbers: number[] = []
    JSON.stringify([memory, communication, perRank, modelFlopsByPart, executedFlopsPerStep], (_, value) => {
      if (typeof value === 'number') numbers.push(value)
      return value
    })
    expect(numbers.length).toBeGreaterThan(20)
    expect(numbers.filter((n) => !Number.isInteger(n))).toEqual([])
    expect(perRank.peakBytes).toBe(memory.arenaBytes + memory.stateBytes)
  })

  test('holds a budget against what one rank needs', () => {
    const set = (ranks: number) =>
      ['hardware.memory=200MiB', `hardware.ranks=${ranks}`].flatMap((value) => ['--set', value])
    const one = plan(`${nano}#emoji_parts.full`, ...plain, ...set(1))
    expect(one.stderr).toMatch(/DINO0801\S* phase `\w+` of `emoji_parts` needs [\d.]+ MiB a rank/)
    expect(plan(`${nano}#emoji_parts.full`, ...plain, ...set(4)).stderr).not.toContain('DINO0801')
  })

  test('lists kept sequences for each block where rates differ', () => {
    const { stdout } = plan(
      `${nano}#emoji_parts.full`,
      '--json',
      ...plain,
      '--set',
      'backbone.drop_path=linear(0 -> 0.3)',
    )
    const [pretrain] = JSON.parse(stdout).experiments[0].variants[0].phases
    expect(pretrain.perRank.keptSamples[0]).toEqual({ group: 'global', kept: [64, 57, 51, 44], of: 64 })
  })

  test('knows grid points and aliases', () => {
    const { stdout } = plan('experiments/dinov2_vitl14.dino#dinov2_vitl14', '--json')
    const variants = JSON.parse(stdout).experiments[0].variants as {
      name: string
      grid: { name: string; point: Record<string, string> } | null
      aliasOf: string | null
      notes: string[]
    }[]
    const alias = variants.find((v) => v.aliasOf !== null)!
    expect(alias).toMatchObject({ name: 'masks[probability=50%,ratio=10%..50%]', aliasOf: 'full' })
    expect(alias.grid).toEqual({
      name: 'masks',
      point: { 'masking.probability': '50%', 'masking.ratio': '10%..50%' },
    })
    const lines = plan('experiments/dinov2_vitl14.dino#dinov2_vitl14').stdout.split('\n')
    expect(lines.filter((line) => line.length > 100)).toEqual([])
    expect(lines.find((line) => line.startsWith('  variant '))).toMatch(/peak\/rank {3}same as$/)
    expect(lines.find((line) => line.startsWith(`  ${alias.name} `))).toMatch(/GiB {3}full$/)
    expect(variants[0]?.notes.join('\n')).not.toMatch(/sharding|recompute/)
  })

  test('warns of data that is there and would end a run; data that is not there is a note', () => {
    const dir = mkdtempSync(join(tmpdir(), 'dinoc-plan-'))
    for (const name of ['cats/1.png', 'cats/2.png', 'dogs/3.png']) {
      mkdirSync(dirname(join(dir, 'photos', name)), { recursive: true })
      writeFileSync(join(dir, 'photos', name), 'x')
    }
    mkdirSync(join(dir, 'photos/birds'))
    const file = join(dir, 'a.dino')
    const text = (labels: string) =>
      [
        'import { vit_nano } from "std/dinov2.dino"',
        `source photos: folder { path = "${dir}/photos"${labels} }`,
        `source away: folder { path = "${dir}/nowhere" }`,
        'experiment mine extends vit_nano {',
        '  data { train = photos.train }',
        '  eval knn { train = photos.train, test = away }',
        '  ablation { variant no_koleo { drop loss.koleo } }',
        '}',
      ].join('\n')
    writeFileSync(file, text(''))
    const empty = plan(file)
    expect(empty.status).toBe(0)
    expect(empty.stdout).toContain('photos.train (not at hand: passes unknown)')
    expect(empty.stderr.match(/^(warning|error|note)\[.*$/gm)).toEqual([
      `warning[DINO1003]: source \`photos\`: class folder ${dir}/photos/birds holds no images`,
    ])
    expect(empty.stderr).toContain(`--> ${file}:2:32\n`)
    expect(empty.stderr).toMatch(/\n {2}\| {32}\^{10,}\n/)
    const notes = JSON.parse(plan(file, '--json').stdout).experiments[0].variants[0].notes
    expect(notes).toContain(`source \`away\`: ${dir}/nowhere does not exist`)
    // A table instead of class folders: an empty folder is none of its classes, but the table must be readable.
    writeFileSync(file, text(', labels = table("nothing.csv", file: "image", label: "class")'))
    expect(plan(file).stderr).toContain('warning[DINO1004]: source `photos`: cannot read nothing.csv')
    rmSync(dir, { recursive: true })
  })

  test('explains what each pass saves', () => {
    const { status, stdout } = plan(`${nano}#emoji_parts.full`, '--explain', ...plain)
    expect(status).toBe(0)
    for (const pass of passNames) expect(stdout).toMatch(new RegExp(`^ {2}${pass} `, 'm'))
    expect(stdout).toMatch(/stochastic-depth .* -> /)
  })

  test('prints each stage', () => {
    const entry = `${nano}#emoji_parts.full`
    expect(JSON.parse(plan(entry, '--emit', 'ast').stdout).items.length).toBeGreaterThan(1)
    expect(JSON.parse(plan(entry, '--emit', 'resolved').stdout)[0].name).toBe('emoji_parts')
    expect(JSON.parse(plan(entry, '--emit', 'plan', '--phase', 'hires').stdout).name).toBe(
      'emoji_parts.full/hires',
    )
    expect(JSON.parse(plan(entry, '--emit', 'run-spec').stdout).format).toBe('dinoc-run-spec')
    const lowered = parseModule(plan(entry, '--emit', 'ir').stdout)
    const packed = parseModule(plan(entry, '--emit', 'ir', '--after', 'pack').stdout)
    const trunks = (module: typeof lowered) =>
      module.functions.accumulate!.ops.filter(
        (op) => op.kind === 'call' && op.attrs.callee === 'student.trunk',
      )
    expect([trunks(lowered).length, trunks(packed).length]).toEqual([2, 1])
  })

  test('refuses what it does not know, with what it does', () => {
    const stage = plan(nano, '--emit', 'irr')
    expect(stage.status).toBe(2)
    expect(stage.stderr).toContain('--emit takes ast, resolved, ir, plan, run-spec')
    const pass = plan(nano, '--emit', 'ir', '--after', 'packed')
    expect(pass.status).toBe(2)
    expect(pass.stderr).toContain('did you mean')
    expect(plan(nano, '--after', 'pack').status).toBe(2)
    expect(plan(nano, '--explain', '--phase', 'later').stderr).toContain('its phases are pretrain, hires')
  })
})
