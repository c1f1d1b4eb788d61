import { diagnose } from '../../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../../diagnostics/diagnostic.js'
import { didYouMean, listed, nearest } from '../../diagnostics/nearest.js'
import type { Block, Import, Param, SourceFile } from '../../grammar/ast.js'
import { parse } from '../../grammar/parser.js'
import { topLevelKinds } from '../../grammar/schema/vocabulary.js'
import { packagedPreset, type SourceHost } from './host.js'
import type { Report } from './report.js'

/** A file with the names it binds. */
export interface Module {
  readonly file: string
  readonly source: SourceFile
  readonly params: ReadonlyMap<string, Param>
  /** What a name means here: defined in this file or imported. */
  readonly names: ReadonlyMap<string, Definition>
  /** What this file itself defines, in order. */
  readonly own: readonly Definition[]
  /** Params that something used. */
  readonly used: Set<string>
}

/** A top-level block; `silenced` where the name is bound but what it names is not known. */
export type Definition = SourceDefinition | CurationDefinition | ExperimentDefinition | Silenced
interface Defined {
  readonly name: string
  readonly module: Module
  readonly block: Block
}
export interface SourceDefinition extends Defined {
  readonly kind: 'source'
}
export interface CurationDefinition extends Defined {
  readonly kind: 'curation'
}
export interface ExperimentDefinition extends Defined {
  readonly kind: 'experiment'
}
export interface Silenced {
  readonly kind: 'silenced'
  readonly name: string
}

export interface Program {
  readonly entry: Module
  /** By file, in the order read. */
  readonly modules: ReadonlyMap<string, Module>
  readonly texts: ReadonlyMap<string, string>
}

/** Characters (UTF-16 units) of a file: some fifty thousand lines. What is larger is no experiment. */
export const largestFile = 2 * 2 ** 20

/** DINO0231 for a text that is too large to be read. */
export function tooLarge(path: string, text: string, at: Span | null): Diagnostic | null {
  if (text.length <= largestFile) return null
  const args = { path, characters: text.length, largest: largestFile }
  return diagnose('DINO0231', at, args, { help: ['keep labels and lists of images in files of their own'] })
}

