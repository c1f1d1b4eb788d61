import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { diagnose } from '../../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../../diagnostics/diagnostic.js'

/** Handles to what lives in C++; freed when they are closed, at the latest when they are collected. */
declare const handle: unique symbol
export type DeviceHandle = { readonly [handle]: 'device' }
export type StateHandle = { readonly [handle]: 'state' }
export type PlanHandle = { readonly [handle]: 'plan' }
export type GroupHandle = { readonly [handle]: 'group' }

/** Why src/plan.cc refused a plan: reason, message, and the program, step or tensor to blame (-1: none). */
export type Refusal = readonly [
  reason: number,
  message: string,
  program: number,
  step: number,
  tensor: number,
]
/** Why a run ended before its end: FaultCode, step; operand, value and bound where a value must not be used. */
export type Fault = readonly [code: number, step: number, operand: number, value: number, bound: number]

/** src/addon/. Promises are settled in the order of the calls. */
export interface Addon {
  kinds(): readonly string[]
  /** The best first. */
  instructionSets(): readonly (readonly [name: string, title: string, supported: boolean])[]
  openDevice(threads: number, instructionSet: number): DeviceHandle
  closeDevice(device: DeviceHandle): void
  /** dtype (0 f32, 2 i32) and elements of each tensor; undefined where memory does not suffice. */
  createState(tensors: Float64Array): StateHandle | undefined
  closeState(state: StateHandle): void
  /** As many values of a tensor as there are, from the `first` on. */
  transferState(
    device: DeviceHandle,
    state: StateHandle,
    tensor: number,
    first: number,
    values: Float32Array | Int32Array,
    write: boolean,
  ): Promise<void>
  /** For ranks of this environment: the first plans that they load meet at their collectives, then the second ... */
  createGroup(ranks: number): GroupHandle
  loadPlan(
    device: DeviceHandle,
    plan: Float64Array,
    state: StateHandle,
    metrics: Int32Array,
    group: GroupHandle | undefined,
    rank: number,
  ): PlanHandle | Refusal
  /** A rank that loads no plan where the others of its group do: they stop with a fault rather than wait for it. */
  skipPlan(device: DeviceHandle, group: GroupHandle, rank: number): void
  /** Ranks that wait for this one at a collective, now or later, stop with a fault. */
  closePlan(plan: PlanHandle): void
  writeTensor(device: DeviceHandle, plan: PlanHandle, tensor: number, values: Float32Array | Int32Array): void
  readTensor(
    device: DeviceHandle,
    plan: PlanHandle,
    tensor: number,
    into: Float32Array | Int32Array,
  ): Promise<void>
  runProgram(device: DeviceHandle, plan: PlanHandle, program: number): Promise<Fault | undefined>
  readMetric(plan: PlanHandle, metric: number, into: Float32Array | Int32Array): void
  readSeconds(device: DeviceHandle, plan: PlanHandle, program: number, into: Float64Array): Promise<void>
  /** By the runs that ended. */
  collectiveBytes(plan: PlanHandle): readonly [allGather: number, reduceScatter: number, allReduce: number]
  /**
   * One view of an image on the calling thread, at once. `numbers`: the image's width, height and channels; left, top,
   * width and height of its box; side, mirrored, and how many steps; then (step, value) of each. `weights`: the blur's,
   * from its centre outwards. `normalized`: `[channels, 256]`. `out`: `[channels, side, side]`.
   */
  augmentView(
    instructionSet: number,
    source: Uint8Array,
    numbers: Float64Array,
    weights: Float64Array,
    normalized: Float32Array,
    out: Float32Array,
  ): void
}

const unavailable = (why: string, ...help: string[]) =>
  new DiagnosticError([diagnose('DINO0901', null, { device: 'native', why }, { help })])

/** Beside this file in dist/, or in dist/ where this file is run from the sources. */
const places = ['.', '../../../dist/runtime/devices/native']

/** Throws DINO0901 where the addon was not built or does not load, with the line that helps. */
export function loadAddon(): Addon {
  for (const place of places) {
    const addon = fileURLToPath(new URL(`${place}/dinoc.node`, import.meta.url))
    if (!existsSync(addon)) continue
    try {
      return createRequire(import.meta.url)(addon) as Addon
    } catch (error) {
      throw unavailable(`its library does not load (${(error as Error).message})`, 'npm run build')
    }
  }
  for (const place of places) {
    const info = fileURLToPath(new URL(`${place}/build-info.json`, import.meta.url))
    if (!existsSync(info)) continue
    const { why, install } = JSON.parse(readFileSync(info, 'utf8')) as { why: string; install: string }
    throw unavailable(why, `${install}, then npm run build`, 'use another device: --device wasm')
  }
  throw unavailable('it has not been built', 'npm run build')
}

/** The set that DINO_NATIVE_ISA names, else the best that this machine has. */
export function chooseInstructionSet(addon: Addon): {
  readonly index: number
  readonly name: string
  readonly title: string
} {
  const sets = addon.instructionSets()
  const forced = process.env.DINO_NATIVE_ISA
  const supported = sets.filter(([, , here]) => here).map(([name]) => name)
  const index = forced ? sets.findIndex(([name]) => name === forced) : sets.findIndex(([, , here]) => here)
  const found = sets[index]
  if (!found?.[2])
    throw unavailable(
      `DINO_NATIVE_ISA asks for \`${forced}\`, and this machine has ${supported.join(', ')}`,
      'unset DINO_NATIVE_ISA',
    )
  return { index, name: found[0], title: found[1] }
}
