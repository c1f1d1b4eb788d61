import type { Generator, ValueId } from '../ir/types.js'
import type { Entry } from './entry.js'
import { boundWeights, f32, i32, type Network, type Weights } from './network.js'
import type { StepShape } from './step.js'
import {
  type CropShape,
  cropTokens,
  dropRates,
  embed,
  patchesOf,
  prefixTokens,
  type Trunk,
  trunk,
} from './vit.js'

/** What a network hands to the losses, all after its final norm. */
export interface Views {
  readonly network: Network
  readonly weights: Weights
  /** [2B, d] */
  readonly cls: ValueId
  /** [L*B, d]; the student's only. */
  readonly localCls: ValueId | null
  /** Rows of patches that iBOT compares: [bound, d] with `rows`, or all of them [2B*n, d]. */
  readonly patches: (on: 'masked_patches' | 'all_patches') => ValueId
}

/** How many rows of the masked-patch tensors are real in this micro-batch. */
export function maskedRows(entry: Entry): ValueId {
  return entry.input('masked_rows', i32(), { kind: 'row_count' })
}

/**
 * A network's forward pass over its crops: the teacher sees the global crops whole, the student sees them masked and
 * the local ones. One call of the trunk for each size; class tokens and patches are taken from its final norm.
 */
export function seeCrops(entry: Entry, step: StepShape, network: Network): Views {
  const { b } = entry
  const { backbone, role } = network
  const weights = boundWeights(entry, network)
  const isStudent = role === 'student'
  const rates = isStudent ? dropRates(backbone) : []
  const mask = isStudent && step.masksStudent ? maskInput(entry, step) : null
  let called: Trunk | null = null

  const forward = (crop: CropShape, masked: ValueId | null): ValueId => {
    const tokens = embedCrops(entry, network, weights, crop, { kind: 'crops', group: crop.group }, masked)
    called ??= trunk(role, backbone, b.type(tokens), rates, entry.functions, [], step.imageGroups)
    return callTrunk(entry, network, weights, called, tokens)[0] as ValueId
  }
  const global = forward(step.global, mask)
  const local = isStudent && step.local !== null ? forward(step.local, null) : null

  b.module = `${role}.backbone`
  const cls = b.one('select_tokens', [global], { group: step.global.group, start: 0, tokens: 1 })
  const localCls =
    local === null || step.local === null
      ? null
      : b.one('select_tokens', [local], { group: step.local.group, start: 0, tokens: 1 })
  return {
    network,
    weights,
    cls,
    localCls,
    patches: (on) => {
      b.module = `${role}.backbone`
      return on === 'all_patches'
        ? allPatches(entry, network, step, global)
        : maskedPatches(entry, network, step, global)
    },
  }
}

/** Images [N, C, H, W], a host input named after its group -> tokens. */
export function embedCrops(
  entry: Entry,
  network: Network,
  weights: Weights,
  crop: CropShape,
  generator: Generator,
  mask: ValueId | null,
): ValueId {
  const { b } = entry
  const { backbone, channels, role } = network
  const images = entry.input(crop.group, f32(crop.count, channels, crop.heightPx, crop.widthPx), generator)
  b.module = `${role}.backbone.patch_embed`
  const patches = b.one('patchify', [images], { patch: backbone.patch })
  b.module = `${role}.backbone`
  return embed(b, backbone, weights, crop, patches, mask)
}

/** -> the tokens after the final norm, then those after each tapped block. */
export function callTrunk(
  entry: Entry,
  network: Network,
  weights: Weights,
  called: Trunk,
  tokens: ValueId,
): readonly ValueId[] {
  const { b } = entry
  b.module = `${network.role}.backbone`
  return b.op('call', [tokens, ...called.weights.map((w) => weights(`backbone.${w}`))], {
    callee: called.name,
    data: 1,
  })
}

/** 1 where a patch of a global crop is replaced by the mask token, [2B*n], row-major. */
function maskInput(entry: Entry, step: StepShape): ValueId {
  const patches = step.global.count * patchesOf(step.global, step.student.backbone)
  return entry.input('mask', i32(patches), { kind: 'mask' })
}

/** [bound, d] with `rows`: the patches under the masks, in ascending order. */
function maskedPatches(entry: Entry, network: Network, step: StepShape, tokens: ValueId): ValueId {
  const prefix = prefixTokens(network.backbone)
  const rows = maskedRows(entry)
  const index = entry.input(
    // A frozen teacher may have other registers, which shift its patches.
    prefix === prefixTokens(step.student.backbone) ? 'mask_rows' : `${network.role}_mask_rows`,
    i32(step.maskedRows),
    { kind: 'mask_rows', prefix, patches: patchesOf(step.global, network.backbone) },
  )
  return entry.b.one('gather_rows', [tokens, index, rows], { rows: 'masked_rows' })
}

/** [2B*n, d] */
function allPatches(entry: Entry, network: Network, step: StepShape, tokens: ValueId): ValueId {
  const start = prefixTokens(network.backbone)
  return entry.b.one('select_tokens', [tokens], {
    group: step.global.group,
    start,
    tokens: cropTokens(step.global, network.backbone) - start,
  })
}
