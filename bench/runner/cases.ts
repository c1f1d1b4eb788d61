/** A step of ours, an experiment of bench/models.dino, beside the same step of the peer. */
export interface Case {
  readonly name: string
  readonly ours: string
  /** Options of bench/peer/main.py. */
  readonly peer: readonly string[]
  /** The ratio of images per second that the project holds itself to. */
  readonly least: number
  /** Of what multiply-adds alone reach, as a share. */
  readonly leastOfPeak?: number
  /** Of the peer's peak memory. */
  readonly mostMemory?: number
}

export const cases: readonly Case[] = [
  {
    name: 'vits14-eager',
    ours: 'vits14_step.full',
    peer: [],
    least: 1.15,
    leastOfPeak: 0.7,
    mostMemory: 0.6,
  },
  {
    name: 'vits14-tight',
    ours: 'vits14_step.tight',
    peer: [],
    least: 1,
    leastOfPeak: 0.55,
    mostMemory: 0.45,
  },
  { name: 'vits14-compiled', ours: 'vits14_step.full', peer: ['--compile'], least: 1.12 },
  { name: 'small-eager', ours: 'small_step.full', peer: [], least: 1.12 },
  { name: 'small-compiled', ours: 'small_step.full', peer: ['--compile'], least: 1.12 },
  { name: 'small-bf16', ours: 'small_step.bf16', peer: ['--bf16'], least: 1.3 },
  { name: 'drop-path-masked', ours: 'vits14_step.subset', peer: ['--drop-path-mode', 'mask'], least: 1.9 },
  { name: 'drop-path-subset', ours: 'vits14_step.subset', peer: ['--drop-path-mode', 'subset'], least: 1.15 },
  { name: 'vits14-bf16', ours: 'vits14_step.bf16', peer: ['--bf16'], least: 1.15 },
]
