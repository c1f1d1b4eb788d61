import type { Plan } from '../compiler/plan/plan.js'
import type { DataReference, RunSpec } from '../compiler/plan/run-spec.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import type { EvaluationImages } from './data/evaluation-images.js'
import type { Device } from './devices/device.js'
import type { RunEvent } from './events.js'
import type { StepSource } from './run.js'
import type { PhaseSpan } from './timeline.js'

/** One variant with one seed, ready to run: what the compiler hands over. */
export interface Job {
  readonly spec: RunSpec
  /** By the file names that the run spec uses. */
  readonly plans: Readonly<Record<string, Plan>>
  /** Saved beside the run spec for reports and `diff`; the runtime does not read it. */
  readonly resolved: unknown
}

/** The images that a run reads. */
export interface RunData {
  /** Hash of names, sizes and contents of the training images. */
  readonly identity: string
  readonly trainingImages: number
  /** Steps of a phase from `step` on, counted from the start of the run. */
  open(span: PhaseSpan, step: number): Promise<StepSource>
  /** Whole images for evaluations. */
  images(reference: DataReference): Promise<EvaluationImages>
  close(): Promise<void>
}

/** What surrounds a run and is none of its identity. */
export interface Settings {
  readonly runsRoot: string
  /**
   * `evaluate` never trains and never moves anything: it measures the newest state of a run. Results of a finished
   * run are kept, as training would have kept them; those of an unfinished one are only told.
   */
  readonly mode: 'train' | 'evaluate'
  /** Null: all cores. */
  readonly threads: number | null
  readonly loaders: number | null
  /** Images of each side of an evaluation; null: all. */
  readonly evaluationImages: number | null
  /** What one types to train these runs: `dinoc run a.dino --set schedule.batch="8 img"`. */
  readonly command: string
  /** Called when the device is needed; runs that were finished before need none. */
  openDevice(spec: RunSpec): Promise<Device>
  openData(job: Job, log: (diagnostic: Diagnostic) => void): Promise<RunData>
  /** Asked between steps: a signal came, save and stop. */
  stopping(): boolean
  emit(event: RunEvent): void
}
