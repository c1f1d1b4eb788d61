import type { RunEvaluation } from '../../compiler/plan/run-spec.js'
import { readJson } from '../durable.js'

/**
 * `eval.json` of a run: the results of its evaluations with what paired statistics need, by name of the evaluation.
 * Everything that a report says about metrics comes from here.
 */
export interface EvalFile {
  readonly formatVersion: 1
  /** Of the training run. */
  readonly run: string
  readonly evaluations: Readonly<Record<string, EvaluationRecord>>
}

export interface EvaluationRecord {
  readonly protocol: RunEvaluation['protocol']
  readonly protocolIdentity: string
  /** Protocol, images and run: results of unlike identities are never compared. */
  readonly identity: string
  readonly images: {
    readonly train: number
    readonly test: number
    readonly classes: number
    /** Left out because they have no label. */
    readonly unlabelled: number
  }
  /** Test images in the order of `correct`. */
  readonly test: {
    readonly names: readonly string[]
    /** What the split keeps together (`by`), where it says so: the unit of the bootstrap. */
    readonly groups: readonly string[] | null
  }
  readonly untrained: Measured | null
  /** The state after the last step; null until the run is finished. */
  readonly trained: Measured | null
  /** The same protocol on raw pixels: a floor. */
  readonly rawPixels: Measured | null
  /** Every measurement of the run, the untrained one at step 0 included, in order. */
  readonly history: readonly { readonly step: number; readonly metrics: Readonly<Record<string, number>> }[]
}

export interface Measured {
  /** `top1@20`: 0.712 */
  readonly metrics: Readonly<Record<string, number>>
  /** For each metric that is a mean over images: `1` right, `0` wrong, one character a test image. */
  readonly correct: Readonly<Record<string, string>>
}

export async function readEvalFile(path: string): Promise<EvalFile | null> {
  const file = (await readJson(path)) as EvalFile | null
  return file?.formatVersion === 1 && typeof file.evaluations === 'object' ? file : null
}
