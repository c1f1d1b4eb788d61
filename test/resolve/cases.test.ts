import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { linesOf, renderHuman } from '../../diagnostics/render/human.js'
import { resolveText } from './resolve-text.js'

/**
 * Tiny files with everything that is said about them, as a terminal shows it. `UPDATE_GOLDEN=1` writes the expected
 * texts anew; the difference is for reading.
 */
const folder = new URL('../cases/resolve/', import.meta.url)
const cases = readdirSync(folder)
  .filter((name) => name.endsWith('.dino'))
  .map((name) => name.slice(0, -'.dino'.length))

describe.each(cases)('%s', (name) => {
  it('is reported as expected', () => {
    const text = readFileSync(new URL(`${name}.dino`, folder), 'utf8')
    const options = /^\/\/ options (.*)$/m.exec(text)
    const resolution = resolveText(text, options === null ? {} : JSON.parse(options[1]!))
    const lines = (file: string) => linesOf(resolution.files.get(file)!)
    const rendered = resolution.diagnostics
      .map((d) => `${renderHuman(d, { lines, color: false, width: 100 })}\n`)
      .join('\n')
    const expected = new URL(`${name}.txt`, folder)
    if (process.env.UPDATE_GOLDEN) writeFileSync(expected, rendered)
    expect(rendered).toBe(readFileSync(expected, 'utf8'))
  })
})
