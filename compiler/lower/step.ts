import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError, type Span } from '../../diagnostics/diagnostic.js'
import type { Loss, Masking, Phase, ResolvedExperiment } from '../resolve/resolved.js'
import { maskedRowsBound } from './masking.js'
import { headOwner, type Network } from './network.js'
import type { MlpHead } from './parameters.js'
import { type CropShape, patchesOf } from './vit.js'

/**
 * What one step of a phase consists of, before a single operation is written: its networks, the shapes of its crops
 * and its losses with the heads they use.
 */
export interface StepShape {
  /** B: images of one run of `accumulate`. */
  readonly images: number
  readonly microSteps: number
  readonly ranks: number
  /** `semantics = global`: what a step computes is the same for every number of ranks. */
  readonly wholeBatch: boolean
  /** Equal parts of the images of one run of `accumulate` that draw masks and kept subsets each for itself. */
  readonly imageGroups: number
  readonly student: Network
  readonly teacher: Network
  /** The spare average of the student, and whether the teacher is the other one. */
  readonly keep: Network | null
  readonly frozenTeacher: boolean
  readonly global: CropShape
  readonly local: CropShape | null
  /** Crops an image. */
  readonly globalCrops: number
  readonly localCrops: number
  /** Where the student's crops have patches replaced: the reference masks them with or without an iBOT loss. */
  readonly masksStudent: boolean
  readonly masking: Masking | null
  /** Largest number of masked patches of a micro-batch; at least 1, so that no tensor is empty. */
  readonly maskedRows: number
  readonly objectives: readonly Objective[]
}

/** A loss with a weight above 0, and the heads of both networks that it compares. */
export interface ComparedObjective {
  readonly kind: 'dino' | 'ibot'
  readonly name: string
  readonly loss: Extract<Loss, { head: string }>
  readonly studentHead: string
  readonly teacherHead: string
  readonly prototypes: number
  /** Where the file says the loss. */
  readonly span: Span | null
}
export interface KoleoObjective {
  readonly kind: 'koleo'
  readonly name: string
  readonly loss: Extract<Loss, { type: 'koleo' }>
  /** Consecutive images that are neighbours of each other only. */
  readonly set: number
  /** Sets reach over the images of other ranks. */
  readonly overRanks: boolean
  readonly span: Span | null
}
export type Objective = ComparedObjective | KoleoObjective

export function describeStep(experiment: ResolvedExperiment, phase: Phase, images: number): StepShape {
  const { crops, backbone, masking } = experiment
  const channels = imageChannels(experiment)
  const teacherExperiment = teacherOf(experiment)
  const objectives = objectivesOf(experiment, teacherExperiment, images)
  const compared = objectives.filter((o) => o.kind !== 'koleo')
  const student: Network = {
    role: 'student',
    backbone,
    channels,
    heads: headsOf(
      experiment,
      compared.map((o) => o.studentHead),
    ),
  }
  const global = square('global', crops.global.count * images, phase.resolution)
  const { ranks, semantics, groups } = experiment.hardware
  const perRank = Math.max(1, Math.round(experiment.schedule.batch / ranks))
  const wholeBatch = semantics === 'global'
  const imageGroups = wholeBatch ? Math.max(1, Math.floor((groups ?? ranks) / ranks)) : 1
  return {
    images,
    microSteps: Math.max(1, Math.round(perRank / images)),
    ranks,
    wholeBatch,
    imageGroups,
    student,
    teacher: {
      role: 'teacher',
      backbone: teacherExperiment.backbone,
      channels,
      heads: headsOf(
        teacherExperiment,
        compared.map((o) => o.teacherHead),
      ),
    },
    keep: experiment.keep === null ? null : { ...student, role: 'keep' },
    frozenTeacher: experiment.teacher.type === 'frozen',
    global,
    local:
      crops.local.count === 0 ? null : square('local', crops.local.count * images, phase.localResolution),
    globalCrops: crops.global.count,
    localCrops: crops.local.count,
    masksStudent: masking?.apply === true,
    masking,
    maskedRows:
      masking === null
        ? 1
        : Math.max(
            1,
            imageGroups * maskedRowsBound(masking, global.count / imageGroups, patchesOf(global, backbone)),
          ),
    objectives,
  }
}

