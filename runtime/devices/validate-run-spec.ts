import type { RunSpec } from '../../compiler/plan/run-spec.js'
import { numericsVersion, runSpecVersion } from '../../compiler/plan/run-spec.js'
import runSpecSchema from '../../compiler/plan/run-spec.schema.json' with { type: 'json' }
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { checkForm } from './form.js'

/**
 * Accepts a run spec that came from a file, or refuses it: form and version (DINO0820, DINO0821), another numerics
 * version (DINO0821), and names that refer to nothing (DINO0825).
 */
export function validateRunSpec(spec: unknown): RunSpec {
  const checked = checkForm('run spec', spec, runSpecSchema, 'dinoc-run-spec', runSpecVersion) as RunSpec
  if (checked.numericsVersion !== numericsVersion)
    throw new DiagnosticError([
      diagnose('DINO0821', null, {
        what: 'the numerics of this run spec',
        found: String(checked.numericsVersion),
        expected: String(numericsVersion),
      }),
    ])
  const what = `run spec ${checked.experiment}.${checked.variant}`
  const faults = [
    ...checked.state
      .filter((s) => size(s.shape) !== size(s.storedShape))
      .map((s) => ({
        name: s.name,
        fault: `shape [${s.shape}] and stored shape [${s.storedShape}] differ in size`,
      })),
    ...checked.state.flatMap((s) =>
      s.init.kind === 'copy' && !checked.state.some((t) => s.init.kind === 'copy' && t.name === s.init.of)
        ? [{ name: s.name, fault: `is a copy of ${s.init.of}, which is no state tensor` }]
        : [],
    ),
    ...checked.evaluations
      .filter((e) => !checked.features.some((f) => f.name === e.features))
      .map((e) => ({ name: e.name, fault: `expected a feature plan, found ${e.features}` })),
    ...repeated(checked.state.map((s) => s.name)).map((name) => ({
      name,
      fault: 'two state tensors have this name',
    })),
    ...repeated(checked.phases.map((p) => p.name)).map((name) => ({
      name,
      fault: 'two phases have this name',
    })),
  ]
  if (faults.length > 0)
    throw new DiagnosticError(faults.map((fault) => diagnose('DINO0825', null, { plan: what, ...fault })))
  return checked
}

const size = (shape: readonly number[]) => shape.reduce((n, s) => n * s, 1)

const repeated = (names: readonly string[]) => names.filter((name, i) => names.indexOf(name) < i)
