import { keptCount } from '../ir/operands.js'
import type { Func, Group, HostInput, Module, Op, ValueId } from '../ir/types.js'
import { calleeContext, type Draft, dropUnreachable, inlineCall, openDraft } from './rewrite.js'

/**
 * Pass 3: a `residual` becomes its branch and the way it rejoins. With a rate, the branch runs on the kept sequences
 * only: of b sequences in a group max(int(b (1 - rate)), 1), a fixed number, which ones drawn by the host. The sum
 * over kept branches is scaled by b / kept (dinov2's drop_add_residual_stochastic_depth). Form `masked` computes every
 * sequence and multiplies by 0 or 1 / (1 - rate).
 *
 *   %y = residual student.attn(%x; %w) {rate: 0.4, form: "subset", site: "blocks.3.attn"}       x: global 64x65
 * ->
 *   %k = gather_segments(%x, %kept) {kept: [38]}       %kept: host input kept_subset(blocks.3.attn)
 *   %b = call student.attn(%k; %w)
 *   %y = residual_add(%x, %b, _, %kept) {scales: [1.684]}                 64 / 38
 *
 * Functions that hold such a residual are put in place of their calls first: each site has an input of its own.
 */
export function stochasticDepth(module: Module): Module {
  const inputs = [...module.inputs]
  const drops = functionsThatDrop(module)
  const functions: Record<string, Func> = {}
  for (const [name, func] of Object.entries(module.functions)) {
    const isEntry = module.entries.includes(name)
    if (drops.has(name) && !isEntry) {
      functions[name] = func
      continue
    }
    functions[name] = expand(module, func, drops, isEntry ? inputs : null)
  }
  return dropUnreachable({ ...module, functions, inputs })
}

/** Every residual on all sequences, as if no site had a rate: what stochastic depth saves is measured against this. */
export function plainResiduals(module: Module): Module {
  const functions: Record<string, Func> = {}
  for (const [name, func] of Object.entries(module.functions))
    functions[name] = expandResiduals(module, func, (draft, op) =>
      rejoin(draft, { ...op, attrs: { ...op.attrs, rate: 0 } }, null),
    )
  return { ...module, functions }
}

/** Functions with a residual of a rate above 0, in themselves or in what they call. */
function functionsThatDrop(module: Module): Set<string> {
  const known = new Map<string, boolean>()
  const visit = (name: string): boolean => {
    const found = known.get(name)
    if (found !== undefined) return found
    known.set(name, false)
    const drops = module.functions[name]!.ops.some(
      (op) =>
        (op.kind === 'residual' && (op.attrs.rate > 0 || visit(op.attrs.branch))) ||
        (op.kind === 'call' && visit(op.attrs.callee)),
    )
    known.set(name, drops)
    return drops
  }
  return new Set(Object.keys(module.functions).filter(visit))
}

function expand(module: Module, func: Func, drops: ReadonlySet<string>, inputs: HostInput[] | null): Func {
  let flat = func
  // Calls within what was put in place may drop too.
  while (flat.ops.some((op) => op.kind === 'call' && drops.has(op.attrs.callee))) {
    const draft = openDraft(flat, calleeContext(module))
    for (const op of flat.ops) {
      if (op.kind === 'call' && drops.has(op.attrs.callee))
        inlineCall(draft, op, module.functions[op.attrs.callee]!)
      else draft.keep(op)
    }
    flat = draft.close()
  }
  return expandResiduals(module, flat, (draft, op) => rejoin(draft, op, inputs))
}

function expandResiduals(
  module: Module,
  func: Func,
  expandOne: (draft: Draft, op: Op<'residual'>) => void,
): Func {
  if (!func.ops.some((op) => op.kind === 'residual')) return func
  const draft = openDraft(func, calleeContext(module))
  for (const op of func.ops) {
    if (op.kind === 'residual') expandOne(draft, op)
    else draft.keep(op)
  }
  return draft.close()
}

function rejoin(draft: Draft, op: Op<'residual'>, inputs: HostInput[] | null): void {
  const { branch, rate, form, site, draws } = op.attrs
  const [x, ...weights] = op.operands as readonly ValueId[]
  const call = (data: ValueId) => draft.emit('call', [data, ...weights], { callee: branch, data: 1 }, op)[0]!
  if (rate === 0) {
    const y = call(x!)
    draft.emitAs('residual_add', [x!, y, null, null, null], { scales: null }, op.results, op)
    return
  }
  const groups = draft.type(x!).segments
  if (groups === undefined || inputs === null)
    throw new Error(`residual ${site} with rate ${rate} is not on a ragged tensor of an entry`)
  if (form === 'masked') {
    const factors = hostInput(draft, inputs, {
      name: `keep_factors.${site}(${groupNames(groups)})`,
      type: { dtype: 'f32', shape: [groups.reduce((n, group) => n + group.count, 0)] },
      generator: {
        kind: 'keep_factors',
        site,
        rate,
        groups: groups.map(({ name, count }) => ({ name, count })),
      },
    })
    const y = call(x!)
    draft.emitAs('residual_add', [x!, y, null, null, factors], { scales: null }, op.results, op)
    return
  }
  const kept = groups.map((group) => keptCount(group.count, rate, draws))
  const subset = hostInput(draft, inputs, {
    name: `kept.${site}(${groupNames(groups)})`,
    type: { dtype: 'i32', shape: [kept.reduce((n, count) => n + count, 0)] },
    generator: {
      kind: 'kept_subset',
      site,
      groups: groups.map(({ name, count }, i) => ({ name, count, kept: kept[i]! })),
    },
  })
  const [chosen] = draft.emit('gather_segments', [x!, subset], { kept }, op)
  const y = call(chosen!)
  const scales = groups.map((group, i) => group.count / kept[i]!)
  draft.emitAs('residual_add', [x!, y, null, subset, null], { scales }, op.results, op)
}

const groupNames = (groups: readonly Group[]): string => groups.map((group) => group.name).join(',')

function hostInput(draft: Draft, inputs: HostInput[], input: HostInput): ValueId {
  if (inputs.some(({ name }) => name === input.name))
    throw new Error(`two sites share the host input ${input.name}`)
  inputs.push(input)
  return draft.param(input.type, { kind: 'input', name: input.name }, input.name)
}
