import { expect, test } from 'vitest'
import { renderDiagnostics } from '../../cli/print.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import type { Span } from '../../diagnostics/diagnostic.js'

const at = (line: number): Span => ({
  ...{ file: 'a.dino', start: line * 4, end: line * 4 + 1 },
  ...{ startLine: line, startColumn: 1, endLine: line, endColumn: 2 },
})
const errors = Array.from({ length: 30 }, (_, i) =>
  diagnose('DINO0001', at(2 * i + 2), { shown: `\`${i}\``, what: '' }),
)
const warnings = Array.from({ length: 40 }, (_, i) =>
  diagnose('DINO0230', at(2 * i + 1), { variable: `V${i}` }),
)
const all = [...warnings, ...errors]
const texts = new Map([['a.dino', 'a\n'.repeat(200)]])
const heads = (text: string) => text.split('\n').filter((line) => /^(error|warning)\[/.test(line))

test('people see the fifty gravest diagnostics in the order of the text, and how many more there are', () => {
  const shown = renderDiagnostics(all, {}, { format: 'human', texts })
  const lines = heads(shown)
  expect(lines.filter((line) => line.startsWith('error'))).toHaveLength(30)
  expect(lines.filter((line) => line.startsWith('warning'))).toHaveLength(20)
  expect(lines.slice(0, 2).map((line) => line.slice(0, 7))).toEqual(['warning', 'error[D'])
  expect(shown.trimEnd().split('\n').at(-1)).toBe('20 more; --format json lists all')
  expect(renderDiagnostics(all.slice(0, 50), {}, { format: 'human', texts })).not.toContain('more; --format')
})

test('machines get all', () => {
  for (const format of ['json', 'short'] as const)
    expect(renderDiagnostics(all, {}, { format, texts }).trimEnd().split('\n')).toHaveLength(70)
})

test('of a line of a million characters the place of the fault is shown', () => {
  const long = `a = [${'1, '.repeat(400_000)}@, ${'2, '.repeat(400_000)}]`
  const column = long.indexOf('@') + 1
  const span = {
    file: 'a.dino',
    start: column - 1,
    end: column,
    startLine: 1,
    startColumn: column,
    endLine: 1,
    endColumn: column + 1,
  }
  const fault = diagnose('DINO0001', span, { shown: '`@`', what: '' }, { label: 'here' })
  const lines = renderDiagnostics([fault], {}, { format: 'human', texts: new Map([['a.dino', long]]) }).split(
    '\n',
  )
  const [source, marks] = [lines[3]!, lines[4]!]
  expect(source.length).toBeLessThanOrEqual(100)
  expect(source).toMatch(/^1 \| \.\.\..* 1, @, 2, .*\.\.\.$/)
  expect(marks.indexOf('^')).toBe(source.indexOf('@'))
})
