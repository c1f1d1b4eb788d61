import type { KernelKind, LocalKind } from '../../../compiler/ir/types.js'
import type { Plan, PlanTensor, Program, StateSpec, Step } from '../../../compiler/plan/plan.js'
import { diagnose } from '../../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../../diagnostics/diagnostic.js'
import type { Capabilities, Device, Executable, HostTensor, State } from '../device.js'
import { refuseMissing } from '../requires.js'
import { validatePlan } from '../validate.js'
import { type Backend, BackendMissing, openBackend, type TfjsName } from './backends.js'
import type { Call, Kernel, Tensor, Tf } from './call.js'
import { kernels } from './kernels.js'

/**
 * One adapter over tfjs-core for `wasm`, `tensorflow`, `cuda` and `webgpu`: runs a plan step by step, frees each
 * tensor after its last use. float32 throughout; sums have the order of the backend.
 */
export async function openTfjs(
  name: TfjsName,
  options: { readonly threads: number | null },
): Promise<Device> {
  let backend: Backend
  try {
    backend = await openBackend[name](options.threads)
  } catch (error) {
    if (!(error instanceof BackendMissing)) throw error
    throw new DiagnosticError([
      diagnose('DINO0901', null, { device: name, why: error.message }, { help: [error.install] }),
    ])
  }
  const capabilities: Capabilities = {
    class: 'tensor-ops',
    has: new Set(Object.keys(kernels).map((kind) => `op:${kind}`)),
    arenaLimitBytes: null,
    memoryBytes: null,
    description: backend.description,
    isa: backend.description,
  }
  return {
    name,
    targetClass: 'tensor-ops',
    capabilities: () => capabilities,
    state: async (spec) => new TfjsState(backend.tf, spec),
    load: async (plan, state) => {
      const valid = validatePlan(plan)
      refuseMissing(valid, name, capabilities)
      return new TfjsExecutable(backend, valid, state as TfjsState)
    },
    close: async () => {},
  }
}

function upload(tf: Tf, values: HostTensor, shape: readonly number[], dtype: 'f32' | 'bf16' | 'i32'): Tensor {
  // Some backends alias the caller's array, so they are handed one that nobody else writes.
  return dtype === 'i32'
    ? tf.tensor(Int32Array.from(values), [...shape], 'int32')
    : tf.tensor(Float32Array.from(values), [...shape], 'float32')
}

async function download(tensor: Tensor): Promise<HostTensor> {
  const data = await tensor.data()
  return tensor.dtype === 'int32' ? Int32Array.from(data) : Float32Array.from(data)
}

class TfjsState implements State {
  readonly tensors = new Map<string, Tensor>()
  readonly names: readonly string[]
  private readonly tf: Tf
  private readonly shapes: ReadonlyMap<string, { shape: readonly number[]; dtype: 'f32' | 'bf16' | 'i32' }>

  constructor(tf: Tf, spec: StateSpec) {
    this.tf = tf
    this.names = spec.tensors.map((t) => t.name)
    this.shapes = new Map(spec.tensors.map((t) => [t.name, t]))
    for (const t of spec.tensors)
      this.replace(t.name, tf.zeros([...t.shape], t.dtype === 'i32' ? 'int32' : 'float32'))
  }

  replace(name: string, tensor: Tensor): void {
    const old = this.tensors.get(name)
    if (old === tensor) return
    this.tensors.set(name, tensor)
    old?.dispose()
  }

  async read(name: string): Promise<HostTensor> {
    return download(this.tensors.get(name)!)
  }

  async write(name: string, values: HostTensor): Promise<void> {
    const { shape, dtype } = this.shapes.get(name)!
    this.replace(name, upload(this.tf, values, shape, dtype))
  }

  async close(): Promise<void> {
    for (const tensor of this.tensors.values()) tensor.dispose()
    this.tensors.clear()
  }
}

/** The tensors each step frees, by program, from the lifetimes in the plan. */
function freedAfter(plan: Plan): ReadonlyMap<number, readonly number[]> {
  const freed = new Map<number, number[]>()
  for (const tensor of plan.tensors) {
    if (tensor.place.kind === 'state') continue
    const last = tensor.live[1]
    freed.set(last, [...(freed.get(last) ?? []), tensor.id])
  }
  return freed
}

class TfjsExecutable implements Executable {
  private readonly values = new Map<number, Tensor>()
  private readonly known = new Map<number, number>()
  private readonly constants = new Map<string, Tensor>()
  private readonly freed: ReadonlyMap<number, readonly number[]>
  /** Metrics, outputs, host inputs and carried tensors: replaced, never freed by lifetime. */
  private readonly kept: ReadonlySet<number>
  private readonly firstStep: ReadonlyMap<string, number>
  private readonly inputs: ReadonlyMap<string, PlanTensor>
  private readonly seconds = new Map<string, { module: string; op: string; stage: string; seconds: number }>()

