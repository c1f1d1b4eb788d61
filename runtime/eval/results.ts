import type { EvalFile, EvaluationRecord, Measured } from './eval-file.js'
import { type Estimate, estimate, type Measurement, pairedDifference } from './statistics.js'

/** What one variant's seeds measured, as its run directories hold it. */
export interface VariantResult {
  readonly variant: string
  readonly seeds: readonly {
    readonly seed: number
    readonly evaluation: EvalFile
    readonly imagesPerSecond: number | null
    readonly peakRssBytes: number
  }[]
}

/** One metric over all variants: what `run` prints at its end. */
export interface ResultTable {
  /** `knn.top1@20` */
  readonly metric: string
  /** The variant that the others are compared with: `full` where it was trained. */
  readonly base: string
  readonly rows: readonly ResultRow[]
  /** Raw pixels minus the base, paired by seed and image; null where they were not compared. */
  readonly floorDifference: Estimate | null
}

export interface ResultRow {
  /** A variant's name, `untrained` or `raw pixels`. */
  readonly name: string
  readonly kind: 'untrained' | 'variant' | 'floor'
  readonly value: Estimate
  /** This row minus the base, paired by seed and image; null for the base itself and where protocols differ. */
  readonly against: Estimate | null
  /** Mean over seeds; null where no time was measured. */
  readonly imagesPerSecond: number | null
  readonly peakRssBytes: number | null
}

/** `eval.knn.top1@20` -> knn, top1@20; without a primary metric the first of the first evaluation. */
export function primaryMetric(
  primary: readonly string[],
  evaluations: readonly { readonly name: string; readonly k?: readonly number[] | undefined }[],
): { readonly evaluation: string; readonly metric: string } | null {
  for (const path of primary) {
    const match = /^eval\.([^.]+)\.(.+)$/.exec(path)
    const evaluation = evaluations.find((e) => e.name === match?.[1])
    if (evaluation === undefined) continue
    const metric = match![2]!
    return {
      evaluation: evaluation.name,
      metric: metric.includes('@') ? metric : `${metric}@${usualK(evaluation.k)}`,
    }
  }
  const [first] = evaluations
  return first === undefined ? null : { evaluation: first.name, metric: `top1@${usualK(first.k)}` }
}

/** 20 is usually best (RECIPE.md B8). */
function usualK(ks: readonly number[] | undefined): number {
  return ks === undefined || ks.includes(20) ? 20 : (ks[0] ?? 20)
}

/** Variants in the order given; `full`, or else the first, is what the others are compared with. */
export function resultTable(
  variants: readonly VariantResult[],
  evaluation: string,
  metric: string,
): ResultTable | null {
  const measured = (variant: VariantResult, which: 'untrained' | 'trained' | 'rawPixels'): Measurement[] =>
    variant.seeds.flatMap(({ seed, evaluation: file }) => {
      const values = valuesOf(file.evaluations[evaluation]?.[which] ?? null, metric)
      return values === null ? [] : [{ seed, values }]
    })
  const trained = variants.filter((variant) => measured(variant, 'trained').length > 0)
  const base = trained.find(({ variant }) => variant === 'full') ?? trained[0]
  if (base === undefined) return null
  const record = recordOf(base, evaluation)!
  const images = { groups: record.test.groups }
  const baseValues = measured(base, 'trained')
  const row = (name: string, kind: ResultRow['kind'], values: readonly Measurement[]): ResultRow[] =>
    values.length === 0
      ? []
      : [
          {
            ...{ name, kind, value: estimate(values, images), imagesPerSecond: null, peakRssBytes: null },
            against: pairedDifference(values, baseValues, images),
          },
        ]
  const rows = trained.flatMap((variant): ResultRow[] => {
    const [made] = row(variant.variant, 'variant', measured(variant, 'trained'))
    if (made === undefined) return []
    const speeds = variant.seeds.flatMap((s) => (s.imagesPerSecond === null ? [] : [s.imagesPerSecond]))
    const unlike = recordOf(variant, evaluation)!.protocolIdentity !== record.protocolIdentity
    return [
      {
        ...made,
        against: variant === base || unlike ? null : made.against,
        imagesPerSecond: speeds.length === 0 ? null : speeds.reduce((a, b) => a + b, 0) / speeds.length,
        peakRssBytes: Math.max(...variant.seeds.map((s) => s.peakRssBytes)),
      },
    ]
  })
  // One image set, whatever the seed: the floor has nothing to average.
  const pixels = measured(base, 'rawPixels')
  const floor = row('raw pixels', 'floor', pixels.slice(0, 1))
  const shared = pixels.some(({ seed }) => baseValues.some((own) => own.seed === seed))
  return {
    metric: `${evaluation}.${metric}`,
    base: base.variant,
    floorDifference: shared ? pairedDifference(pixels, baseValues, images) : null,
    rows: [
      ...row('untrained', 'untrained', measured(base, 'untrained')),
      ...rows,
      ...floor.map((r) => ({ ...r, against: null })),
    ],
  }
}

function recordOf(variant: VariantResult, evaluation: string): EvaluationRecord | undefined {
  for (const { evaluation: file } of variant.seeds) {
    const record = file.evaluations[evaluation]
    if (record !== undefined) return record
  }
  return undefined
}

function valuesOf(measured: Measured | null, metric: string): Float64Array | null {
  const correct = measured?.correct[metric]
  return correct === undefined ? null : Float64Array.from(correct, (c) => (c === '1' ? 1 : 0))
}
