import { describe, expect, it } from 'vitest'
import { coerce } from '../../compiler/resolve/coerce.js'
import { evaluate } from '../../compiler/resolve/dyn.js'
import type { FieldScope, References } from '../../compiler/resolve/field-scope.js'
import { parseValue } from '../../compiler/resolve/params.js'
import { newReport } from '../../compiler/resolve/report.js'
import { writeValue } from '../../compiler/resolve/write.js'
import { schemaFiles } from '../../grammar/schema/files.js'
import { newAjv, resolvedForm } from '../../grammar/schema/validate.js'
import { type FieldDef, kinds, referenceNames } from '../../grammar/schema/vocabulary.js'
import { variantOf } from './resolve-text.js'

const fields: (readonly [string, FieldDef])[] = [...kinds.values()].flatMap((kind) =>
  [...kind.types.values()].flatMap((block) =>
    [...block.fields.values()].map((field) => [`${kind.kind}.${block.type}.${field.name}`, field] as const),
  ),
)
const withDefault = fields.filter(([, field]) => field.default !== undefined && field.default !== null)

describe('the schemas', () => {
  it('are valid JSON Schema with our keywords, as ajv compiles them in strict mode', () => {
    const ajv = newAjv()
    for (const file of schemaFiles)
      expect(ajv.getSchema((file as { $id: string }).$id)).toBeTypeOf('function')
  })
  it.each(withDefault)('give %s a default of its own type, which the language can write', (name, field) => {
    expect(newAjv().compile(resolvedForm(field.type))(field.default)).toBe(true)
    const text = writeValue(field.default, field.type)
    const value = parseValue(text, 'default')
    expect(value, text).not.toBeNull()
    const report = newReport()
    const module = { ...variantModule(), names: new Map() }
    const scope: FieldScope = {
      report,
      module,
      param: () => null,
      batch: null,
      field: name,
      references: none,
      coerce,
    }
    expect(coerce(evaluate(value!, scope), field.type, scope)).toEqual(field.default)
    expect(report.diagnostics).toEqual([])
  })
  it('say of each field where it comes from, and what it is worth where nobody sets it', () => {
    for (const [name, field] of fields) {
      expect(field.source, name).not.toBe('')
      expect(
        field.required || field.default !== undefined || field.defaultText !== null || field.orNull,
        name,
      ).toBe(true)
    }
  })
  it('know what the reference code calls things', () => {
    expect(referenceNames.get('koleo_loss_weight')).toBe('loss.koleo.weight')
    expect(referenceNames.get('head_n_prototypes')).toBe('head.NAME.prototypes')
    expect(referenceNames.get('local_crops_number')).toBe('crops.local.count')
    expect(referenceNames.get('momentum_teacher')).toBe('teacher.momentum')
    expect(referenceNames.size).toBeGreaterThan(60)
  })
  it('refuse a resolved experiment that has something more, something less, or something else', () => {
    const validate = newAjv().getSchema('experiment')!
    const resolved = variantOf(
      'import { vit_nano } from "std/dinov2.dino"\nexperiment a extends vit_nano { }',
    )
    expect(validate(resolved)).toBe(true)
    const { width: _, ...backbone } = resolved.backbone
    for (const wrong of [
      { ...resolved, extra: 1 },
      { ...resolved, backbone },
      { ...resolved, backbone: { ...resolved.backbone, ffn: 'relu' } },
      { ...resolved, backbone: { ...resolved.backbone, patch: 8.5 } },
      { ...resolved, loss: {} },
      { ...resolved, schedule: { ...resolved.schedule, phases: [] } },
      { ...resolved, masking: { ...resolved.masking, probability: 1.5 } },
    ])
      expect(validate(wrong)).toBe(false)
  })
})

function variantModule() {
  const span = { file: 'default', start: 0, end: 0, startLine: 1, startColumn: 1, endLine: 1, endColumn: 1 }
  const source = { file: 'default', text: '', items: [], comments: [], span, incomplete: false }
  return { file: 'default', source, params: new Map(), own: [], used: new Set<string>() }
}
const none = { stages: null } as unknown as References
