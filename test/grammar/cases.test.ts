import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { catalogue } from '../../diagnostics/catalogue.js'
import { linesOf, renderHuman } from '../../diagnostics/render/human.js'
import { parse } from '../../grammar/parser.js'
import { format } from '../../grammar/printer.js'
import { expectGolden } from '../support/golden.js'

const cases = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.dino'))
    .map((name) => join(folder, name))

describe('syntax: the whole list of diagnostics', () => {
  const seen = new Set<string>()

  test.each(cases('test/cases/syntax'))('%s', (path) => {
    const text = readFileSync(path, 'utf8')
    const file = path.split('/').at(-1)!
    const { diagnostics } = parse(text, file)
    for (const { code } of diagnostics) seen.add(code)
    const options = { lines: () => linesOf(text), color: false, width: 100 }
    const shown = diagnostics.map((d) => renderHuman(d, options))
    expectGolden(
      path.replace(/\.dino$/, '.txt'),
      shown.length > 0 ? `${shown.join('\n\n')}\n` : 'no faults\n',
    )
  })

  test('every code of characters and syntax has a case', () => {
    const codes = Object.keys(catalogue).filter((code) => /^DINO0[01]/.test(code))
    expect(codes.filter((code) => !seen.has(code))).toEqual([])
  })
})

describe('fmt', () => {
  test.each(cases('test/cases/fmt'))('%s', (path) => {
    const { file, diagnostics } = parse(readFileSync(path, 'utf8'), path)
    expect(diagnostics).toEqual([])
    expectGolden(path.replace(/\.dino$/, '.expected'), format(file))
  })

  test('the examples are laid out canonically', () => {
    const folders = ['experiments', 'experiments/calibration', 'experiments/std']
    for (const path of folders.flatMap(cases)) {
      const text = readFileSync(path, 'utf8')
      expect(format(parse(text, path).file), path).toBe(text)
    }
  })
})
