import { blame, eachNamed, marks, type Rule, type RuleContext } from './rule.js'

const ranksPaths = ['hardware.ranks', 'hardware.nodes', 'hardware.gpus'] as const

/** How the number of ranks came about, for notes. */
export function ranksText(context: RuleContext): string {
  const { ranks, nodes, gpus } = context.e.hardware
  return nodes === null && gpus === null
    ? `${ranks} ranks`
    : `${nodes ?? 1} nodes x ${gpus ?? 1} GPUs = ${ranks} ranks`
}

function describeBatchOrRanks(context: RuleContext): (path: string) => string {
  return (path) => (path === 'schedule.batch' ? `batch ${context.e.schedule.batch}` : ranksText(context))
}

/** The multiples of `unit` around `value`. */
function around(value: number, unit: number): string {
  const below = Math.floor(value / unit) * unit
  return below === 0 ? `${unit} img` : `${below} img or ${below + unit} img`
}

/** DINO0504: every rank has the same number of images. */
export const batchRanks: Rule = (context) => {
  const { batch } = context.e.schedule
  const { ranks } = context.e.hardware
  if (batch % ranks === 0) return
  const blamed = blame(context, ['schedule.batch', ...ranksPaths])
  context.report.give(
    'DINO0504',
    blamed.at,
    { batch, ranks },
    {
      ...marks(blamed, describeBatchOrRanks(context)),
      notes: [`${ranksText(context)}; ${batch} / ${ranks} leaves ${batch % ranks}`],
      help: [`use batch = ${around(batch, ranks)}`],
    },
  )
}

/** DINO0505: the images of a rank divide into micro-batches. */
export const microBatch: Rule = (context) => {
  const { batch, microBatch: micro } = context.e.schedule
  const { ranks, semantics } = context.e.hardware
  if (micro === null || batch % ranks !== 0 || semantics === 'global') return
  const perRank = batch / ranks
  if (perRank % micro === 0) return
  const blamed = blame(context, ['schedule.micro_batch', 'schedule.batch', ...ranksPaths])
  const fitting = divisorsNear(perRank, micro)
  context.report.give(
    'DINO0505',
    blamed.at,
    { perRank, micro },
    {
      ...marks(blamed, (path) =>
        path === 'schedule.micro_batch' ? `micro-batches of ${micro}` : describeBatchOrRanks(context)(path),
      ),
      notes: [
        `${batch} images over ${ranksText(context)} are ${perRank} each; ${perRank} / ${micro} leaves ${perRank % micro}`,
      ],
      help: [`use micro_batch = ${fitting.map((f) => `${f} img`).join(' or ')}`],
    },
  )
}

function divisorsNear(value: number, wanted: number): number[] {
  const found: number[] = []
  for (let d = wanted - 1; d > 0 && found.length === 0; d--) if (value % d === 0) found.push(d)
  for (let d = wanted + 1; d <= value; d++)
    if (value % d === 0) {
      found.push(d)
      break
    }
  return found
}

/** DINO0511: with global semantics a rank runs its groups in one pass. */
export const globalMicroBatch: Rule = (context) => {
  const { microBatch: micro } = context.e.schedule
  if (micro === null || context.e.hardware.semantics !== 'global') return
  const blamed = blame(context, ['schedule.micro_batch', 'hardware.semantics'])
  context.report.give(
    'DINO0511',
    blamed.at,
    { micro },
    {
      ...marks(blamed, (path) =>
        path === 'schedule.micro_batch' ? `micro-batches of ${micro}` : 'global semantics',
      ),
      notes: [
        'a rank runs its groups in one pass, so that the batch terms are the same for any number of ranks',
      ],
      help: ['set micro_batch = off, or semantics = per_rank'],
    },
  )
}

