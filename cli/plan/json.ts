import type { PhaseCost } from '../../compiler/plan/cost.js'
import type { PlannedFamily, PlannedVariant } from './planned.js'

/** `plan --json`: a contract for scripts. Steps, epochs and images seen are null where data is not at hand. */
export function planJson(families: readonly PlannedFamily[]): object {
  return {
    formatVersion: 1,
    experiments: families.map(({ name, variants }) => ({ name, variants: variants.map(variantJson) })),
  }
}

function variantJson(variant: PlannedVariant): object {
  const { resolved, aliasOf, cost } = variant
  const { backbone, heads, total } = cost.parameters
  return {
    name: resolved.variant,
    grid: resolved.grid,
    aliasOf,
    parameters: { backbone, heads, total },
    tokensPerImage: cost.tokensPerImage,
    phases: cost.phases.map(phaseJson),
    notes: notesOf(variant),
  }
}

function phaseJson(phase: PhaseCost): object {
  return {
    name: phase.name,
    resolutionPx: phase.resolutionPx,
    steps: phase.steps,
    epochs: phase.epochs,
    imagesSeen: phase.imagesSeen,
    modelFlopsPerImage: whole(phase.modelFlopsPerImage),
    executedFlopsPerStep: whole(phase.executedFlopsPerStep),
    perRank: whole(phase.perRank),
    ranks: phase.ranks,
    // Beyond the contract: parts of the figures above.
    tokensPerImage: phase.tokensPerImage,
    microSteps: phase.microSteps,
    modelFlopsByPart: whole(phase.modelFlops),
    maskedRows: phase.maskedRows && {
      expected: Math.min(Math.round(phase.maskedRows.expected), phase.maskedRows.bound),
      bound: phase.maskedRows.bound,
    },
    memory: whole(phase.memory),
    communication: whole(phase.communication),
    schedules: phase.schedules,
    layerRates: phase.layerRates,
  }
}

/**
 * Bytes and operations, however deep, as the whole numbers that scripts want: a rank's share of a tensor and the
 * expected number of masked rows make fractions of them.
 */
function whole<T>(figures: T): T {
  const rounded = JSON.stringify(figures, (_, value) =>
    typeof value === 'number' ? Math.round(value) : value,
  )
  return JSON.parse(rounded)
}

/** Why a figure is missing, and what was found. */
export function notesOf({ resolved, cost, trainingImages, findings }: PlannedVariant): string[] {
  return [
    ...(trainingImages === null
      ? [
          `epochs${cost.phases.some((phase) => phase.steps === null) ? ', steps and images seen' : ''} unknown: ` +
            (resolved.data === null ? 'the experiment names no data' : 'its training images are not at hand'),
        ]
      : []),
    ...findings.map((finding) => finding.message),
  ]
}
