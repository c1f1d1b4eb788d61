import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device } from './device.js'

export const deviceNames = ['native', 'wasm', 'tensorflow', 'cuda', 'webgpu', 'interpret'] as const
export type DeviceName = (typeof deviceNames)[number]

export interface DeviceOptions {
  /** Null: all cores. */
  readonly threads: number | null
}

/** Each device's code is loaded when it is asked for: a backend that is not installed stays out of the way. */
const openers: { readonly [N in DeviceName]: (options: DeviceOptions) => Promise<Device> } = {
  native: async (options) => (await import('./native/native.js')).openNative(options),
  wasm: async (options) => (await import('./tfjs/tfjs.js')).openTfjs('wasm', options),
  tensorflow: async (options) => (await import('./tfjs/tfjs.js')).openTfjs('tensorflow', options),
  cuda: async (options) => (await import('./tfjs/tfjs.js')).openTfjs('cuda', options),
  webgpu: async (options) => (await import('./tfjs/tfjs.js')).openTfjs('webgpu', options),
  // Its state is float64: handed out whole, a checkpoint resumes bit for bit.
  interpret: async () => (await import('./interpret.js')).openInterpret({ border: 'f64' }),
}

export function isDeviceName(name: string): name is DeviceName {
  return (deviceNames as readonly string[]).includes(name)
}

/** DINO0900 for a name that is none, DINO0901 (with the line that installs it) for a device that is not here. */
export async function openDevice(name: string, options: DeviceOptions): Promise<Device> {
  if (!isDeviceName(name))
    throw new DiagnosticError([
      diagnose('DINO0900', null, { name, known: deviceNames }, { help: ['dinoc devices'] }),
    ])
  return openers[name](options)
}

export type DeviceProbe =
  | {
      readonly name: DeviceName
      readonly present: true
      readonly description: string
      readonly isa: string
      /** Operations with a kernel of their own. */
      readonly kernels: readonly string[]
      readonly precisions: readonly string[]
      readonly memoryBytes: number | null
    }
  | {
      readonly name: DeviceName
      readonly present: false
      readonly why: string
      /** Lines to type. */
      readonly install: readonly string[]
    }

/** Opens every device once, to tell what is here. */
export async function probeDevices(): Promise<DeviceProbe[]> {
  const probes: DeviceProbe[] = []
  for (const name of deviceNames) probes.push(await probe(name))
  return probes
}

async function probe(name: DeviceName): Promise<DeviceProbe> {
  try {
    const device = await openDevice(name, { threads: null })
    const { has, description, isa, memoryBytes } = device.capabilities()
    await device.close()
    const kernels = [...has].filter((c) => c.startsWith('op:')).map((c) => c.slice(3))
    const others = [...has].filter((c) => !c.startsWith('op:') && /^(f|bf)\d+$/.test(c))
    const precisions = [...new Set(['f32', ...others])]
    return {
      ...{ name, present: true, description, isa: isa ?? '' },
      ...{ kernels: kernels.sort(), precisions, memoryBytes },
    }
  } catch (error) {
    if (!(error instanceof DiagnosticError)) {
      const why = error instanceof Error ? error.message.split('\n')[0]! : String(error)
      return { name, present: false, why, install: [] }
    }
    const [found] = error.diagnostics
    const why = found!.message.replace(/^device `\w+` is not available: /, '')
    return { name, present: false, why, install: found!.help }
  }
}

/**
 * The device of a run: the one asked for on the command line, else the file's. Where the file says `native` (the
 * default) and it is not built, `wasm` with the reason why; a device asked for by name is never replaced.
 */
export async function openRunDevice(
  asked: string | null,
  fromFile: string,
  options: DeviceOptions,
): Promise<{ device: Device; instead: string | null }> {
  try {
    return { device: await openDevice(asked ?? fromFile, options), instead: null }
  } catch (error) {
    if (asked !== null || fromFile !== 'native' || !(error instanceof DiagnosticError)) throw error
    const reason = error.diagnostics[0]!.message.replace(/^device `native` is not available: /, '')
    return { device: await openDevice('wasm', options), instead: reason }
  }
}
