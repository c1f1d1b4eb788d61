import type { Span } from '../../diagnostics/diagnostic.js'
import { didYouMean } from '../../diagnostics/nearest.js'
import { type BuildScope, buildFields, placeOf } from './build.js'
import { derived, POISON, type Poison, whole } from './poison.js'
import type { Schedule, Time } from './resolved.js'
import type { Node } from './tree.js'

/** What phases take from the rest of the experiment. */
export interface PhaseDefaults {
  readonly resolution: number | Poison
  readonly localResolution: number | Poison
  /** Null for a frozen teacher. */
  readonly momentum: Schedule | Poison | null
  readonly keepMomentum: Schedule | Poison | null
  /** True where a phase that others would inherit from was lost to a fault. */
  readonly earlierLost: boolean
}

type Inherited = {
  readonly schedule: Schedule | Poison | null
  readonly length: Time | Poison
  readonly path: string
}

const constant = (value: number): Schedule => ({ pieces: [{ kind: 'constant', value, over: null }] })
const firstWeightDecay: Schedule = { pieces: [{ kind: 'cosine', from: 0.04, to: 0.2, over: null }] }
const firstTeacherTemp = constant(0.07)

/** The phases in the order they run, each with every schedule: its own, or an earlier phase's to be compressed. */
export function buildPhases(schedule: Node, defaults: PhaseDefaults, scope: BuildScope): unknown[] {
  const nodes = inOrder(
    [...schedule.children.values()].filter((c) => c.kind.kind === 'phase'),
    scope,
  )
  const phases: Record<string, unknown>[] = []
  const courses: Record<string, Inherited> = {}
  let localResolution: unknown = defaults.localResolution
  for (const [i, node] of nodes.entries()) {
    const fields = buildFields(node, scope)
    const length = fields.length as Time | Poison
    const take = (name: string, first: Schedule | Poison | null | 'needed'): unknown => {
      const path = `${node.path}.${name}`
      const own = fields[name] as Schedule | Poison | null | undefined
      if (own !== undefined && own !== null) {
        courses[name] = { schedule: own, length, path }
        return own
      }
      const before = courses[name]
      if (before === undefined) {
        if (first !== 'needed') {
          courses[name] = { schedule: first, length, path }
          return first
        }
        const silenced =
          node.silenced.has(name) || node.incomplete || node.block === null || defaults.earlierLost
        const dropped = node.dropped.get(name)?.at ?? null
        const at = dropped ?? placeOf(node) ?? scope.header
        if (silenced) scope.report.errors++
        else
          scope.report.giveOnce(
            `DINO0310 ${path} ${at?.file}:${at?.start}`,
            'DINO0310',
            at,
            { field: name, block: `\`phase ${node.name}\`` },
            {
              label: dropped === null ? `\`${name}\` is missing` : 'dropped here, and there is no default',
              notes: ['only phases after the first inherit a schedule'],
              help: [`write \`${name} = warmup(0 -> 1e-3 over 10 epochs) |> cosine(to: 1e-6)\``],
            },
          )
        courses[name] = { schedule: POISON, length, path }
        return POISON
      }
      const origin = scope.origins.get(before.path)
      if (origin !== undefined) scope.origins.set(path, origin)
      return compressed(before, length)
    }
    const lr = take('lr', 'needed')
    const weightDecay = take('weight_decay', firstWeightDecay)
    const teacherTemp = take('teacher_temp', firstTeacherTemp)
    const momentum = takeMomentum(node, fields, defaults, courses, length, scope, take)
    const keepMomentum = takeKeep(node, defaults, courses, length, scope)
    localResolution = fields.local_resolution ?? localResolution
    phases.push({
      name: node.name,
      length,
      resolution: fields.resolution ?? defaults.resolution,
      localResolution,
      lr,
      weightDecay,
      teacherTemp,
      momentum,
      keepMomentum,
      optimizerState: fields.optimizer_state ?? (i === 0 ? 'keep' : 'reset'),
      freeze: fields.freeze,
    })
  }
  return phases
}

