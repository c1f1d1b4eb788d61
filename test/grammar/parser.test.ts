import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Block, Condition, Value } from '../../grammar/ast.js'
import { parse } from '../../grammar/parser.js'
import { validText } from './generate.js'
import { mutationRuns, seeds } from './mutate.js'

/** A value as nested brackets: `(+ 1 (* 2 3))`. */
function show(value: Value): string {
  switch (value.kind) {
    case 'pipe':
      return `(|> ${value.stages.map(show).join(' ')})`
    case 'arrow':
      return `(-> ${show(value.from)} ${value.to ? show(value.to) : '_'}${value.over ? ` over ${show(value.over)}` : ''})`
    case 'range':
      return `(.. ${show(value.min)} ${show(value.max)})`
    case 'binary':
      return `(${value.op} ${show(value.left)} ${show(value.right)})`
    case 'negative':
      return `(neg ${show(value.operand)})`
    case 'quantity':
      return value.value + (value.unit ? `:${value.unit.text}` : '')
    case 'text':
      return `{${value.parts.map((p) => (p.kind === 'literal' ? p.text : `<${p.name.text}>`)).join('|')}}`
    case 'list':
      return `[${value.items.map(show).join(' ')}]`
    case 'call':
      return `${value.name.text}(${value.args
        .map((a) => (a.name ? `${a.name.names.map((n) => n.text).join('.')}: ` : '') + show(a.value))
        .join(', ')})`
    case 'path':
      return value.names.map((n) => n.text).join('.')
    case 'group':
      return `<${show(value.value)}>`
    case 'bad':
      return 'BAD'
    default:
      return value satisfies never
  }
}

function showCondition(condition: Condition): string {
  switch (condition.kind) {
    case 'or':
    case 'and':
      return `(${condition.kind} ${condition.parts.map(showCondition).join(' ')})`
    case 'not':
      return `(not ${showCondition(condition.operand)})`
    case 'group':
      return `<${showCondition(condition.condition)}>`
    case 'compare':
      return `(${condition.op} ${show(condition.left)} ${show(condition.right)})`
    case 'value':
      return show(condition.value)
    default:
      return condition satisfies never
  }
}

function statementOf(text: string) {
  const { file, diagnostics } = parse(`a {\n${text}\n}\n`, 'a.dino')
  expect(diagnostics).toEqual([])
  return (file.items[0] as Block).body
}

function shownValue(text: string): string {
  const [statement] = statementOf(`x = ${text}`)
  return statement?.kind === 'assignment' ? show(statement.value) : 'no value'
}

test.each([
  ['1 + 2 * 3', '(+ 1 (* 2 3))'],
  ['1 * 2 + 3', '(+ (* 1 2) 3)'],
  ['1 - 2 - 3', '(- (- 1 2) 3)'],
  ['8 / 2 / 2', '(/ (/ 8 2) 2)'],
  ['-1 + -2', '(+ (neg 1) (neg 2))'],
  ['-a.b * 2', '(* (neg a.b) 2)'],
  ['(1 + 2) * 3', '(* <(+ 1 2)> 3)'],
  ['0.05..0.32', '(.. 0.05 0.32)'],
  ['1 + 1..2 * 2', '(.. (+ 1 1) (* 2 2))'],
  ['0 -> 1e-3 over 80 epochs', '(-> 0 0.001 over 80:epochs)'],
  ['1..2 -> 3..4', '(-> (.. 1 2) (.. 3 4))'],
  ['a over n', '(-> a _ over n)'],
  ['f(1) |> g(to: 2) |> h()', '(|> f(1) g(to: 2) h())'],
  [
    'warmup(0 -> 4e-3 * sqrt(batch / 1024 img) over 10 epochs)',
    'warmup((-> 0 (* 0.004 sqrt((/ batch 1024:img))) over 10:epochs))',
  ],
  ['mix(a.train: 30%, b.train: 70%)', 'mix(a.train: 30:%, b.train: 70:%)'],
  ['[1, [2, 3], ]', '[1 [2 3]]'],
  ['[]', '[]'],
  ['eval.knn.top1@20', 'eval.knn.top1@20'],
  ['from', 'from'],
])('%s', (text, expected) => expect(shownValue(text)).toBe(expected))

