import type { AnyOp, Func, Module, Op, OpKind, ValueId } from '../ir/types.js'
import { countUses, definitions, makeOp, mapEntries, openDraft } from './rewrite.js'

/**
 * Pass 7: an op takes in the one that makes its operand, if nothing else reads that value: one sweep over memory
 * instead of two.
 *
 *   %s = layer_scale(%b, %gamma)           %y = residual_add(%x, %s, _, %kept)
 *   %d = matmul(%dy, %w)                   %dh = gelu_grad(%d, %h)
 *   %p2, %m2, %v2 = adamw(%p, ...)         %t2 = ema(%t, %p2, %momentum, %finite)
 * ->
 *   %y = residual_add(%x, %b, %gamma, %kept)             %dh = matmul(%dy, %w, _, %h) {epilogue: "gelu_grad"}
 *   %p2, %m2, %v2, %t2 = adamw_ema(%p, ...)
 *
 * Also layer_scale into the gradient of residual_add; the scattered gradient of a kept subset into residual_add; a
 * sum with a product into the product. Forward ops of two blocks are never joined: pass 9 and sharding cut there.
 */
export function fuseNeighbours(module: Module): Module {
  return mapEntries(module, (func) => fuseUpdates(fuseInto(func)))
}

interface Graph {
  readonly makers: readonly (AnyOp | undefined)[]
  readonly uses: Int32Array
  readonly position: ReadonlyMap<AnyOp, number>
}

/** The fused op, and the ops whose work it takes over. */
interface Fused {
  readonly op: AnyOp
  readonly absorbed: readonly AnyOp[]
}

type Rule<K extends OpKind> = (op: Op<K>, graph: Graph) => Fused | null

function fuseInto(func: Func): Func {
  const makers = definitions(func)
  const uses = countUses(func)
  const position = new Map(func.ops.map((op, i) => [op, i]))
  const graph: Graph = { makers, uses, position }
  const replaced = new Map<AnyOp, AnyOp>()
  const gone = new Set<AnyOp>()
  for (const op of func.ops) {
    // One op may take in several, one after another.
    for (let now = op; ; ) {
      const rule = rules[now.kind] as Rule<OpKind> | undefined
      const fused = rule === undefined ? null : rule(now as Op, graph)
      if (fused === null) break
      for (const part of fused.absorbed) gone.add(part)
      for (const id of fused.op.results) makers[id] = fused.op
      position.set(fused.op, position.get(op)!)
      replaced.set(op, fused.op)
      now = fused.op
    }
  }
  if (gone.size === 0) return func
  const draft = openDraft(func)
  for (const op of func.ops) if (!gone.has(op)) draft.keep(replaced.get(op) ?? op)
  return draft.close()
}

/** The op that makes `id`, if it is of the kind and `id`, read once, is the only result that anything reads. */
function soleMaker<K extends OpKind>(graph: Graph, id: ValueId | null, kind: K, into: AnyOp): Op<K> | null {
  if (id === null || graph.uses[id] !== 1) return null
  const maker = graph.makers[id]
  if (maker?.kind !== kind) return null
  if (maker.stage !== into.stage) return null
  if (into.stage === 'forward' && blockOf(maker.module) !== blockOf(into.module)) return null
  return maker as unknown as Op<K>
}

/** `student.backbone.blocks.3` of `student.backbone.blocks.3.attn.qkv`; '' outside blocks. */
export function blockOf(module: string): string {
  return /^(?:.*\.)?blocks\.\d+(?=\.|$)/.exec(module)?.[0] ?? ''
}

