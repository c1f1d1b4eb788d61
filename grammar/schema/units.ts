/** What a number measures. Quantities of one dimension add up; two units of one dimension are the same thing written twice. */
export const dimensions = ['px', 'img', 'step', 'epoch', 'pass', 'byte', 's', 'm', 'x'] as const
export type Dimension = (typeof dimensions)[number]

export interface Unit {
  /** `ratio` counts as dimensionless: `30%` and `0.3` mean the same. */
  readonly dimension: Dimension | 'ratio'
  readonly factor: number
}

/** Every unit by the words that may be written; plurals exist for step, epoch and pass. */
export const units: Readonly<Record<string, Unit>> = {
  px: { dimension: 'px', factor: 1 },
  img: { dimension: 'img', factor: 1 },
  step: { dimension: 'step', factor: 1 },
  steps: { dimension: 'step', factor: 1 },
  epoch: { dimension: 'epoch', factor: 1 },
  epochs: { dimension: 'epoch', factor: 1 },
  pass: { dimension: 'pass', factor: 1 },
  passes: { dimension: 'pass', factor: 1 },
  '%': { dimension: 'ratio', factor: 0.01 },
  KiB: { dimension: 'byte', factor: 1024 },
  MiB: { dimension: 'byte', factor: 1024 ** 2 },
  GiB: { dimension: 'byte', factor: 1024 ** 3 },
  KB: { dimension: 'byte', factor: 1e3 },
  MB: { dimension: 'byte', factor: 1e6 },
  GB: { dimension: 'byte', factor: 1e9 },
  s: { dimension: 's', factor: 1 },
  min: { dimension: 's', factor: 60 },
  h: { dimension: 's', factor: 3600 },
  d: { dimension: 's', factor: 86400 },
  m: { dimension: 'm', factor: 1 },
  x: { dimension: 'x', factor: 1 },
}
