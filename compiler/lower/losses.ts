import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { ValueId } from '../ir/types.js'
import type { Entry } from './entry.js'
import { type Projector, projector, prototypes } from './heads.js'
import { f32, headPart, i32, type Network, type Weights } from './network.js'
import type { Objective, StepShape } from './step.js'
import { patchesOf } from './vit.js'

/**
 * Targets and losses as golden/README "Losses" has them. Crops are stacked crop by crop: row = crop * B + image, so
 * the teacher's reversal of its two crops is a pairing of rows and moves nothing.
 *
 * What a network hands on, all after its final norm.
 */
export interface Views {
  readonly network: Network
  readonly weights: Weights
  /** [2B, d] */
  readonly cls: ValueId
  /** [L*B, d]; the student's only. */
  readonly localCls: ValueId | null
  /** Rows of patches that iBOT compares: [bound, d] with `rows`, or all of them [2B*n, d]. */
  readonly patches: (on: 'masked_patches' | 'all_patches') => ValueId
}

type Compared = Exclude<Objective, { kind: 'koleo' }>

/** What the teacher says about one loss: t [R, K], whose rows sum to 1. */
export interface Target {
  readonly objective: Compared
  readonly t: ValueId
  /** How the center moves after the step: towards the mean [K] of this batch's teacher logits. */
  readonly batchCenter: ValueId | null
}

/** One number that enters the total, its weight applied: `dino_local`, `koleo`. */
export interface Term {
  readonly name: string
  readonly value: ValueId
}

/** What the monitors read of a loss's targets: their entropy, and the mean target of each prototype. */
export interface Health {
  readonly name: string
  readonly entropy: ValueId
  readonly usage: ValueId
}

/** KoLeo's eps: in the norm, in each coordinate of the difference, and in the logarithm. */
const koleoEps = 1e-8

/** Teacher logits of each loss, centred and sharpened, or balanced by Sinkhorn-Knopp. */
export function lowerTargets(entry: Entry, step: StepShape, teacher: Views, project: Projections): Target[] {
  const { b } = entry
  const temp = entry.input('teacher_temp', f32(), { kind: 'schedule', name: 'teacher_temp' })
  return step.objectives
    .filter((objective) => objective.kind !== 'koleo')
    .map((objective) => {
      const { on, centering } = objective.loss
      b.span = objective.span
      const rows = on === 'masked_patches' ? maskedRows(entry) : null
      const z = project.logits(
        teacher,
        objective.teacherHead,
        on === 'cls' ? teacher.cls : teacher.patches(on),
        objective.name,
      )
      b.module = `loss.${objective.name}`
      if (centering.type === 'sinkhorn') {
        const [u, v] = b.op('sinkhorn', [z, temp, rows], { iterations: centering.iterations })
        return { objective, t: b.one('make_targets', [z, u, v, temp], {}), batchCenter: null }
      }
      const center = entry.state(centerName(objective.name), f32(objective.prototypes))
      const [u, v] = b.op('sharpen_center', [z, center, temp], {})
      const [t] = b.op('make_targets', [z, u, v, temp], {})
      const [batchCenter] = b.op('mean_rows', [z, rows], {})
      return { objective, t, batchCenter }
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
      terms.push({ name: objective.name, value: koleo(entry, step, objective, student.cls) })
      continue
    }
    const target = targets.find((candidate) => candidate.objective === objective)
    if (target === undefined) throw new Error(`no targets for ${objective.name}`)
    const lowered =
      objective.kind === 'dino'
        ? dino(entry, step, target, student, project)
        : ibot(entry, step, target, student, project)
    terms.push(...lowered.terms)
    health.push(lowered.health)
  }
  return { terms, health }
}

/**
 * Global pairs G(G-1) = 2 and local pairs G*L: every pair's mean cross-entropy over B images counts the same. The
 * reference divides by 2 + max(2L, 1).
 */
