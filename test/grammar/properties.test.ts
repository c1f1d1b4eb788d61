import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { lex, tokenize } from '../../grammar/lexer.js'
import { parse } from '../../grammar/parser.js'
import { format } from '../../grammar/printer.js'
import { bare } from './bare.js'
import { validText } from './generate.js'
import { mutated, mutationRuns } from './mutate.js'

// the long form of these tests takes minutes
vi.setConfig({ testTimeout: 900_000 })

/** Tokens, comments and white space follow one another without gap or overlap. */
function expectTiling(text: string) {
  const { tokens, comments } = tokenize(text)
  const all = [...tokens, ...comments].sort((a, b) => a.startOffset - b.startOffset)
  let end = 0
  for (const token of all) {
    expect(text.slice(end, token.startOffset)).toMatch(/^[ \t\r\n\ufeff]*$/)
    expect(text.slice(token.startOffset, token.endOffset! + 1)).toBe(token.image)
    expect(token.image.length).toBeGreaterThan(0)
    end = token.endOffset! + 1
  }
  expect(text.slice(end)).toMatch(/^[ \t\r\n\ufeff]*$/)
}

/** Line and column (from 1) of an offset. */
function positionOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  const lines = before.split(/\r\n|\r|\n/)
  return { line: lines.length, column: lines.at(-1)!.length + 1 }
}

function expectStable(text: string) {
  const first = parse(text, 'a.dino')
  expect(first.diagnostics).toEqual([])
  const once = format(first.file)
  const second = parse(once, 'a.dino')
  expect(second.diagnostics).toEqual([])
  expect(bare(second.file)).toEqual(bare(first.file))
  expect(format(second.file)).toBe(once)
}

test('tokens tile any text', () => {
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), expectTiling), {
    numRuns: mutationRuns,
  })
})

test('tokens tile mutated files', () => {
  fc.assert(
    fc.property(mutated(), ({ text }) => expectTiling(text)),
    { numRuns: mutationRuns / 5 },
  )
})

test('fmt keeps the meaning and the comments of any valid text, and is idempotent', () => {
  fc.assert(fc.property(validText, expectStable), { numRuns: mutationRuns })
})

test('a mutated file is refused with places inside it, or laid out without loss', () => {
  fc.assert(
    fc.property(mutated(), ({ text }) => {
      const started = performance.now()
      const { diagnostics, file } = parse(text, 'a.dino')
      expect(performance.now() - started).toBeLessThan(1000)
      for (const { code, primary, labels, message } of diagnostics) {
        expect(code).toMatch(/^DINO0[01]\d\d$/)
        expect(message).not.toMatch(/undefined|NaN|``/)
        for (const { span } of [primary!, ...labels]) {
          expect(span.start).toBeGreaterThanOrEqual(0)
          expect(span.end).toBeGreaterThanOrEqual(span.start)
          expect(span.end).toBeLessThanOrEqual(text.length)
          expect(positionOf(text, span.start)).toEqual({ line: span.startLine, column: span.startColumn })
          expect(positionOf(text, span.end)).toEqual({ line: span.endLine, column: span.endColumn })
        }
      }
      const places = diagnostics.map((d) => `${d.code} ${d.primary!.span.start}`)
      expect(new Set(places).size).toBe(places.length)
      if (diagnostics.length > 0) return
      expect(lex(text, 'a.dino').faults).toEqual([])
      expectStable(file.text)
    }),
    { numRuns: mutationRuns },
  )
})