/** Reads a file and all that it imports; null where the file itself cannot be read. */
export function loadProgram(file: string, host: SourceHost, report: Report): Program | null {
  const modules = new Map<string, Module>()
  const texts = new Map<string, string>()
  const open: string[] = []

  const load = (path: string, text: string): Module => {
    texts.set(path, text)
    open.push(path)
    const parsed = parse(text, path)
    for (const found of parsed.diagnostics) {
      report.diagnostics.push(found)
      if (found.severity === 'error') report.errors++
    }
    const own: Definition[] = []
    const names = new Map<string, Definition>()
    const params = new Map<string, Param>()
    const module: Module = { file: path, source: parsed.file, params, names, own, used: new Set() }
    modules.set(path, module)
    const places = new Map<string, Span>()
    const bind = (name: string, at: Span, definition: Definition | null): boolean => {
      const earlier = places.get(name)
      if (earlier !== undefined) {
        report.give(
          'DINO0318',
          at,
          { name },
          {
            label: 'defined again here',
            labels: [{ span: earlier, message: `\`${name}\` is defined here` }],
            help: ['give one of the two another name'],
          },
        )
        return false
      }
      places.set(name, at)
      if (definition !== null) names.set(name, definition)
      return true
    }
    for (const item of parsed.file.items) {
      if (item.kind === 'param') {
        if (bind(item.name.text, item.name.span, null)) params.set(item.name.text, item)
      } else if (item.kind === 'block') {
        const kind = topLevelKinds.find((known) => known === item.keyword.text)
        if (item.name === null) continue
        // a block of an unknown kind is reported as such; what refers to it stays silent
        const definition: Definition =
          kind === undefined
            ? { kind: 'silenced', name: item.name.text }
            : { kind, name: item.name.text, module, block: item }
        if (bind(item.name.text, item.name.span, definition)) own.push(definition)
      }
    }
    for (const item of parsed.file.items) if (item.kind === 'import') bindImport(item, module, bind)
    open.pop()
    return module
  }

  const bindImport = (
    item: Import,
    module: Module,
    bind: (name: string, at: Span, definition: Definition) => boolean,
  ) => {
    const target = item.poisoned ? null : importTarget(item, module, report)
    const imported = target === null ? null : target === 'silenced' ? null : imports(target, item, module)
    for (const name of item.names) {
      const found = imported?.own.find((d) => d.name === name.text)
      if (found !== undefined) {
        bind(name.text, name.span, found)
        continue
      }
      bind(name.text, name.span, { kind: 'silenced', name: name.text })
      if (imported === null || imported === undefined || imported.source.incomplete) continue
      const known = imported.own.map((d) => d.name)
      const near = nearest(name.text, known)
      // The name may have been meant: whoever writes it right further down stays silent too.
      for (const other of near.slice(0, 1))
        if (!module.names.has(other))
          (module.names as Map<string, Definition>).set(other, imported.own.find((d) => d.name === other)!)
      report.give(
        'DINO0202',
        name.span,
        { name: name.text, path: importPath(item) },
        {
          label: 'not defined there',
          notes: [
            `an import binds what a file itself defines: ${known.length === 0 ? 'nothing' : listed(known)}`,
          ],
          help: didYouMean(name.text, known),
        },
      )
    }
  }

  const imports = (path: string, item: Import, module: Module): Module | null => {
    // The entry keeps the name that the user gave it (`./a.dino`), imports are normalised.
    const at = open.findIndex((file) => normalizePath(file) === path)
    if (at >= 0) {
      const cycle = [...open.slice(at), open[at]!]
      report.give(
        'DINO0203',
        item.from.span,
        { cycle },
        {
          label: open[at] === module.file ? 'this file imports itself' : 'closes the circle',
          help: ['move what both files need into a third one'],
        },
      )
      return null
    }
    const loaded = [...modules.values()].find((m) => normalizePath(m.file) === path)
    if (loaded !== undefined) return loaded
    const text = readModule(path, host)
    if (text === null) {
      report.give(
        'DINO0201',
        item.from.span,
        { path: importPath(item) },
        {
          label: 'not found',
          notes: [
            path.startsWith('std/')
              ? 'paths that begin with `std/` are the presets of the package'
              : `looked for ${path}: imports are relative to the file that imports`,
          ],
        },
      )
      return null
    }
    return isTooLarge(path, text, item.from.span) ? null : load(path, text)
  }

  const isTooLarge = (path: string, text: string, at: Span | null): boolean => {
    const fault = tooLarge(path, text, at)
    if (fault !== null) {
      report.errors++
      report.diagnostics.push(fault)
    }
    return fault !== null
  }

  const text = readModule(file, host)
  if (text === null) {
    const reason = host.why?.(file) ?? null
    report.give(
      'DINO0220',
      null,
      { path: file, reason },
      {
        help:
          reason === 'it is a folder'
            ? [`dinoc init --images ${file} writes an experiment for a folder of images`]
            : [],
      },
    )
    return null
  }
  if (isTooLarge(file, text, null)) return null
  return { entry: load(file, text), modules, texts }
}

/** Names that mean something of these kinds in a file, one by one. */
export function* namesOf(module: Module, ...kinds: Definition['kind'][]): Generator<string> {
  for (const { kind, name } of module.names.values()) if (kinds.includes(kind)) yield name
}

function readModule(path: string, host: SourceHost): string | null {
  if (path.startsWith('std/')) {
    const preset = host.std?.(path) ?? packagedPreset(path)
    if (preset !== null) return preset
  }
  return host.read(path)
}

function importPath(item: Import): string {
  return item.from.parts
    .map((part) => (part.kind === 'literal' ? part.text : `\${${part.name.text}}`))
    .join('')
}

/** The file that an import names, relative to the importing one; `std/...` as it stands. */
function importTarget(item: Import, module: Module, report: Report): string | 'silenced' | null {
  const inserted = item.from.parts.find((part) => part.kind === 'param')
  if (inserted?.kind === 'param') {
    report.give(
      'DINO0217',
      inserted.name.span,
      { name: inserted.name.text },
      {
        notes: ['an import is read before any param has a value'],
        help: ['write the path out'],
      },
    )
    return null
  }
  const path = importPath(item)
  if (path.startsWith('std/') || path.startsWith('/')) return path
  const slash = module.file.lastIndexOf('/')
  return normalizePath(slash < 0 ? path : `${module.file.slice(0, slash)}/${path}`)
}

/** `a/./b/../c` to `a/c`; leading `..` stay. */
export function normalizePath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '.' || (part === '' && parts.length > 0)) continue
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..' && parts.at(-1) !== '') parts.pop()
    else parts.push(part)
  }
  return parts.join('/')
}
