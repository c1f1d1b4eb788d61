import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { schemaFaults } from '../../grammar/schema/validate.js'
import type { Side } from './diff.js'
import type { ResolvedExperiment } from './resolved.js'

/** The experiments whose runs lie in a folder: `runs`, `runs/NAME`, one of its variants, or one seed of that. */
export function savedExperiments(folder: string): Side[] {
  const sides = new Map<string, Map<string, ResolvedExperiment>>()
  const paths = resolvedFiles(folder, 3)
  // `seed-0/resolved.json` lies in the folder of a variant.
  const namesVariant = paths.every((path) => relative(folder, path).split(sep).length <= 2)
  for (const path of paths) {
    const resolved = readResolved(path)
    const variants = sides.get(resolved.name) ?? new Map<string, ResolvedExperiment>()
    sides.set(resolved.name, variants)
    if (!variants.has(resolved.variant)) variants.set(resolved.variant, resolved)
  }
  return [...sides].map(([name, variants]) => ({ name, variants: [...variants.values()], namesVariant }))
}

function resolvedFiles(folder: string, depth: number): string[] {
  const found: string[] = []
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name)
    if (name === 'resolved.json') found.push(path)
    else if (depth > 0 && !name.startsWith('.') && statSync(path).isDirectory())
      found.push(...resolvedFiles(path, depth - 1))
  }
  return found
}

/** A resolved experiment from disk, refused where it is not one: nobody promises what others write there. */
export function readResolved(path: string): ResolvedExperiment {
  let parsed: unknown
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw refused(path, [(error as Error).message])
  }
  const faults = schemaFaults(parsed)
  if (faults.length > 0) throw refused(path, faults.slice(0, 5))
  return parsed as ResolvedExperiment
}

function refused(path: string, faults: readonly string[]): DiagnosticError {
  return new DiagnosticError([
    diagnose(
      'DINO0529',
      null,
      { path },
      { notes: faults, help: ['run the experiment again, or compare its file'] },
    ),
  ])
}
