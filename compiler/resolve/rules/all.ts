import { evalBlocks, headsWidth, knownParts } from './backbone.js'
import {
  batchGroups,
  batchRanks,
  globalMicroBatch,
  groupsRanks,
  koleoImages,
  koleoSets,
  microBatch,
} from './batch.js'
import { cropPatch } from './crop-patch.js'
import { blurKernel, channels } from './data.js'
import { keptFeatures, labelledEvaluations, leaks, primaryMetrics, sameImages } from './evaluations.js'
import { globalKoleo, nominalBlur, rankTerms, shadowedMomentum, smallBatch, withoutEffect } from './lints.js'
import { lossHead, someLoss, unusedHead } from './losses.js'
import { maskedPatches, maskedWithoutIbot, maskFits } from './masking.js'
import { executable } from './not-yet.js'
import type { Rule } from './rule.js'
import { epochMeaning, epochUnit, freezeLength, warmupLength } from './schedule.js'
import { distilledDropPath, distilledMasks, frozenTeacher } from './teacher.js'

/** Errors: a new rule is a function, a code with its page, and a case. */
export const rules: readonly Rule[] = [
  headsWidth,
  cropPatch,
  knownParts,
  someLoss,
  lossHead,
  batchRanks,
  microBatch,
  globalMicroBatch,
  groupsRanks,
  batchGroups,
  koleoImages,
  koleoSets,
  epochMeaning,
  epochUnit,
  warmupLength,
  freezeLength,
  maskFits,
  maskedPatches,
  frozenTeacher,
  primaryMetrics,
  keptFeatures,
  labelledEvaluations,
  evalBlocks,
  channels,
  blurKernel,
]

/** Warnings about what was written. */
export const lints: readonly Rule[] = [
  withoutEffect,
  shadowedMomentum,
  smallBatch,
  distilledDropPath,
  distilledMasks,
  nominalBlur,
  leaks,
  sameImages,
]

/** What is worth knowing of a variant that has no error. */
export const remarks: readonly Rule[] = [rankTerms, unusedHead, maskedWithoutIbot, globalKoleo, executable]
