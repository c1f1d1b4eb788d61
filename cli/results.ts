import { readEvalFile } from '../runtime/eval/eval-file.js'
import { primaryMetric, type ResultTable, resultTable, type VariantResult } from '../runtime/eval/results.js'
import { readRecord, runFiles } from '../runtime/run-directory.js'
import type { PickedVariant } from './jobs.js'
import { columnsOf } from './print.js'
import { resultLines } from './terminal/result-lines.js'

/** The result table of each experiment among `picked`, to standard output. */
export async function printResults(
  picked: readonly PickedVariant[],
  root: string,
  json: boolean,
): Promise<void> {
  const families = [...new Set(picked.map(({ family }) => family))]
  for (const family of families) {
    const table = await tableOf(
      picked.filter((p) => p.family === family),
      root,
    )
    if (json) {
      process.stdout.write(
        `${JSON.stringify({ formatVersion: 1, type: 'result', experiment: family.name, table })}\n`,
      )
      continue
    }
    if (families.length > 1) process.stdout.write(`${family.name}\n`)
    if (table !== null) process.stdout.write(`${resultLines(table, columnsOf(process.stdout)).join('\n')}\n`)
  }
}

/** The primary metric of what is finished; null where nothing is, or nothing is evaluated. */
export async function tableOf(picked: readonly PickedVariant[], root: string): Promise<ResultTable | null> {
  const [first] = picked
  if (first === undefined) return null
  const { resolved } = first.variant
  const evaluations = Object.entries(resolved.eval).map(([name, { k }]) => ({ name, k }))
  const primary = primaryMetric(resolved.primary, evaluations)
  if (primary === null) return null
  const variants: VariantResult[] = []
  for (const { variant, seeds, family } of picked) {
    const found: VariantResult['seeds'][number][] = []
    for (const seed of seeds) {
      const name = variant.resolved.variant
      const files = runFiles(root, { experiment: family.name, variant: name, seed })
      const record = await readRecord(files)
      const evaluation = await readEvalFile(files.evaluation)
      if (record?.status !== 'finished' || evaluation === null) continue
      const { imagesPerSecond, peakRssBytes } = record
      found.push({ seed, evaluation, imagesPerSecond, peakRssBytes })
    }
    variants.push({ variant: variant.resolved.variant, seeds: found })
  }
  return resultTable(variants, primary.evaluation, primary.metric)
}
