import { availableParallelism } from 'node:os'
import type { RunSpec } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device, Transport } from '../devices/device.js'
import { type DeviceOptions, openDevice } from '../devices/registry.js'
import { openRanks } from './ranked-device.js'
import { openAsyncGroup } from './transport.js'

/** How many ranks each device that has them runs at most, and how they meet. */
const groups: Readonly<Record<string, { most: number; open: () => Promise<OpenGroup> }>> = {
  native: { most: 64, open: async () => (await import('../devices/native/native.js')).openNativeGroup },
  interpret: { most: Number.POSITIVE_INFINITY, open: async () => openAsyncGroup },
}
type OpenGroup = (ranks: number) => readonly Transport[]

/**
 * The device of a run: as it is for one rank; for several, one of it a rank, between which threads are divided. DINO0908
 * where the device does not run as many.
 */
export async function openForRun(
  name: string,
  options: DeviceOptions,
  { ranks, shards }: Pick<RunSpec, 'ranks' | 'shards'>,
): Promise<Device> {
  if (ranks === 1) return openDevice(name, options)
  const { most, open } = groups[name] ?? { most: 1, open: null }
  if (open === null || ranks > most) {
    const others = Object.keys(groups).filter((other) => (groups[other]?.most ?? 1) >= ranks)
    const help = [
      `run on a device that has ${most === 1 ? '' : 'as many '}ranks: ${others.join(' or ')}`,
      most === 1 ? 'set hardware.ranks = 1' : `set hardware.ranks to ${most} or less`,
    ]
    throw new DiagnosticError([diagnose('DINO0908', null, { ranks, most }, { help })])
  }
  const openGroup = await open()
  const threads = options.threads ?? availableParallelism()
  const each = { threads: Math.max(1, Math.floor(threads / ranks)) }
  const opened: Device[] = []
  try {
    const whole = await openDevice(name, options)
    opened.push(whole)
    while (opened.length <= ranks) opened.push(await openDevice(name, each))
    return openRanks({ devices: opened.slice(1), openGroup: () => openGroup(ranks), whole, shards })
  } catch (error) {
    for (const device of opened) await device.close()
    throw error
  }
}
