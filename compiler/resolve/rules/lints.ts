import { trim, writeQuantity } from '../dyn.js'
import { rankDependentTerms } from '../identity.js'
import { unlessPoisoned } from '../poison.js'
import type { ResolvedExperiment } from '../resolved.js'
import { countsHere } from './losses.js'
import { blame, eachNamed, marks, type Rule, written } from './rule.js'

interface Idle {
  readonly path: string
  readonly why: string
  /** What makes it idle: where that was said later than the setting, the setting is merely overridden. */
  readonly cause: string | null
}

/** Settings that change nothing, each with the reason. */
function idleSettings(e: ResolvedExperiment): Idle[] {
  const found: Idle[] = []
  const when = (test: () => boolean, paths: readonly string[], why: string, cause: string | null) => {
    if (unlessPoisoned(test) === true) for (const path of paths) found.push({ path, why, cause })
  }
  const phases = unlessPoisoned(() => e.schedule.phases) ?? []
  const [first] = phases
  const targets = () => Object.values(e.loss).some((loss) => loss.type !== 'koleo')
  const local = [
    'crops.local.size',
    'crops.local.scale',
    ...phases.map((p) => `schedule.${p.name}.local_resolution`),
  ]
  when(() => e.crops.local.count === 0, local, 'there are no local crops', 'crops.local.count')
  when(
    () => e.hardware.semantics === 'per_rank',
    ['hardware.groups'],
    'groups belong to `semantics = global`',
    'hardware.semantics',
  )
  when(
    () => e.hardware.ranks === 1 && e.hardware.shard === 'fsdp',
    ['hardware.shard'],
    'there is one rank',
    'hardware.ranks',
  )
  if (first !== undefined)
    when(
      () => true,
      [`schedule.${first.name}.optimizer_state`],
      'the first phase has no state to take over',
      null,
    )
  when(
    () => e.teacher.type === 'frozen',
    phases.map((p) => `schedule.${p.name}.momentum`),
    'the teacher is frozen',
    'teacher',
  )
  when(
    () => !targets(),
    phases.map((p) => `schedule.${p.name}.teacher_temp`),
    'no loss has targets',
    null,
  )
  when(
    () => e.masking !== null && !e.masking.apply && !Object.values(e.loss).some((l) => l.type === 'ibot'),
    ['masking'],
    'masks are not applied and no loss is on patches',
    'masking.apply',
  )
  const blurred = ['first_global', 'second_global', 'local'].map((view) => `augment.blur.${view}`)
  when(
    () => e.augment.blur.probability.every((p) => p === 0),
    ['augment.blur.kernel', 'augment.blur.sigma'],
    'no crop is blurred',
    blurred[1]!,
  )
  when(
    () => e.augment.solarize.probability.every((p) => p === 0),
    ['augment.solarize.threshold'],
    'no crop is solarized',
    'augment.solarize.second_global',
  )
  when(
    () => e.augment.jitter.probability === 0,
    ['brightness', 'contrast', 'saturation', 'hue'].map((f) => `augment.jitter.${f}`),
    'no crop is jittered',
    'augment.jitter.probability',
  )
  when(
    () => e.schedule.microBatch === e.schedule.batch / e.hardware.ranks,
    ['schedule.micro_batch'],
    'a rank has no more images than that',
    'schedule.batch',
  )
  for (const [name, loss] of Object.entries(e.loss))
    when(
      () => loss.weight === 0,
      ['student_temp', 'centering', 'crops', 'scope'].map((f) => `loss.${name}.${f}`),
      'the weight of the loss is 0',
      `loss.${name}.weight`,
    )
  return found
}

/** DINO2001: nothing that somebody wrote is silently ignored. */
export const withoutEffect: Rule = (context) => {
  const layer = (path: string) => context.origins.get(path)?.layer?.index ?? -1
  for (const { path, why, cause } of idleSettings(context.e)) {
    if (!written(context, path) || !countsHere(context, path)) continue
    if (cause !== null && layer(cause) > layer(path)) continue
    const blamed = blame(context, [path])
    context.report.give('DINO2001', blamed.at, { path, why }, { label: 'no effect' })
  }
}

