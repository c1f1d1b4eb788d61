import { describe, expect, test } from 'vitest'
import { diagnose } from '../../diagnostics/catalogue.js'
import type { Diagnostic, Span } from '../../diagnostics/diagnostic.js'
import { inOrder, summary } from '../../diagnostics/order.js'
import { linesOf, renderHuman } from '../../diagnostics/render/human.js'
import { renderJson } from '../../diagnostics/render/json.js'
import { renderSarif } from '../../diagnostics/render/sarif.js'
import { renderShort } from '../../diagnostics/render/short.js'

/** The `n`-th place of `needle` in a text. */
function at(file: string, text: string, needle: string, n = 0): Span {
  let start = -1
  for (let i = 0; i <= n; i++) start = text.indexOf(needle, start + 1)
  const position = (offset: number) => {
    const lines = text.slice(0, offset).split('\n')
    return { line: lines.length, column: lines.at(-1)!.length + 1 }
  }
  const from = position(start)
  const to = position(start + needle.length)
  return {
    file,
    start,
    end: start + needle.length,
    startLine: from.line,
    startColumn: from.column,
    endLine: to.line,
    endColumn: to.column,
  }
}

function show(diagnostic: Diagnostic, texts: Record<string, string>, width = 100, color = false): string {
  return `\n${renderHuman(diagnostic, { lines: (file) => (texts[file] === undefined ? null : linesOf(texts[file])), color, width })}\n`
}

const child =
  'import { vits14 } from "std/dinov2.dino"\n\nexperiment small extends vits14 {\n  backbone vit { patch = 16px }\n}\n'
const parent = 'experiment vits14 {\n  crops {\n    local { size = 98px, count = 8 }\n  }\n}\n'
const conflict = diagnose(
  'DINO0107',
  at('small.dino', child, '16px'),
  { expected: 'a divisor of 98', found: '16' },
  {
    label: 'patch size becomes 16 px here',
    labels: [{ span: at('std/dinov2.dino', parent, '98px'), message: 'crop size 98 px comes from `vits14`' }],
    notes: ['98 / 16 leaves 2'],
    help: ['use 96px (6 x 6 patches)\nor keep patch = 14px'],
  },
)