/** DINO0701: every rank runs the same number of groups. */
export const groupsRanks: Rule = (context) => {
  const { semantics, groups, ranks } = context.e.hardware
  if (semantics !== 'global' || groups === null || groups % ranks === 0) return
  const blamed = blame(context, ['hardware.groups', ...ranksPaths])
  context.report.give(
    'DINO0701',
    blamed.at,
    { groups, ranks },
    {
      ...marks(blamed, (path) => (path === 'hardware.groups' ? `${groups} groups` : ranksText(context))),
      notes: [`${groups} / ${ranks} leaves ${groups % ranks}`],
      help: [
        `use groups = ${Math.max(1, Math.floor(groups / ranks)) * ranks} or ${Math.ceil(groups / ranks) * ranks}`,
      ],
    },
  )
}

/** DINO0702: every group has the same number of images. */
export const batchGroups: Rule = (context) => {
  const { semantics, groups, ranks } = context.e.hardware
  const { batch } = context.e.schedule
  if (semantics !== 'global' || groups === null || groups === ranks || batch % groups === 0) return
  const blamed = blame(context, ['hardware.groups', 'schedule.batch'])
  context.report.give(
    'DINO0702',
    blamed.at,
    { batch, groups },
    {
      ...marks(blamed, (path) => (path === 'hardware.groups' ? `${groups} groups` : `batch ${batch}`)),
      notes: [`${batch} / ${groups} leaves ${batch % groups}`],
      help: [`use batch = ${around(batch, groups)}`],
    },
  )
}

/** DINO0507: a nearest neighbour needs a second image. */
export const koleoImages: Rule = (context) => {
  const { batch, microBatch: micro } = context.e.schedule
  const { ranks, semantics } = context.e.hardware
  eachNamed(context.e.loss, (name, loss) => {
    if (loss.type !== 'koleo') return
    const scope = loss.scope.type
    const whole = semantics === 'global' || scope !== 'rank'
    const images = whole ? (micro === null ? batch : micro * ranks) : (micro ?? Math.floor(batch / ranks))
    if (images >= 2) return
    const where = whole ? 'in the batch' : micro !== null ? 'in each micro-batch' : 'on each rank'
    const paths = micro !== null ? ['schedule.micro_batch'] : ['schedule.batch', ...(whole ? [] : ranksPaths)]
    const blamed = blame(context, [...paths, `loss.${name}`])
    context.report.give(
      'DINO0507',
      blamed.at,
      { images, where },
      {
        ...marks(blamed, (path) =>
          path === `loss.${name}`
            ? 'KoLeo is here'
            : path === 'schedule.micro_batch'
              ? `micro-batches of ${micro}`
              : describeBatchOrRanks(context)(path),
        ),
        notes: [
          'KoLeo is the logarithm of the distance to the nearest other image: without one it is infinite',
          ...(whole || micro !== null ? [] : [`batch ${batch} over ${ranksText(context)} is ${images} each`]),
        ],
        help: [
          micro !== null
            ? 'use micro_batch = 2 img or more'
            : whole
              ? 'use batch = 2 img or more'
              : `use batch = ${2 * ranks} img or more, or scope = global, or drop loss.${name}`,
        ],
      },
    )
  })
}

/** DINO0520: the batch divides into the sets that KoLeo looks at (a micro-batch: DINO0804). */
export const koleoSets: Rule = (context) => {
  const { batch } = context.e.schedule
  eachNamed(context.e.loss, (name, loss) => {
    if (loss.type !== 'koleo' || loss.scope.type !== 'sets' || batch % loss.scope.images === 0) return
    const { images } = loss.scope
    const blamed = blame(context, [`loss.${name}.scope`, 'schedule.batch'])
    context.report.give(
      'DINO0520',
      blamed.at,
      { batch, images },
      {
        ...marks(blamed, (path) =>
          path === 'schedule.batch' ? `batch ${batch}` : `sets of ${images} images`,
        ),
        notes: [`${batch} / ${images} leaves ${batch % images}`],
        help: [`use batch = ${around(batch, images)}, or other sets`],
      },
    )
  })
}