/** The experiment whose architecture the teacher has: this one, or the run that a frozen teacher comes from. */
export function teacherOf(experiment: ResolvedExperiment): ResolvedExperiment {
  const { teacher } = experiment
  if (teacher.type === 'ema') return experiment
  if (teacher.from.kind === 'run') return teacher.from.resolved
  throw new DiagnosticError([
    diagnose('DINO0802', spanOf(experiment, 'teacher.from'), {
      from: teacher.from.kind === 'file' ? teacher.from.path : teacher.from.repository,
    }),
  ])
}

/** Of the training images; curations give colour. */
export function imageChannels(experiment: ResolvedExperiment): number {
  const of = (reference: NonNullable<ResolvedExperiment['data']>['train']): number => {
    switch (reference.kind) {
      case 'source':
        return experiment.sources[reference.source]?.channels ?? 3
      case 'mix':
        return Math.max(...reference.parts.map((part) => of(part.of)))
      case 'curation':
        return 3
      default:
        return reference satisfies never
    }
  }
  return experiment.data === null ? 3 : of(experiment.data.train)
}

/** Where the file says the value at `path`, or anything inside it. */
export function spanOf(experiment: ResolvedExperiment, path: string): Span | null {
  const exact = experiment.provenance[path]?.at
  if (exact) return exact
  for (const [key, value] of Object.entries(experiment.provenance))
    if (value.at !== null && key.startsWith(`${path}.`)) return value.at
  return null
}

function objectivesOf(
  experiment: ResolvedExperiment,
  teacher: ResolvedExperiment,
  images: number,
): Objective[] {
  return Object.entries(experiment.loss)
    .filter(([, loss]) => loss.weight > 0)
    .map(([name, loss]) => {
      const span = spanOf(experiment, `loss.${name}`)
      if (loss.type === 'koleo')
        return { kind: loss.type, name, loss, ...koleoSets(experiment, name, loss, images), span }
      const studentHead = headOwner(experiment.head, loss.head)
      // A frozen teacher answers with its own head of that name (rules DINO0228 and DINO0516).
      const teacherHead = headOwner(teacher.head, loss.head)
      const { prototypes } = mlpHead(experiment, studentHead)
      if (prototypes !== mlpHead(teacher, teacherHead).prototypes)
        throw new Error(`loss ${name}: teacher and student have other numbers of prototypes`)
      return { kind: loss.type, name, loss, studentHead, teacherHead, prototypes, span }
    })
}

/** Sets of the whole batch lie within one pass over all ranks. */
function koleoSets(
  experiment: ResolvedExperiment,
  name: string,
  { scope }: KoleoObjective['loss'],
  images: number,
): Pick<KoleoObjective, 'set' | 'overRanks'> {
  const { ranks, semantics } = experiment.hardware
  const seen = images * ranks
  if (scope.type !== 'sets') {
    const overRanks = ranks > 1 && (scope.type === 'global' || semantics === 'global')
    return { set: overRanks ? seen : images, overRanks }
  }
  const set = scope.images
  if (images % set === 0) return { set, overRanks: false }
  if (seen % set === 0 && seen === experiment.schedule.batch) return { set, overRanks: true }
  throw new DiagnosticError([
    diagnose('DINO0804', spanOf(experiment, `loss.${name}.scope`), { set, images: seen }),
  ])
}

function mlpHead(experiment: ResolvedExperiment, name: string): MlpHead {
  const head = experiment.head[name]
  if (head?.type !== 'mlp') throw new Error(`${experiment.name} has no head ${name}`)
  return head
}

/** In the order in which the experiment names them. */
function headsOf(experiment: ResolvedExperiment, used: readonly string[]): Record<string, MlpHead> {
  const heads: Record<string, MlpHead> = {}
  for (const [name, head] of Object.entries(experiment.head))
    if (head.type === 'mlp' && used.includes(name)) heads[name] = head
  return heads
}

function square(group: string, count: number, px: number): CropShape {
  return { group, count, heightPx: px, widthPx: px }
}
