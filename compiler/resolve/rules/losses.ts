import { didYouMean, listed } from '../../../diagnostics/nearest.js'
import { isPoisoned, unlessPoisoned } from '../poison.js'
import { blame, eachNamed, type Rule, type RuleContext, written } from './rule.js'

/** DINO0311: something is minimised. */
export const someLoss: Rule = (context) => {
  if (Object.keys(context.e.loss).length > 0) return
  if (context.lost('loss')) {
    context.report.errors++
    return
  }
  const dropped = [...context.origins]
    .filter(([path, o]) => path.startsWith('loss.') && o.dropped)
    .map(([path]) => path)
  const blamed = blame(context, dropped)
  context.report.giveOnce(
    `DINO0311 loss ${blamed.at.file}:${blamed.at.start}`,
    'DINO0311',
    blamed.at,
    { what: '`loss`', where: 'this experiment' },
    {
      label: dropped.length > 0 ? 'the last one is dropped here' : 'missing here',
      help: ['write `loss dino { }` with `head dino { }`'],
    },
  )
}

/** DINO0208: a loss finds its head. */
export const lossHead: Rule = (context) => {
  const { e, report } = context
  eachNamed(e.loss, (name, loss) => {
    if (!('head' in loss) || Object.hasOwn(e.head, loss.head)) return
    if (context.lost('head')) {
      report.errors++
      return
    }
    const path = `loss.${name}.head`
    const dropped = `head.${loss.head}`
    const blamed = blame(context, [path, ...(context.origins.get(dropped)?.dropped ? [dropped] : [])])
    const known = Object.keys(e.head)
    report.give(
      'DINO0208',
      blamed.at,
      { name: loss.head },
      {
        label: written(context, path) && blamed.path === path ? '' : `loss \`${name}\` looks for it`,
        notes: known.length === 0 ? [] : [`there is ${listed(known.map((h) => `head.${h}`))}`],
        help: [
          ...didYouMean(
            `head.${loss.head}`,
            known.map((head) => `head.${head}`),
          ),
          `write \`head ${loss.head} { prototypes = 65_536 }\`${known.length > 0 ? `, or \`loss.${name}.head = head.${known[0]}\`` : ''}`,
        ],
      },
    )
  })
}

/** Whether a lint about a setting is worth saying for this variant: what a variant's edits orphan is not counted. */
export function countsHere(context: RuleContext, path: string): boolean {
  return !context.variant.edited || (context.origins.get(path)?.layer?.index ?? 0) >= 1000
}

/** DINO2007: heads that no loss uses are left out. */
export const unusedHead: Rule = (context) => {
  const { e } = context
  const used = new Set<string>()
  for (const loss of Object.values(e.loss)) {
    if (!('head' in loss)) continue
    used.add(loss.head)
    const head = Object.hasOwn(e.head, loss.head) ? e.head[loss.head] : undefined
    if (head?.type === 'tied') used.add(head.to)
  }
  for (const name of Object.keys(e.head)) {
    if (
      used.has(name) ||
      isPoisoned(unlessPoisoned(() => e.head[name])) ||
      !countsHere(context, `head.${name}`)
    )
      continue
    const blamed = blame(context, [`head.${name}`])
    context.report.give('DINO2007', blamed.at, { head: name }, { label: 'not used' })
  }
}
