import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { checkFile } from '../../compiler/compile.js'
import type { Entry } from '../../diagnostics/catalogue/entry.js'
import { lex } from '../../diagnostics/catalogue/lex.js'
import { parse } from '../../diagnostics/catalogue/parse.js'
import { catalogue } from '../../diagnostics/catalogue.js'
import { inOrder } from '../../diagnostics/order.js'

/**
 * A page for each code: `# CODE: title`, what it means and how to mend it, then `## Gives it` with an example that
 * gives exactly this code and `## Does not` with one that is clean. The examples of other stages are tested beside
 * those stages; what no file shows says in `## Shown by` where it appears.
 */
const entries = Object.entries(catalogue as unknown as Record<string, Entry<never>>)
const pageOf = (code: string) => {
  const path = `docs/diagnostics/${code}.md`
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

describe('every code has a page', () => {
  test.each(entries)('%s', (code, { title }) => {
    const page = pageOf(code)
    expect(page.split('\n')[0]).toBe(`# ${code}: ${title}`)
    expect(page.length).toBeGreaterThan(200)
  })

  test('and every page a code', () => {
    const pages = readdirSync('docs/diagnostics').filter((name) => /^DINO\d+\.md$/.test(name))
    expect(pages.filter((name) => !(name.slice(0, -3) in catalogue))).toEqual([])
  })
})

describe.each(Object.keys({ ...lex, ...parse }))('%s', (code) => {
  const page = pageOf(code)
  const examples = [...page.matchAll(/^## (.*)\n```dino\n([\s\S]*?)```/gm)]

  const codesOf = (text: string) => {
    const host = { read: (path: string) => (path === 'example.dino' ? text : null) }
    const { diagnostics } = checkFile('example.dino', host, { set: [], params: {}, env: {} })
    return inOrder(diagnostics).map((d) => d.code)
  }

  test('has an example of what gives it and of what does not', () => {
    expect(examples.map(([, heading]) => heading)).toEqual(['Gives it', 'Does not'])
  })
  test('is given by the first, alone', () => {
    expect(codesOf(examples[0]![2]!)).toEqual([code])
  })
  test('is not given by the second, which is clean', () => {
    expect(codesOf(examples[1]![2]!)).toEqual([])
  })
})
