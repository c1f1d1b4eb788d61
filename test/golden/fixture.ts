import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { decodeSafetensors } from '../../runtime/safetensors.js'

/**
 * A directory of recorded numbers, as test/golden/fixtures/README.md describes it: `NAME.json` says what a case is,
 * `NAME.safetensors` holds its tensors. Dims and options come from the JSON; nothing here knows a size.
 */
export interface Fixture {
  readonly name: string
  readonly json: Json
  readonly config: Json
  readonly tensors: ReadonlyMap<string, FixtureTensor>
  /** Tensors of another file of the directory, which `config` names. */
  readonly other: (file: string) => ReadonlyMap<string, FixtureTensor>
  /** The JSON beside such a file. */
  readonly otherJson: (file: string) => Json
}

export interface FixtureTensor {
  readonly name: string
  readonly role: string
  readonly dtype: 'F32' | 'I32' | 'U8'
  readonly shape: readonly number[]
  readonly data: Float32Array | Int32Array | Uint8Array
  readonly atol: number
  readonly rtol: number
}

export type Json = { readonly [key: string]: unknown }

/** A fault of the fixture's files, not of what it checks. */
export class FixtureError extends Error {}

export function fixtureNames(directory: string): string[] {
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory())
    throw new FixtureError(`${directory} is no directory of fixtures`)
  return readdirSync(directory)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.replace(/\.json$/, ''))
    .sort()
}

export function loadFixture(directory: string, name: string): Fixture {
  const json = readJson(join(directory, `${name}.json`))
  const own = `${name}.safetensors`
  return {
    name,
    json,
    config: record(json.config),
    tensors: existsSync(join(directory, own)) ? readTensors(directory, own) : new Map(),
    other: (file) => readTensors(directory, file),
    otherJson: (file) => readJson(join(directory, file.replace(/\.safetensors$/, '.json'))),
  }
}

function readTensors(directory: string, file: string): ReadonlyMap<string, FixtureTensor> {
  const path = join(directory, file)
  const stored = decodeSafetensors(readFileSync(path), path)
  const json = readJson(path.replace(/\.safetensors$/, '.json'))
  const described = record(json.tensors)
  return new Map(
    [...stored].map(([name, tensor]) => {
      const about = record(described[name])
      if (tensor.dtype === 'F64') throw new FixtureError(`${path}: ${name} is F64`)
      return [
        name,
        {
          name,
          role: String(about.role),
          dtype: tensor.dtype,
          shape: tensor.shape,
          data: tensor.data as FixtureTensor['data'],
          atol: typeof about.atol === 'number' ? about.atol : 0,
          rtol: typeof about.rtol === 'number' ? about.rtol : 0,
        },
      ]
    }),
  )
}

function readJson(path: string): Json {
  const text = readFileSync(path, 'utf8')
  try {
    return record(JSON.parse(text))
  } catch (error) {
    throw new FixtureError(`${path} is not JSON: ${(error as Error).message}`)
  }
}

export function record(value: unknown): Json {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : {}
}

export function number(value: unknown, otherwise?: number): number {
  if (typeof value === 'number') return value
  if (otherwise !== undefined) return otherwise
  throw new FixtureError(`expected a number, found ${JSON.stringify(value)}`)
}

export function numbers(value: unknown): number[] {
  if (!Array.isArray(value))
    throw new FixtureError(`expected a list of numbers, found ${JSON.stringify(value)}`)
  return value.map((item) => number(item))
}

export function get(tensors: ReadonlyMap<string, FixtureTensor>, name: string): FixtureTensor {
  const tensor = tensors.get(name)
  if (tensor === undefined) throw new FixtureError(`the fixture has no tensor ${name}`)
  return tensor
}

export function sizes(tensor: FixtureTensor, ...dims: readonly number[]): number[] {
  return dims.map((dim) => {
    const size = tensor.shape[dim]
    if (size === undefined) throw new FixtureError(`${tensor.name} has no dimension ${dim}`)
    return size
  })
}
