import type { Plan, StateSpec } from '../../compiler/plan/plan.js'

/**
 * A device runs plans. Tensors cross the border as typed arrays in row-major order: Float32Array for f32 (bf16 is
 * widened), Int32Array for i32. `interpret` computes in float64 and rounds at the border unless asked not to.
 */
export type HostTensor = Float32Array | Int32Array | Float64Array

export interface Capabilities {
  readonly class: 'arena' | 'tensor-ops'
  /** Kernels, as `op:attention`, and precisions, as `bf16`. */
  readonly has: ReadonlySet<string>
  /** Largest arena in bytes; null: no limit but memory. */
  readonly arenaLimitBytes: number | null
  /** Bytes it may use, as it reports; null: unknown. */
  readonly memoryBytes: number | null
  /**
   * What last bits depend on besides the plan: the instruction set or library in use (`avx512`, `TensorFlow 2.19`),
   * never the number of threads. Checkpoints name it; one made with another gives a warning.
   */
  readonly isa?: string
  /** One line for `dinoc devices`: "AVX-512, 2 threads". */
  readonly description: string
}

export interface Device {
  readonly name: string
  readonly targetClass: 'arena' | 'tensor-ops'
  capabilities(): Capabilities
  /** Allocates the tensors, zeroed. */
  state(spec: StateSpec): Promise<State>
  /** Refuses, with a DiagnosticError, a plan that is not valid or that it cannot run. */
  load(plan: Plan, state: State, transport?: Transport): Promise<Executable>
  close(): Promise<void>
}

/** Tensors by logical name; outlives executables. Training, feature and probe plans bind to the same one. */
export interface State {
  readonly names: readonly string[]
  /** `into`: memory that a device may put the values in, where they fit; the caller reads nothing else into it meanwhile. */
  read(name: string, into?: ArrayBuffer): Promise<HostTensor>
  /** A device may keep the array itself: it is not changed afterwards. */
  write(name: string, values: HostTensor): Promise<void>
  close(): Promise<void>
}

/** What devices hold that run as one of several ranks: parts of a float tensor are read and written too. */
export interface PartedState extends State {
  /** Values first .. end; a RangeError beyond the tensor. */
  readPart(name: string, first: number, end: number, into?: ArrayBuffer): Promise<Float32Array | Float64Array>
  writePart(name: string, first: number, values: HostTensor): Promise<void>
}

/** RangeError where a tensor of `count` values has no part first .. end. */
export function checkPart(name: string, first: number, end: number, count: number): void {
  if (!(0 <= first && first <= end && end <= count))
    throw new RangeError(`${name}: no values ${first} to ${end} in a tensor of ${count}`)
}

/** Payload of the collectives that one rank ran, by kind. */
export interface CollectiveBytes {
  readonly allGather: number
  readonly reduceScatter: number
  readonly allReduce: number
}

export interface Executable {
  /**
   * Copies before it returns; any subset of the plan's inputs. `rank`: whose they are, where the executable runs a plan
   * on several ranks (distributed/); others have rank 0 only.
   */
  writeInputs(inputs: Readonly<Record<string, HostTensor>>, rank?: number): Promise<void>
  run(program: string): Promise<void>
  /** All metrics of the last run; does not stall the next step. */
  metrics(): Promise<Readonly<Record<string, HostTensor>>>
  /** One of the plan's outputs. */
  output(name: string): Promise<HostTensor>
  /** Seconds by step of the program since the last call, where the device measures: for `bench`. */
  profile?(): Promise<
    readonly {
      readonly module: string
      readonly op: string
      readonly stage: string
      readonly seconds: number
    }[]
  >
  /**
   * What collectives exchanged since the plan was loaded, in bytes: the results of all_gather, the operands of
   * reduce_scatter, twice the results of all_reduce.
   */
  collectiveBytes?(): Promise<CollectiveBytes>
  close(): Promise<void>
}

/** A handle that the device understands: shared memory for native, asynchronous functions elsewhere. */
export interface Transport {
  readonly rank: number
  readonly ranks: number
}