  constructor(
    private readonly backend: Backend,
    private readonly plan: Plan,
    private readonly state: TfjsState,
  ) {
    this.freed = freedAfter(plan)
    this.inputs = new Map(plan.inputs.map((i) => [i.name, plan.tensors[i.tensor]!]))
    const starts = new Map<string, number>()
    let at = 0
    for (const program of plan.programs) {
      starts.set(program.name, at)
      at += program.steps.length
    }
    this.firstStep = starts
    this.kept = new Set([
      ...plan.inputs.map((i) => i.tensor),
      ...plan.metrics.map((m) => m.tensor),
      ...plan.outputs.map((o) => o.tensor),
      ...plan.tensors.filter((t) => t.live[1] >= at).map((t) => t.id),
    ])
  }

  async writeInputs(inputs: Readonly<Record<string, HostTensor>>): Promise<void> {
    for (const [name, values] of Object.entries(inputs)) {
      const tensor = this.inputs.get(name)
      if (tensor === undefined) continue
      this.assign(tensor.id, upload(this.backend.tf, values, tensor.shape, tensor.dtype))
      if (values.length === 1) this.known.set(tensor.id, values[0]!)
    }
  }

  async run(name: string): Promise<void> {
    const program = this.plan.programs.find((p) => p.name === name)!
    const first = this.firstStep.get(name)!
    for (const [i, step] of program.steps.entries()) {
      const began = performance.now()
      await this.execute(step)
      this.release(first + i, program)
      this.spent(step, (performance.now() - began) / 1000)
    }
  }

  private async execute(step: Step): Promise<void> {
    // Collectives are not among what this device has: a plan that needs them was refused.
    const kernel = kernels[step.op as LocalKind] as Kernel<KernelKind>
    const operands = new Set(step.operands.filter((id) => id >= 0).map((id) => this.value(id)))
    // A kernel may hand an operand on as it is; its copy has a life of its own.
    const results = this.backend.tf.tidy(() =>
      kernel(this.call(step), step.attrs as never).map((r) =>
        operands.has(r) ? this.backend.tf.clone(r) : r,
      ),
    )
    for (const [i, id] of step.results.entries()) this.assign(id, results[i]!)
    if (step.op === 'finite') this.known.set(step.results[0]!, (await results[0]!.data())[0]!)
  }

  private call(step: Step): Call {
    const { tf, explicitTranspose } = this.backend
    const maybe = (index: number) => {
      const id = step.operands[index] ?? -1
      return id < 0 ? null : this.value(id)
    }
    return {
      tf,
      explicitTranspose,
      operandTypes: step.operands.map((id) => (id < 0 ? null : this.plan.tensors[id]!)),
      resultTypes: step.results.map((id) => this.plan.tensors[id]!),
      arg: (index) => maybe(index)!,
      maybe,
      known: (index) => this.known.get(step.operands[index]!)!,
      constant: (key, make) => {
        let tensor = this.constants.get(key)
        if (tensor === undefined) {
          tensor = tf.keep(make())
          this.constants.set(key, tensor)
        }
        return tensor
      },
    }
  }

  private value(id: number): Tensor {
    const place = this.plan.tensors[id]!.place
    if (place.kind === 'state') return this.state.tensors.get(place.name)!
    const found = this.values.get(id)
    if (found === undefined) {
      const name = this.plan.tensors[id]!.name
      throw new DiagnosticError([
        diagnose('DINO0902', null, { device: 'tfjs', what: `\`${name}\` is read before it is written` }),
      ])
    }
    return found
  }

  private assign(id: number, tensor: Tensor): void {
    const place = this.plan.tensors[id]!.place
    if (place.kind === 'state') {
      this.state.replace(place.name, tensor)
      return
    }
    const old = this.values.get(id)
    this.values.set(id, tensor)
    if (old !== tensor) old?.dispose()
  }

  private release(step: number, program: Program): void {
    const ids = this.freed.get(step)
    if (ids === undefined || program.steps.length === 0) return
    for (const id of ids) {
      if (this.kept.has(id)) continue
      this.values.get(id)?.dispose()
      this.values.delete(id)
    }
  }

  async metrics(): Promise<Readonly<Record<string, HostTensor>>> {
    const found: Record<string, HostTensor> = {}
    for (const { name, tensor } of this.plan.metrics) found[name] = await download(this.value(tensor))
    return found
  }

  async output(name: string): Promise<HostTensor> {
    return download(this.value(this.plan.outputs.find((o) => o.name === name)!.tensor))
  }

  private spent(step: Step, seconds: number): void {
    const key = `${step.stage} ${step.module} ${step.op}`
    const entry = this.seconds.get(key) ?? { module: step.module, op: step.op, stage: step.stage, seconds: 0 }
    entry.seconds += seconds
    this.seconds.set(key, entry)
  }

  async profile() {
    const all = [...this.seconds.values()]
    this.seconds.clear()
    return all
  }

  async close(): Promise<void> {
    for (const tensor of [...this.values.values(), ...this.constants.values()]) tensor.dispose()
    this.values.clear()
    this.constants.clear()
  }
}
