import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import sharp from 'sharp'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { define, experimentText } from '../../cli/init.js'
import { nodeHost } from '../../compiler/resolve/host.js'
import { resolve } from '../../compiler/resolve/resolve.js'
import { parse } from '../../grammar/parser.js'
import { format } from '../../grammar/printer.js'

const home = process.cwd()
const written: string[] = []
vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
  written.push(String(text))
  return true
})
beforeEach(() => {
  written.length = 0
  process.chdir(mkdtempSync(join(tmpdir(), 'dinoc-init-')))
})
afterAll(() => process.chdir(home))

async function init(...args: string[]): Promise<void> {
  const command = new Command().exitOverride()
  define(command)
  await command.parseAsync(args, { from: 'user' })
}

async function pictures(folder: string, count: number, side: number): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const image = await sharp({
    create: { width: side, height: side + 10, channels: 4, background: '#ff000080' },
  })
    .png()
    .toBuffer()
  for (let i = 0; i < count; i++) writeFileSync(join(folder, `${i}.png`), image)
}

const faults = (file: string) => resolve(file, nodeHost(), { set: [], params: {}, env: {} }).diagnostics

describe('dinoc init', () => {
  it('writes an experiment for a folder after looking at it', async () => {
    await pictures('my cats/tabby', 60, 50)
    await pictures('my cats/ginger', 60, 50)
    await init('--images', 'my cats')
    expect(written.join('')).toContain('wrote my_cats.dino: 120 images of 2 classes')
    expect(faults('my_cats.dino')).toEqual([])
    const e = resolve('my_cats.dino', nodeHost(), { set: [], params: {}, env: {} }).experiments[0]!
      .variants[0]!.resolved
    expect(e.sources.photos).toMatchObject({ path: 'my cats', background: 'white' })
    expect([e.crops.global.size, e.crops.local.size, e.schedule.batch]).toEqual([48, 24, 8])
    expect(e.primary).toEqual(['eval.knn.top1@10'])
  })
  it('evaluates nothing where there are no classes', async () => {
    await pictures('flat', 20, 200)
    await init('mine', '--images', 'flat')
    expect(faults('mine.dino')).toEqual([])
    expect(readFileSync('mine.dino', 'utf8')).not.toContain('eval')
  })
  it('writes text that fmt leaves alone', () => {
    for (const facts of [null, { path: 'a"b', images: 9, classes: 3, side: 20, transparent: true }]) {
      const text = experimentText('mine', facts)
      expect(format(parse(text, 'mine.dino').file)).toBe(text)
      writeFileSync('mine.dino', text)
      expect(faults('mine.dino')).toEqual([])
    }
  })
  it('refuses to overwrite, to invent a name, and what is no folder of images', async () => {
    writeFileSync('mine.dino', 'kept')
    await expect(init('mine')).rejects.toThrow('mine.dino exists already')
    expect(readFileSync('mine.dino', 'utf8')).toBe('kept')
    await expect(init('no-name')).rejects.toThrow('cannot name an experiment')
    await expect(init('a', '--images', 'nowhere')).rejects.toThrow('is no folder')
    mkdirSync('empty')
    await expect(init('a', '--images', 'empty')).rejects.toThrow('holds no images')
  })
  it('refuses a folder that `run` would refuse, before it writes anything', async () => {
    await pictures('cats/tabby', 30, 50)
    await pictures('cats/ginger', 30, 50)
    mkdirSync('cats/tortie')
    await expect(init('--images', 'cats')).rejects.toThrow(
      'DINO1003: source `photos`: class folder cats/tortie holds no images',
    )
    expect(existsSync('cats.dino')).toBe(false)
  })
})
