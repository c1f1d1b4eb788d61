import { wrapped } from '../../diagnostics/render/wrapped.js'

/**
 * Text that `writeExperiment` wrote, in lines of at most `width` where the language lets one break: a comment goes above
 * its line or into several, a block opens over several lines, and inside brackets a line ends after a comma. Reading it
 * gives what reading the long lines gives. A single text or name that is longer stays so.
 */
export function foldLines(text: string, width: number): string {
  return text
    .split('\n')
    .flatMap((line) => foldLine(line, width))
    .join('\n')
}

function foldLine(line: string, width: number): string[] {
  if (line.length <= width) return [line]
  const indent = /^ */.exec(line)![0]
  const { comment, commas, open, close } = partsOf(line)
  if (comment >= 0) {
    const words = line
      .slice(comment + 2)
      .trim()
      .split(' ')
    const said = wrapped(words, ' ', width - indent.length - 3).map((part) => `${indent}// ${part}`)
    const code = line.slice(0, comment).trimEnd()
    return code.trim() === '' ? said : [...said, ...foldLine(code, width)]
  }
  if (open < 0 || close < open) return [line]
  const ends = commas.filter((comma) => comma > open && comma < close)
  const items = [...ends, close].map((end, i) =>
    line.slice(i === 0 ? open + 1 : ends[i - 1]! + 1, end).trim(),
  )
  const block = line[open] === '{'
  const inner = items.map((item, i) => `${indent}  ${item}${block || i === items.length - 1 ? '' : ','}`)
  return [
    line.slice(0, open + 1),
    ...inner.flatMap((one) => foldLine(one, width)),
    `${indent}${line.slice(close)}`,
  ]
}

/** Where a comment begins, and the outermost pair of brackets with the commas directly inside it; -1 for none. */
function partsOf(line: string): { comment: number; commas: number[]; open: number; close: number } {
  const commas: number[] = []
  let [open, close, depth, quoted] = [-1, -1, 0, false]
  for (let i = 0; i < line.length; i++) {
    const character = line[i]!
    if (quoted) {
      if (character === '\\') i++
      else if (character === '"') quoted = false
    } else if (character === '"') quoted = true
    else if (character === '/' && line[i + 1] === '/') return { comment: i, commas, open, close }
    else if ('([{'.includes(character)) {
      if (depth === 0 && open < 0) open = i
      depth++
    } else if (')]}'.includes(character)) {
      depth--
      if (depth === 0 && close < 0) close = i
    } else if (character === ',' && depth === 1 && close < 0) commas.push(i)
  }
  return { comment: -1, commas, open, close }
}
