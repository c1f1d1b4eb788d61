import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkFile } from '../../compiler/compile.js'
import { run } from '../../diagnostics/catalogue/run.js'
import { packageRoot } from '../../diagnostics/package-root.js'

const root = packageRoot()
const tests = ['runtime', 'e2e', 'cli'].flatMap((folder) => {
  const directory = join(root, 'test', folder)
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => readFileSync(join(directory, file), 'utf8'))
})

describe.each(Object.entries(run))('%s', (code, { title }) => {
  const page = readFileSync(join(root, 'docs/diagnostics', `${code}.md`), 'utf8')

  it('has a page with an example of what gives it and of what does not', () => {
    expect(page.split('\n')[0]).toBe(`# ${code}: ${title}`)
    expect(page.match(/^## (.*)$/gm)).toEqual(['## Gives it', '## Does not'])
  })

  it('shows examples that `check` finds no fault in: only a run does', () => {
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
