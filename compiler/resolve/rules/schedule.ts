import { isPoisoned, unlessPoisoned } from '../poison.js'
import type { ResolvedExperiment, Schedule, Time } from '../resolved.js'
import { blame, each, labelsOf, marks, type Rule, type RuleContext } from './rule.js'
import { compareTimes, writeTime } from './times.js'

/** Every time of training in an experiment, by its path. */
function timesOf(e: ResolvedExperiment): { path: string; time: Time }[] {
  const found: { path: string; time: Time }[] = []
  const add = (path: string, time: () => Time | null | undefined) => {
    const value = unlessPoisoned(time)
    if (value !== null && value !== undefined) found.push({ path, time: value })
  }
  const course = (path: string, schedule: () => Schedule | null) =>
    unlessPoisoned(() => {
      for (const piece of schedule()?.pieces ?? []) add(path, () => piece.over)
    })
  unlessPoisoned(() => {
    for (const phase of e.schedule.phases) {
      const path = `schedule.${phase.name}`
      add(`${path}.length`, () => phase.length)
      course(`${path}.lr`, () => phase.lr)
      course(`${path}.weight_decay`, () => phase.weightDecay)
      course(`${path}.teacher_temp`, () => phase.teacherTemp)
      course(`${path}.momentum`, () => phase.momentum)
      course(`${path}.keep_momentum`, () => phase.keepMomentum)
    }
  })
  add('optimizer.freeze_last_layer', () => e.optimizer.freezeLastLayer)
  for (const name of Object.keys(e.eval)) {
    add(`eval.${name}.every`, () => e.eval[name]!.every)
    add(`eval.${name}.length`, () => e.eval[name]!.length as Time | undefined)
  }
  add('checkpoint.every', () => e.checkpoint.every)
  return found
}

/** DINO0513: `epochs` mean something only where the file says what an epoch is. */
export const epochMeaning: Rule = (context) => {
  if (context.e.schedule.epoch !== null) return
  const used = timesOf(context.e).filter((t) => t.time.unit === 'epoch' && context.origins.get(t.path)?.at)
  if (used.length === 0) return
  const blamed = blame(
    context,
    used.map((u) => u.path),
  )
  const { batch } = context.e.schedule
  context.report.giveOnce(
    `DINO0513 ${context.header.file}:${context.header.start}:${context.variant.name === 'full'}`,
    'DINO0513',
    blamed.at,
    {},
    {
      label: 'epochs of how many steps?',
      labels: labelsOf(blamed, () => 'epochs here too').slice(0, 3),
      notes: [
        'the reference code counts 1250 steps as an epoch, whatever the data',
        `others mean a pass over the training images: their number / ${batch}, rounded up`,
      ],
      help: [
        'write `schedule { epoch = 1250 steps }` or `schedule { epoch = 1 pass }`, or give the time in steps',
      ],
    },
  )
}

/** DINO0522: an epoch is not a number of epochs. */
export const epochUnit: Rule = (context) => {
  const { epoch } = context.e.schedule
  if (epoch?.unit !== 'epoch') return
  const { at } = blame(context, ['schedule.epoch'])
  context.report.give(
    'DINO0522',
    at,
    { unit: writeTime(epoch) },
    { help: ['write `1250 steps` or `1 pass`'] },
  )
}

interface Course {
  readonly path: string
  readonly schedule: Schedule
}

/** The schedules that a phase sets itself, not those that it inherits. */
function ownCourses(context: RuleContext, phase: ResolvedExperiment['schedule']['phases'][number]): Course[] {
  const found: Course[] = []
  for (const [name, read] of [
    ['lr', () => phase.lr],
    ['weight_decay', () => phase.weightDecay],
    ['teacher_temp', () => phase.teacherTemp],
    ['momentum', () => phase.momentum],
    ['keep_momentum', () => phase.keepMomentum],
  ] as const) {
    const schedule = unlessPoisoned(read)
    const path = `schedule.${phase.name}.${name}`
    if (
      schedule === undefined ||
      schedule === null ||
      schedule.compress !== undefined ||
      isPoisoned(schedule)
    )
      continue
    if (context.origins.get(path)?.at) found.push({ path, schedule })
  }
  return found
}

/** DINO0506: a warm-up ends before its phase does. DINO2010: a longer linear piece is cut. */
export const warmupLength: Rule = (context) => {
  const { e, report } = context
  each(e.schedule.phases, (phase) => {
    const length: Time = { value: phase.length.value, unit: phase.length.unit }
    for (const { path, schedule } of ownCourses(context, phase))
      for (const piece of schedule.pieces) {
        if (piece.over === null) continue
        const longer = compareTimes(piece.over, length, e)
        if (longer === null || longer <= 0) continue
        const lengthPath = `schedule.${phase.name}.length`
        const blamed = blame(context, [path, lengthPath])
        const texts = { over: writeTime(piece.over), length: writeTime(length) }
        const labels = labelsOf(blamed, (p) =>
          p === lengthPath ? `the phase lasts ${texts.length}` : `this lasts ${texts.over}`,
        )
        if (piece.kind === 'warmup')
          report.give(
            'DINO0506',
            blamed.at,
            { schedule: path, phase: phase.name, ...texts },
            {
              label:
                blamed.path === lengthPath ? `the phase lasts ${texts.length}` : `this lasts ${texts.over}`,
              labels,
              help: [`warm up over at most ${texts.length}, or lengthen the phase`],
            },
          )
        else report.give('DINO2010', blamed.at, { path, phase: phase.name, ...texts }, { labels })
      }
  })
}

/** DINO2010: a last layer that stays frozen for longer than the first phase. */
export const freezeLength: Rule = (context) => {
  const { e } = context
  const first = e.schedule.phases[0]
  if (first === undefined) return
  const longer = compareTimes(e.optimizer.freezeLastLayer, first.length, e)
  if (longer === null || longer <= 0 || !context.origins.get('optimizer.freeze_last_layer')?.at) return
  const lengthPath = `schedule.${first.name}.length`
  const blamed = blame(context, ['optimizer.freeze_last_layer', lengthPath])
  context.report.give(
    'DINO2010',
    blamed.at,
    {
      path: 'optimizer.freeze_last_layer',
      over: writeTime(e.optimizer.freezeLastLayer),
      phase: first.name,
      length: writeTime(first.length),
    },
    {
      ...marks(blamed, (p) =>
        p === lengthPath ? `the phase lasts ${writeTime(first.length)}` : 'frozen for this long',
      ),
      notes: ['the last layers then stay as they were drawn for the whole phase'],
    },
  )
}