const rules: { readonly [K in OpKind]?: Rule<K> } = {
  residual_add: (op, graph) => {
    const [x, branch, gamma, kept, factors] = op.operands
    if (gamma !== null) return null
    const scale = soleMaker(graph, branch!, 'layer_scale', op as unknown as AnyOp)
    if (scale === null) return null
    const operands = [x!, scale.operands[0]!, scale.operands[1]!, kept!, factors!]
    return fused(makeOp('residual_add', operands, op.results, op.attrs, op), scale)
  },
  layer_scale_grad: (op, graph) => {
    const [dy, branch, gamma] = op.operands
    const rejoin = soleMaker(graph, dy!, 'residual_add_grad', op as unknown as AnyOp)
    if (rejoin === null || rejoin.operands[2] !== null) return null
    const operands = [rejoin.operands[0]!, branch!, gamma!, rejoin.operands[3]!, rejoin.operands[4]!]
    return fused(makeOp('residual_add_grad', operands, op.results, rejoin.attrs, op), rejoin)
  },
  gelu_grad: (op, graph) => {
    const [dy, pre] = op.operands
    const product = soleMaker(graph, dy!, 'matmul', op as unknown as AnyOp)
    if (product === null || product.attrs.epilogue !== 'none' || product.operands[2] !== null) return null
    const [a, b, , , rows] = product.operands
    const attrs = { ...product.attrs, epilogue: 'gelu_grad' as const }
    return fused(makeOp('matmul', [a!, b!, null, pre!, rows!], op.results, attrs, product), product)
  },
  add: (op, graph) => addIntoResidual(op, graph) ?? addIntoProduct(op, graph),
}

function fused(op: AnyOp, ...absorbed: readonly Op<OpKind>[] | readonly unknown[]): Fused {
  return { op, absorbed: absorbed as readonly AnyOp[] }
}

/** x + scatter(y): the kept sequences are added where they belong, without a tensor of zeros. */
function addIntoResidual(op: Op<'add'>, graph: Graph): Fused | null {
  for (const [x, other] of [
    [op.operands[0]!, op.operands[1]!],
    [op.operands[1]!, op.operands[0]!],
  ] as const) {
    const scatter = soleMaker(graph, other, 'scatter_segments', op as unknown as AnyOp)
    if (scatter === null) continue
    const [y, kept] = scatter.operands
    const attrs = { scales: scatter.attrs.scales }
    return fused(makeOp('residual_add', [x, y!, null, kept!, null], op.results, attrs, op), scatter)
  }
  return null
}

/** c + a b, where the product is the later of the two, so that nothing is kept alive for it. */
function addIntoProduct(op: Op<'add'>, graph: Graph): Fused | null {
  for (const [c, other] of [
    [op.operands[0]!, op.operands[1]!],
    [op.operands[1]!, op.operands[0]!],
  ] as const) {
    const product = soleMaker(graph, other, 'matmul', op as unknown as AnyOp)
    if (product === null || product.attrs.epilogue !== 'none' || product.operands[2] !== null) continue
    const before = graph.makers[c]
    if (before !== undefined && graph.position.get(before)! > graph.position.get(graph.makers[other]!)!)
      continue
    const [a, b, , , rows] = product.operands
    return fused(makeOp('matmul', [a!, b!, c, null, rows!], op.results, product.attrs, product), product)
  }
  return null
}

/** AdamW and the first average of the parameter that it makes, in one sweep. */
function fuseUpdates(func: Func): Func {
  const makers = definitions(func)
  const average = new Map<AnyOp, Op<'ema'>>()
  for (const op of func.ops) {
    if (op.kind !== 'ema') continue
    const [t, s, momentum, finite] = op.operands
    const update = makers[s!]
    if (update?.kind !== 'adamw' || update.results[0] !== s || update.operands[8] !== finite) continue
    // At the place of adamw, what the average reads must be there: parameters are.
    if (average.has(update) || makers[t!] !== undefined || makers[momentum!] !== undefined) continue
    average.set(update, op)
  }
  if (average.size === 0) return func
  const gone = new Set<unknown>(average.values())
  const draft = openDraft(func)
  for (const op of func.ops) {
    if (gone.has(op)) continue
    const ema = average.get(op)
    if (op.kind !== 'adamw' || ema === undefined) {
      draft.keep(op)
      continue
    }
    const [p, g, m, v, lr, wd, step, clip, finite] = op.operands
    draft.emitAs(
      'adamw_ema',
      [p!, g!, m!, v!, ema.operands[0]!, lr!, wd!, step!, ema.operands[2]!, clip!, finite!],
      op.attrs,
      [...op.results, ema.results[0]!],
      op,
    )
  }
  return draft.close()
}
