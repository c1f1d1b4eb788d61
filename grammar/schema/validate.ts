import { Ajv, type AnySchemaObject, type ValidateFunction } from 'ajv'
import { schemaFiles } from './files.js'
import { camelCase, type FieldType, parseType } from './types.js'

/** Our own keywords; `is` expands to a schema of the resolved form, the others describe. */
const describing = [
  'block',
  'inside',
  'field',
  'written',
  'exclusive',
  'metrics',
  'splits',
  'source',
  'defaultText',
  'effect',
  'yaml',
  'renamedFrom',
  'outOfUse',
  'orNull',
]

let compiled: ValidateFunction | null = null

/** What is wrong with a resolved experiment by the schemas, empty where nothing is: a guard against bugs of ours. */
export function schemaFaults(resolved: unknown): string[] {
  compiled ??= compile()
  if (compiled(resolved)) return []
  return (compiled.errors ?? []).map((error) => `${error.instancePath || '/'} ${error.message ?? ''}`)
}

function compile(): ValidateFunction {
  const ajv = newAjv()
  return ajv.getSchema('experiment')!
}

/** ajv with the vocabulary's keywords and all its files. */
export function newAjv(): Ajv {
  const ajv = new Ajv({ allErrors: true, strict: true, strictRequired: false, strictTypes: false })
  for (const keyword of describing) ajv.addKeyword({ keyword })
  ajv.addKeyword({
    keyword: 'is',
    macro: (type: unknown, parent: AnySchemaObject) => {
      const schema = resolvedForm(parseType(type))
      return parent.orNull === true || parent.default === null
        ? { anyOf: [{ type: 'null' }, schema] }
        : schema
    },
  })
  for (const file of schemaFiles) ajv.addSchema(file as object)
  return ajv
}

type Schema = Readonly<Record<string, unknown>>

const object = (properties: Readonly<Record<string, Schema>>): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
})
const time: Schema = object({
  value: { type: 'number', minimum: 0 },
  unit: { enum: ['step', 'epoch', 'pass'] },
})
const orNull = (schema: Schema): Schema => ({ anyOf: [{ type: 'null' }, schema] })

/** The JSON Schema of what a value of the type resolves to. */
export function resolvedForm(type: FieldType): Schema {
  switch (type.kind) {
    case 'quantity': {
      const { least, most, above, below } = type.limits
      const bounds = {
        ...(least === undefined ? {} : { minimum: least }),
        ...(most === undefined ? {} : { maximum: most }),
        ...(above === undefined ? {} : { exclusiveMinimum: above }),
        ...(below === undefined ? {} : { exclusiveMaximum: below }),
      }
      if (type.of === 'time') return time
      const whole = type.of === 'integer' || type.of === 'length' || type.of === 'count'
      return { type: whole ? 'integer' : 'number', ...bounds }
    }
    case 'words': {
      const words = type.words.filter((word) => word !== type.none)
      return { enum: type.none === null ? words : [...words, null] }
    }
    case 'switch':
      return { type: 'boolean' }
    case 'text':
    case 'path':
      return { type: 'string' }
    case 'range':
      return object({ min: resolvedForm(type.of), max: resolvedForm(type.of) })
    case 'list':
      return {
        type: 'array',
        items: resolvedForm(type.of),
        minItems: type.least,
        ...(Number.isFinite(type.most) ? { maxItems: type.most } : {}),
        ...(type.unique ? { uniqueItems: true } : {}),
      }
    case 'schedule':
      return scheduleForm(resolvedForm(type.of))
    case 'reference':
      return referenceForm[type.to]
    case 'call':
      return object({
        type: { const: type.name },
        ...Object.fromEntries(
          type.args.map((arg) => {
            const form = resolvedForm(arg.type)
            return [camelCase(arg.name), arg.default === null ? orNull(form) : form]
          }),
        ),
      })
    case 'special':
      return specialForms[type.name]
    case 'either':
      return { anyOf: type.options.map(resolvedForm) }
    default:
      return type satisfies never
  }
}

function scheduleForm(of: Schema): Schema {
  const over = orNull(time)
  return {
    type: 'object',
    properties: {
      pieces: {
        type: 'array',
        minItems: 1,
        items: {
          anyOf: [
            object({ kind: { const: 'constant' }, value: of, over }),
            object({ kind: { enum: ['warmup', 'linear', 'cosine'] }, from: of, to: of, over }),
          ],
        },
      },
      compress: object({ from: time, to: time }),
    },
    required: ['pieces'],
    additionalProperties: false,
  }
}

const text: Schema = { type: 'string' }
const dataForm: Schema = {
  type: 'object',
  required: ['kind'],
  properties: { kind: { enum: ['source', 'curation', 'mix'] } },
}
const referenceForm = {
  data: dataForm,
  pool: dataForm,
  head: text,
  model: { type: 'object', required: ['kind'], properties: { kind: { enum: ['run', 'file', 'hub'] } } },
  metric: text,
  phase: text,
  part: text,
  splitName: text,
} satisfies Record<string, Schema>

const rate: Schema = { type: 'number', minimum: 0, exclusiveMaximum: 1 }
const specialForms = {
  drop_path: object({
    shape: { enum: ['uniform', 'linear'] },
    from: rate,
    to: rate,
    form: { enum: ['subset', 'masked'] },
  }),
  pos_interpolation: object({ offset: { type: 'number', minimum: 0 }, antialias: { type: 'boolean' } }),
  split: {
    anyOf: [
      object({
        kind: { const: 'hash' },
        shares: { type: 'object', additionalProperties: { type: 'number' } },
        by: { type: ['string', 'null'] },
      }),
      object({ kind: { const: 'all' }, split: text }),
      object({ kind: { const: 'published' } }),
      object({ kind: { const: 'listed' }, files: { type: 'object', additionalProperties: text } }),
    ],
  },
  table: object({
    table: text,
    nested: { type: ['string', 'null'] },
    file: text,
    label: { type: ['string', 'null'] },
  }),
  tied: object({ type: { const: 'tied' }, to: text }),
} satisfies Record<string, Schema>
