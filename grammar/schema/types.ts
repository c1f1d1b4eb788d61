/**
 * The types a field can have, as the schemas' own keyword `is` writes them. One word names a base type; an object
 * gives it limits or builds on it:
 *
 *     "is": "integer"
 *     "is": { "number": { "above": 0 } }
 *     "is": { "words": ["mlp", "swiglu"] }
 *     "is": { "schedule": "ratio" }
 *     "is": { "either": [{ "words": ["off"], "null": "off" }, "number"] }
 *
 * `FieldType` is the same thing parsed. Limits hold for the canonical value (pixels, images, bytes, seconds).
 */
export const quantityTypes = [
  'integer',
  'number',
  'ratio',
  'length',
  'count',
  'time',
  'memory',
  'duration',
  'distance',
  'factor',
] as const
export type QuantityType = (typeof quantityTypes)[number]

export interface Limits {
  readonly least?: number
  readonly most?: number
  readonly above?: number
  readonly below?: number
}

/** What a reference may name. */
export const referenceKinds = [
  'data',
  'pool',
  'head',
  'model',
  'metric',
  'phase',
  'part',
  'splitName',
] as const
export type ReferenceKind = (typeof referenceKinds)[number]

/** Types whose resolved form has a shape of its own: see compiler/resolve/values/special.ts. */
export const specialTypes = ['drop_path', 'pos_interpolation', 'split', 'table', 'tied'] as const
export type SpecialType = (typeof specialTypes)[number]

export interface ArgumentType {
  readonly name: string
  readonly type: FieldType
  /** Undefined: the argument must be given. */
  readonly default?: unknown
  /** Whether it may be written without its name, in the order of declaration. */
  readonly positional: boolean
}

export type FieldType =
  | { readonly kind: 'quantity'; readonly of: QuantityType; readonly limits: Limits }
  /** `none` is the word that resolves to null: `off`. */
  | { readonly kind: 'words'; readonly words: readonly string[]; readonly none: string | null }
  | { readonly kind: 'switch' }
  | { readonly kind: 'text' }
  | { readonly kind: 'path' }
  | { readonly kind: 'range'; readonly of: FieldType }
  | {
      readonly kind: 'list'
      readonly of: FieldType
      readonly least: number
      readonly most: number
      /** Whether an item may not stand twice. */
      readonly unique: boolean
    }
  | { readonly kind: 'schedule'; readonly of: FieldType }
  | { readonly kind: 'reference'; readonly to: ReferenceKind }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly ArgumentType[] }
  | { readonly kind: 'special'; readonly name: SpecialType }
  | { readonly kind: 'either'; readonly options: readonly FieldType[] }

type Json = string | { readonly [key: string]: unknown }

/** Parses the value of an `is` keyword; a schema that says nonsense is a bug of ours and throws. */
export function parseType(json: unknown): FieldType {
  if (typeof json === 'string') return parseWord(json, {})
  if (json === null || typeof json !== 'object') throw new Error(`not a type: ${JSON.stringify(json)}`)
  const spec = json as Record<string, unknown>
  if ('words' in spec)
    return {
      kind: 'words',
      words: spec.words as string[],
      none: (spec.none as string | undefined) ?? null,
    }
  if ('range' in spec) return { kind: 'range', of: parseType(spec.range) }
  if ('list' in spec)
    return {
      kind: 'list',
      of: parseType(spec.list),
      least: (spec.least as number | undefined) ?? 0,
      most: (spec.most as number | undefined) ?? Number.POSITIVE_INFINITY,
      unique: spec.unique === true,
    }
  if ('schedule' in spec) return { kind: 'schedule', of: parseType(spec.schedule) }
  if ('reference' in spec) return { kind: 'reference', to: spec.reference as ReferenceKind }
  if ('call' in spec) return { kind: 'call', name: spec.call as string, args: parseArguments(spec.args) }
  if ('either' in spec) return { kind: 'either', options: (spec.either as Json[]).map(parseType) }
  const [word] = Object.keys(spec)
  return parseWord(word!, spec[word!] as Limits)
}

function parseWord(word: string, limits: Limits): FieldType {
  if (word === 'switch' || word === 'text' || word === 'path') return { kind: word }
  if ((specialTypes as readonly string[]).includes(word))
    return { kind: 'special', name: word as SpecialType }
  if ((quantityTypes as readonly string[]).includes(word))
    return {
      kind: 'quantity',
      of: word as QuantityType,
      limits: { ...ownLimits[word as QuantityType], ...limits },
    }
  throw new Error(`the schemas name an unknown type: ${word}`)
}

const ownLimits: Record<QuantityType, Limits> = {
  integer: {},
  number: {},
  ratio: { least: 0, most: 1 },
  length: { least: 1 },
  count: { least: 1 },
  time: { least: 0 },
  memory: { above: 0 },
  duration: { least: 0 },
  distance: { least: 0 },
  factor: { least: 0 },
}

function parseArguments(json: unknown): ArgumentType[] {
  const args = (json ?? {}) as Record<string, { is: unknown; default?: unknown; positional?: boolean }>
  return Object.entries(args).map(([name, spec]) => ({
    name,
    type: parseType(spec.is),
    positional: spec.positional === true,
    ...('default' in spec ? { default: spec.default } : {}),
  }))
}

/** `drop_path` becomes `dropPath`: names as written to names in the resolved form. */
export function camelCase(name: string): string {
  const known = camelCased.get(name)
  if (known !== undefined) return known
  const made = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  camelCased.set(name, made)
  return made
}
const camelCased = new Map<string, string>()

/** `dropPath` becomes `drop_path`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
