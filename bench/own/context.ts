import type { Section } from './figures.js'

export interface Context {
  /** Of each comparison. */
  readonly pairs: number
  /** Of the device. */
  readonly threads: number
  /** A temporary folder. */
  readonly scratch: string
  tell(line: string): void
}

export interface Case {
  readonly name: string
  run(context: Context): Section | Promise<Section>
}
