import type { Initializer, StateTensor } from '../ir/types.js'
import type { ModelReference, ResolvedExperiment } from '../resolve/resolved.js'
import { centerName } from './centers.js'
import { f32, type NetworkParameter, networkParameters, networkState } from './network.js'
import { momentState, optimizerGroup } from './optimizer.js'
import type { StepShape } from './step.js'

/**
 * Every tensor that outlives a step, with its initial value: the student, its moments, the teacher (a copy of the
 * student, or what a frozen one was trained to), the spare average, and a center for each loss that has one.
 */
export function stepState(experiment: ResolvedExperiment, step: StepShape): StateTensor[] {
  const { teacher, optimizer } = experiment
  const parameters = networkParameters(step.student)
  const student = networkState(step.student, (p) => studentInit(experiment, p)).map((tensor, i) => ({
    ...tensor,
    optimizer: optimizerGroup(parameters[i] as NetworkParameter, step.student.backbone, optimizer),
  }))
  const copied = (p: NetworkParameter): Initializer => ({ kind: 'copy', of: `student.${p.part}.${p.name}` })
  return [
    ...student,
    ...momentState(step.student),
    ...networkState(step.teacher, (p) =>
      teacher.type === 'frozen' ? artefact(teacher.from, `teacher.${p.part}.${p.name}`) : copied(p),
    ),
    ...(step.keep === null ? [] : networkState(step.keep, copied)),
    ...step.objectives.flatMap((objective): StateTensor[] =>
      objective.kind === 'koleo' || objective.loss.centering.type === 'sinkhorn'
        ? []
        : [
            {
              name: centerName(objective.name),
              type: f32(objective.prototypes),
              storedShape: [1, objective.prototypes],
              role: 'center',
              init: { kind: 'zeros' },
            },
          ],
    ),
  ]
}

/** `init { from, parts }` takes the parts it names from elsewhere; the rest starts as the reference's does. */
function studentInit(experiment: ResolvedExperiment, p: NetworkParameter): Initializer {
  const { init } = experiment.backbone
  const path = `${p.part.replace(/^(.*)_head$/, 'head.$1')}.${p.name}`
  const taken = init?.parts.some((part) => path === part || path.startsWith(`${part}.`))
  return init && taken ? artefact(init.from, `teacher.${p.part}.${p.name}`) : p.init(p.path)
}

/** A run's outcome is its teacher average; a released file names bare backbone tensors. */
function artefact(from: ModelReference, tensor: string): Initializer {
  const bare = tensor.replace(/^teacher\.(backbone\.)?/, '')
  switch (from.kind) {
    case 'run':
      return { kind: 'artefact', path: `run(${from.experiment}.${from.variant})`, tensor, hash: null }
    case 'file':
      return { kind: 'artefact', path: from.path, tensor: bare, hash: null }
    case 'hub':
      return { kind: 'artefact', path: `hf://${from.repository}`, tensor: bare, hash: null }
    default:
      return from satisfies never
  }
}
