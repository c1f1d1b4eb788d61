import type { Span } from '../../diagnostics/diagnostic.js'
import { didYouMean } from '../../diagnostics/nearest.js'
import type { Argument, Name, Path, Value } from '../../grammar/ast.js'
import { type Dimension, units } from '../../grammar/schema/units.js'
import type { Module } from './modules.js'
import type { Report } from './report.js'

/** Exponents of what a number measures: `8 img / 2 img` is `{}`. */
export type Dims = Readonly<Partial<Record<Dimension, number>>>

/** A value with params put in and arithmetic done, before a field says what it should be. */
export type Dyn =
  | {
      readonly kind: 'number'
      readonly value: number
      readonly dims: Dims
      readonly percent: boolean
      readonly span: Span
    }
  | { readonly kind: 'text'; readonly text: string; readonly span: Span }
  | { readonly kind: 'path'; readonly names: readonly Name[]; readonly module: Module; readonly span: Span }
  | { readonly kind: 'range'; readonly min: Dyn; readonly max: Dyn; readonly span: Span }
  | { readonly kind: 'list'; readonly items: readonly Dyn[]; readonly span: Span }
  | {
      readonly kind: 'call'
      readonly name: Name
      readonly args: readonly DynArgument[]
      readonly module: Module
      readonly span: Span
    }
  | {
      readonly kind: 'arrow'
      readonly from: Dyn
      readonly to: Dyn | null
      readonly over: Dyn | null
      readonly span: Span
    }
  | { readonly kind: 'pipe'; readonly stages: readonly Dyn[]; readonly span: Span }
  | { readonly kind: 'bad'; readonly span: Span }

export interface DynArgument {
  readonly name: Path | null
  readonly value: Dyn
  readonly span: Span
}

/** What evaluation may look at. */
export interface Scope {
  readonly report: Report
  readonly module: Module
  /** A param's value; null where the module has none of that name. */
  param(module: Module, name: string, at: Span): Dyn | null
  /** `batch`: images, or null where it may not be used; undefined where it is not known. */
  readonly batch: number | null | undefined
}

const arithmetic: Readonly<Record<string, number>> = { sqrt: 1, min: 2, max: 2 }

export function evaluate(value: Value, scope: Scope): Dyn {
  const { report } = scope
  switch (value.kind) {
    case 'bad':
      return { kind: 'bad', span: value.span }
    case 'group':
      return evaluate(value.value, scope)
    case 'quantity': {
      if (!Number.isFinite(value.value)) {
        report.give('DINO0416', value.span, { what: `\`${value.written}\`` })
        return { kind: 'bad', span: value.span }
      }
      if (value.unit === null) return number(value.value, {}, value.span)
      const unit = Object.hasOwn(units, value.unit.text) ? units[value.unit.text] : undefined
      if (unit === undefined) {
        report.give(
          'DINO0404',
          value.unit.span,
          { unit: value.unit.text },
          {
            label: 'unknown unit',
            notes: [
              'units are px, img, step, epoch, pass, %, KiB, MiB, GiB, KB, MB, GB, s, min, h, d, m and x',
            ],
            help: didYouMean(value.unit.text, Object.keys(units)),
          },
        )
        return { kind: 'bad', span: value.span }
      }
      if (unit.dimension === 'ratio')
        return { kind: 'number', value: value.value / 100, dims: {}, percent: true, span: value.span }
      return number(value.value * unit.factor, { [unit.dimension]: 1 }, value.span)
    }
    case 'negative': {
      const operand = evaluate(value.operand, scope)
      if (operand.kind === 'bad') return operand
      if (operand.kind !== 'number') return unfit(scope, '-', null, operand, value.span)
      return { ...operand, value: -operand.value, span: value.span }
    }
    case 'binary':
      return binary(value.op, evaluate(value.left, scope), evaluate(value.right, scope), scope, value.span)
    case 'text': {
      let text = ''
      for (const part of value.parts) {
        if (part.kind === 'literal') {
          text += part.text
          continue
        }
        const inserted = scope.param(scope.module, part.name.text, part.name.span)
        if (inserted === null) {
          report.give(
            'DINO0217',
            part.name.span,
            { name: part.name.text },
            {
              label: 'no such param',
              help: [
                ...didYouMean(part.name.text, scope.module.params.keys()),
                `write \`param ${part.name.text}: text = "..."\` at the top of the file, or \`\\\${\` for the characters themselves`,
              ],
            },
          )
          return { kind: 'bad', span: value.span }
        }
        if (inserted.kind === 'bad') return { kind: 'bad', span: value.span }
        text += inserted.kind === 'text' ? inserted.text : describe(inserted)
      }
      return { kind: 'text', text, span: value.span }
    }
    case 'list':
      return { kind: 'list', items: value.items.map((item) => evaluate(item, scope)), span: value.span }
    case 'range':
      return {
        kind: 'range',
        min: evaluate(value.min, scope),
        max: evaluate(value.max, scope),
        span: value.span,
      }
    case 'arrow':
      return {
        kind: 'arrow',
        from: evaluate(value.from, scope),
        to: value.to && evaluate(value.to, scope),
        over: value.over && evaluate(value.over, scope),
        span: value.span,
      }
    case 'pipe':
      return { kind: 'pipe', stages: value.stages.map((stage) => evaluate(stage, scope)), span: value.span }
    case 'path':
      return evaluatePath(value, scope)
    case 'call':
      return evaluateCall(value.name, value.args, scope, value.span)
    default:
      return value satisfies never
  }
}