describe('human', () => {
  test('shows every place that contributes, in any file', () => {
    expect(show(conflict, { 'small.dino': child, 'std/dinov2.dino': parent })).toMatchInlineSnapshot(`
      "
      error[DINO0107]: expected a divisor of 98, found 16
       --> small.dino:4:26
        |
      4 |   backbone vit { patch = 16px }
        |                          ^^^^ patch size becomes 16 px here
        |
       ::: std/dinov2.dino:3:20
        |
      3 |     local { size = 98px, count = 8 }
        |                    ---- crop size 98 px comes from \`vits14\`
        |
        = note: 98 / 16 leaves 2
        = help: use 96px (6 x 6 patches)
                or keep patch = 14px
        = more: dinoc explain DINO0107
      "
    `)
  })

  test('names places whose text is gone', () => {
    expect(show(conflict, {})).toMatchInlineSnapshot(`
      "
      error[DINO0107]: expected a divisor of 98, found 16
       --> small.dino:4:26
        | patch size becomes 16 px here
        |
       ::: std/dinov2.dino:3:20
        | crop size 98 px comes from \`vits14\`
        |
        = note: 98 / 16 leaves 2
        = help: use 96px (6 x 6 patches)
                or keep patch = 14px
        = more: dinoc explain DINO0107
      "
    `)
  })

  test('marks several places of one line, and skips lines between', () => {
    const text = 'a = [1, 2)\nb = 1\nc = 1\nd = 2\n'
    const diagnostic = diagnose(
      'DINO0114',
      at('a.dino', text, ')'),
      { closer: ')', expected: '`]`' },
      {
        label: 'here',
        labels: [
          { span: at('a.dino', text, '['), message: 'opened here' },
          { span: at('a.dino', text, '1'), message: 'one' },
          { span: at('a.dino', text, '2', 1), message: 'two' },
        ],
      },
    )
    expect(show(diagnostic, { 'a.dino': text })).toMatchInlineSnapshot(`
      "
      error[DINO0114]: expected \`]\`, found \`)\`
       --> a.dino:1:10
        |
      1 | a = [1, 2)
        |     --   ^ here
        |      one
        |     opened here
      ...
      4 | d = 2
        |     - two
        |
        = more: dinoc explain DINO0114
      "
    `)
  })

  test('counts cells: tabs, wide characters, marks that combine, control characters', () => {
    const text = '\tp = "画像e\u0301" \u0007x 3\n'
    const diagnostic = diagnose(
      'DINO0001',
      at('a.dino', text, 'x'),
      { shown: '`x`', what: '' },
      { label: 'under the x' },
    )
    expect(show(diagnostic, { 'a.dino': text })).toMatchInlineSnapshot(`
      "
      error[DINO0001]: \`x\` is not part of the language
       --> a.dino:1:14
        |
      1 |     p = "画像é" �x 3
        |                  ^ under the x
        |
        = more: dinoc explain DINO0001
      "
    `)
  })

  test('cuts long lines around what they show', () => {
    const text = `list = [${Array.from({ length: 40 }, (_, i) => `value_${i}`).join(', ')}]\n`
    const diagnostic = diagnose('DINO0001', at('a.dino', text, 'value_20'), { shown: 'x', what: '' })
    const shown = show(diagnostic, { 'a.dino': text }, 60)
    expect(shown).toMatchInlineSnapshot(`
      "
      error[DINO0001]: x is not part of the language
       --> a.dino:1:199
        |
      1 | ..._18, value_19, value_20, value_21, value_22, value...
        |                   ^^^^^^^^
        |
        = more: dinoc explain DINO0001
      "
    `)
    for (const line of shown.split('\n')) expect(line.length).toBeLessThanOrEqual(60)
  })

  test('folds what is wrong and why between words; code and commands stay whole', () => {
    const message = { expected: 'one of a great many things that fit no line', found: '`a b c d e f g h`' }
    const long = diagnose('DINO0107', null, message, {
      notes: [`${'word '.repeat(12)}end`],
      help: [`write \`${'x '.repeat(20)}\` or not`, `dinoc run ${'a'.repeat(60)}.dino`],
    })
    expect(show(long, {}, 50)).toMatchInlineSnapshot(`
      "
      error[DINO0107]: expected one of a great many
        things that fit no line, found \`a b c d e f g h\`
        = note: word word word word word word word word
                word word word word end
        = help: write
                \`x x x x x x x x x x x x x x x x x x x x \`
                or not
        = help: dinoc run aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.dino
        = more: dinoc explain DINO0107
      "
    `)
  })
  test('keeps messages within the width: below their marks, moved to the left, in several lines', () => {
    const text = 'one = 1, two = 2, three = 3, four = 4\n'
    const diagnostic = diagnose(
      'DINO0001',
      at('a.dino', text, '4'),
      { shown: 'x', what: '' },
      {
        label: 'this is said of the last of them',
        labels: [
          { span: at('a.dino', text, '1'), message: 'the first' },
          {
            span: at('a.dino', text, 'three'),
            message: 'more than fits beside the bar in one line, and so it takes two',
          },
        ],
      },
    )
    const shown = show(diagnostic, { 'a.dino': text }, 50)
    expect(shown).toMatchInlineSnapshot(`
      "
      error[DINO0001]: x is not part of the language
       --> a.dino:1:37
        |
      1 | one = 1, two = 2, three = 3, four = 4
        |       -           -----             ^
        |       |       this is said of the last of them
        | more than fits beside the bar in one line, and
        | so it takes two
        |       the first
        |
        = more: dinoc explain DINO0001
      "
    `)
    for (const line of shown.split('\n')) expect(line.length).toBeLessThanOrEqual(50)
  })

  test('marks the first line of several', () => {
    const text = 'a = [\n  1,\n]\n'
    const diagnostic = diagnose(
      'DINO0001',
      at('a.dino', text, '[\n  1,\n]'),
      { shown: 'x', what: '' },
      { label: 'a list' },
    )
    expect(show(diagnostic, { 'a.dino': text })).toMatchInlineSnapshot(`
      "
      error[DINO0001]: x is not part of the language
       --> a.dino:1:5
        |
      1 | a = [
        |     ^ a list (to line 3)
        |
        = more: dinoc explain DINO0001
      "
    `)
  })

  test('needs no place', () => {
    expect(show(diagnose('DINO9999', null, { what: 'x' }, { notes: ['a\nb'] }), {})).toMatchInlineSnapshot(`
      "
      error[DINO9999]: internal error: x
        = note: a
                b
        = more: dinoc explain DINO9999
      "
    `)
  })

  test('colours only when asked', () => {
    const introducer = String.fromCharCode(27)
    expect(show(conflict, { 'small.dino': child }, 100, true)).toContain(introducer)
    expect(show(conflict, { 'small.dino': child })).not.toContain(introducer)
  })
})

test('short is one line', () => {
  expect(renderShort(conflict)).toBe('small.dino:4:26: error[DINO0107]: expected a divisor of 98, found 16')
  expect(renderShort(diagnose('DINO9999', null, { what: 'x' }))).toBe('error[DINO9999]: internal error: x')
})

test('json is one object on one line, with places from 1', () => {
  const line = renderJson(conflict)
  expect(line).not.toContain('\n')
  const { code, severity, message, primary, labels, notes, help } = JSON.parse(line)
  expect({ code, severity, message, notes, help }).toEqual({
    code: 'DINO0107',
    severity: 'error',
    message: 'expected a divisor of 98, found 16',
    notes: conflict.notes,
    help: conflict.help,
  })
  expect(primary.span).toMatchObject({
    file: 'small.dino',
    startLine: 4,
    startColumn: 26,
    endLine: 4,
    endColumn: 30,
  })
  expect(primary.message).toBe('patch size becomes 16 px here')
  expect(labels[0].span.file).toBe('std/dinov2.dino')
})

