/** Edit distance where swapping two neighbouring letters counts as one edit. */
export function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      let best = Math.min(
        rows[i - 1]![j]! + 1,
        row[j - 1]! + 1,
        rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      )
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1)
      row.push(best)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

/** The candidates that someone who wrote `word` may have meant, nearest first; at most three. */
export function nearest(word: string, candidates: Iterable<string>): string[] {
  if (word.length > 60) return []
  const lower = word.toLowerCase()
  const scored: { name: string; score: number }[] = []
  for (const name of new Set(candidates)) {
    const other = name.toLowerCase()
    const shorter = Math.min(lower.length, other.length)
    const contained = shorter >= 3 && (other.includes(lower) || lower.includes(other))
    const score = distance(lower, other)
    if (score <= Math.max(1, Math.floor(lower.length / 3)) || contained)
      scored.push({ name, score: contained ? Math.min(score, 2) : score })
  }
  return scored
    .sort((a, b) => a.score - b.score)
    .slice(0, 3)
    .map((s) => s.name)
}

/** "did you mean `a` or `b`?" as help, nothing where no candidate is near. */
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
