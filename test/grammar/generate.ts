import fc from 'fast-check'

/**
 * Texts that are valid by construction, in layouts that nobody would choose: any spacing, line breaks and comments
 * wherever the grammar allows them.
 */
const space = fc.constantFrom('', ' ', '  ', '\t', ' /* c */ ')
const gap = fc.constantFrom(' ', '  ', '\t', ' /* c */ ')
/** Inside brackets, where newlines do not count. */
const loose = fc.constantFrom(
  '',
  ' ',
  '\n',
  '\n  ',
  ' // line\n',
  '\n// own line\n',
  ' /* c */ ',
  '\n/* two\nlines */\n',
)
const lineEnd = fc.constantFrom(
  '\n',
  '\n\n\n',
  ' // trailing\n',
  '\r\n',
  '\n  // own line\n',
  ' /* c */\n',
  ',\n',
  ', // x\n',
)

const name = fc.constantFrom('a', 'b_1', 'width', 'from', 'masking', '_x')
const path = fc
  .tuple(fc.array(name, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '', '@20'))
  .map(([names, at]) => names.join('.') + at)
const number = fc.constantFrom('0', '12', '1e-5', '.5', '131_072', '10k', '1.5M', '3G', '0.1', '1E+2')
const quantity = fc
  .tuple(
    number,
    fc.constantFrom('', ' img', ' px', 'px', '%', ' %', ' steps', '  epochs', 'GiB', ' foo', 'x'),
  )
  .map(([n, unit]) => (/[kMG]$/.test(n) && /^[a-zG]/.test(unit) ? `${n} ${unit}` : n + unit))
const text = fc.constantFrom('""', '"a b"', '"${root}/x"', '"\\"\\\\\\n\\$"', '"// no comment"')

const { value, condition } = fc.letrec<{ value: string; condition: string; argument: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    quantity,
    path,
    text,
    fc
      .tuple(tie('value'), fc.constantFrom('+', '-', '*', '/', '->', '..', '|>', 'over'), tie('value'), gap)
      .map(
        // parentheses keep any nesting legal
        ([a, op, b, g]) => `(${a})${g}${op}${g}(${b})`,
      ),
    fc.tuple(tie('value')).map(([v]) => `-(${v})`),
    fc
      .tuple(fc.array(tie('value'), { maxLength: 3 }), loose, loose, fc.boolean())
      .map(
        ([items, a, b, trailing]) =>
          `[${a}${items.join(`${b},${a}`)}${trailing && items.length > 0 ? ',' : ''}${b}]`,
      ),
    fc
      .tuple(name, fc.array(tie('argument'), { maxLength: 3 }), loose, loose)
      .map(([f, args, a, b]) => `${f}(${a}${args.join(`${b},${a}`)}${b})`),
    fc.tuple(tie('value'), loose, loose).map(([v, a, b]) => `(${a}${v}${b})`),
  ),
  argument: fc.oneof(
    tie('value'),
    fc.tuple(path, space, tie('value')).map(([p, s, v]) => `${p}${s}:${s}${v}`),
  ),
  condition: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    path,
    fc
      .tuple(tie('value'), fc.constantFrom('==', '!=', '<', '<=', '>', '>='), tie('value'), space)
      .map(([a, op, b, s]) => `${a}${s}${op}${s}${b}`),
    fc
      .tuple(tie('condition'), fc.constantFrom('and', 'or'), tie('condition'), gap)
      .map(([a, op, b, g]) => `(${a})${g}${op}${g}(${b})`),
    fc.tuple(tie('condition'), loose).map(([c, l]) => `not (${l}${c}${l})`),
  ),
}))

const pipe = fc
  .tuple(
    fc.array(value, { minLength: 1, maxLength: 3 }),
    fc.constantFrom(' ', '\n  ', ' // then\n', '\n// own\n'),
  )
  .map(([stages, g]) => stages.join(`${g}|> `))

const { statement } = fc.letrec<{ statement: string; block: string }>((tie) => ({
  statement: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.tuple(path, space, pipe).map(([p, s, v]) => `${p}${s}=${s}${v}`),
    path.map((p) => `drop ${p}`),
    tie('block'),
  ),
  block: fc
    .tuple(
      name,
      fc.option(name),
      fc.option(name),
      fc.option(path),
      fc.option(path),
      fc.option(condition),
      fc.array(fc.tuple(tie('statement'), fc.oneof(lineEnd, fc.constant(', '))), { maxLength: 3 }),
      fc.constantFrom('', ' ', ' /* c */ ', '\n', ' // open\n'),
      gap,
    )
    .map(([kind, own, type, parent, over, where, body, open, g]) => {
      const header = [
        kind,
        own ? g + own : '',
        type ? `${g}:${type}` : '',
        parent ? `${g}extends ${parent}` : '',
        over ? `${g}over${g}${over}` : '',
        where ? `${g}where ${where}` : '',
      ]
      return `${header.join('')}${g}{${open}${body.map(([s, end]) => s + end).join('')}}`
    }),
}))

const item = fc.oneof(
  fc
    .tuple(fc.array(name, { minLength: 1, maxLength: 3 }), loose, text)
    .map(([names, l, from]) => `import {${l}${names.join(`${l},`)}${l}} from ${from}`),
  fc.tuple(name, name, space, pipe).map(([n, type, s, v]) => `param ${n}${s}:${s}${type}${s}=${s}${v}`),
  fc
    .tuple(name, fc.array(fc.tuple(statement, lineEnd), { maxLength: 5 }), lineEnd)
    .map(
      ([n, body, end]) =>
        `experiment ${n} {${end.replaceAll(',', '')}${body.map(([s, e]) => s + e).join('')}}`,
    ),
)

export const validText = fc
  .tuple(
    fc.constantFrom('', '\ufeff', '\n\n', '// top\n', '/* top */ '),
    fc.array(fc.tuple(item, lineEnd), { maxLength: 4 }),
  )
  .map(([top, items]) => top + items.map(([i, end]) => i + end).join(''))