function takeMomentum(
  node: Node,
  fields: Record<string, unknown>,
  defaults: PhaseDefaults,
  courses: Record<string, Inherited>,
  length: Time | Poison,
  scope: BuildScope,
  take: (name: string, first: Schedule | Poison | null) => unknown,
): unknown {
  if (defaults.momentum === null) return null
  const first = courses.momentum === undefined
  const own = fields.momentum !== undefined && fields.momentum !== null
  const value = take('momentum', defaults.momentum)
  if (first && !own) {
    courses.momentum = { schedule: defaults.momentum, length, path: 'teacher.momentum' }
    const origin = scope.origins.get('teacher.momentum')
    if (origin !== undefined) scope.origins.set(`${node.path}.momentum`, origin)
  }
  return value
}

function takeKeep(
  node: Node,
  defaults: PhaseDefaults,
  courses: Record<string, Inherited>,
  length: Time | Poison,
  scope: BuildScope,
): unknown {
  if (defaults.keepMomentum === null) return null
  const before = courses.keepMomentum
  const origin = scope.origins.get('keep.momentum')
  if (origin !== undefined) scope.origins.set(`${node.path}.keep_momentum`, origin)
  if (before !== undefined) return compressed(before, length)
  courses.keepMomentum = { schedule: defaults.keepMomentum, length, path: 'keep.momentum' }
  return defaults.keepMomentum
}

/** An earlier schedule for a phase of another length. */
function compressed(before: Inherited, to: Time | Poison): unknown {
  return derived(() => {
    const schedule = whole(before.schedule)
    if (schedule === null) return null
    const from = whole(before.length)
    const length = whole(to)
    if (from.value === length.value && from.unit === length.unit) return schedule
    return { ...schedule, compress: { from, to: length } }
  })
}

/** Written order; a phase with `after` stands behind the one it names. */
function inOrder(nodes: readonly Node[], scope: BuildScope): Node[] {
  const placed = nodes.filter((n) => !n.settings.has('after'))
  let waiting = nodes.filter((n) => n.settings.has('after'))
  const target = (node: Node): { name: string; at: Span } | null => {
    const entry = node.settings.get('after')!
    return entry.value.kind === 'path' ? { name: entry.value.names.at(-1)!.text, at: entry.at } : null
  }
  while (waiting.length > 0) {
    const ready = waiting.find((n) => placed.some((p) => p.name === target(n)?.name))
    if (ready === undefined) break
    let at = placed.findIndex((p) => p.name === target(ready)!.name) + 1
    while (
      at < placed.length &&
      placed[at]!.settings.has('after') &&
      target(placed[at]!)?.name === target(ready)!.name
    )
      at++
    placed.splice(at, 0, ready)
    waiting = waiting.filter((n) => n !== ready)
  }
  for (const node of waiting) {
    const to = target(node)
    if (to === null) continue
    const known = nodes.map((n) => n.name!)
    if (!known.includes(to.name))
      scope.report.give(
        'DINO0218',
        to.at,
        { name: to.name },
        {
          label: 'unknown',
          help: didYouMean(
            to.name,
            known.filter((n) => n !== node.name),
          ),
        },
      )
  }
  const circling = waiting.filter((n) => nodes.some((o) => o.name === target(n)?.name && waiting.includes(o)))
  if (circling.length > 0) {
    const cycle = [circling[0]!.name!]
    for (let next = target(circling[0]!)!.name; ; ) {
      cycle.push(next)
      if (cycle.indexOf(next) < cycle.length - 1) break
      next = target(nodes.find((n) => n.name === next)!)?.name ?? next
    }
    scope.report.give(
      'DINO0229',
      target(circling[0]!)!.at,
      { cycle: cycle.slice(cycle.indexOf(cycle.at(-1)!)) },
      {
        label: 'closes a circle',
      },
    )
  }
  return [...placed, ...waiting]
}
