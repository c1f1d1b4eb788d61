import { diagnose } from '../../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Capabilities, Device } from './device.js'

export interface DeviceOptions {
  /** Null: all cores. */
  readonly threads: number | null
}

type Open = (options: DeviceOptions) => Promise<Device>

/** Each device is loaded when it is asked for: none of them costs anything before. */
const openers = {
  native: async (options) => (await import('./native/native.js')).openNative(options),
  wasm: async (options) => (await import('./tfjs/tfjs.js')).openTfjs('wasm', options),
  tensorflow: async (options) => (await import('./tfjs/tfjs.js')).openTfjs('tensorflow', options),
  cuda: async (options) => (await import('./tfjs/tfjs.js')).openTfjs('cuda', options),
  webgpu: async (options) => (await import('./tfjs/tfjs.js')).openTfjs('webgpu', options),
  interpret: async () => (await import('./interpret.js')).openInterpret(),
} satisfies Record<string, Open>

export type DeviceName = keyof typeof openers
export const deviceNames = Object.keys(openers) as readonly DeviceName[]

/** Throws a DiagnosticError for an unknown device (DINO0900) or one that is not there (DINO0901). */
export async function openDevice(name: string, options: DeviceOptions): Promise<Device> {
  if (!Object.hasOwn(openers, name))
    throw new DiagnosticError([diagnose('DINO0900', null, { name, known: deviceNames })])
  return openers[name as DeviceName](options)
}

export interface Probe {
  readonly name: DeviceName
  /** Null where the device is not there; `missing` then says why. */
  readonly capabilities: Capabilities | null
  readonly missing: Diagnostic | null
}

/** Opens every device in turn and closes it again. */
export async function probeDevices(options: DeviceOptions): Promise<readonly Probe[]> {
  const probes: Probe[] = []
  for (const name of deviceNames) {
    try {
      const device = await openDevice(name, options)
      probes.push({ name, capabilities: device.capabilities(), missing: null })
      await device.close()
    } catch (error) {
      if (!(error instanceof DiagnosticError)) throw error
      probes.push({ name, capabilities: null, missing: error.diagnostics[0]! })
    }
  }
  return probes
}
