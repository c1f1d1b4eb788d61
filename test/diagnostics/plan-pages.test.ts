import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { embeddedTarget, planVariant } from '../../compiler/compile.js'
import { jumps, overBudget } from '../../compiler/plan/findings.js'
import { resolve } from '../../compiler/resolve/resolve.js'
import { catalogue } from '../../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../../diagnostics/diagnostic.js'

const codes = ['DINO0801', 'DINO0802', 'DINO0804', 'DINO2011'] as const

/** What planning every variant of a file says, on top of what resolving it does. */
function findings(text: string): Diagnostic[] {
  const host = { read: (path: string) => (path === 'page.dino' ? text : null) }
  const { diagnostics, experiments } = resolve('page.dino', host, { set: [], params: {}, env: {} })
  expect(diagnostics.filter((d) => d.severity === 'error')).toEqual([])
  return experiments.flatMap(({ variants }) =>
    variants.flatMap(({ resolved }) => {
      try {
        const cost = planVariant(resolved, embeddedTarget, null)
        return [...jumps(resolved, cost), ...overBudget(resolved, cost, null)]
      } catch (error) {
        if (error instanceof DiagnosticError) return error.diagnostics
        throw error
      }
    }),
  )
}

describe.each(codes)('%s', (code) => {
  const page = readFileSync(new URL(`../../docs/diagnostics/${code}.md`, import.meta.url), 'utf8')
  const [bad = '', good = ''] = [...page.matchAll(/^```dino\n(.*?)^```/gms)].map((m) => m[1])

  it('has a page of its title', () => {
    expect(page.split('\n')[0]).toBe(`# ${code}: ${catalogue[code].title}`)
  })

  it('is what its example gives, at a place in it, and nothing else', () => {
    const found = findings(bad)
    expect([...new Set(found.map((d) => d.code))]).toEqual([code])
    expect(found[0]?.primary?.span.file).toBe('page.dino')
  })

  it('is not what the other example gives', () => {
    expect(findings(good).map((d) => d.code)).toEqual([])
  })
})
