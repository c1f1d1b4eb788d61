import type { Span } from '../../diagnostics/diagnostic.js'
import type { Value } from '../../grammar/ast.js'
import type { BlockDef, KindDef } from '../../grammar/schema/vocabulary.js'
import type { Layer } from './edits.js'

/** What was said about one experiment, layer upon layer, before anything is evaluated. */
export interface Node {
  readonly kind: KindDef
  readonly path: string
  /** The type's fields; null where the type is not known and everything inside stays silent. */
  block: BlockDef | null
  readonly name: string | null
  readonly settings: Map<string, Entry>
  /** By the rest of the path: `backbone`, `loss.koleo`, `pretrain` inside `schedule`. */
  readonly children: Map<string, Node>
  /** The block as a value: `head.ibot = tied(head.dino)`. */
  value: Entry | null
  /** Where it was opened last, and before. */
  at: Span | null
  layer: Layer | null
  overrode: readonly Span[]
  /** Fields that an unknown name resembles: they are not reported as missing. */
  readonly silenced: Set<string>
  /** Where fields and blocks inside were dropped. */
  readonly dropped: Map<
    string,
    { readonly at: Span; readonly overrode: readonly Span[]; readonly layer: Layer }
  >
  /** True where statements were lost to a fault. */
  incomplete: boolean
}

export interface Entry {
  readonly value: Value
  readonly layer: Layer
  readonly at: Span
  readonly overrode: readonly Span[]
}

export function newNode(kind: KindDef, block: BlockDef | null, path: string, name: string | null): Node {
  return {
    kind,
    path,
    block,
    name,
    settings: new Map(),
    children: new Map(),
    value: null,
    at: null,
    layer: null,
    overrode: [],
    silenced: new Set(),
    dropped: new Map(),
    incomplete: false,
  }
}

/** A copy that can be edited without changing the original. */
export function copyNode(node: Node): Node {
  return {
    ...node,
    settings: new Map(node.settings),
    children: new Map([...node.children].map(([key, child]) => [key, copyNode(child)])),
    silenced: new Set(node.silenced),
    dropped: new Map(node.dropped),
  }
}

export function blockTitle(node: Node): string {
  const kind = node.kind.kind
  if (node.path === '') return kind === 'experiment' ? 'an experiment' : `\`${kind} ${node.name}\``
  if (node.kind.form === 'typed') return `\`${kind} ${node.block?.type ?? ''}\``
  if (node.kind.typeIsName && node.block !== null && node.block.type !== node.name)
    return `\`${kind} ${node.name}: ${node.block.type}\``
  return node.name === null ? `\`${kind}\`` : `\`${kind} ${node.name}\``
}
