import type { ValueId } from '../ir/types.js'
import { batchCenter, centerName } from './centers.js'
import type { Entry } from './entry.js'
import { dinoGlobal, dinoLocal, ibot, koleo, type TargetStats, teacherTargets } from './losses.js'
import { f32 } from './network.js'
import type { Projections } from './projections.js'
import type { ComparedObjective, KoleoObjective, StepShape } from './step.js'
import { maskedRows, type Views } from './views.js'
import { patchesOf } from './vit.js'

/** What the teacher says about one loss: t [R, K]. */
export interface Target {
  readonly objective: ComparedObjective
  readonly t: ValueId
  /** With softmax centering: the mean [K] of this batch's teacher logits, towards which the center moves. */
  readonly batchCenter: ValueId | null
}

/** One number that enters the total, its weight applied: `dino_local`, `koleo`. */
export interface Term {
  readonly name: string
  readonly value: ValueId
}

export interface Health extends TargetStats {
  readonly name: string
  readonly overMasked: boolean
}

/** Teacher logits of each loss, centred and sharpened, or balanced by Sinkhorn-Knopp. */
export function lowerTargets(entry: Entry, step: StepShape, teacher: Views, project: Projections): Target[] {
  const { b } = entry
  const temp = entry.input('teacher_temp', f32(), { kind: 'schedule', name: 'teacher_temp' })
  return step.objectives
    .filter((objective) => objective.kind !== 'koleo')
    .map((objective) => {
      const { name, loss, prototypes } = objective
      b.span = objective.span
      const rows = loss.on === 'masked_patches' ? maskedRows(entry) : null
      const seen = loss.on === 'cls' ? teacher.cls : teacher.patches(loss.on)
      const z = project.logits(teacher, objective.teacherHead, seen, name)
      b.module = `loss.${name}`
      const centered = loss.centering.type === 'softmax'
      const center = centered ? entry.state(centerName(name), f32(prototypes)) : null
      const t = teacherTargets(b, z, temp, loss.centering, center, rows, step.ranks)
      project.handOut(`targets.${name}`, t)
      return { objective, t, batchCenter: centered ? batchCenter(b, z, rows) : null }
    })
}

export function lowerLosses(
  entry: Entry,
  step: StepShape,
  student: Views,
  targets: readonly Target[],
  project: Projections,
): { terms: Term[]; health: Health[] } {
  const terms: Term[] = []
  const health: Health[] = []
  for (const objective of step.objectives) {
    entry.b.span = objective.span
    if (objective.kind === 'koleo') {
      terms.push(lowerKoleo(entry, step, objective, student))
      continue
    }
    const target = targets.find((candidate) => candidate.objective === objective)
    if (target === undefined) throw new Error(`no targets for ${objective.name}`)
    const lower = objective.kind === 'dino' ? lowerDino : lowerIbot
    const lowered = lower(entry, step, target, student, project)
    terms.push(...lowered.terms)
    health.push({
      name: objective.name,
      overMasked: objective.loss.on === 'masked_patches',
      ...lowered.stats,
    })
  }
  return { terms, health }
}

interface Lowered {
  readonly terms: readonly Term[]
  readonly stats: TargetStats
}

/**
 * Global pairs G(G-1) = 2 and local pairs G*L: every pair's mean cross-entropy over B images counts the same. The
 * reference divides by 2 + max(2L, 1).
 */
function lowerDino(
  { b }: Entry,
  step: StepShape,
  { objective, t }: Target,
  student: Views,
  project: Projections,
): Lowered {
  const { name, loss, studentHead } = objective
  const { images, globalCrops } = step
  const pairs = globalCrops * (globalCrops - 1) + Math.max(globalCrops * step.localCrops, 1)
  const options = {
    studentTemp: loss.studentTemp,
    scale: loss.weight / (images * pairs),
    images,
    globalCrops,
  }
  const terms: Term[] = []
  if (student.localCls !== null) {
    const logits = project.logits(student, studentHead, student.localCls, `${name}_local`)
    b.module = `loss.${name}`
    terms.push({ name: `${name}_local`, value: dinoLocal(b, logits, t, options) })
  }
  const logits = project.logits(student, studentHead, student.cls, `${name}_global`)
  b.module = `loss.${name}`
  const { value, stats } = dinoGlobal(b, logits, t, options)
  terms.push({ name: `${name}_global`, value })
  return { terms, stats }
}

/** Each crop's mean over its patches, over *all* 2B global crops: those without a mask count as 0. */
function lowerIbot(
  entry: Entry,
  step: StepShape,
  { objective, t }: Target,
  student: Views,
  project: Projections,
): Lowered {
  const { b } = entry
  const { name, loss, studentHead } = objective
  const all = loss.on === 'all_patches'
  const logits = project.logits(
    student,
    studentHead,
    student.patches(all ? 'all_patches' : 'masked_patches'),
    name,
  )
  const weights = all ? null : entry.input('mask_weights', f32(step.maskedRows), { kind: 'mask_weights' })
  const perCrop = all ? patchesOf(step.global, student.network.backbone) : 1
  b.module = `loss.${name}`
  const { value, stats } = ibot(b, logits, t, weights, all ? null : maskedRows(entry), {
    studentTemp: loss.studentTemp,
    scale: loss.weight / (step.global.count * perCrop),
  })
  return { terms: [{ name, value }], stats }
}

/**
 * On the student's class tokens before any head; each crop's images are neighbours of each other only. Over ranks every
 * rank computes the same loss of all images, and the mean over ranks of its gradients is that of its own rows.
 */
function lowerKoleo(
  { b }: Entry,
  step: StepShape,
  { name, loss, set, overRanks }: KoleoObjective,
  student: Views,
): Term {
  b.module = `loss.${name}`
  const { images, ranks } = step
  const crop = (i: number) => b.one('slice_rows', [student.cls], { start: i * images, count: images })
  const count = loss.crops === 'first' ? 1 : step.globalCrops
  if (!overRanks) {
    const x = count === 1 ? crop(0) : student.cls
    return { name, value: koleo(b, x, set, loss.weight / images)[0] }
  }
  const width = b.type(student.cls).shape[1] as number
  const gathered = Array.from(
    { length: count },
    (_, i) => b.op('all_gather', [crop(i)], { ranks, shapes: [[ranks * images, width]] })[0] as ValueId,
  )
  const x = count === 1 ? (gathered[0] as ValueId) : b.one('concat_rows', gathered, {})
  return { name, value: koleo(b, x, set, loss.weight / (ranks * images))[0] }
}
