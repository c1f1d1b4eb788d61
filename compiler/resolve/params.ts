import type { Span } from '../../diagnostics/diagnostic.js'
import { didYouMean } from '../../diagnostics/nearest.js'
import type { Param, Value } from '../../grammar/ast.js'
import { parse } from '../../grammar/parser.js'
import { type QuantityType, quantityTypes } from '../../grammar/schema/types.js'
import { inBounds } from './coerce.js'
import { paramFile, paramText } from './command-line.js'
import { type Dims, type Dyn, describe, evaluate, type Scope } from './dyn.js'
import type { Module } from './modules.js'
import type { Report } from './report.js'

const typeNames: readonly string[] = [
  ...quantityTypes,
  'probability',
  'switch',
  'text',
  'path',
  'range',
  'list',
  'call',
  'reference',
  'schedule',
]

const dimsOf: Record<QuantityType, readonly Dims[]> = {
  integer: [{}],
  number: [{}],
  ratio: [{}],
  length: [{ px: 1 }],
  count: [{ img: 1 }],
  time: [{ step: 1 }, { epoch: 1 }, { pass: 1 }],
  memory: [{ byte: 1 }],
  duration: [{ s: 1 }],
  distance: [{ m: 1 }],
  factor: [{ x: 1 }],
}

/** Params that take their values from one another, so that looking them up has an end. */
const deepest = 100

export interface ParamOptions {
  readonly params: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Values of params, each found once: `--param` first, else what the file says. */
export function paramValues(options: ParamOptions, report: Report, texts: Map<string, string>) {
  const found = new Map<Param, Dyn>()
  /** How many params stand one behind the other in a value, itself included. */
  const depths = new Map<Param, number>()
  const open: { readonly param: Param; below: number }[] = []

  const lookUp = (module: Module, name: string, at: Span): Dyn | null => {
    const param = module.params.get(name)
    if (param === undefined) return null
    module.used.add(name)
    const first = open.findIndex((user) => user.param === param)
    if (first >= 0) {
      const cycle = [...open.slice(first).map((user) => user.param.name.text), name]
      report.give('DINO0223', at, { cycle }, { label: 'needs its own value' })
      return { kind: 'bad', span: at }
    }
    const value = found.get(param) ?? (open.length < deepest ? newValue(param, module) : null)
    const user = open.at(-1)
    if (value === null || (user && depths.get(param)! >= deepest)) {
      report.give('DINO0118', at, { what: 'params', deepest })
      return { kind: 'bad', span: at }
    }
    if (user) user.below = Math.max(user.below, depths.get(param)!)
    return value
  }

  const newValue = (param: Param, module: Module): Dyn => {
    open.push({ param, below: 0 })
    const value = paramValue(param, module)
    depths.set(param, 1 + open.pop()!.below)
    found.set(param, value)
    return value
  }

  const paramValue = (param: Param, module: Module): Dyn => {
    const bad: Dyn = { kind: 'bad', span: param.value.span }
    if (param.poisoned) return bad
    const type = param.type.text
    if (!typeNames.includes(type)) {
      report.give(
        'DINO0420',
        param.type.span,
        { type },
        {
          label: 'unknown type',
          notes: [`types are ${typeNames.join(', ')}`],
          help: didYouMean(type, typeNames),
        },
      )
      return bad
    }
    const scope: Scope = { report, module, param: lookUp, batch: null }
    const { text } = param.name
    const given = Object.hasOwn(options.params, text) ? options.params[text] : undefined
    const value =
      given === undefined ? ofFile(param, scope, type) : ofOption(param.name.text, given, type, scope)
    if (value.kind === 'bad') return value
    if (!fits(value, type)) {
      report.give('DINO0401', value.span, {
        field: param.name.text,
        expected: `a ${type}`,
        found: describe(value),
      })
      return bad
    }
    if (value.kind !== 'number') return value
    const of = quantityOf(type)
    const limits = type === 'probability' ? { least: 0, most: 1 } : {}
    return of === null || inBounds(value, of, limits, param.name.text, report) ? value : bad
  }

  const ofFile = (param: Param, scope: Scope, type: string): Dyn => {
    const value = param.value
    if (value.kind !== 'call' || value.name.text !== 'env') return evaluate(value, scope)
    const args = value.args.map((arg) => evaluate(arg.value, scope))
    const [variable, fallback] = args
    if (variable === undefined || args.length > 2 || value.args.some((a) => a.name !== null)) {
      report.give(
        'DINO0408',
        value.span,
        { name: 'the name of a variable', call: 'env' },
        {
          help: ['write `env("DATA_ROOT")` or `env("DATA_ROOT", "/data")`'],
        },
      )
      return { kind: 'bad', span: value.span }
    }
    if (variable.kind !== 'text') {
      if (variable.kind !== 'bad')
        report.give('DINO0401', variable.span, {
          field: 'env',
          expected: 'a text',
          found: describe(variable),
        })
      return { kind: 'bad', span: value.span }
    }
    const set = Object.hasOwn(options.env, variable.text) ? options.env[variable.text] : undefined
    if (set !== undefined) return ofOption(param.name.text, set, type, scope, value.span)
    if (fallback !== undefined) return fallback
    report.giveOnce(
      `DINO0230 ${variable.text}`,
      'DINO0230',
      value.span,
      { variable: variable.text },
      {
        label: 'no value, and no fallback',
        help: [
          `set it: export ${variable.text}=...`,
          `or pass --param ${param.name.text}=...`,
          `or give a fallback: env("${variable.text}", "...")`,
        ],
      },
    )
    return type === 'path' || type === 'text'
      ? { kind: 'text', text: `$${variable.text}`, span: value.span }
      : { kind: 'bad', span: value.span }
  }

  /** A value that came as plain characters, from the command line or the environment. */
  const ofOption = (name: string, given: string, type: string, scope: Scope, at?: Span): Dyn => {
    const file = paramFile(name, given)
    const before = paramText(name, '').length
    if (at === undefined) texts.set(file, paramText(name, given))
    const span = at ?? lineSpan(file, before, before + given.length)
    if (type === 'path' || type === 'text') return { kind: 'text', text: given, span }
    const value = parseValue(given, file, before)
    if (value === null) {
      report.give('DINO0427', span, { name, value: given }, { help: [`write a ${type}, as a file would`] })
      return { kind: 'bad', span }
    }
    const evaluated = evaluate(value, scope)
    return at === undefined ? evaluated : { ...evaluated, span: at }
  }

  return {
    lookUp,
    /** `--param` names that no file has. */
    reportUnknown(modules: Iterable<Module>) {
      const all = [...modules]
      const names = new Set(all.flatMap((module) => [...module.params.keys()]))
      for (const [name, given] of Object.entries(options.params)) {
        if (names.has(name)) continue
        const file = paramFile(name, given)
        texts.set(file, paramText(name, given))
        report.give('DINO0221', lineSpan(file, 0, name.length), { name }, { help: didYouMean(name, names) })
      }
    },
    /** Every param of the modules gets its value, so that faults are seen even where nothing uses it. */
    checkAll(modules: Iterable<Module>) {
      for (const module of modules)
        for (const param of module.params.values()) {
          const used = module.used.has(param.name.text)
          lookUp(module, param.name.text, param.name.span)
          if (!used) module.used.delete(param.name.text)
        }
    },
  }
}

/** A value written by itself, its spans as if `before` characters stood before it; null where it does not parse. */
export function parseValue(text: string, file: string, before = 0): Value | null {
  const prefix = 'param x: text = '
  const parsed = parse(prefix + text, file)
  const [item] = parsed.file.items
  if (parsed.diagnostics.length > 0 || parsed.file.items.length !== 1 || item?.kind !== 'param') return null
  return shifted(item.value, prefix.length - before)
}

/** A tree with every span moved back by a prefix that stood before it on its first line. */
export function shifted<T>(tree: T, by: number): T {
  if (tree === null || typeof tree !== 'object') return tree
  if (Array.isArray(tree)) return tree.map((item) => shifted(item, by)) as T
  const moved: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(tree))
    moved[key] =
      key === 'span' || key === 'headerSpan' ? shiftSpan(value as Span, by) : shifted(value as unknown, by)
  return moved as T
}