function dino(entry: Entry, step: StepShape, target: Target, student: Views, project: Projections) {
  const { b } = entry
  const { name, loss, studentHead } = target.objective
  const { images, globalCrops: crops } = step
  const pairs = crops * (crops - 1) + Math.max(crops * step.localCrops, 1)
  const attrs = { studentTemp: loss.studentTemp, scale: loss.weight / (images * pairs) }
  const terms: Term[] = []
  if (student.localCls !== null) {
    const logits = project.logits(student, studentHead, student.localCls, `${name}_local`)
    b.module = `loss.${name}`
    const [local] = b.op('cross_entropy_rows', [logits, target.t, null, null], {
      ...attrs,
      pairing: { kind: 'each', images, crops },
      stats: false,
    })
    terms.push({ name: `${name}_local`, value: local })
  }
  const logits = project.logits(student, studentHead, student.cls, `${name}_global`)
  b.module = `loss.${name}`
  const [global, , entropy, usage] = b.op('cross_entropy_rows', [logits, target.t, null, null], {
    ...attrs,
    pairing: { kind: 'swap', images },
    stats: true,
  })
  terms.push({ name: `${name}_global`, value: global })
  return { terms, health: healthOf(name, entropy, usage) }
}

/** Each crop's mean over its patches, over *all* 2B global crops: those without a mask count as 0. */
function ibot(entry: Entry, step: StepShape, target: Target, student: Views, project: Projections) {
  const { b } = entry
  const { name, loss, studentHead } = target.objective
  const on = loss.on === 'all_patches' ? 'all_patches' : 'masked_patches'
  const crops = step.global.count
  const logits = project.logits(student, studentHead, student.patches(on), name)
  const weights =
    on === 'all_patches' ? null : entry.input('mask_weights', f32(step.maskedRows), { kind: 'mask_weights' })
  b.module = `loss.${name}`
  const [value, , entropy, usage] = b.op(
    'cross_entropy_rows',
    [logits, target.t, weights, on === 'all_patches' ? null : maskedRows(entry)],
    {
      pairing: { kind: 'same' },
      studentTemp: loss.studentTemp,
      scale:
        loss.weight /
        (on === 'all_patches' ? crops * patchesOf(step.global, student.network.backbone) : crops),
      stats: true,
    },
  )
  return { terms: [{ name, value }], health: healthOf(name, entropy, usage) }
}

function healthOf(name: string, entropy: ValueId | undefined, usage: ValueId | undefined): Health {
  if (entropy === undefined || usage === undefined) throw new Error(`${name} has no stats`)
  return { name, entropy, usage }
}

/** On the student's class tokens before any head; each crop's images are neighbours of each other only. */
function koleo(
  entry: Entry,
  step: StepShape,
  objective: Extract<Objective, { kind: 'koleo' }>,
  cls: ValueId,
): ValueId {
  const { b } = entry
  const { loss, name } = objective
  b.module = `loss.${name}`
  const x = loss.crops === 'first' ? b.one('slice_rows', [cls], { start: 0, count: step.images }) : cls
  const set = loss.scope.type === 'sets' ? loss.scope.images : step.images
  if (step.images % set !== 0)
    throw new DiagnosticError([diagnose('DINO0804', objective.span, { set, images: step.images })])
  return b.one('koleo', [x], { set, eps: koleoEps, scale: loss.weight / step.images })
}

export const centerName = (loss: string): string => `center.${loss}`

/** How many rows of the masked-patch tensors are real in this micro-batch. */
export function maskedRows(entry: Entry): ValueId {
  return entry.input('masked_rows', i32(), { kind: 'row_count' })
}

/** Calls of heads, one function for each head and one table of prototypes for each network's head. */
export interface Projections {
  /** Rows [R, d] -> [R, K]; `name`: of the output, where logits are handed out. */
  logits(views: Views, head: string, rows: ValueId, name: string): ValueId
}

export function openProjections(entry: Entry, handOut: boolean): Projections {
  const { b } = entry
  const projectors = new Map<string, Projector>()
  const tables = new Map<string, ValueId>()
  return {
    logits(views, head, rows, name) {
      const { network, weights } = views
      const part = headPart(head)
      const shape = network.heads[head]
      if (shape === undefined) throw new Error(`${network.role} has no head ${head}`)
      const key = `${network.role}.${part}`
      b.module = key
      let called = projectors.get(key)
      if (called === undefined) {
        called = projector(`${key}.projector`, shape, b.type(rows))
        projectors.set(key, called)
        entry.functions[called.func.name] = called.func
      }
      const bottleneck = b.one('call', [rows, ...called.weights.map((w) => weights(`${part}.${w}`))], {
        callee: called.func.name,
        data: 1,
      })
      b.module = `${key}.last_layer`
      let table = tables.get(key)
      if (table === undefined) {
        table = prototypes(b, head, weights)
        tables.set(key, table)
      }
      const z = b.one('linear', [bottleneck, table], { activation: 'none' })
      if (handOut) entry.sink('output', `logits.${network.role}.${name}`, z)
      return z
    },
  }
}
