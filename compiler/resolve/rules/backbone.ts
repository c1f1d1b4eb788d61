import { blame, each, eachNamed, marks, type Rule, whose } from './rule.js'

/** DINO0501: the heads of attention share the width evenly. */
export const headsWidth: Rule = (context) => {
  const { width, heads } = context.e.backbone
  if (width % heads === 0) return
  const blamed = blame(context, ['backbone.width', 'backbone.heads'])
  const below = Math.floor(width / heads) * heads
  const divisors = [heads - 1, heads + 1, heads - 2, heads + 2].filter((h) => h > 0 && width % h === 0)
  context.report.give(
    'DINO0501',
    blamed.at,
    { width, heads },
    {
      ...marks(blamed, (path) =>
        path === 'backbone.heads'
          ? `${heads} heads ${whose(context, path).replace('comes', 'come')}`
          : `width ${width} ${whose(context, path)}`,
      ),
      notes: [`${width} / ${heads} leaves ${width % heads}`],
      help: [
        [
          `use width = ${below === 0 ? heads : below} or ${below + heads}`,
          ...(divisors.length === 0 ? [] : [`heads = ${divisors[0]}`]),
        ].join(', or '),
      ],
    },
  )
}

/** DINO0521: an evaluation reads only blocks that there are. */
export const evalBlocks: Rule = (context) => {
  const { depth } = context.e.backbone
  eachNamed(context.e.eval, (name, evaluation) => {
    if (evaluation.type !== 'linear') return
    const most = Math.max(...(evaluation.blocks as readonly number[]))
    if (most <= depth) return
    const blamed = blame(context, [`eval.${name}.blocks`, 'backbone.depth'])
    context.report.give(
      'DINO0521',
      blamed.at,
      { blocks: most, depth },
      {
        ...marks(blamed, (path) =>
          path === 'backbone.depth' ? `depth ${depth}` : `the last ${most} blocks`,
        ),
        help: [`use at most ${depth}`],
      },
    )
  })
}

/** DINO0227: parts of the model that phases freeze and `init` loads. */
export const knownParts: Rule = (context) => {
  const { e, report } = context
  const heads = Object.keys(e.head)
  const known = [
    'backbone',
    ...['patch_embed', 'pos_embed', 'cls_token', 'register_tokens', 'mask_token', 'blocks', 'norm'].map(
      (part) => `backbone.${part}`,
    ),
    ...heads.flatMap((head) => [`head.${head}`, `head.${head}.last_layer`]),
  ]
  const check = (parts: readonly string[], path: string) => {
    for (const part of parts) {
      if (known.includes(part) || (context.lost('head') && part.startsWith('head.'))) continue
      const { at } = blame(context, [path])
      report.give(
        'DINO0227',
        at,
        { name: part },
        { label: 'unknown part', notes: [`parts: ${known.join(', ')}`] },
      )
    }
  }
  each(e.schedule.phases, (phase) => check(phase.freeze, `schedule.${phase.name}.freeze`))
  if (e.backbone.init !== null) check(e.backbone.init.parts, 'backbone.init.parts')
}
