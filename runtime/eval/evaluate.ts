import type { Plan } from '../../compiler/plan/plan.js'
import type { DataReference, FeaturePlan, RunEvaluation, RunSpec } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { referenceText } from '../data/dataset.js'
import type { EvaluationImages } from '../data/evaluation-images.js'
import type { Device, State } from '../devices/device.js'
import { placeOf } from '../provenance.js'
import { evaluationIdentity } from '../run-directory.js'
import type { EvaluationRecord, Measured } from './eval-file.js'
import { extractFeatures } from './features.js'
import { featureRank, featureSpread } from './health.js'
import { type LabelledFeatures, measureKnn } from './protocol.js'

/** An evaluation with its images at hand: what it measures is settled, whatever state it is asked about. */
export interface PreparedEvaluation {
  readonly evaluation: RunEvaluation
  readonly features: FeaturePlan
  readonly train: Labelled
  readonly test: Labelled
  readonly identity: string
}

/** The labelled images of a set; those without a label train, but stay out. */
interface Labelled {
  readonly set: EvaluationImages
  readonly images: readonly number[]
  readonly labels: Int32Array
}

export interface EvaluationResult {
  readonly measured: Measured
  /** `rank.cls`, `spread.cls`: for the monitors. */
  readonly measures: Readonly<Record<string, number>>
  /** What it was measured on, in the order of the images. */
  readonly features: { readonly train: LabelledFeatures; readonly test: LabelledFeatures }
}

/**
 * Looks up the images of every evaluation. `most` limits each side to its first images (`--smoke`). DINO1014 where
 * none has a label.
 */
export async function prepareEvaluations(
  spec: RunSpec,
  runIdentity: string,
  images: (reference: DataReference) => Promise<EvaluationImages>,
  most: number | null,
): Promise<PreparedEvaluation[]> {
  const prepared: PreparedEvaluation[] = []
  for (const evaluation of spec.evaluations) {
    const { protocol, name } = evaluation
    const features = spec.features.find((plan) => plan.name === evaluation.features)
    if (features === undefined)
      throw new RangeError(`evaluation ${name} names no feature plan of the run spec`)
    const test = await labelled(name, 'test', protocol.test)
    const train = protocol.train === null ? test : await labelled(name, 'train', protocol.train)
    const identity = evaluationIdentity(
      runIdentity,
      evaluation.protocolIdentity,
      `${train.set.identity} ${test.set.identity}`,
    )
    prepared.push({ evaluation, features, train, test, identity })
  }
  return prepared

  async function labelled(name: string, side: string, reference: DataReference): Promise<Labelled> {
    const set = await images(reference)
    const withLabel = Array.from(set.labels.keys()).filter((i) => set.labels[i]! >= 0)
    if (withLabel.length === 0)
      throw new DiagnosticError([
        diagnose('DINO1014', placeOf(spec.provenance, `eval.${name}.${side}`), {
          reference: referenceText(reference),
          what: `eval.${name}`,
        }),
      ])
    const chosen = most === null ? withLabel : withLabel.slice(0, most)
    return { set, images: chosen, labels: Int32Array.from(chosen, (i) => set.labels[i]!) }
  }
}

export interface EvaluationContext {
  readonly device: Device
  readonly state: State
  plan(features: FeaturePlan): Plan
  /** False abandons the evaluation: somebody wants to stop. */
  progress(done: number, of: number): boolean
}

/** Measures the state as it is, without touching it; null where it was abandoned. */
export async function evaluate(
  context: EvaluationContext,
  prepared: PreparedEvaluation,
): Promise<EvaluationResult | null> {
  const { evaluation, features, train, test } = prepared
  const of = train.images.length + test.images.length
  const classFeatures = async (side: Labelled, before: number): Promise<LabelledFeatures | null> => {
    const found = await extractFeatures(context.device, context.state, side.set, {
      plan: context.plan(features),
      resolutionPx: features.resolutionPx,
      outputs: ['cls'],
      images: side.images,
      progress: (done) => context.progress(before + done, of),
    })
    const values = found?.cls
    return values === undefined
      ? null
      : { features: values, width: values.length / side.images.length, labels: side.labels }
  }
  const trainFeatures = await classFeatures(train, 0)
  const testFeatures = trainFeatures && (await classFeatures(test, train.images.length))
  if (trainFeatures === null || testFeatures === null) return null
  const [shared, classes] = sharedLabels(prepared, trainFeatures, testFeatures)
  const { width } = trainFeatures
  const sample = trainFeatures.features.subarray(0, healthRows * width)
  return {
    measured: measureKnn(shared.train, shared.test, classes, evaluation.protocol),
    measures: { 'rank.cls': featureRank(sample, width), 'spread.cls': featureSpread(sample, width) },
    features: shared,
  }
}

/** Images that rank and spread look at: enough for any width, cheap beside the features. */
const healthRows = 2048

/** The same protocol on 16 x 16 raw pixels: what no learning at all gives. */
export async function measureRawPixels(prepared: PreparedEvaluation): Promise<Measured> {
  const side = async ({ set, images, labels }: Labelled): Promise<LabelledFeatures> => {
    const features = await set.thumbnails(images, rawPixelsPx)
    return { features, width: features.length / images.length, labels }
  }
  const [shared, classes] = sharedLabels(prepared, await side(prepared.train), await side(prepared.test))
  return measureKnn(shared.train, shared.test, classes, prepared.evaluation.protocol)
}
const rawPixelsPx = 16

/** Sources number their classes each for itself; names tell which are the same. */
function sharedLabels(
  { train, test }: PreparedEvaluation,
  trainFeatures: LabelledFeatures,
  testFeatures: LabelledFeatures,
): [{ train: LabelledFeatures; test: LabelledFeatures }, number] {
  const numbers = new Map<string, number>()
  const renumber = (side: Labelled, features: LabelledFeatures): LabelledFeatures => ({
    ...features,
    labels: side.labels.map((label) => {
      const name = side.set.classes[label]!
      if (!numbers.has(name)) numbers.set(name, numbers.size)
      return numbers.get(name)!
    }),
  })
  const result = { train: renumber(train, trainFeatures), test: renumber(test, testFeatures) }
  return [result, numbers.size]
}

/** The record of an evaluation before anything is measured. */
export async function emptyRecord(prepared: PreparedEvaluation): Promise<EvaluationRecord> {
  const { evaluation, train, test, identity } = prepared
  const used = new Set([...train.labels].map((label) => train.set.classes[label]))
  for (const label of test.labels) used.add(test.set.classes[label])
  return {
    protocol: evaluation.protocol,
    protocolIdentity: evaluation.protocolIdentity,
    identity,
    images: {
      train: train.images.length,
      test: test.images.length,
      classes: used.size,
      unlabelled: train.set.names.length - train.images.length + test.set.names.length - test.images.length,
    },
    test: {
      names: test.images.map((i) => test.set.names[i]!),
      groups: test.set.groups && test.images.map((i) => test.set.groups![i]!),
    },
    untrained: null,
    trained: null,
    rawPixels: await measureRawPixels(prepared),
    history: [],
  }
}
