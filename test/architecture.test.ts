import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

/** The source of the package by folder, as DESIGN section 2 draws it. */
const roots = ['diagnostics', 'grammar', 'compiler', 'runtime', 'cli']

/** What a layer may import besides itself; a path that ends in `.ts` is one file. Diagnostics may be imported by all. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  diagnostics: [],
  grammar: [],
  'compiler/resolve': ['grammar'],
  'compiler/ir': [],
  'compiler/lower': ['compiler/resolve', 'compiler/ir'],
  'compiler/passes': ['compiler/ir'],
  'compiler/plan': ['compiler/ir', 'compiler/resolve/resolved.ts'],
  'compiler/codegen': ['compiler/ir', 'compiler/plan', 'compiler/resolve/resolved.ts'],
  'compiler/compile.ts': [
    'compiler/resolve',
    'compiler/ir',
    'compiler/lower',
    'compiler/passes',
    'compiler/plan',
    'compiler/codegen',
  ],
  runtime: [
    'compiler/plan/plan.ts',
    'compiler/plan/run-spec.ts',
    'compiler/plan/plan.schema.json',
    'compiler/plan/run-spec.schema.json',
    'compiler/ir/types.ts',
    'compiler/ir/ops.ts',
  ],
  cli: ['grammar', 'compiler', 'runtime'],
}

/** Single files that may see more than their layer. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  'runtime/devices/interpret.ts': ['compiler/ir/interpret.ts'],
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return walk(path)
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

const files = roots.flatMap((root) => walk(root))

/** Every relative import of a file, types and dynamic ones included, as paths from the root. */
function importsOf(file: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(file, 'utf8'), true, true)
  return importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) => join(dirname(file), name).replace(/\.js$/, '.ts'))
}

const graph = new Map(files.map((file) => [file, importsOf(file)]))

function layerOf(file: string): string {
  const found = Object.keys(allowed).filter((layer) => file === layer || file.startsWith(`${layer}/`))
  return found.sort((a, b) => b.length - a.length)[0] ?? `no layer holds ${file}`
}

const within = (file: string, place: string) => file === place || file.startsWith(`${place}/`)

describe('layers', () => {
  test('every file has one', () => {
    expect(files.filter((file) => !(layerOf(file) in allowed))).toEqual([])
  })

  test('imports name files that exist', () => {
    const missing = [...graph].flatMap(([file, imports]) =>
      imports.filter((path) => !existsSync(path)).map((path) => `${file} -> ${path}`),
    )
    expect(missing).toEqual([])
  })

  test.each(Object.keys(allowed))('%s sees only what it may', (layer) => {
    const wrong = files
      .filter((file) => layerOf(file) === layer)
      .flatMap((file) => {
        const places = [layer, 'diagnostics', ...allowed[layer]!, ...(exceptions[file] ?? [])]
        return graph
          .get(file)!
          .filter((path) => !places.some((place) => within(path, place)))
          .map((path) => `${file} -> ${path}`)
      })
    expect(wrong).toEqual([])
  })
})

test('no import cycles', () => {
  const state = new Map<string, 'open' | 'done'>()
  const cycles: string[] = []
  const visit = (file: string, trail: readonly string[]) => {
    if (state.get(file) === 'done') return
    if (state.get(file) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '))
      return
    }
    state.set(file, 'open')
    for (const next of graph.get(file) ?? []) visit(next, [...trail, file])
    state.set(file, 'done')
  }
  for (const file of files) visit(file, [])
  expect(cycles).toEqual([])
})
