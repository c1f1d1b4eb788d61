import type { RunState } from '../compiler/plan/run-spec.js'
import { hashName, type Random, stream } from './philox.js'
import { openSafetensors } from './safetensors.js'

/**
 * The initial value of a state tensor. Random ones are keyed by the run's seed and the initialiser's key (the name
 * of the tensor), so each is the same whatever other tensors there are: dropping a head leaves the backbone's
 * weights as they were.
 */
function initialValues(
  tensor: RunState,
  init: Exclude<RunState['init'], { kind: 'copy' }>,
  seed: number,
): Float32Array {
  const count = tensor.shape.reduce((product, n) => product * n, 1)
  switch (init.kind) {
    case 'zeros':
      return new Float32Array(count)
    case 'constant':
      return new Float32Array(count).fill(init.value)
    case 'normal':
      return draw(count, keyed(seed, init.key), (random) => random.normal() * init.std)
    case 'trunc_normal':
      return draw(count, keyed(seed, init.key), (random) => truncatedNormal(random, init.std))
    case 'uniform':
      return draw(count, keyed(seed, init.key), (random) => random.uniform(-init.bound, init.bound))
    case 'artefact':
      return fromFile(init.path, init.tensor, tensor)
    default:
      throw init satisfies never
  }
}

/**
 * All of them, each with its name, one after another: a tensor is followed by its copies and then forgotten, so that the
 * host never holds the state a second time. A `copy` may name a tensor that stands later in the list, or another copy.
 */
export function* initialState(
  state: readonly RunState[],
  seed: number,
): Generator<readonly [name: string, values: Float32Array]> {
  const copies = new Map<string, RunState[]>()
  for (const tensor of state)
    if (tensor.init.kind === 'copy')
      copies.set(tensor.init.of, [...(copies.get(tensor.init.of) ?? []), tensor])
  let given = 0
  for (const tensor of state) {
    if (tensor.init.kind === 'copy') continue
    const values = initialValues(tensor, tensor.init, seed)
    yield* withCopies(tensor.name, values)
  }
  function* withCopies(name: string, values: Float32Array): ReturnType<typeof initialState> {
    given++
    yield [name, values]
    for (const copy of copies.get(name) ?? []) yield* withCopies(copy.name, values)
  }
  // What is left copies what there is not, or itself by way of others.
  if (given < state.length) throw new RangeError('a state tensor copies one that has no initial value')
}

function keyed(seed: number, key: string): Random {
  return stream(seed, hashName(key), hashName(key, 0x9dc5811c), 'init')
}

function draw(count: number, random: Random, next: (random: Random) => number): Float32Array {
  const values = new Float32Array(count)
  for (let i = 0; i < count; i++) values[i] = next(random)
  return values
}

/** Normal with mean 0, cut at -2 and 2 in absolute units (torch's trunc_normal_ with its defaults). */
function truncatedNormal(random: Random, std: number): number {
  for (;;) {
    const value = random.normal() * std
    if (Math.abs(value) <= 2) return value
  }
}

function fromFile(path: string, name: string, tensor: RunState): Float32Array {
  const file = openSafetensors(path)
  try {
    const entry = file.header.tensors.get(name)
    const flat = entry && sameShape(entry.shape, tensor.shape)
    const { data } = file.read(name, flat ? tensor.shape : tensor.storedShape)
    return data instanceof Float32Array ? data : Float32Array.from(data)
  } finally {
    file.close()
  }
}

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((n, i) => n === b[i])