test('sarif holds rules, results, related places and fixes', () => {
  const text = 'a = 1,, b = 2\n'
  const comma = at('my file.dino', text, ',', 1)
  const fixed = diagnose(
    'DINO0108',
    comma,
    { where: 'before' },
    {
      fixes: [{ title: 'delete the comma', span: comma, replacement: '' }],
    },
  )
  const log = JSON.parse(renderSarif([conflict, fixed, conflict], '1.2.3'))
  expect(log).toMatchInlineSnapshot(`
    {
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
      "runs": [
        {
          "columnKind": "utf16CodeUnits",
          "results": [
            {
              "level": "error",
              "locations": [
                {
                  "message": {
                    "text": "patch size becomes 16 px here",
                  },
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "small.dino",
                    },
                    "region": {
                      "charLength": 4,
                      "charOffset": 101,
                      "endColumn": 30,
                      "endLine": 4,
                      "startColumn": 26,
                      "startLine": 4,
                    },
                  },
                },
              ],
              "message": {
                "text": "expected a divisor of 98, found 16
    note: 98 / 16 leaves 2
    help: use 96px (6 x 6 patches)
    or keep patch = 14px",
              },
              "relatedLocations": [
                {
                  "id": 1,
                  "message": {
                    "text": "crop size 98 px comes from \`vits14\`",
                  },
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "std/dinov2.dino",
                    },
                    "region": {
                      "charLength": 4,
                      "charOffset": 49,
                      "endColumn": 24,
                      "endLine": 3,
                      "startColumn": 20,
                      "startLine": 3,
                    },
                  },
                },
              ],
              "ruleId": "DINO0107",
              "ruleIndex": 0,
            },
            {
              "fixes": [
                {
                  "artifactChanges": [
                    {
                      "artifactLocation": {
                        "uri": "my%20file.dino",
                      },
                      "replacements": [
                        {
                          "deletedRegion": {
                            "charLength": 1,
                            "charOffset": 6,
                            "endColumn": 8,
                            "endLine": 1,
                            "startColumn": 7,
                            "startLine": 1,
                          },
                          "insertedContent": {
                            "text": "",
                          },
                        },
                      ],
                    },
                  ],
                  "description": {
                    "text": "delete the comma",
                  },
                },
              ],
              "level": "error",
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "my%20file.dino",
                    },
                    "region": {
                      "charLength": 1,
                      "charOffset": 6,
                      "endColumn": 8,
                      "endLine": 1,
                      "startColumn": 7,
                      "startLine": 1,
                    },
                  },
                },
              ],
              "message": {
                "text": "nothing stands before this comma",
              },
              "ruleId": "DINO0108",
              "ruleIndex": 1,
            },
            {
              "level": "error",
              "locations": [
                {
                  "message": {
                    "text": "patch size becomes 16 px here",
                  },
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "small.dino",
                    },
                    "region": {
                      "charLength": 4,
                      "charOffset": 101,
                      "endColumn": 30,
                      "endLine": 4,
                      "startColumn": 26,
                      "startLine": 4,
                    },
                  },
                },
              ],
              "message": {
                "text": "expected a divisor of 98, found 16
    note: 98 / 16 leaves 2
    help: use 96px (6 x 6 patches)
    or keep patch = 14px",
              },
              "relatedLocations": [
                {
                  "id": 1,
                  "message": {
                    "text": "crop size 98 px comes from \`vits14\`",
                  },
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "std/dinov2.dino",
                    },
                    "region": {
                      "charLength": 4,
                      "charOffset": 49,
                      "endColumn": 24,
                      "endLine": 3,
                      "startColumn": 20,
                      "startLine": 3,
                    },
                  },
                },
              ],
              "ruleId": "DINO0107",
              "ruleIndex": 0,
            },
          ],
          "tool": {
            "driver": {
              "name": "dinoc",
              "rules": [
                {
                  "defaultConfiguration": {
                    "level": "error",
                  },
                  "help": {
                    "text": "dinoc explain DINO0107",
                  },
                  "id": "DINO0107",
                  "shortDescription": {
                    "text": "unexpected symbol",
                  },
                },
                {
                  "defaultConfiguration": {
                    "level": "error",
                  },
                  "help": {
                    "text": "dinoc explain DINO0108",
                  },
                  "id": "DINO0108",
                  "shortDescription": {
                    "text": "comma too many",
                  },
                },
              ],
              "semanticVersion": "1.2.3",
            },
          },
        },
      ],
      "version": "2.1.0",
    }
  `)
})

test('each diagnostic stands once, files and places in order', () => {
  const text = 'a = 1\nb = 2\n'
  const one = diagnose('DINO0001', at('b.dino', text, '2'), { shown: '2', what: '' })
  const two = diagnose('DINO0001', at('b.dino', text, '1'), { shown: '1', what: '' })
  const other = diagnose('DINO0001', at('a.dino', text, '1'), { shown: '1', what: '' })
  const nowhere = diagnose('DINO9999', null, { what: 'x' })
  const ordered = inOrder([nowhere, one, other, two, { ...one }, nowhere])
  expect(ordered).toEqual([two, one, other, nowhere])
  expect(summary(ordered)).toBe('4 errors')
  expect(summary([])).toBe('')
})
