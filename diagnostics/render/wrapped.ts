/** Items with `gap` between them, in lines of at most `width`; an item that is longer has a line of its own. */
export function wrapped(items: readonly string[], gap: string, width: number): string[] {
  const lines: string[] = []
  for (const item of items) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + gap.length + item.length <= width)
      lines[lines.length - 1] = last + gap + item
    else lines.push(item)
  }
  return lines
}

/** A text without spaces in pieces of at most `size` characters. */
export function chunks(text: string, size: number): string[] {
  const pieces: string[] = []
  for (let at = 0; at < text.length; at += Math.max(1, size))
    pieces.push(text.slice(at, at + Math.max(1, size)))
  return pieces
}
