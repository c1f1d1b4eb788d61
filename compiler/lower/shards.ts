import type { ShardBuffer, Shards } from '../ir/types.js'
import type { Phase, ResolvedExperiment } from '../resolve/resolved.js'
import { type Network, type NetworkParameter, networkParameters } from './network.js'
import { optimizerGroup, trainedParameters } from './optimizer.js'
import { describeStep } from './step.js'

/**
 * Which tensors share a flat buffer when state is divided over ranks: those of one block that are updated alike in every
 * phase (learning-rate and decay multipliers, sub-module, last layer or not, frozen or not). Moments and averages are
 * divided as the student is, so that an update is element by element; a frozen teacher by its own blocks.
 */
export function shardsOf(experiment: ResolvedExperiment): Shards {
  const { ranks } = experiment.hardware
  const phases = experiment.schedule.phases
  const step = describeStep(experiment, phases[0] as Phase, 1)
  const trained = phases.map(
    (phase) => new Set(trainedParameters(step.student, phase, step.masksStudent).map((p) => p.path)),
  )
  const student = grouped(step.student, ranks, (p) => {
    const group = optimizerGroup(p, step.student.backbone, experiment.optimizer)
    return [Object.values(group), trained.map((names) => names.has(p.path))]
  })
  const alike = (rename: (name: string) => string) =>
    student.map(({ name, length, tensors }) => ({
      name: rename(name),
      length,
      tensors: tensors.map((t) => ({ ...t, name: rename(t.name) })),
    }))
  const average = ({ role }: Network) => alike((name) => name.replace(/^student/, role))
  return {
    ranks,
    buffers: [
      ...student,
      ...['m.', 'v.'].flatMap((moment) => alike((name) => moment + name)),
      ...(step.frozenTeacher ? grouped(step.teacher, ranks, () => null) : average(step.teacher)),
      ...(step.keep === null ? [] : average(step.keep)),
    ],
  }
}

/** `student.backbone.blocks.3/1`: the second buffer of that block. */
function grouped(network: Network, ranks: number, alike: (p: NetworkParameter) => unknown): ShardBuffer[] {
  const groups = new Map<string, { place: string; members: NetworkParameter[] }>()
  for (const p of networkParameters(network)) {
    const block = /^blocks\.\d+/.exec(p.name)?.[0]
    const place = `${network.role}.${p.part}${block === undefined ? '' : `.${block}`}`
    const key = JSON.stringify([place, alike(p)])
    const group = groups.get(key)
    if (group) group.members.push(p)
    else groups.set(key, { place, members: [p] })
  }
  const numbers = new Map<string, number>()
  return [...groups.values()].map(({ place, members }) => {
    const number = numbers.get(place) ?? 0
    numbers.set(place, number + 1)
    let end = 0
    const tensors = members.map(({ path, shape }) => {
      const start = end
      end += shape.reduce((n, d) => n * d, 1)
      return { name: path, shape, start }
    })
    return { name: `${place}/${number}`, length: Math.ceil(end / ranks), tensors }
  })
}
