import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { resolve } from '../../compiler/resolve/resolve.js'
import { blocks } from '../../diagnostics/catalogue/blocks.js'
import { experiment } from '../../diagnostics/catalogue/experiment.js'
import { lint } from '../../diagnostics/catalogue/lint.js'
import { names } from '../../diagnostics/catalogue/names.js'
import { sharding } from '../../diagnostics/catalogue/sharding.js'
import { values } from '../../diagnostics/catalogue/values.js'
import { splitFiles } from './resolve-text.js'

const pages = new URL('../../docs/diagnostics/', import.meta.url)
/** Given by `plan`, and by a file that no page can hold: they have tests of their own. */
const elsewhere = new Set(['DINO2011', 'DINO0231'])
const entries = Object.entries({
  ...names,
  ...blocks,
  ...values,
  ...experiment,
  ...sharding,
  ...lint,
}).filter(([code]) => !elsewhere.has(code))

/** The codes that an example gives; its first line may say with which command. */
function codesOf(example: string): string[] | null {
  const files = splitFiles(example, 'example.dino')
  const command = /^\/\/ dinoc (\w+) (\S+)(?: --param (\w+)=(\S+))?/.exec(example)
  if (command?.[1] === 'diff') return null
  const params = command?.[3] === undefined ? {} : { [command[3]]: command[4]! }
  const resolution = resolve(
    command?.[2] ?? 'example.dino',
    { read: (path) => files.get(path) ?? null },
    { set: [], params, env: {} },
  )
  return resolution.diagnostics.map((d) => d.code)
}

describe.each(entries)('%s', (code, { title }) => {
  const path = new URL(`${code}.md`, pages)
  const page = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const examples = [...page.matchAll(/```dino\n(.*?)```/gs)].map((m) => m[1]!)

  it('has a page', () => {
    expect(page.split('\n')[0]).toBe(`# ${code}: ${title}`)
    expect(page.match(/^## (.*)$/gm)).toEqual(['## Gives it', '## Does not'])
    expect(examples).toHaveLength(2)
  })

  it('shows an example that gives exactly this', () => {
    const codes = codesOf(examples[0]!)
    if (codes === null) return
    // What this version cannot execute yet is said beside whatever else there is to say.
    const own = code === 'DINO0890' ? codes : codes.filter((c) => c !== 'DINO0890')
    expect(own).toEqual([code])
  })

  it('shows an example that is clean', () => {
    expect(codesOf(examples[1]!) ?? []).toEqual([])
  })
})
