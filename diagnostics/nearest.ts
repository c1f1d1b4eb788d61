/**
 * Edits (insert, delete, replace, swap of two neighbours) that turn `a` into `b`: the optimal string alignment distance,
 * or any number above `most` where it is above that.
 */
export function distance(a: string, b: string, most = Number.POSITIVE_INFINITY): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let best = Math.min(previous[j]! + 1, row[j - 1]! + 1, replaced)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, before[j - 2]! + 1)
      row.push(best)
    }
    // Two rows, since a swap reaches over one.
    if (Math.min(...row) > most && Math.min(...previous) > most) return Number.POSITIVE_INFINITY
    before = previous
    previous = row
  }
  return previous[b.length]!
}

const lookedAt = 300

/**
 * The candidates that someone who wrote `word` may have meant, nearest first, at most three: those within a third of
 * its letters (at least one edit), or of which one contains the other. Case does not count. Of very many candidates only
 * the first three hundred are looked at, so that a file of faults takes no longer than its length asks for.
 */
export function nearest(word: string, candidates: Iterable<string>): string[] {
  if (word.length > 60) return []
  const written = word.toLowerCase()
  const most = Math.max(1, Math.floor(written.length / 3))
  const scored = new Map<string, number>()
  let looked = 0
  for (const name of candidates) {
    if (++looked > lookedAt) break
    if (scored.has(name)) continue
    const other = name.toLowerCase()
    const shorter = Math.min(written.length, other.length)
    const contained = shorter >= 3 && (other.includes(written) || written.includes(other))
    if (!contained && Math.abs(written.length - other.length) > most) continue
    const edits = distance(written, other, contained ? Number.POSITIVE_INFINITY : most)
    if (contained || edits <= most) scored.set(name, contained ? Math.min(edits, 2) : edits)
  }
  return [...scored]
    .sort(([, a], [, b]) => a - b)
    .slice(0, 3)
    .map(([name]) => name)
}

/** "a, b, c"; of many names the first ones and how many more there are. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, listedAtMost).join(', ')
  return names.length <= listedAtMost ? shown : `${shown} and ${names.length - listedAtMost} more`
}
const listedAtMost = 20

/** "did you mean `a` or `b`?" as help; nothing where no candidate is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string[] {
  const found = nearest(word, candidates)
  return found.length === 0 ? [] : [`did you mean ${alternatives(found)}?`]
}

/** "`a`, `b` or `c`" */
export function alternatives(words: readonly string[]): string {
  const quoted = words.map((word) => `\`${word}\``)
  const last = quoted.pop() ?? ''
  return quoted.length === 0 ? last : `${quoted.join(', ')} or ${last}`
}