/** DINO2001: `teacher.momentum` where the first phase has its own. */
export const shadowedMomentum: Rule = (context) => {
  const { e } = context
  const [first] = e.schedule.phases
  if (first === undefined || e.teacher.type !== 'ema') return
  const own = `schedule.${first.name}.momentum`
  const [teacher, phase] = [context.origins.get('teacher.momentum'), context.origins.get(own)]
  if (!teacher?.at || !phase?.at || phase === teacher || !countsHere(context, 'teacher.momentum')) return
  if (phase.at.file === teacher.at.file && phase.at.start === teacher.at.start) return
  context.report.give(
    'DINO2001',
    teacher.at,
    { path: 'teacher.momentum', why: `phase \`${first.name}\` has its own` },
    {
      label: 'no effect',
      labels: [{ span: phase.at, message: 'this one counts' }],
    },
  )
}

/** DINO2003: constants of the published runs with a batch far below theirs. */
export const smallBatch: Rule = (context) => {
  const { e } = context
  const { batch } = e.schedule
  const [first] = e.schedule.phases
  if (batch > 512 || first === undefined || e.teacher.type !== 'ema' || first.momentum === null) return
  const piece = first.momentum.pieces[0]!
  const start = piece.kind === 'constant' ? piece.value : piece.from
  if (start < 0.99) return
  const peak = Math.max(
    ...first.lr.pieces.map((p) => (p.kind === 'constant' ? p.value : Math.max(p.from, p.to))),
  )
  const blamed = blame(context, ['schedule.batch', `schedule.${first.name}.momentum`])
  context.report.give(
    'DINO2003',
    blamed.at,
    { batch, what: `momentum ${trim(start)}` },
    {
      ...marks(blamed, (path) =>
        path === 'schedule.batch' ? `batch ${batch}` : `momentum starts at ${trim(start)}`,
      ),
      notes: [
        `the published runs take 125,000 to 625,000 steps of 2048 to 3072 images; here lr peaks at ${trim(peak)}`,
        'with small batches and short runs the teacher hardly moves, and losses stay flat',
      ],
      help: [
        'extend `vit_nano`, whose constants are for small batches, or lower momentum, for example `cosine(0.9 -> 1.0)`',
      ],
    },
  )
}

/** DINO2004: what another number of ranks would change. */
export const rankTerms: Rule = (context) => {
  const { e } = context
  const terms = rankDependentTerms(e)
  if (terms.length === 0) return
  const blamed = blame(context, ['hardware.ranks', 'hardware.nodes', 'hardware.gpus'])
  context.report.give(
    'DINO2004',
    blamed.at,
    { terms: terms.map((t) => t.term), ranks: e.hardware.ranks },
    {
      notes: [
        ...terms.map((t) => `${t.term}: ${t.sees}`),
        `another number of ranks is another training, also with the same batch of ${writeQuantity(e.schedule.batch, 'img')}`,
      ],
      help: ['`hardware { semantics = global }` makes them the same for any number of ranks'],
    },
  )
}

/** DINO2013: KoLeo's scope under global semantics. */
export const globalKoleo: Rule = (context) => {
  const { e } = context
  if (e.hardware.semantics !== 'global') return
  eachNamed(e.loss, (name, loss) => {
    if (loss.type !== 'koleo' || loss.scope.type !== 'rank') return
    const blamed = blame(context, ['hardware.semantics', `loss.${name}.scope`])
    context.report.give(
      'DINO2013',
      blamed.at,
      {},
      { help: [`write \`loss.${name}.scope = global\` or \`sets(16 img)\` to say so`] },
    )
  })
}

/** DINO2014: the reference's nominal chances of blur, written where effective ones are meant. */
export const nominalBlur: Rule = (context) => {
  const { probability } = context.e.augment.blur
  const paths = ['first_global', 'second_global', 'local'].map((view) => `augment.blur.${view}`)
  const own = paths.filter((path) => {
    const origin = context.origins.get(path)
    return origin?.at && origin.at !== context.origins.get('augment.preset')?.at
  })
  if (own.length < 2 || probability[0] !== 1 || probability[1] !== 0.1 || probability[2] !== 0.5) return
  const blamed = blame(context, own)
  context.report.give(
    'DINO2014',
    blamed.at,
    { first: '100%', second: '10%', local: '50%' },
    {
      notes: [
        'the code hands 1 - p to a transform that takes p: its first global crop is never blurred, its second in 90 %',
        'the released weights were trained that way',
      ],
      help: ['write `augment { preset = released }` for 0%, 90%, 50%, or `preset = byol` if these are meant'],
    },
  )
}
