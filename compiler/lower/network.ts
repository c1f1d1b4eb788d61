import type { StateTensor, TensorType, ValueId } from '../ir/types.js'
import type { Backbone, Head } from '../resolve/resolved.js'
import type { Entry } from './entry.js'
import { backboneParameters, headParameters, type MlpHead, type Parameter } from './parameters.js'

/**
 * One of the networks of a step: the student, its teacher, or the spare average that is kept.
 * Its parts are `backbone` and `<head>_head`, as in the reference's SSLMetaArch.
 */
export interface Network {
  readonly role: 'student' | 'teacher' | 'keep'
  readonly backbone: Backbone
  readonly channels: number
  /** By name, tied heads left out. */
  readonly heads: Readonly<Record<string, MlpHead>>
}

/** A tensor of a network with its part: `dino_head`, `last_layer.weight_g`. */
export interface NetworkParameter extends Parameter {
  readonly part: string
  /** `student.dino_head.last_layer.weight_g`, the name of its state tensor. */
  readonly path: string
}

/** Listed once for each network: a step asks for them many times. */
const listed = new WeakMap<Network, readonly NetworkParameter[]>()

export function networkParameters(network: Network): readonly NetworkParameter[] {
  const known = listed.get(network) ?? list(network)
  listed.set(network, known)
  return known
}

function list(network: Network): NetworkParameter[] {
  const within = (part: string, list: Parameter[]) =>
    list.map((p) => ({ ...p, part, path: `${network.role}.${part}.${p.name}` }))
  return [
    ...within('backbone', backboneParameters(network.backbone, network.channels)),
    ...Object.entries(network.heads).flatMap(([name, head]) =>
      within(headPart(name), headParameters(head, network.backbone.width)),
    ),
  ]
}

export const headPart = (head: string): string => `${head}_head`

/** The head whose weights `name` uses: itself, or what it is tied to. */
export function headOwner(heads: Readonly<Record<string, Head>>, name: string): string {
  const head = heads[name]
  return head?.type === 'tied' ? headOwner(heads, head.to) : name
}

export const f32 = (...shape: number[]): TensorType => ({ dtype: 'f32', shape })
export const i32 = (...shape: number[]): TensorType => ({ dtype: 'i32', shape })

/** Looks a parameter of a network up in the function being built: `weights('backbone.cls_token')`. */
export type Weights = (name: string) => ValueId

/** The network's tensors in an entry function, each bound to its state on first use. */
export function boundWeights(entry: Entry, network: Network): Weights {
  const shapes = new Map(networkParameters(network).map((p) => [`${p.part}.${p.name}`, p.shape]))
  return (name) => {
    const shape = shapes.get(name)
    if (shape === undefined) throw new Error(`no parameter ${network.role}.${name}`)
    return entry.state(`${network.role}.${name}`, { dtype: 'f32', shape })
  }
}

export function networkState(
  network: Network,
  init: (parameter: NetworkParameter) => StateTensor['init'],
): StateTensor[] {
  return networkParameters(network).map((p) => ({
    name: p.path,
    type: { dtype: 'f32', shape: p.shape },
    storedShape: p.storedShape,
    role: network.role,
    init: init(p),
  }))
}
