import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { tokenize } from '../../grammar/lexer.js'

/** Every `.dino` file of the package: what people write, and what mutations begin with. */
export function seeds(): { name: string; text: string }[] {
  const found: { name: string; text: string }[] = []
  const walk = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.name.endsWith('.dino')) found.push({ name: path, text: readFileSync(path, 'utf8') })
    }
  }
  walk('experiments')
  return found
}

/** What tends to be in the wrong place. */
const snippets = [
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  ',',
  ',,',
  '=',
  '==',
  '.',
  '..',
  '...',
  '->',
  '|>',
  '|',
  ':',
  '"',
  "'",
  '//',
  '/*',
  '*/',
  '#',
  ';',
  '@',
  '%',
  '$',
  '${',
  '\\',
  '-',
  '+',
  '*',
  '/',
  '<',
  '<=',
  '!',
  '\n',
  '\r\n',
  '\t',
  '\u00a0',
  '\u{1f600}',
  '\u00e9',
  '1',
  '1e-',
  '3.0.1',
  '10k',
  '1_',
  'import',
  'param',
  'drop',
  'extends',
  'over',
  'where',
  'and',
  'or',
  'not',
  'x',
  'px',
  ' img',
  'a = 1',
  'a { }',
  'drop a',
  '\0',
  '\ud800',
  '\u2028',
  '\ufeff',
]

type Mutation = (text: string, at: number, length: number, other: number, snippet: string) => string

const remove = (text: string, from: number, to: number) => text.slice(0, from) + text.slice(to)
const repeat = (text: string, from: number, to: number) =>
  text.slice(0, to) + text.slice(from, to) + text.slice(to)
const swap = (parts: string[], a: number, b: number) => {
  const [first, second] = [parts[a], parts[b]]
  if (first === undefined || second === undefined) return parts
  return parts.map((part, i) => (i === a ? second : i === b ? first : part))
}

function onTokens(edit: (pieces: string[], index: number, other: number) => string[]): Mutation {
  return (text, at, _length, other) => {
    const { tokens } = tokenize(text)
    if (tokens.length === 0) return text
    // pieces: a token and the white space and comments before it
    const pieces = tokens.map((token, i) =>
      text.slice(i === 0 ? 0 : tokens[i - 1]!.endOffset! + 1, token.endOffset! + 1),
    )
    pieces.push(text.slice(tokens.at(-1)!.endOffset! + 1))
    return edit(pieces, at % tokens.length, other % tokens.length).join('')
  }
}

function onLines(edit: (lines: string[], index: number, other: number) => string[]): Mutation {
  return (text, at, _length, other) => {
    const lines = text.split('\n')
    return edit(lines, at % lines.length, other % lines.length).join('\n')
  }
}

const mutations: Record<string, Mutation> = {
  deleteCharacters: (text, at, length) =>
    remove(text, at % (text.length + 1), (at % (text.length + 1)) + length),
  repeatCharacters: (text, at, length) =>
    repeat(text, at % (text.length + 1), (at % (text.length + 1)) + length),
  insert: (text, at, _length, _other, snippet) => {
    const place = at % (text.length + 1)
    return text.slice(0, place) + snippet + text.slice(place)
  },
  replace: (text, at, length, _other, snippet) => {
    const place = at % (text.length + 1)
    return text.slice(0, place) + snippet + text.slice(place + length)
  },
  truncate: (text, at) => text.slice(0, at % (text.length + 1)),
  behead: (text, at) => text.slice(at % (text.length + 1)),
  deleteToken: onTokens((pieces, i) => pieces.filter((_, j) => j !== i)),
  repeatToken: onTokens((pieces, i) => [...pieces.slice(0, i + 1), ...pieces.slice(i)]),
  swapTokens: onTokens((pieces, i) => swap(pieces, i, i + 1)),
  swapFarTokens: onTokens(swap),
  deleteLine: onLines((lines, i) => lines.filter((_, j) => j !== i)),
  repeatLine: onLines((lines, i) => [...lines.slice(0, i + 1), ...lines.slice(i)]),
  swapLines: onLines(swap),
  joinLines: (text, at) => {
    const breaks = [...text.matchAll(/\n/g)].map((m) => m.index)
    const place = breaks[at % Math.max(1, breaks.length)]
    return place === undefined ? text : remove(text, place, place + 1)
  },
}

export interface Mutated {
  readonly name: string
  readonly text: string
  /** The mutations, in order. */
  readonly how: readonly string[]
}

/** One to five mutations of one of the seeds. */
export function mutated(of = seeds()): fc.Arbitrary<Mutated> {
  const one = fc.record({
    how: fc.constantFrom(...Object.keys(mutations)),
    at: fc.nat(100_000),
    length: fc.integer({ min: 1, max: 12 }),
    other: fc.nat(100_000),
    snippet: fc.constantFrom(...snippets),
  })
  return fc
    .record({ seed: fc.constantFrom(...of), edits: fc.array(one, { minLength: 1, maxLength: 5 }) })
    .map(({ seed, edits }) => ({
      name: seed.name,
      text: edits.reduce((text, e) => mutations[e.how]!(text, e.at, e.length, e.other, e.snippet), seed.text),
      how: edits.map((e) => e.how),
    }))
}

/** 500 mutations in `npm test`, 20,000 with DINO_LONG_TESTS=1; DINO_MUTATIONS says another number. */
export const mutationRuns = Number(process.env.DINO_MUTATIONS ?? (process.env.DINO_LONG_TESTS ? 20_000 : 500))
