import { describe, expect, it } from 'vitest'
import { checkFile } from '../../compiler/compile.js'
import { largestFile } from '../../compiler/resolve/modules.js'

const head = 'import { vit_nano } from "std/dinov2.dino"\n'

function check(text: string, files: Readonly<Record<string, string>> = {}) {
  const read = (path: string) => (path === 'big.dino' ? text : (files[path] ?? null))
  return checkFile('big.dino', { read }, { set: [], params: {}, env: {} })
}

/** Lines until they have `size` characters. */
function lines(line: (i: number) => string, size: number): string {
  const text = [head]
  for (let i = 0, length = 0; length < size; i++) {
    text.push(line(i))
    length += line(i).length + 1
  }
  return text.join('\n')
}

/** The least processor time of a few tries, in ms. */
function milliseconds(text: string): number {
  const times = [0, 1].map(() => {
    const before = process.cpuUsage()
    check(text)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1000
  })
  return Math.min(...times)
}

/** Each of these took time by the square of the length. */
const shapes: Readonly<Record<string, (i: number) => string>> = {
  'comments alone': (i) => `// comment ${i}`,
  'blocks whose end a comment has swallowed': (i) => `e${i} { // }`,
  'texts that are not closed, with braces in them': () => 'a = "x }',
  'comments that are not closed': () => '/* x {',
  'comments of another language, with braces': () => '# a {',
  'parents that are not there': (i) => `experiment e${i} extends nope { }`,
  'sources that are not there': (i) => `experiment e${i} extends vit_nano { data { train = s${i}.train } }`,
}

describe('a large file', () => {
  it.each(Object.entries(shapes))(
    'of %s takes time in proportion to its length',
    (_, line) => {
      const [small, large] = [40_000, 160_000].map((size) => milliseconds(lines(line, size)))
      expect(large! / Math.max(50, small!)).toBeLessThan(8)
    },
    60_000,
  )

  it('is refused above 2 Mi characters, also where another file imports it', () => {
    const much = `${head}//${'x'.repeat(largestFile)}`
    expect(check(much).diagnostics.map((d) => [d.code, d.message])).toEqual([
      ['DINO0231', 'big.dino has 2.0 Mi characters: a file of experiments has at most 2 Mi'],
    ])
    const { diagnostics } = check('import { a } from "much.dino"\nexperiment b extends a { }\n', {
      'much.dino': much,
    })
    expect(diagnostics.map((d) => [d.code, d.primary?.span.startColumn])).toEqual([['DINO0231', 19]])
    expect(check(much.slice(0, largestFile)).diagnostics).toEqual([])
  })
})

describe('what goes deep', () => {
  const chain = (link: (i: number) => string, count: number) =>
    Array.from({ length: count }, (_, i) => link(i))
  const codes = (text: string) => check(head + text).diagnostics.map((d) => d.code)
  const links: Readonly<Record<string, (i: number) => string>> = {
    params: (i) => `param p${i}: integer = ${i === 0 ? '1' : `p${i - 1} + 0`}`,
    experiments: (i) => `experiment e${i} extends ${i === 0 ? 'vit_nano' : `e${i - 1}`} { }`,
    runs: (i) =>
      `experiment e${i} extends vit_nano { ${i === 0 ? '' : `teacher frozen { from = run(e${i - 1}) }\nbackbone.drop_path = 0\ndrop masking\nloss.ibot.on = all_patches`} }`,
  }
  it.each(Object.entries(links))('%s: a chain is as long as it may be in any order', (_, link) => {
    for (const count of [98, 130]) {
      const forward = chain(link, count)
      const faults = [forward, [...forward].reverse()].map((order) =>
        codes(order.join('\n')).filter((code) => !/^DINO(0890|20)/.test(code)),
      )
      expect(faults).toEqual(count < 100 ? [[], []] : [['DINO0118'], ['DINO0118']])
    }
  })
  it('is refused before anything overflows', () => {
    expect(codes(`param a: integer = 1${' + 1'.repeat(30_000)}\n`)).toEqual(['DINO0118'])
    expect(
      codes(
        `param a: integer = 1${' + 1'.repeat(900)}\nexperiment e extends vit_nano { backbone.depth = a }`,
      ),
    ).toEqual([])
    const list = `[${Array.from({ length: 3000 }, () => '1 * 2').join(', ')}]`
    expect(
      codes(`param a: list = ${list}\nexperiment e extends vit_nano { ablation.seeds = a }`),
    ).not.toContain('DINO0118')
    for (const link of Object.values(links))
      expect(new Set(codes(chain(link, 3000).reverse().join('\n')))).toContain('DINO0118')
  })
})
