import type { Label, Span } from '../../../diagnostics/diagnostic.js'
import type { Origin } from '../build.js'
import { unlessPoisoned } from '../poison.js'
import type { Report } from '../report.js'
import type { ResolvedExperiment } from '../resolved.js'

/** What a rule looks at: one variant, whole or with poison that silently ends whatever reads it. */
export interface RuleContext {
  readonly e: ResolvedExperiment
  readonly report: Report
  /** Where the experiment begins: for faults of values that nobody wrote. */
  readonly header: Span
  readonly variant: {
    readonly name: string
    /** True for a variant or grid point, false for `full`. */
    readonly edited: boolean
    /** Paths that the variant itself drops. */
    readonly drops: readonly string[]
  }
  readonly origins: ReadonlyMap<string, Origin>
  /** Whether a block of the kind was lost to a fault: what seems missing may be it. */
  lost(kind: string): boolean
  /** What was written at a place. */
  text(span: Span): string
}

/** One cross-field rule: reports what does not fit together, with the arithmetic that failed. */
export type Rule = (context: RuleContext) => void

/** Runs `check` for each item; one that meets poison is skipped, the others are still checked. */
export function each<T>(items: Iterable<T>, check: (item: T) => void): void {
  for (const item of items) unlessPoisoned(() => check(item))
}

/** The same for blocks by name: one that is lost as a whole does not hide the others. */
export function eachNamed<T>(
  blocks: Readonly<Record<string, T>>,
  check: (name: string, block: T) => void,
): void {
  each(Object.keys(blocks), (name) => check(name, blocks[name] as T))
}

export interface Blame {
  /** The path whose value is to blame, null where all are defaults. */
  readonly path: string | null
  readonly at: Span
  readonly others: readonly { readonly path: string; readonly at: Span }[]
}

/**
 * Among values in conflict, the one set by the most derived body is to blame, within one body the one furthest down;
 * the others become labels.
 */
export function blame(context: RuleContext, paths: readonly string[]): Blame {
  const placed = paths.flatMap((path) => {
    const origin = context.origins.get(path)
    return origin?.at === undefined || origin.at === null
      ? []
      : [{ path, at: origin.at, index: origin.layer?.index ?? -1 }]
  })
  placed.sort((a, b) => b.index - a.index || b.at.start - a.at.start)
  const [first, ...rest] = placed
  const places = new Set([first === undefined ? '' : `${first.at.file}:${first.at.start}`])
  const others = rest.filter(({ at }) => {
    const key = `${at.file}:${at.start}`
    if (places.has(key)) return false
    places.add(key)
    return true
  })
  return { path: first?.path ?? null, at: first?.at ?? context.header, others }
}

/** Labels for the places that are not to blame, each with what it contributes. */
export function labelsOf(blamed: Blame, message: (path: string) => string): Label[] {
  return blamed.others.map(({ path, at }) => ({ span: at, message: message(path) }))
}

/** What each place contributes: the one to blame and the others. */
export function marks(blamed: Blame, message: (path: string) => string): { label: string; labels: Label[] } {
  return { label: blamed.path === null ? '' : message(blamed.path), labels: labelsOf(blamed, message) }
}

/** "comes from `vits14`" where a value was set by a parent. */
export function whose(context: RuleContext, path: string): string {
  const layer = context.origins.get(path)?.layer
  return layer === null || layer === undefined ? 'is the default' : `comes from \`${layer.name}\``
}

/** Whether a value was written by somebody. */
export function written(context: RuleContext, path: string): boolean {
  const origin = context.origins.get(path)
  return origin !== undefined && origin.at !== null && !origin.dropped
}