test.each([
  ['12', '12'],
  ['131_072', '131072'],
  ['.5', '0.5'],
  ['1e-5', '0.00001'],
  ['1.5e+3', '1500'],
  ['10k', '10000'],
  ['1.5M', '1500000'],
  ['2G', '2000000000'],
  ['10k steps', '10000:steps'],
  ['1M img', '1000000:img'],
  ['224px', '224:px'],
  ['224 px', '224:px'],
  ['40GiB', '40:GiB'],
  ['40MB', '40:MB'],
  ['0.001m..10m', '(.. 0.001:m 10:m)'],
  ['0.2x', '0.2:x'],
  ['30%', '30:%'],
  ['1d', '1:d'],
  ['1epoch', '1:epoch'],
])('number %s', (text, expected) => {
  expect(shownValue(text).replace('0.00001', '0.00001').replace('1e-5', '0.00001')).toBe(expected)
})

test.each([
  ['"a"', '{a}'],
  ['""', '{}'],
  ['"${root}/x/${b}"', '{<root>|/x/|<b>}'],
  ['"\\$ \\" \\\\ \\n|"', '{$ " \\ \n|}'],
  ['"$5 {00000..01023}"', '{$5 {00000..01023}}'],
  ['"// no /* comment"', '{// no /* comment}'],
])('text %s', (text, expected) => expect(shownValue(text)).toBe(expected))

test.each([
  ['a < 1 or b <= 2 and not c', '(or (< a 1) (and (<= b 2) (not c)))'],
  ['(a or b) and c', '(and <(or a b)> c)'],
  ['((a == 1))', '<<(== a 1)>>'],
  ['not (a and b)', '(not <(and a b)>)'],
  ['not not a', '(not (not a))'],
  ['(a + 1) * 2 != b.max', '(!= (* <(+ a 1)> 2) b.max)'],
  ['f(a) and (b)', '(and f(a) <b>)'],
])('where %s', (text, expected) => {
  const [grid] = statementOf(`grid g over v where ${text} { x = [1] }`)
  expect(grid?.kind === 'block' && grid.where && showCondition(grid.where)).toBe(expected)
})

describe('statements', () => {
  const paths = (text: string) =>
    statementOf(text).map((s) =>
      s.kind === 'block' ? `${s.keyword.text} {}` : `${s.kind} ${s.path.names.map((n) => n.text).join('.')}`,
    )

  test('end at a newline, a comma or the closing brace', () => {
    expect(paths('a = 1\nb = 2, c = 3,\nd { e = 1 }, drop f\ng { } h { }')).toEqual([
      'assignment a',
      'assignment b',
      'assignment c',
      'd {}',
      'drop f',
      'g {}',
      'h {}',
    ])
  })

  test('go on inside brackets and before |>', () => {
    expect(paths('a = [\n1,\n2\n]\nb = f(\n1\n)\n// comment\n|> g()\nc = 1')).toEqual([
      'assignment a',
      'assignment b',
      'assignment c',
    ])
  })

  test('a unit stands on the line of its number', () => {
    const { diagnostics } = parse('a {\n  x = [\n    4\n    img\n  ]\n}\n', 'a.dino')
    expect(diagnostics.map((d) => d.code)).toEqual(['DINO0104'])
  })

  test('a line break inside a comment is one', () => {
    expect(paths('a = 1 /* one\ntwo */ b = 2')).toEqual(['assignment a', 'assignment b'])
  })
})

test('headers have all clauses', () => {
  const { file, diagnostics } = parse('kind name: type extends a.b over c where d { }\nother { }\n', 'a.dino')
  expect(diagnostics).toEqual([])
  const [full, bare] = file.items as Block[]
  expect([full!.keyword.text, full!.name?.text, full!.type?.text]).toEqual(['kind', 'name', 'type'])
  expect(full!.extends?.names.map((n) => n.text)).toEqual(['a', 'b'])
  expect(full!.over?.names.map((n) => n.text)).toEqual(['c'])
  expect(full!.where?.kind).toBe('value')
  expect([bare!.name, bare!.type, bare!.extends, bare!.over, bare!.where]).toEqual([
    null,
    null,
    null,
    null,
    null,
  ])
})

