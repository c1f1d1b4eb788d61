import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commandLineText } from '../../compiler/resolve/command-line.js'
import { nodeHost } from '../../compiler/resolve/host.js'
import { resolve } from '../../compiler/resolve/resolve.js'
import { listed, resolveText, small } from './resolve-text.js'

const options = { set: [], params: {}, env: {} }

describe('files', () => {
  it('import each other relative to themselves, whatever the entry is called', () => {
    const folder = mkdtempSync(join(tmpdir(), 'dinoc-files-'))
    mkdirSync(join(folder, 'a/b'), { recursive: true })
    writeFileSync(
      join(folder, 'a/one.dino'),
      'import { deep } from "./b/two.dino"\nexperiment top extends deep { data { train = p } }\nsource p: folder { path = file("./pictures") }',
    )
    writeFileSync(
      join(folder, 'a/b/two.dino'),
      'import { base } from "../../base.dino"\nexperiment deep extends base { }',
    )
    writeFileSync(
      join(folder, 'base.dino'),
      'import { vit_nano } from "std/dinov2.dino"\nexperiment base extends vit_nano { }',
    )
    for (const entry of ['a/one.dino', './a/one.dino', `${folder}/a/one.dino`]) {
      const { diagnostics, experiments } = resolve(entry, nodeHost(folder), options)
      expect(diagnostics).toEqual([])
      expect(experiments[0]!.variants[0]!.resolved.sources.p!.path).toMatch(/a\/pictures$/)
    }
  })
  it('tell a circle through the entry under any name of it', () => {
    const files = new Map([
      ['./a.dino', 'import { b } from "./b.dino"\nsource a: folder { path = "a" }'],
      ['b.dino', 'import { a } from "./a.dino"\nsource b: folder { path = "b" }'],
    ])
    const { diagnostics } = resolve('./a.dino', { read: (path) => files.get(path) ?? null }, options)
    expect(diagnostics.map((d) => d.message)).toEqual(['import cycle: ./a.dino -> b.dino -> ./a.dino'])
  })
  it('are all at hand for whoever shows a place in them, options included', () => {
    const text = small('loss.koleo.weight = w', 'param w: number = 0.2\n')
    const resolution = resolveText(text, { params: { w: '32 imgs' }, set: ['schedule.batch=7px'] })
    expect(listed(resolution)).toEqual([
      'error DINO0404 --param w=32 imgs:1:6 `imgs` is not a unit',
      'error DINO0403 --set schedule.batch=7px:1:16 `schedule.batch`: expected a number of images, found 7px',
    ])
    for (const { primary } of resolution.diagnostics) {
      const text = resolution.files.get(primary!.span.file)!
      expect(text.slice(primary!.span.start, primary!.span.end)).toMatch(/^(imgs|7px)$/)
      expect(commandLineText(primary!.span.file)).toBe(text)
    }
  })
  it('of options are marked where they are wrong: an unknown name, a value that is none', () => {
    const text = small('loss.koleo.weight = w', 'param w: number = 0.2\n')
    const { diagnostics, files } = resolveText(text, { params: { w: '0.', v: '1' } })
    const marked = diagnostics.map(({ code, primary }) => {
      const { file, start, end } = primary!.span
      return [code, file, files.get(file)!.slice(start, end)]
    })
    expect(marked).toEqual([
      ['DINO0221', '--param v=1', 'v'],
      ['DINO0427', '--param w=0.', '0.'],
    ])
  })
  it('of presets come from the package unless the host has others', () => {
    const host = { read: (path: string) => (path === 'x.dino' ? small('') : null) }
    expect(resolve('x.dino', host, options).experiments[0]!.variants[0]!.resolved.backbone.width).toBe(96)
  })
})
