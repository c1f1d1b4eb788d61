/** The middle one; of an even number, the mean of the two in the middle. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * One row of a comparison from its pairs of results, each `{ours, peer}` as both programs print them: the ratio is the
 * median of the pairs' own ratios, so that a machine whose speed drifts changes both sides of each.
 */
export function compare({ name, least }, pairs, peakGflops) {
  const ratios = pairs.map(({ ours, peer }) => ours.imagesPerSecond / peer.imagesPerSecond)
  const gflops = median(pairs.map(({ ours }) => ours.gflops))
  return {
    name,
    pairs: pairs.length,
    ours: median(pairs.map(({ ours }) => ours.imagesPerSecond)),
    peer: median(pairs.map(({ peer }) => peer.imagesPerSecond)),
    ratio: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    least,
    gflops,
    ofPeak: peakGflops === null ? null : gflops / peakGflops,
    memory: median(pairs.map(({ ours, peer }) => ours.peakRssBytes / peer.peakRssBytes)),
  }
}

/** Rows as a markdown table. */
export function markdown(rows) {
  const number = (value, digits) => value.toFixed(digits)
  const lines = rows.map((row) =>
    [
      row.name,
      row.pairs,
      number(row.ours, 2),
      number(row.peer, 2),
      `**${number(row.ratio, 2)}** (${number(row.lowest, 2)} to ${number(row.highest, 2)})`,
      number(row.least, 2),
      number(row.gflops, 0),
      row.ofPeak === null ? '' : `${number(100 * row.ofPeak, 0)} %`,
      number(row.memory, 2),
    ].join(' | '),
  )
  return [
    '| step | pairs | images/s | peer | ratio | least | GFLOP/s | of the multiply-add peak | peak memory, ratio |',
    '|---|---|---|---|---|---|---|---|---|',
    ...lines.map((line) => `| ${line} |`),
  ].join('\n')
}
