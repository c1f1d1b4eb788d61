/**
 * Texts that stand beside one another, each of at most `most` characters: what they have in common gives way to an
 * ellipsis, what tells them apart never does. `warmup(0 -> 0.002 over 10 epochs)` and
 * `warmup(0 -> 0.002 over 1 epoch)` become `…over 10 epochs)` and `…over 1 epoch)`. A text is longer than `most` where
 * what it alone says is: its caller finds room.
 */
export function elided(texts: readonly string[], most: number): string[] {
  const cut = new Set(texts).size === 1 ? texts : elidedKind(texts, false, most)
  return toldApart(
    texts,
    texts.map((text, i) => (text.length <= most ? text : cut[i]!)),
  )
}

/**
 * The same of names, of which only those that begin alike are compared with one another; one that nothing begins like
 * keeps its beginning and its end, by which it is known.
 */
export function elidedNames(names: readonly string[], most: number): string[] {
  const kinds = new Map<string, string[]>()
  for (const name of new Set(names)) kinds.set(kindOf(name), [...(kinds.get(kindOf(name)) ?? []), name])
  const long = [...kinds.values()].filter((alike) => alike.some((name) => name.length > most))
  const short = new Map(names.map((name) => [name, name]))
  for (const alike of long) {
    const cut = alike.length === 1 ? [around(alike[0]!, most)] : elidedKind(alike, long.length > 1, most)
    for (const [i, name] of alike.entries()) if (name.length > most) short.set(name, cut[i]!)
  }
  return toldApart(
    names,
    names.map((name) => short.get(name)!),
  )
}

/** Better long than alike. */
function toldApart(texts: readonly string[], short: readonly string[]): string[] {
  return [...(new Set(short).size < new Set(texts).size ? texts : short)]
}

/** What a text begins with: points of one grid `masks[...]` are compared with one another, not with those of others. */
function kindOf(text: string): string {
  return /^[^[(]*/.exec(text)![0]
}

/** Texts that begin alike; `named`: there are others, so that their beginning tells something. */
function elidedKind(texts: readonly string[], named: boolean, most: number): string[] {
  const words = texts.map(wordsOf)
  const runs = words.map((own) => runsOf(own, agreeing(own, words), named))
  // One budget for all of them, so that they are cut alike.
  const own = runs.map((all) => sum(all.map((run) => (run.agrees ? 0 : run.text.length))))
  const room = most - Math.max(...own)
  return runs.map((all) => withRoom(all, room))
}

function wordsOf(text: string): string[] {
  return text.match(/[\w.%+-]+|\s+|[^\w\s]/g) ?? []
}

/** For each word whether all texts have it: at its place where they are of as many words, else counted from an end. */
function agreeing(own: readonly string[], all: readonly (readonly string[])[]): boolean[] {
  if (all.every((words) => words.length === own.length))
    return own.map((word, i) => all.every((words) => words[i] === word))
  const shortest = Math.min(...all.map((words) => words.length))
  const [first] = all as [readonly string[]]
  let head = 0
  while (head < shortest && all.every((words) => words[head] === first[head])) head++
  let tail = 0
  while (tail < shortest - head && all.every((words) => words.at(-1 - tail) === first.at(-1 - tail))) tail++
  return own.map((_, i) => i < head || i >= own.length - tail)
}

interface Run {
  readonly text: string
  readonly agrees: boolean
}

function runsOf(words: readonly string[], agrees: readonly boolean[], named: boolean): Run[] {
  const runs: Run[] = []
  for (const [i, word] of words.entries()) {
    const agree = agrees[i]! && !(named && i === 0)
    const last = runs.at(-1)
    if (last?.agrees === agree) runs[runs.length - 1] = { text: last.text + word, agrees: agree }
    else runs.push({ text: word, agrees: agree })
  }
  return runs
}

/** Runs that agree in `room` characters together, the shortest first: what they leave goes to the longer ones. */
function withRoom(runs: readonly Run[], room: number): string {
  const shown = runs.map((run) => run.text)
  const common = [...runs.keys()]
    .filter((i) => runs[i]!.agrees)
    .sort((a, b) => shown[a]!.length - shown[b]!.length)
  let left = room
  for (const [done, i] of common.entries()) {
    const share = Math.max(1, Math.floor(left / (common.length - done)))
    shown[i] = beside(shown[i]!, share, i === 0, i === runs.length - 1)
    left -= shown[i]!.length
  }
  return shown.join('')
}

/** Of a run the part that stands next to what differs: its end where it comes first, its beginning where it comes last. */
function beside(text: string, most: number, first: boolean, last: boolean): string {
  if (text.length <= most) return text
  if (last && !first) return `${text.slice(0, most - 1).replace(endsInside(text, most - 1), '')}…`
  return `…${text.slice(text.length - most + 1).replace(startsInside(text, text.length - most + 1), '')}`
}

const nothing = /^(?!)/

/** What a cut leaves of a number: `.07` is not what 0.07 ends with. */
function startsInside(text: string, at: number): RegExp {
  return /[\d.]/.test(text[at - 1] ?? '') ? /^[\d.]+/ : nothing
}

function endsInside(text: string, at: number): RegExp {
  return /[\d.]/.test(text[at] ?? '') ? /[\d.]+$/ : nothing
}

/** A text that stands alone: its beginning and its end. */
function around(text: string, most: number): string {
  const end = Math.ceil((most - 1) / 2)
  return `${text.slice(0, most - 1 - end)}…${end > 0 ? text.slice(-end) : ''}`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0)
}
