import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { interpretEntry, zeros } from '../../compiler/ir/interpret.js'
import { parseModule } from '../../compiler/ir/parse.js'
import type { Module } from '../../compiler/ir/types.js'
import { verify } from '../../compiler/ir/verify.js'
import { autodiff } from '../../compiler/passes/autodiff.js'
import { inline } from '../../compiler/passes/inline.js'
import { buildPlan } from '../../compiler/plan/build.js'
import { ir } from '../../diagnostics/catalogue/ir.js'
import { plan as ofPlans } from '../../diagnostics/catalogue/plan.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { validatePlan } from '../../runtime/devices/validate.js'

const pages = new URL('../../docs/diagnostics/', import.meta.url)

/** `programs.0.steps.0.op = "attend"`, a line a change, applied to a document. */
function edited(document: unknown, edits: string): unknown {
  const copy = structuredClone(document) as { [key: string]: unknown }
  for (const line of edits.trim().split('\n')) {
    const [path, value] = line.split(' = ') as [string, string]
    const keys = path.split('.')
    let at = copy
    for (const key of keys.slice(0, -1)) at = at[key] as typeof copy
    at[keys.at(-1) as string] = JSON.parse(value)
  }
  return copy
}

/** Everything that happens to IR: verified, expanded, and run on zeros. */
function use(module: Module, kernelsOnly: boolean): void {
  verify(module, { kernelsOnly })
  const flat = inline(autodiff(module))
  verify(flat, { kernelsOnly: true })
  const named = (list: readonly { name: string; type: Module['inputs'][number]['type'] }[]) =>
    Object.fromEntries(list.map((t) => [t.name, zeros(t.type)]))
  for (const entry of flat.entries)
    interpretEntry(flat, entry, { state: named(flat.state), inputs: named(flat.inputs), carried: {} })
}

const planOf = (module: Module) =>
  buildPlan(module, { class: 'arena', arenaLimitBytes: null }, { images: 1, modelFlopsPerStep: 0 })

/** The codes that an example gives. */
function codes(run: () => void): string[] {
  try {
    run()
  } catch (error) {
    if (error instanceof DiagnosticError) return [...new Set(error.diagnostics.map((d) => d.code))]
    throw error
  }
  return []
}

const documented = [
  ...Object.entries(ir),
  ...Object.entries(ofPlans).filter(([code]) => code >= 'DINO0820' && code <= 'DINO0829'),
]

describe.each(documented)('%s', (code, { title }) => {
  const page = readFileSync(new URL(`${code}.md`, pages), 'utf8')
  const [bad, good] = [...page.matchAll(/^```(\w+)\n(.*?)^```/gms)].map((m) => ({
    form: m[1],
    text: m[2] ?? '',
  }))

  it('has a page', () => {
    expect(page.split('\n')[0]).toBe(`# ${code}: ${title}`)
    expect(page.match(/^## (.*)$/gm)).toEqual(['## Gives it', '## Does not'])
  })

  it('is what its example gives, and nothing else', () => {
    const kernelsOnly = code === 'DINO0609'
    const sound = () => parseModule(good?.text ?? '')
    expect(codes(() => use(sound(), kernelsOnly))).toEqual([])
    if (bad?.form === 'ir') expect(codes(() => use(parseModule(bad.text), kernelsOnly))).toEqual([code])
    else if (code.startsWith('DINO06'))
      expect(codes(() => use(edited(sound(), bad?.text ?? '') as Module, kernelsOnly))).toEqual([code])
    else {
      expect(codes(() => validatePlan(planOf(sound())))).toEqual([])
      expect(codes(() => validatePlan(edited(planOf(sound()), bad?.text ?? '')))).toEqual([code])
    }
  })
})