function number(value: number, dims: Dims, span: Span): Dyn {
  return { kind: 'number', value, dims, percent: false, span }
}

function evaluatePath(path: Path, scope: Scope): Dyn {
  const [first, ...rest] = path.names
  const found = scope.param(scope.module, first!.text, path.span)
  if (found !== null) {
    const value = { ...found, span: path.span }
    if (rest.length === 0 || value.kind === 'bad') return value
    const end = rest[0]!.text
    if (rest.length === 1 && value.kind === 'range' && (end === 'min' || end === 'max'))
      return { ...value[end], span: path.span }
    scope.report.give(
      'DINO0417',
      path.span,
      { name: path.names.map((n) => n.text).join('.') },
      {
        notes: [`\`${first!.text}\` is a param, ${describe(value)}: only a range has \`.min\` and \`.max\``],
      },
    )
    return { kind: 'bad', span: path.span }
  }
  if (first!.text === 'batch' && rest.length === 0) {
    if (scope.batch === undefined) return { kind: 'bad', span: path.span }
    if (scope.batch !== null) return number(scope.batch, { img: 1 }, path.span)
  }
  return { kind: 'path', names: path.names, module: scope.module, span: path.span }
}

function evaluateCall(name: Name, args: readonly Argument[], scope: Scope, span: Span): Dyn {
  const values = args.map((arg) => ({ name: arg.name, value: evaluate(arg.value, scope), span: arg.span }))
  if (name.text === 'env') {
    scope.report.give(
      'DINO0415',
      span,
      {},
      {
        label: 'only in `param name: path = env("X")`',
        help: ['write `param root: path = env("X")` at the top of the file and use `root` here'],
      },
    )
    return { kind: 'bad', span }
  }
  if (name.text === 'file' && values.length === 1 && values[0]!.value.kind === 'text') {
    const slash = scope.module.file.lastIndexOf('/')
    const folder = slash < 0 ? '' : scope.module.file.slice(0, slash + 1)
    const path = values[0]!.value.text
    return { kind: 'text', text: path.startsWith('/') ? path : folder + path.replace(/^\.\//, ''), span }
  }
  const arity = Object.hasOwn(arithmetic, name.text) ? arithmetic[name.text] : undefined
  if (arity === undefined) return { kind: 'call', name, args: values, module: scope.module, span }
  const operands: (Dyn & { kind: 'number' })[] = []
  for (const { value, name: argument } of values) {
    if (value.kind === 'bad') return { kind: 'bad', span }
    if (argument !== null) {
      scope.report.give('DINO0407', argument.span, {
        name: argument.names.map((n) => n.text).join('.'),
        call: name.text,
      })
      return { kind: 'bad', span }
    }
    if (value.kind !== 'number') return unfit(scope, name.text, null, value, span)
    operands.push(value)
  }
  if (name.text === 'sqrt' ? operands.length !== 1 : operands.length < 2) {
    scope.report.give('DINO0408', span, {
      name: name.text === 'sqrt' ? 'one number' : 'two numbers or more',
      call: name.text,
    })
    return { kind: 'bad', span }
  }
  const [a] = operands
  if (name.text === 'sqrt') {
    const halved = Object.entries(a!.dims).map(([d, e]) => [d, e / 2] as const)
    if (halved.some(([, e]) => !Number.isInteger(e))) return unfit(scope, 'sqrt', null, a!, span)
    return finite(Math.sqrt(a!.value), Object.fromEntries(halved), scope, span)
  }
  for (const other of operands.slice(1))
    if (!sameDims(a!.dims, other.dims)) return unfit(scope, name.text, a!, other, span)
  const numbers = operands.map((o) => o.value)
  return finite(name.text === 'min' ? Math.min(...numbers) : Math.max(...numbers), a!.dims, scope, span)
}

function binary(op: '+' | '-' | '*' | '/', left: Dyn, right: Dyn, scope: Scope, span: Span): Dyn {
  if (left.kind === 'bad' || right.kind === 'bad') return { kind: 'bad', span }
  if (left.kind !== 'number' || right.kind !== 'number') {
    const odd = left.kind !== 'number' ? left : right
    if (odd.kind === 'path') return unknownWord(odd, scope, span)
    return unfit(scope, op, left, right, span)
  }
  if (op === '+' || op === '-') {
    if (!sameDims(left.dims, right.dims)) return unfit(scope, op, left, right, span)
    const value = op === '+' ? left.value + right.value : left.value - right.value
    return finite(value, left.dims, scope, span, left.percent && right.percent)
  }
  const sign = op === '*' ? 1 : -1
  const dims: Partial<Record<Dimension, number>> = { ...left.dims }
  for (const [d, e] of Object.entries(right.dims) as [Dimension, number][]) {
    const sum = (dims[d] ?? 0) + sign * e
    if (sum === 0) delete dims[d]
    else dims[d] = sum
  }
  return finite(op === '*' ? left.value * right.value : left.value / right.value, dims, scope, span)
}

function finite(value: number, dims: Dims, scope: Scope, span: Span, percent = false): Dyn {
  if (Number.isFinite(value)) return { kind: 'number', value, dims, percent, span }
  scope.report.give('DINO0416', span, { what: 'the result' }, { label: `this gives ${value}` })
  return { kind: 'bad', span }
}

function unknownWord(path: Dyn & { kind: 'path' }, scope: Scope, span: Span): Dyn {
  const name = path.names.map((n) => n.text).join('.')
  if (name === 'batch')
    scope.report.give('DINO0419', path.span, {}, { help: ['write the number, or use a param'] })
  else
    scope.report.give(
      'DINO0417',
      path.span,
      { name },
      {
        label: 'unknown here',
        help: didYouMean(name, [...scope.module.params.keys(), ...(scope.batch === null ? [] : ['batch'])]),
      },
    )
  return { kind: 'bad', span }
}

function unfit(scope: Scope, op: string, left: Dyn | null, right: Dyn, span: Span): Dyn {
  if (left === null && right.kind === 'path') return unknownWord(right, scope, span)
  scope.report.give(
    'DINO0412',
    span,
    {
      op,
      left: left === null ? '' : describe(left),
      right: describe(right),
    },
    {
      notes: ['units are never converted: both sides of + and - measure the same, and * and / combine units'],
    },
  )
  return { kind: 'bad', span }
}

export function sameDims(a: Dims, b: Dims): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<Dimension>
  return [...keys].every((key) => (a[key] ?? 0) === (b[key] ?? 0))
}

/** How a value reads in a message. */
export function describe(value: Dyn): string {
  switch (value.kind) {
    case 'number':
      return formatNumber(value)
    case 'text':
      return `"${value.text}"`
    case 'path':
      return `\`${value.names.map((n) => n.text).join('.')}\``
    case 'range':
      return `${describe(value.min)}..${describe(value.max)}`
    case 'list':
      return 'a list'
    case 'call':
      return `\`${value.name.text}(...)\``
    case 'arrow':
      return 'a course `a -> b`'
    case 'pipe':
      return 'a schedule'
    case 'bad':
      return 'a faulty value'
    default:
      return value satisfies never
  }
}

function formatNumber(value: Dyn & { kind: 'number' }): string {
  if (value.percent) return `${trim(value.value * 100)}%`
  const entries = Object.entries(value.dims) as [Dimension, number][]
  if (entries.length === 0) return trim(value.value)
  if (entries.length === 1 && entries[0]![1] === 1) return writeQuantity(value.value, entries[0]![0])
  return `${trim(value.value)} ${entries.map(([d, e]) => (e === 1 ? d : `${d}^${e}`)).join(' ')}`
}

/** `64 img`, `224px`, `2 epochs`, `40GiB`, `0.2x`. */
export function writeQuantity(value: number, dimension: Dimension): string {
  switch (dimension) {
    case 'px':
      return `${trim(value)}px`
    case 'img':
      return `${trim(value)} img`
    case 'step':
    case 'epoch':
      return `${trim(value)} ${dimension}${value === 1 ? '' : 's'}`
    case 'pass':
      return `${trim(value)} pass${value === 1 ? '' : 'es'}`
    case 'byte':
      for (const unit of ['GiB', 'MiB', 'KiB'] as const)
        if (value >= units[unit]!.factor && Number.isInteger((value / units[unit]!.factor) * 16))
          return `${trim(value / units[unit]!.factor)}${unit}`
      return `${trim(value / 1000)}KB`
    case 's':
      return `${trim(value)}s`
    case 'm':
      return `${trim(value)}m`
    case 'x':
      return `${trim(value)}x`
    default:
      return dimension satisfies never
  }
}

/** The shortest text that reads back as the number (12 digits where they do): `0.001`, `1e-6`, `131072`. */
export function trim(value: number): string {
  const short = Number(value.toPrecision(12))
  return plainOrExponent(short === 0 ? 0 : short)
}

/** As `trim`, with every digit that it takes to read back the very same number. */
export function exact(value: number): string {
  const short = Number(value.toPrecision(12))
  return plainOrExponent(short === value ? short : value)
}

function plainOrExponent(value: number): string {
  const plain = String(value).replace('e+', 'e')
  if (value === 0 || Math.abs(value) >= 1e-3) return plain
  const exponent = value.toExponential().replace('e+', 'e')
  return exponent.length < plain.length ? exponent : plain
}
