/**
 * A source line as a terminal shows it: each UTF-16 unit of the text with the column at which it appears. Tabs are
 * four cells, wide characters two, marks that combine none; control characters are shown as a replacement.
 */
export interface Cells {
  readonly text: string
  /** Cell at which unit `i` of the source line begins; one more entry than units. */
  readonly at: readonly number[]
}

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const zero = /\p{M}|[\u200b-\u200f\u2060-\u2064]|\ufeff/u
const control = /\p{Cc}|\p{Cf}|\p{Cs}/u
const tab = '    '

export function cellsOf(line: string): Cells {
  let text = ''
  let cell = 0
  const at: number[] = []
  for (const character of line) {
    for (let unit = 0; unit < character.length; unit++) at.push(cell)
    if (character === '\t') {
      text += tab
      cell += tab.length
    } else if (zero.test(character)) text += character
    else if (control.test(character)) {
      text += '\ufffd'
      cell += 1
    } else {
      text += character
      cell += wide.test(character) ? 2 : 1
    }
  }
  at.push(cell)
  return { text, at }
}

/** The part of a line between two cells, wide characters never cut in half. */
export function sliceCells(text: string, start: number, end: number): string {
  let cell = 0
  let slice = ''
  for (const character of text) {
    const size = zero.test(character) ? 0 : wide.test(character) ? 2 : 1
    if (cell >= start && cell + size <= end) slice += character
    else if (cell < end && cell + size > start) slice += ' '
    cell += size
  }
  return slice
}
