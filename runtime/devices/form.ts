import type { ErrorObject, ValidateFunction } from 'ajv'
import { Ajv } from 'ajv'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'

const compiled = new Map<string, ValidateFunction>()

/** ajv compiles a schema in some milliseconds, so each is compiled once, when it is first needed. */
function validator(schema: { readonly $id: string }): ValidateFunction {
  let found = compiled.get(schema.$id)
  if (!found) {
    found = new Ajv({ strict: true, strictTuples: false, allowUnionTypes: true }).compile(schema)
    compiled.set(schema.$id, found)
  }
  return found
}

/** `/programs/0/steps/3 has no "attrs"` in the words of DINO0820. */
function describe(error: ErrorObject): { readonly path: string; readonly fault: string } {
  const path = error.instancePath === '' ? 'the document' : error.instancePath
  if (error.keyword === 'additionalProperties')
    return { path, fault: `has an unknown field ${error.params.additionalProperty}` }
  if (error.keyword === 'const')
    return { path, fault: `expected ${JSON.stringify(error.params.allowedValue)}` }
  if (error.keyword === 'enum')
    return { path, fault: `expected one of ${error.params.allowedValues.join(', ')}` }
  return { path, fault: error.message ?? error.keyword }
}

/** The JSON Schema, after format and version, so that a newer document is not called malformed. */
export function checkForm(
  what: string,
  value: unknown,
  schema: { readonly $id: string },
  format: string,
  version: number,
): unknown {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  if (found.format === format && found.version !== version)
    throw new DiagnosticError([
      diagnose(
        'DINO0821',
        null,
        { what: `this ${what}`, found: JSON.stringify(found.version) ?? 'none', expected: String(version) },
        { help: ['compile it again: `dinoc plan FILE --emit plan`'] },
      ),
    ])
  const validate = validator(schema)
  if (validate(value)) return value
  // Of a union every branch reports; the error deepest in the document is the telling one.
  const errors = [...(validate.errors ?? [])]
  errors.sort((a, b) => b.instancePath.split('/').length - a.instancePath.split('/').length)
  const first = errors[0] as ErrorObject
  throw new DiagnosticError([diagnose('DINO0820', null, { what, ...describe(first) })])
}