export function shiftSpan(span: Span, by: number): Span {
  return {
    file: span.file,
    start: Math.max(0, span.start - by),
    end: Math.max(0, span.end - by),
    startLine: span.startLine,
    endLine: span.endLine,
    startColumn: span.startLine === 1 ? Math.max(1, span.startColumn - by) : span.startColumn,
    endColumn: span.endLine === 1 ? Math.max(1, span.endColumn - by) : span.endColumn,
  }
}

function lineSpan(file: string, start: number, end: number): Span {
  return { file, start, end, startLine: 1, startColumn: start + 1, endLine: 1, endColumn: end + 1 }
}

/** The quantity that a param of the type holds, null where it holds something else. */
function quantityOf(type: string): QuantityType | null {
  if (type === 'probability') return 'ratio'
  return quantityTypes.find((known) => known === type) ?? null
}

function fits(value: Dyn, type: string): boolean {
  const of = quantityOf(type)
  if (of !== null) {
    if (value.kind !== 'number') return false
    return dimsOf[of].some((dims) => JSON.stringify(dims) === JSON.stringify(value.dims))
  }
  switch (type) {
    case 'text':
    case 'path':
      return value.kind === 'text'
    case 'switch':
      return value.kind === 'path' && ['on', 'off'].includes(value.names[0]!.text) && value.names.length === 1
    case 'schedule':
      return ['number', 'call', 'pipe', 'arrow'].includes(value.kind)
    case 'reference':
      return value.kind === 'path' || value.kind === 'call' || value.kind === 'text'
    default:
      return value.kind === type
  }
}
