import { trim, writeQuantity } from '../dyn.js'
import { blame, each, eachNamed, labelsOf, marks, type Rule } from './rule.js'

/** DINO0508: some block of patches fits into the grid of every phase. */
export const maskFits: Rule = (context) => {
  const { masking, backbone } = context.e
  if (masking === null || masking.probability === 0) return
  each(context.e.schedule.phases, (phase) => {
    const grid = Math.floor(phase.resolution / backbone.patch)
    if (grid < 1 || phase.resolution % backbone.patch !== 0) return
    const most = Math.floor(grid * grid * masking.ratio.max)
    const smallest = masking.type === 'block' ? masking.minPatches : 1
    const room = masking.type === 'block' ? (grid - 1) ** 2 : grid * grid
    if (most >= smallest && room >= smallest) return
    const resolution = `schedule.${phase.name}.resolution`
    const sized = context.origins.get(resolution)?.at ? resolution : 'crops.global.size'
    const paths = ['masking.ratio', 'masking.min_patches', sized, 'backbone.patch']
    const blamed = blame(context, paths)
    context.report.give(
      'DINO0508',
      blamed.at,
      { phase: phase.name, grid },
      {
        ...marks(blamed, (path) =>
          path === 'backbone.patch'
            ? `patches of ${writeQuantity(backbone.patch, 'px')}`
            : path === 'masking.ratio'
              ? `at most ${most} of ${grid * grid} patches`
              : path === 'masking.min_patches'
                ? `blocks of at least ${smallest} patches`
                : `crops of ${writeQuantity(phase.resolution, 'px')}`,
        ),
        notes: [
          most < smallest
            ? `${grid} x ${grid} patches x ${trim(masking.ratio.max * 100)}% allow ${most}, but a ${masking.type === 'block' ? 'block has at least' : 'mask has at least'} ${smallest}`
            : `blocks are smaller than the grid in both directions: ${grid - 1} x ${grid - 1} = ${room} patches, fewer than ${smallest}`,
        ],
        help: ['use larger crops, smaller patches, a larger ratio, or fewer min_patches'],
      },
    )
  })
}

/** DINO0509: a loss on masked patches needs masks. */
export const maskedPatches: Rule = (context) => {
  const { masking, loss } = context.e
  if (masking !== null || context.lost('masking')) return
  eachNamed(loss, (name, term) => {
    if (term.type !== 'ibot' || term.on !== 'masked_patches') return
    const blamed = blame(context, ['masking', `loss.${name}.on`, `loss.${name}`])
    context.report.give(
      'DINO0509',
      blamed.at,
      { loss: name },
      {
        label: blamed.path === 'masking' ? 'masking is dropped here' : 'on masked patches',
        labels: labelsOf(blamed, (path) =>
          path === 'masking' ? 'masking is dropped here' : 'on masked patches',
        ),
        help: [
          `write \`masking block { probability = 50%, ratio = 10%..50% }\`, or \`loss.${name}.on = all_patches\`, or \`drop loss.${name}\``,
        ],
      },
    )
  })
}

/** DINO2009: without iBOT the student's crops stay masked, as in the reference. */
export const maskedWithoutIbot: Rule = (context) => {
  const { masking, loss, teacher } = context.e
  if (masking === null || !masking.apply || teacher.type === 'frozen' || masking.probability === 0) return
  if (Object.values(loss).some((term) => term.type === 'ibot')) return
  const dropped = [...context.origins].find(([path, origin]) => path.startsWith('loss.') && origin.dropped)
  const blamed = blame(context, dropped === undefined ? ['masking'] : [dropped[0]])
  context.report.give(
    'DINO2009',
    blamed.at,
    {},
    {
      notes: ['masks then only make the image level harder'],
      help: ['write `drop masking` as well for crops without masks'],
    },
  )
}
