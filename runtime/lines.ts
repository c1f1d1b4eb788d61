import type { EvaluationLine, LineTime, TrainingLine } from './events.js'
import { entropy } from './monitors.js'
import type { Metrics, StepResult } from './run.js'

/** Metrics have the plan's names: `loss.dino_local`, `grad_norm.backbone`, `entropy.ibot`, `usage.ibot`. */
export function trainingLine(result: StepResult, time: LineTime): TrainingLine {
  const { metrics } = result
  const values = result.span.values(result.step)
  return {
    step: result.step,
    phase: result.span.phase.name,
    loss: group(metrics, 'loss.'),
    grad_norm: group(metrics, 'grad_norm.'),
    masked_rows: result.maskedRows,
    lr: values.lr ?? 0,
    weight_decay: values.weight_decay ?? 0,
    teacher_temp: values.teacher_temp ?? 0,
    momentum: values.momentum ?? 0,
    time,
  }
}

function group(metrics: Metrics, prefix: string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(metrics)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, values]) => [name.slice(prefix.length), values[0]!]),
  )
}

/** What the monitors watch at each step: `entropy.dino` in nats, `usage.dino` as an effective number of prototypes. */
export function stepMeasures(metrics: Metrics): Record<string, number> {
  const measures: Record<string, number> = {}
  for (const [name, values] of Object.entries(metrics)) {
    if (name.startsWith('entropy.')) measures[name] = values[0]!
    if (name.startsWith('usage.')) measures[name] = Math.exp(entropy(values))
  }
  return measures
}

export function lineScalars(line: TrainingLine): Record<string, number> {
  const scalars: Record<string, number> = {}
  for (const [term, value] of Object.entries(line.loss)) scalars[`loss/${term}`] = value
  for (const [part, value] of Object.entries(line.grad_norm)) scalars[`grad_norm/${part}`] = value
  for (const name of ['masked_rows', 'lr', 'weight_decay', 'teacher_temp', 'momentum'] as const)
    scalars[`schedule/${name}`] = line[name]
  for (const [name, value] of Object.entries(line.time))
    if (typeof value === 'number') scalars[`time/${name}`] = value
  return scalars
}

export function evaluationScalars(line: EvaluationLine): Record<string, number> {
  return Object.fromEntries(
    Object.entries(line.eval).flatMap(([name, metrics]) =>
      Object.entries(metrics).map(([metric, value]) => [`eval/${name}/${metric}`, value] as const),
    ),
  )
}
