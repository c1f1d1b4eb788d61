import { availableParallelism } from 'node:os'
import type { RunSpec } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device, Transport } from '../devices/device.js'
import { type DeviceOptions, openDevice } from '../devices/registry.js'
import { openRanks } from './ranked-device.js'
import { openAsyncGroup } from './transport.js'

/** How ranks on each device that has them meet. */
const groups: Readonly<Record<string, () => Promise<(ranks: number) => readonly Transport[]>>> = {
  native: async () => (await import('../devices/native/native.js')).openNativeGroup,
  interpret: async () => openAsyncGroup,
}

/**
 * The device of a run: as it is for one rank; for several, one of it a rank, between which threads are divided. DINO0908
 * where the device runs one rank only.
 */
export async function openForRun(
  name: string,
  options: DeviceOptions,
  { ranks, shards }: Pick<RunSpec, 'ranks' | 'shards'>,
): Promise<Device> {
  if (ranks === 1) return openDevice(name, options)
  const group = groups[name]
  if (group === undefined)
    throw new DiagnosticError([
      diagnose(
        'DINO0908',
        null,
        { ranks },
        {
          help: [
            `run on a device that has ranks: ${Object.keys(groups).join(' or ')}`,
            'set hardware.ranks = 1',
          ],
        },
      ),
    ])
  const openGroup = await group()
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
