import type { Span } from '../../diagnostics/diagnostic.js'
import type { Origin } from './build.js'
import type { Provenance, ResolvedExperiment } from './resolved.js'
import type { Node } from './tree.js'

/** Blocks have a place too: where they were opened last, or dropped. */
export function recordBlocks(node: Node, origins: Map<string, Origin>): void {
  for (const child of node.children.values()) {
    if (child.at !== null && !origins.has(child.path))
      origins.set(child.path, { at: child.at, overrode: child.overrode, layer: child.layer, dropped: false })
    recordBlocks(child, origins)
  }
  for (const [key, dropped] of node.dropped) {
    const path = node.path === '' ? key : `${node.path}.${key}`
    if (!origins.has(path)) origins.set(path, { ...dropped, dropped: true })
  }
}

/** Spans belong to the syntax tree and are shared: what is made here is frozen, not what it points at. */
export function provenanceOf(origins: ReadonlyMap<string, Origin>): Record<string, Provenance> {
  const found: Record<string, Provenance> = {}
  for (const [path, { at, overrode, dropped }] of origins)
    found[path] =
      at === null && overrode.length === 0
        ? unset
        : Object.freeze(dropped ? { at, overrode, dropped: true as const } : { at, overrode })
  return Object.freeze(found)
}
const unset: Provenance = Object.freeze({ at: null, overrode: Object.freeze([]) as readonly Span[] })

/** Heads that no loss uses, directly or through a tie, are left out. */
function usedHeads(e: Pick<ResolvedExperiment, 'head' | 'loss'>): Set<string> {
  const used = new Set<string>()
  for (const loss of Object.values(e.loss))
    if ('head' in loss) {
      used.add(loss.head)
      const head = Object.hasOwn(e.head, loss.head) ? e.head[loss.head] : undefined
      if (head?.type === 'tied') used.add(head.to)
    }
  return used
}

export function withoutUnusedHeads(e: ResolvedExperiment): ResolvedExperiment {
  const used = usedHeads(e)
  return { ...e, head: Object.fromEntries(Object.entries(e.head).filter(([name]) => used.has(name))) }
}

/** The value with everything inside frozen. */
export function freeze<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) freeze(inner)
  }
  return value
}
