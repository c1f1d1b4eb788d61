import { didYouMean } from '../../diagnostics/nearest.js'
import { kinds, topLevelKinds } from '../../grammar/schema/vocabulary.js'
import { whereOf } from './edits.js'
import type { Module } from './modules.js'
import type { Report } from './report.js'

/** What may stand outside of every block: sources, curations and experiments, each with a name. */

export function checkTopLevel(module: Module, report: Report): void {
  for (const item of module.source.items) {
    if (item.kind !== 'block' || item.poisoned) continue
    const keyword = item.keyword.text
    if (topLevelKinds.some((known) => known === keyword)) {
      if (item.name === null)
        report.give(
          'DINO0314',
          item.keyword.span,
          { kind: keyword, example: `\`${keyword} NAME { }\`` },
          {
            label: 'the name is missing',
          },
        )
      continue
    }
    const elsewhere = kinds.get(keyword)
    if (elsewhere !== undefined)
      report.give(
        'DINO0312',
        item.keyword.span,
        {
          kind: keyword,
          place: 'inside an experiment',
          where: whereOf(null),
        },
        { label: 'not here' },
      )
    else
      report.give(
        'DINO0301',
        item.keyword.span,
        { kind: keyword, where: whereOf(null) },
        {
          label: 'unknown block',
          notes: [`blocks at the top level: ${topLevelKinds.join(', ')}`],
          help: didYouMean(keyword, topLevelKinds),
        },
      )
  }
}
/** Params that nothing used, where nothing else is wrong. */

export function reportUnusedParams(module: Module, report: Report): void {
  for (const [name, param] of module.params)
    if (!module.used.has(name) && !param.poisoned && !module.source.incomplete && report.errors === 0)
      report.give('DINO2016', param.name.span, { name }, { label: 'never used' })
}