describe('what a fault leaves behind', () => {
  const read = (text: string) => parse(text, 'a.dino').file.items

  test('a field keeps its path, with a bad value', () => {
    const [block] = read('a {\n  b.c = \n  d = 1\n}\n') as Block[]
    expect(
      block!.body.map((s) => s.kind === 'assignment' && `${s.path.names.at(-1)!.text} ${s.value.kind}`),
    ).toEqual(['c bad', 'd quantity'])
    expect(block!.incomplete).toBe(false)
  })

  test('imports and params keep their names, poisoned', () => {
    const [one, two] = read('import { a, b } "x"\nparam c: path =\n')
    expect(one).toMatchObject({ kind: 'import', poisoned: true, names: [{ text: 'a' }, { text: 'b' }] })
    expect(two).toMatchObject({ kind: 'param', poisoned: true, name: { text: 'c' }, type: { text: 'path' } })
  })

  test('a header keeps what could be read, and its body', () => {
    const [block] = read('experiment a extends b extends c {\n  d = 1\n}\n') as Block[]
    expect(block).toMatchObject({ poisoned: true, keyword: { text: 'experiment' }, name: { text: 'a' } })
    expect(block!.extends?.names[0]?.text).toBe('b')
    expect(block!.body.length).toBe(1)
  })

  test('what cannot be told leaves its body incomplete', () => {
    expect((read('a {\n  = 3\n}\n')[0] as Block).incomplete).toBe(true)
    expect(parse('= 3\n', 'a.dino').file.incomplete).toBe(true)
    expect(parse('a { }\n', 'a.dino').file.incomplete).toBe(false)
  })
})

describe('spans', () => {
  /** Every node lies inside its parent, names span exactly their text, and siblings do not overlap. */
  function expectSpans(text: string) {
    const visit = (node: unknown, start: number, end: number): void => {
      if (Array.isArray(node)) for (const child of node) visit(child, start, end)
      if (typeof node !== 'object' || node === null || Array.isArray(node)) return
      const { span } = node as { span?: { start: number; end: number } }
      if (span) {
        expect(span.start).toBeGreaterThanOrEqual(start)
        expect(span.end).toBeLessThanOrEqual(end)
        expect(span.end).toBeGreaterThan(span.start)
        const { text: name, kind } = node as { text?: string; kind?: string }
        if (name !== undefined && kind === undefined) expect(text.slice(span.start, span.end)).toBe(name)
      }
      for (const [key, child] of Object.entries(node))
        if (key !== 'span' && key !== 'headerSpan') visit(child, span?.start ?? start, span?.end ?? end)
    }
    const { file, diagnostics } = parse(text, 'a.dino')
    expect(diagnostics).toEqual([])
    visit(file.items, 0, text.length)
  }

  test('of the examples', () => {
    for (const { text } of seeds()) expectSpans(text)
  })

  test('of any valid text', () => {
    fc.assert(fc.property(validText, expectSpans), { numRuns: mutationRuns / 5 })
  })
})

test('deep nesting is refused, not a crash', () => {
  for (const text of [
    `a { x = ${'('.repeat(50_000)} }`,
    `a { x = ${'['.repeat(50_000)}${']'.repeat(50_000)} }`,
    `a where ${'not '.repeat(50_000)} b { }`,
    'a { '.repeat(50_000),
    `${'a { '.repeat(5_000)}${'} '.repeat(5_000)}`,
    `a { x = ${'f('.repeat(5_000)}1${')'.repeat(5_000)} }`,
  ]) {
    const started = performance.now()
    expect(parse(text, 'a.dino').diagnostics.length).toBeGreaterThan(0)
    expect(performance.now() - started).toBeLessThan(5_000)
  }
})

test('long files take time in proportion', () => {
  const line = '  head dino { prototypes = 512, hidden = 256, bottleneck = 64 }\n'
  const { diagnostics } = parse(`experiment a {\n${line.repeat(20_000)}}\n`, 'a.dino')
  expect(diagnostics).toEqual([])
  parse(`experiment a {\n${line.replace(' }', '').repeat(2_000)}}\n`, 'a.dino')
  parse('a = [1, 2, '.repeat(20_000), 'a.dino')
  parse('} '.repeat(50_000), 'a.dino')
  parse('" '.repeat(50_001), 'a.dino')
}, 60_000)
