import { collectiveKinds } from '../../compiler/ir/ops.js'
import type { Shards } from '../../compiler/ir/types.js'
import type { Plan, StateSpec } from '../../compiler/plan/plan.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device, Executable, PartedState, State, Transport } from '../devices/device.js'
import { joinStates, rankSpec } from './sharded-state.js'
import { RankLeft } from './transport.js'

export interface RankedOptions {
  /** One a rank. */
  readonly devices: readonly Device[]
  /** Their ends of a new group: each plan that is loaded has its own. */
  readonly openGroup: () => readonly Transport[]
  /** Runs plans of one rank (features): whoever asks waits for nobody else, so it may have all threads. */
  readonly whole: Device
  readonly shards: Shards | null
}

/**
 * Several ranks as one device: training loop, checkpoints and evaluations run on it as on any other. A plan with
 * collectives runs on every rank at once; any other one on a device of its own, over tensors joined from their parts
 * when it is loaded.
 */
export function openRanks({ devices, openGroup, whole, shards }: RankedOptions): Device {
  const [first] = devices as readonly [Device, ...Device[]]
  return {
    name: first.name,
    targetClass: first.targetClass,
    capabilities: () => {
      const { memoryBytes, ...own } = first.capabilities()
      const description = `${devices.length} ranks, each ${own.description}`
      // Sums over ranks have other last bits than sums of one.
      const isa = `${own.isa ?? first.name}, ${devices.length} ranks`
      return {
        ...own,
        isa,
        description,
        memoryBytes: memoryBytes && Math.floor(memoryBytes / devices.length),
      }
    },
    state: async (spec) => {
      const each = rankSpec(spec, shards)
      const states: PartedState[] = []
      // The devices that open.ts opens for ranks hold such.
      for (const device of devices) states.push((await device.state(each)) as PartedState)
      return { ...joinStates(spec, states, shards), spec, ranks: states } as RankedState
    },
    load: async (plan, state) => {
      if (!exchanges(plan)) return loadWhole(whole, plan, state as RankedState)
      const group = openGroup()
      const executables: Executable[] = []
      try {
        for (const [rank, device] of devices.entries())
          executables.push(await device.load(plan, (state as RankedState).ranks[rank] as State, group[rank]))
      } catch (error) {
        for (const executable of executables) await executable.close()
        throw error
      }
      return joinExecutables(executables)
    },
    close: async () => {
      for (const device of [...devices, whole]) await device.close()
    },
  }
}

interface RankedState extends State {
  readonly spec: StateSpec
  readonly ranks: readonly State[]
}

const exchanges = ({ target }: Plan): boolean =>
  Object.keys(collectiveKinds).some((kind) => target.requires.includes(`op:${kind}`))

/** On copies of what the plan reads, as it is now. */
async function loadWhole(device: Device, plan: Plan, state: RankedState): Promise<Executable> {
  const read = new Set(plan.state.map(({ name }) => name))
  const own = await device.state({ tensors: state.spec.tensors.filter(({ name }) => read.has(name)) })
  for (const name of own.names) await own.write(name, await state.read(name))
  const executable = await device.load(plan, own)
  return {
    ...executable,
    close: async () => {
      await executable.close()
      await own.close()
    },
  }
}

const wasLeft = (reason: unknown): boolean =>
  reason instanceof RankLeft ||
  (reason instanceof DiagnosticError && reason.diagnostics.some(({ code }) => code === 'DINO0907'))

function joinExecutables(ranks: readonly Executable[]): Executable {
  const [first] = ranks as readonly [Executable, ...Executable[]]
  return {
    writeInputs: (inputs, rank = 0) => (ranks[rank] as Executable).writeInputs(inputs),
    run: async (program) => {
      const ends = await Promise.allSettled(ranks.map((rank) => rank.run(program)))
      const faults = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
      // Of those that stopped, the one that was not left waiting says why.
      const fault = faults.find((reason) => !wasLeft(reason)) ?? faults[0]
      if (fault !== undefined) throw fault
    },
    // The mean over ranks is a step of the plan.
    metrics: () => first.metrics(),
    output: (name) => first.output(name),
    ...(first.profile && { profile: () => (first.profile as NonNullable<Executable['profile']>)() }),
    ...(first.collectiveBytes && {
      collectiveBytes: () => (first.collectiveBytes as NonNullable<Executable['collectiveBytes']>)(),
    }),
    close: async () => {
      for (const rank of ranks) await rank.close()
    },
  }
}
