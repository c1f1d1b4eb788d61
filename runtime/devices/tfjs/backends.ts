import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot } from '../../../diagnostics/package-root.js'
import type { Tf } from './call.js'

export type TfjsName = 'wasm' | 'tensorflow' | 'cuda' | 'webgpu'

export interface Backend {
  readonly tf: Tf
  /** The name tfjs knows it by. */
  readonly backend: string
  readonly explicitTranspose: boolean
  /** "TensorFlow 2.18.1", "SIMD, 1 thread". */
  readonly description: string
}

/** Why a backend is not there, and the line that brings it. */
export class BackendMissing extends Error {
  readonly install: string
  constructor(why: string, install: string) {
    super(why)
    this.install = install
  }
}

export const installLine: { readonly [K in TfjsName]: string } = {
  wasm: 'npm install @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0',
  tensorflow: 'npm run setup:tensorflow',
  cuda: 'npm run setup:tensorflow -- --gpu',
  webgpu: 'npm run setup:webgpu',
}

export const openBackend: { readonly [K in TfjsName]: (threads: number | null) => Promise<Backend> } = {
  wasm: openWasm,
  tensorflow: () => openNode('@tensorflow/tfjs-node', 'tensorflow'),
  cuda: () => openNode('@tensorflow/tfjs-node-gpu', 'cuda'),
  webgpu: openWebgpu,
}

/** CommonJS packages appear under `default` as well as by name. */
function unwrapped<T>(module: T): T {
  return (module as { default?: T }).default ?? module
}

async function openWasm(threads: number | null): Promise<Backend> {
  const tf = unwrapped(await import('@tensorflow/tfjs-core'))
  const wasm = unwrapped(await import('@tensorflow/tfjs-backend-wasm'))
  const require = createRequire(import.meta.url)
  wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`)
  if (threads !== null) wasm.setThreadsCount(threads)
  await activate(tf, 'wasm')
  return { tf, backend: 'wasm', explicitTranspose: true, description: 'WebAssembly SIMD' }
}

async function activate(tf: Tf, backend: string): Promise<void> {
  if (!(await tf.setBackend(backend))) throw new Error(`tfjs could not start its ${backend} backend`)
  await tf.ready()
  tf.enableProdMode()
}

/** From a folder that a setup script filled, else from wherever npm has put the package. */
async function importOptional<T>(name: string): Promise<T> {
  const bases = ['.tensorflow', '.webgpu'].map((folder) => join(packageRoot(), folder, 'package.json'))
  for (const base of [...bases, join(process.cwd(), 'package.json'), import.meta.url]) {
    let path: string
    try {
      path = createRequire(base).resolve(name)
    } catch {
      continue
    }
    return unwrapped((await import(pathToFileURL(path).href)) as T)
  }
  throw new Error(`the package ${name} is not installed`)
}

async function openNode(name: string, device: 'tensorflow' | 'cuda'): Promise<Backend> {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2'
  const tf = await orMissing(device, () => importOptional<Tf & { version: Record<string, string> }>(name))
  await activate(tf, 'tensorflow')
  const binding =
    (tf.backend() as unknown as { binding?: { TF_Version?: string }; isUsingGpuDevice?: boolean }) ?? {}
  if (device === 'cuda' && binding.isUsingGpuDevice !== true)
    throw new BackendMissing(
      'TensorFlow loaded, but it sees no NVIDIA GPU (no CUDA driver, or no CUDA libraries on LD_LIBRARY_PATH)',
      'nvidia-smi',
    )
  const version = binding.binding?.TF_Version
  return {
    tf,
    backend: 'tensorflow',
    explicitTranspose: false,
    description: version === undefined ? 'TensorFlow' : `TensorFlow ${version}`,
  }
}

async function orMissing<T>(device: TfjsName, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    throw new BackendMissing(firstLine(error), installLine[device])
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n')[0] ?? text
}

interface Dawn {
  create(options: readonly string[]): GPU
  globals: Record<string, unknown>
}
interface GPU {
  requestAdapter(): Promise<{
    info?: { vendor?: string; architecture?: string; description?: string }
  } | null>
}

/** The backend registers itself with the tfjs-core that stands beside it, which need not be ours. */
async function importWebgpuBackend(): Promise<{ tf: Tf }> {
  const backend = await importOptional<{ webgpu_util?: unknown }>('@tensorflow/tfjs-backend-webgpu')
  if (backend === undefined) throw new Error('the package @tensorflow/tfjs-backend-webgpu is empty')
  const folder = join(packageRoot(), '.webgpu', 'package.json')
  const base = existsSync(folder) ? folder : join(process.cwd(), 'package.json')
  const path = createRequire(base).resolve('@tensorflow/tfjs-core')
  return { tf: unwrapped((await import(pathToFileURL(path).href)) as Tf) }
}

async function openWebgpu(): Promise<Backend> {
  const dawn = await orMissing('webgpu', () => importOptional<Dawn>('webgpu'))
  const gpu = dawn.create([])
  Object.assign(globalThis, dawn.globals)
  const world = globalThis as { navigator?: { gpu?: GPU } }
  if (world.navigator === undefined)
    Object.defineProperty(world, 'navigator', { value: {}, configurable: true })
  Object.defineProperty(world.navigator, 'gpu', { value: gpu, configurable: true })
  const adapter = await gpu.requestAdapter().catch(() => null)
  if (adapter === null)
    throw new BackendMissing(
      'WebGPU is installed, but Dawn finds no Vulkan, Metal or D3D12 driver',
      'vulkaninfo',
    )
  const { tf: core } = await orMissing('webgpu', importWebgpuBackend)
  await activate(core, 'webgpu')
  const info = adapter.info
  const name = [info?.vendor, info?.architecture, info?.description].filter(Boolean).join(' ')
  return {
    tf: core,
    backend: 'webgpu',
    explicitTranspose: false,
    description: name === '' ? 'Dawn' : `Dawn on ${name}`,
  }
}
