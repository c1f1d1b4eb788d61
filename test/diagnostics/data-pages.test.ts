import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkFile } from '../../compiler/compile.js'
import { runtime } from '../../diagnostics/catalogue/runtime.js'

const pages = new URL('../../docs/diagnostics/', import.meta.url)
const tests = ['data', 'runtime', 'eval'].flatMap((folder) =>
  readdirSync(new URL(`../${folder}/`, import.meta.url))
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => readFileSync(new URL(`../${folder}/${file}`, import.meta.url), 'utf8')),
)
const ofData = Object.entries(runtime).filter(([code]) => code < 'DINO1030')

describe.each(ofData)('%s', (code, { title }) => {
  const page = readFileSync(new URL(`${code}.md`, pages), 'utf8')
  it('has a page with an example of what gives it and of what does not', () => {
    expect(page.split('\n')[0]).toBe(`# ${code}: ${title}`)
    expect(page.match(/^## (.*)$/gm)).toEqual(['## Gives it', '## Does not'])
  })
  it('shows examples that are sound but for the data behind them', () => {
    for (const [, text] of page.matchAll(/```dino\n(.*?)```/gs)) {
      const host = { read: (path: string) => (path === 'example.dino' ? text! : null) }
      const { diagnostics } = checkFile('example.dino', host, { set: [], params: {}, env: {} })
      expect(diagnostics.filter((d) => d.severity === 'error')).toEqual([])
    }
  })
  it('has a test that provokes it', () => {
    expect(tests.some((text) => text.includes(code))).toBe(true)
  })
})
