import { diagnose } from '../../diagnostics/catalogue.js'
import type { Span } from '../../diagnostics/diagnostic.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { tensorType } from './operands.js'
import { isKind, operandNames } from './ops.js'
import type {
  AnyOp,
  DType,
  Func,
  Generator,
  Group,
  HostInput,
  Initializer,
  Module,
  ParamSource,
  ResultSink,
  Stage,
  StateTensor,
  TensorType,
  Value,
  ValueId,
} from './types.js'

/**
 * Reads what `printModule` writes with types. Values are numbered in order of definition. Only the form is checked
 * (DINO0613 with the line); whether the module is sound is for `verify`.
 */
export function parseModule(source: string): Module {
  const s = scanner(source)
  s.word('module')
  const name = s.text()
  s.word('micro_steps')
  const microSteps = s.number()
  s.word('entries')
  const entries = s.list(() => s.name())
  const state: StateTensor[] = []
  const inputs: HostInput[] = []
  const functions: Record<string, Func> = {}
  while (!s.end()) {
    const word = s.name()
    if (word === 'state') state.push(parseState(s))
    else if (word === 'input')
      inputs.push({ name: s.text(), type: s.type(), generator: s.attributes() as unknown as Generator })
    else if (word === 'func') {
      const func = parseBody(s)
      functions[func.name] = func
    } else s.fail('state, input or func', word)
  }
  return { name, functions, entries, state, inputs, microSteps }
}

/** One function, as `printFunc` writes it. */
export function parseFunc(source: string): Func {
  const s = scanner(source)
  s.word('func')
  const func = parseBody(s)
  if (!s.end()) s.fail('the end')
  return func
}

type Scanner = ReturnType<typeof scanner>

function parseState(s: Scanner): StateTensor {
  const name = s.text()
  const type = s.type()
  const role = s.name() as StateTensor['role']
  const { stored, init, optimizer } = s.attributes() as {
    stored: readonly number[]
    init: Initializer
    optimizer?: NonNullable<StateTensor['optimizer']>
  }
  return { name, type, storedShape: stored, role, init, ...(optimizer && { optimizer }) }
}

interface Definitions {
  readonly values: Value[]
  readonly byName: Map<string, ValueId>
}

function define(s: Scanner, d: Definitions, written: string, type: TensorType): ValueId {
  if (d.byName.has(written)) s.fail('a value not defined before', written)
  const id = d.values.length
  const name = /^%([A-Za-z_]\w*)/.exec(written)?.[1]
  d.values.push({ id, type, ...(name !== undefined && { name }) })
  d.byName.set(written, id)
  return id
}

function use(s: Scanner, d: Definitions, written: string): ValueId {
  return d.byName.get(written) ?? s.fail('a value defined before', written)
}

function parseBody(s: Scanner): Func {
  const name = s.name()
  const d: Definitions = { values: [], byName: new Map() }
  const params: { value: ValueId; source: ParamSource }[] = []
  s.symbol('(')
  while (!s.take(')')) {
    const written = s.value()
    s.symbol(':')
    const value = define(s, d, written, s.type())
    params.push({ value, source: s.take('=') ? parseSource(s) : { kind: 'operand' } })
    s.symbol(',')
  }
  s.symbol('{')
  const ops: AnyOp[] = []
  let place: { module: string; stage: Stage } = { module: '', stage: 'forward' }
  for (;;) {
    const heading = s.heading()
    if (heading) place = heading
    else if (s.takeWord('return')) break
    else ops.push(parseOp(s, d, place))
  }
  const results: Func['results'][number][] = []
  while (!s.take('}')) {
    const sink = parseSink(s)
    results.push({ value: use(s, d, s.value()), sink })
    s.take(',')
  }
  return { name, params, ops, results, values: d.values }
}

function parseSource(s: Scanner): ParamSource {
  const kind = s.name()
  if (kind !== 'state' && kind !== 'input' && kind !== 'carried')
    return s.fail('state, input or carried', kind)
  return { kind, name: s.text() }
}

function parseSink(s: Scanner): ResultSink {
  if (s.at('%')) return { kind: 'result' }
  const kind = s.name()
  if (kind !== 'state' && kind !== 'carried' && kind !== 'metric' && kind !== 'output')
    return s.fail('state, carried, metric or output', kind)
  return { kind, name: s.text() }
}

function parseOp(s: Scanner, d: Definitions, place: { module: string; stage: Stage }): AnyOp {
  const written = s.at('%') ? s.list(() => s.value()) : []
  if (written.length > 0) s.symbol('=')
  const kind = s.name()
  if (!isKind(kind)) return s.fail('an operation', kind)
  const callee = s.at('(') ? null : s.name()
  s.symbol('(')
  const operands: (ValueId | null)[] = []
  let data: number | null = null
  while (!s.take(')')) {
    if (s.take(';')) data = operands.length
    else {
      operands.push(s.take('_') ? null : use(s, d, s.value()))
      s.take(',')
    }
  }
  const names = operandNames[kind]
  if (!names.at(-1)?.startsWith('...')) while (operands.length < names.length) operands.push(null)
  const given = s.at('{') ? s.attributes() : {}
  const attrs =
    kind === 'call'
      ? { callee, data: data ?? operands.length }
      : kind === 'residual'
        ? { branch: callee, ...given }
        : given
  s.symbol(':')
  const types = written.length > 0 ? s.list(() => s.type()) : []
  if (types.length !== written.length) s.fail(`${written.length} types`, `${types.length}`)
  const span = s.take('@') ? s.span() : null
  const results = written.map((w, i) => define(s, d, w, types[i] as TensorType))
  return { kind, operands, results, attrs, ...place, span } as unknown as AnyOp
}

