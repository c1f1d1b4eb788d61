import type { Diagnostic } from '../diagnostics/diagnostic.js'

/** One training step as it stands in metrics.jsonl: `{step, phase, loss, grad_norm, masked_rows, ..., time}`. */
export interface TrainingLine {
  /** Updates done before this step: the first step of a run is 0. */
  readonly step: number
  readonly phase: string
  /** Each term as it enters the total: `dino_local`, `dino_global`, `koleo`, `ibot`, `total`; absent terms are absent. */
  readonly loss: Readonly<Record<string, number>>
  /** Before clipping, by sub-module. */
  readonly grad_norm: Readonly<Record<string, number>>
  /** Masked patches over the batch. */
  readonly masked_rows: number
  readonly lr: number
  readonly weight_decay: number
  readonly teacher_temp: number
  readonly momentum: number
  readonly time: LineTime
}

/** Metrics of the state after `step` updates; the untrained backbone at step 0. */
export interface EvaluationLine {
  readonly step: number
  readonly phase: string
  readonly eval: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly time: LineTime
}

/** All that may differ between two runs of one identity. */
export interface LineTime {
  /** ISO 8601. */
  readonly clock: string
  readonly seconds: number
  readonly [measure: string]: string | number
}

/** What a run tells while it goes on; the CLI renders it, `--json` prints it. */
export type RunEvent =
  | { readonly type: 'started'; readonly steps: number; readonly fromStep: number; readonly device: string }
  | {
      readonly type: 'step'
      readonly line: TrainingLine
      readonly steps: number
      readonly imagesPerSecond: number
    }
  | {
      readonly type: 'evaluating'
      readonly step: number
      readonly name: string
      readonly done: number
      readonly of: number
    }
  | { readonly type: 'evaluation'; readonly line: EvaluationLine }
  | { readonly type: 'checkpoint'; readonly step: number; readonly bytes: number; readonly seconds: number }
  | { readonly type: 'diagnostic'; readonly diagnostic: Diagnostic }
  | { readonly type: 'done'; readonly outcome: RunOutcome }

export interface RunOutcome {
  readonly status: RunStatus
  /** Updates done. */
  readonly step: number
  readonly steps: number
  readonly seconds: number
  readonly imagesPerSecond: number | null
  readonly peakRssBytes: number
  /** The diagnostic that ended a failed run. */
  readonly failure: Diagnostic | null
}

/** `reused`: it was finished before and nothing was left to do. */
export type RunStatus = 'finished' | 'reused' | 'interrupted' | 'failed'
