import type { Head, ResolvedExperiment } from '../resolved.js'
import { blame, each, marks, type Rule } from './rule.js'

/** A head with ties followed. */
function headOf(e: ResolvedExperiment, name: string): (Head & { type: 'mlp' }) | null {
  const head = Object.hasOwn(e.head, name) ? e.head[name] : undefined
  if (head === undefined) return null
  return head.type === 'mlp' ? head : headOf(e, head.to)
}

/** DINO0510, DINO0228, DINO0516: a frozen teacher has the heads, prototypes and patches that its student needs. */
export const frozenTeacher: Rule = (context) => {
  const { e, report } = context
  const { teacher } = e
  if (teacher.type !== 'frozen') return
  const from = 'teacher.from'
  const { at } = blame(context, [from])
  const needed = Object.values(e.loss).flatMap((loss) => ('head' in loss ? [loss.head] : []))
  if (needed.length === 0) return
  if (teacher.from.kind === 'hub') {
    report.give(
      'DINO0510',
      at,
      { from: `hf://${teacher.from.repository}` },
      {
        label: 'a backbone without heads',
        notes: ['published weights are backbones: targets come from the heads that were trained with them'],
        help: ['use `run(experiment)` of a teacher trained here, or a file that holds its heads'],
      },
    )
    return
  }
  if (teacher.from.kind !== 'run') return
  const model = teacher.from.resolved
  if (Object.keys(model.head).length === 0) {
    report.give('DINO0510', at, { from: `\`${teacher.from.experiment}\`` }, { label: 'trains no head' })
    return
  }
  const compare = (what: string, theirs: number, ours: number, path: string) => {
    if (theirs === ours) return
    const blamed = blame(context, [path, from])
    report.give(
      'DINO0516',
      blamed.at,
      { what, teacher: theirs, student: ours },
      {
        ...marks(blamed, (p) => (p === from ? `the teacher has ${theirs}` : `the student has ${ours}`)),
        help: [`use ${theirs}, as the teacher does`],
      },
    )
  }
  compare('patch size', model.backbone.patch, e.backbone.patch, 'backbone.patch')
  each(new Set(needed), (name) => {
    const theirs = headOf(model, name)
    const ours = headOf(e, name)
    if (ours === null) return
    if (theirs === null)
      report.give(
        'DINO0228',
        at,
        { name, experiment: model.name },
        {
          label: `has ${Object.keys(model.head)
            .map((h) => `head.${h}`)
            .join(', ')}`,
          help: ['use the names of the teacher for the heads of the student'],
        },
      )
    else
      compare(
        `number of prototypes in head \`${name}\``,
        theirs.prototypes,
        ours.prototypes,
        `head.${name}.prototypes`,
      )
  })
}

/** DINO2005: the paper distils without stochastic depth. */
export const distilledDropPath: Rule = (context) => {
  const { teacher, backbone } = context.e
  if (teacher.type !== 'frozen' || backbone.dropPath.to === 0) return
  const blamed = blame(context, ['backbone.drop_path', 'teacher'])
  context.report.give(
    'DINO2005',
    blamed.at,
    { rate: String(backbone.dropPath.to) },
    {
      ...marks(blamed, (path) =>
        path === 'teacher' ? 'the teacher is frozen' : 'drop path comes from here',
      ),
      notes: [
        'the paper distils without stochastic depth (section 5), and so do the released configurations',
      ],
      help: ['write `backbone.drop_path = 0`'],
    },
  )
}

/** DINO2006: the paper distils without masks. */
export const distilledMasks: Rule = (context) => {
  const { teacher, masking } = context.e
  if (teacher.type !== 'frozen' || masking === null || !masking.apply || masking.probability === 0) return
  const blamed = blame(context, ['masking.apply', 'masking', 'teacher'])
  context.report.give(
    'DINO2006',
    blamed.at,
    {},
    {
      ...marks(blamed, (path) => (path === 'teacher' ? 'the teacher is frozen' : 'masking comes from here')),
      notes: [
        'the paper distils without masking (section 5); DINOv3 keeps masks only to select patches for iBOT',
      ],
      help: ['write `drop masking` and `loss.ibot.on = all_patches`, or `masking.apply = off`'],
    },
  )
}