/** Reads the tokens of IR text; blanks and line ends separate. */
function scanner(source: string) {
  let at = 0
  const blanks = /\s*/y
  const skip = () => {
    blanks.lastIndex = at
    blanks.exec(source)
    at = blanks.lastIndex
  }
  const fail = (expected: string, found?: string): never => {
    const line = source.slice(0, at).split('\n').length
    const rest = (source.slice(at).split('\n')[0] ?? '').slice(0, 30)
    throw new DiagnosticError([
      diagnose('DINO0613', null, { line, expected, found: found ?? (rest === '' ? 'the end' : rest) }),
    ])
  }
  const match = (pattern: RegExp): string | null => {
    skip()
    pattern.lastIndex = at
    const found = pattern.exec(source)
    if (!found) return null
    at = pattern.lastIndex
    return found[0]
  }
  const need = (pattern: RegExp, expected: string) => match(pattern) ?? fail(expected)
  const peek = (symbol: string) => {
    skip()
    return source.startsWith(symbol, at)
  }
  const take = (symbol: string) => {
    if (!peek(symbol)) return false
    at += symbol.length
    return true
  }
  const symbol = (wanted: string) => {
    if (!take(wanted)) fail(wanted)
  }
  const name = () => need(/[A-Za-z_][\w.-]*/y, 'a name')
  const number = () => Number(need(/-?\d+(\.\d+)?(e[+-]?\d+)?/y, 'a number'))
  const text = (): string => JSON.parse(need(/"(?:[^"\\]|\\.)*"/y, 'a text in quotes'))
  const list = <T>(item: () => T): T[] => {
    const items = [item()]
    while (take(',')) items.push(item())
    return items
  }
  const group = (): Group => {
    const written = need(/[^\s+,\]>:]+ \d+x\d+/y, 'a group such as global 64x17')
    const [, own, count, length] = /^(\S+) (\d+)x(\d+)$/.exec(written) as RegExpExecArray
    return { name: own as string, count: Number(count), length: Number(length) }
  }
  const groups = (): Group[] => {
    const found = [group()]
    while (take('+')) found.push(group())
    return found
  }
  const type = (): TensorType => {
    const dtype = need(/f32|bf16|i32/y, 'a tensor type') as DType
    symbol('[')
    const shape: number[] = []
    let rows: string | undefined
    let segments: readonly Group[] | undefined
    while (!take(']')) {
      const bound = shape.length === 0 ? match(/[^\s<,\]:]+<=/y) : null
      if (bound !== null) rows = bound.slice(0, -2)
      shape.push(number())
      if (shape.length === 1 && take(':')) segments = groups()
      take(',')
    }
    return tensorType(dtype, shape, segments, rows)
  }
  const value = (): unknown => {
    if (peek('{')) return attributes()
    if (take('<')) {
      const found = groups()
      symbol('>')
      return found
    }
    if (take('[')) {
      const items: unknown[] = []
      while (!take(']')) {
        items.push(parsedValue())
        take(',')
      }
      return items
    }
    if (peek('"')) return text()
    const word = match(/true|false|null/y)
    if (word !== null) return JSON.parse(word)
    return /[fbi]/.test(source[at] ?? '') ? type() : number()
  }
  const parsedValue = value
  const attributes = (): Record<string, unknown> => {
    const found: Record<string, unknown> = {}
    symbol('{')
    while (!take('}')) {
      const key = peek('"') ? text() : name()
      symbol(':')
      found[key] = parsedValue()
      take(',')
    }
    return found
  }
  const heading = (): { module: string; stage: Stage } | null => {
    const written = match(/-- .*/y)
    if (written === null) return null
    const found = /^-- (.*?) ?\((forward|backward|recompute|update)\)\s*$/.exec(written)
    if (!found) return fail('a heading such as -- student.backbone (forward)', written)
    return { module: found[1] as string, stage: found[2] as Stage }
  }
  const span = (): Span => {
    const file = text()
    const written = need(/\d+:\d+-\d+:\d+ \d+\.\.\d+/y, 'a place such as 4:26-4:31 88..93')
    const numbers = written.split(/\D+/).map(Number)
    const [startLine, startColumn, endLine, endColumn, start, end] = numbers as [
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    return { file, start, end, startLine, startColumn, endLine, endColumn }
  }
  return {
    fail,
    name,
    number,
    text,
    list,
    type,
    attributes,
    heading,
    span,
    symbol,
    take,
    at: peek,
    word: (wanted: string) => {
      if (name() !== wanted) fail(wanted)
    },
    takeWord: (wanted: string) => match(new RegExp(`${wanted}\\b`, 'y')) !== null,
    value: () => need(/%(?:[A-Za-z_]\w*(?:\.\d+)?|\d+)/y, 'a value such as %x'),
    end: () => {
      skip()
      return at >= source.length
    },
  }
}
