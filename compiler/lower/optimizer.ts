import type { StateTensor, ValueId } from '../ir/types.js'
import type { Backbone, Optimizer, Phase } from '../resolve/resolved.js'
import type { Entry } from './entry.js'
import { f32, headPart, i32, type Network, type NetworkParameter, networkParameters } from './network.js'

/** What AdamW knows of a parameter: the reference's parameter groups (utils/param_groups.py), one for each tensor. */
export type OptimizerGroup = NonNullable<StateTensor['optimizer']>

/**
 * Learning-rate multiplier factor^(depth + 1 - id), id 0 for embeddings and tokens, i + 1 for block i, depth + 1 for
 * the final norm; the patch embedding times its own factor; heads 1. No decay for biases, norms and gammas.
 */
export function optimizerGroup(
  parameter: Pick<NetworkParameter, 'part' | 'name'>,
  backbone: Pick<Backbone, 'depth'>,
  optimizer: Pick<Optimizer, 'layerDecay' | 'patchEmbedLr'>,
): OptimizerGroup {
  const { part, name } = parameter
  const decayed = !(name.endsWith('.bias') || name.includes('norm') || name.includes('gamma'))
  const lrMultiplier =
    part === 'backbone'
      ? optimizer.layerDecay ** (backbone.depth + 1 - layerId(name, backbone.depth)) *
        (name.startsWith('patch_embed') ? optimizer.patchEmbedLr : 1)
      : 1
  return {
    submodule: part,
    lrMultiplier,
    wdMultiplier: decayed ? 1 : 0,
    lastLayer: name.includes('last_layer'),
  }
}

function layerId(name: string, depth: number): number {
  if (
    ['pos_embed', 'patch_embed', 'mask_token', 'cls_token', 'register_tokens'].some((n) => name.startsWith(n))
  )
    return 0
  const block = /^blocks\.(\d+)\./.exec(name)
  return block === null ? depth + 1 : Number(block[1]) + 1
}

/**
 * The student's parameters that get a gradient in this phase: not those that the phase freezes, and not the mask
 * token where no crop is masked. AdamW skips the others entirely, as the reference's does where `grad` is None.
 */
export function trainedParameters(student: Network, phase: Phase, masksStudent: boolean): NetworkParameter[] {
  const frozen = phase.freeze.map((part) =>
    part.replace(/^head\.([^.]+)/, (_, head: string) => headPart(head)),
  )
  return networkParameters(student).filter((p) => {
    if (p.name === 'mask_token' && !masksStudent) return false
    const path = `${p.part}.${p.name}`
    return !frozen.some((part) => path === part || path.startsWith(`${part}.`))
  })
}

/** What `accumulate` calls the gradient that it hands to `update`. */
export const gradientName = (p: NetworkParameter): string => `grad.${p.path}`

export interface Gradient {
  readonly parameter: NetworkParameter
  readonly value: ValueId
}

/** Gradients by the part of the network that is clipped as one: `backbone`, `dino_head`. */
export function bySubmodule(gradients: readonly Gradient[]): Map<string, Gradient[]> {
  const parts = new Map<string, Gradient[]>()
  for (const gradient of gradients) {
    const part = parts.get(gradient.parameter.part)
    if (part) part.push(gradient)
    else parts.set(gradient.parameter.part, [gradient])
  }
  return parts
}

export interface ClippedPart {
  readonly gradients: readonly Gradient[]
  readonly norm: ValueId
  /** min(1, clip / (norm + 1e-6)); null: no clipping. */
  readonly factor: ValueId | null
}

/** Each sub-module's gradients are clipped by their own norm. */
export function clipBySubmodule(
  entry: Entry,
  gradients: readonly Gradient[],
  clip: number | null,
): ClippedPart[] {
  const { b } = entry
  return [...bySubmodule(gradients)].map(([part, own]) => {
    b.module = `clip.${part}`
    const [norm] = b.op(
      'norm',
      own.map((g) => g.value),
      {},
    )
    entry.sink('metric', `grad_norm.${part}`, norm)
    const factor = clip === null ? null : b.op('clip_factor', [norm], { max: clip })[0]
    return { gradients: own, norm, factor }
  })
}

/** AdamW on every gradient; -> the new values of the student's parameters by path. */
export function adamw(
  entry: Entry,
  parts: readonly ClippedPart[],
  finite: ValueId,
  backbone: Backbone,
  optimizer: Optimizer,
): Map<string, ValueId> {
  const { b } = entry
  const scheduled = (name: string) => entry.input(name, f32(), { kind: 'schedule', name })
  const step = entry.input('adam_step', i32(), { kind: 'adam_step' })
  const weightDecay = scheduled('weight_decay')
  const updated = new Map<string, ValueId>()
  for (const { gradients, factor } of parts)
    for (const { parameter, value } of gradients) {
      const group = optimizerGroup(parameter, backbone, optimizer)
      const type = f32(...parameter.shape)
      const names = [parameter.path, `m.${parameter.path}`, `v.${parameter.path}`]
      const [p, m, v] = names.map((name) => entry.state(name, type)) as [ValueId, ValueId, ValueId]
      b.module = `adamw.${parameter.part}`
      const results = b.op(
        'adamw',
        [
          p,
          value,
          m,
          v,
          scheduled(group.lastLayer ? 'last_layer_lr' : 'lr'),
          weightDecay,
          step,
          factor,
          finite,
        ],
        {
          beta1: optimizer.betas[0],
          beta2: optimizer.betas[1],
          eps: optimizer.eps,
          lrMultiplier: group.lrMultiplier,
          wdMultiplier: group.wdMultiplier,
        },
      )
      for (const [i, name] of names.entries()) entry.sink('state', name, results[i] as ValueId)
      updated.set(parameter.path, results[0] as ValueId)
    }
  return updated
}

/** AdamW's moments of every parameter of the student, whether this phase trains it or not. */
export function momentState(student: Network): StateTensor[] {
  return networkParameters(student).flatMap((p) =>
    ['m', 'v'].map((moment) => ({
      name: `${moment}.${p.path}`,
      type: f32(...p.shape),
      storedShape: p.storedShape,
      role: 'moment' as const,
      init: { kind: 'zeros' as const },
    })),
  )
}
