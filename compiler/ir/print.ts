import { hint } from './builder.js'
import { showType } from './operands.js'
import { operandNames } from './ops.js'
import type {
  AnyOp,
  Func,
  Group,
  Module,
  ParamSource,
  ResultSink,
  StateTensor,
  TensorType,
  ValueId,
} from './types.js'

export interface PrintOptions {
  /** Result types after each op (default true). Without them the text is for reading only. */
  readonly types?: boolean
  /** The place in the .dino file of each op (default false). With types and spans, `parseModule` gives back the same. */
  readonly spans?: boolean
}

/**
 * A module as text.
 *
 *   module "quickstart.full/pretrain" micro_steps 1 entries accumulate, update
 *   state "student.backbone.norm.weight" f32[96] student {stored: [96], init: {kind: "constant", value: 1}, ...}
 *   input "crops.global" f32[128, 3, 32, 32] {kind: "crops", group: "global"}
 *
 *   func accumulate(
 *     %images: f32[128, 3, 32, 32] = input "crops.global",
 *   ) {
 *     -- student.backbone.patch_embed (forward)
 *     %patches = patchify(%images) {patch: 4} : f32[8192, 48]
 *     return metric "loss.total" %loss
 *   }
 *
 * `%name` where a name is used once, else `%name.7` with the value's number, or `%7`. Numbers follow the order of
 * definition. `_` is an absent operand; trailing ones are left out.
 */
export function printModule(module: Module, options: PrintOptions = {}): string {
  const head = `module ${text(module.name)} micro_steps ${module.microSteps} entries ${module.entries.join(', ')}`
  const state = module.state.map(printState)
  const inputs = module.inputs.map(
    (i) => `input ${text(i.name)} ${showType(i.type)} ${printAttributes(i.generator)}`,
  )
  const functions = Object.values(module.functions).map((f) => `\n${printFunc(f, options)}`)
  return `${[head, ...state, ...inputs, ...functions].join('\n')}\n`
}

const text = (s: string) => JSON.stringify(s)

function printState({ name, type, role, storedShape, init, optimizer }: StateTensor): string {
  const rest = printAttributes({ stored: storedShape, init, ...(optimizer && { optimizer }) })
  return `state ${text(name)} ${showType(type)} ${role} ${rest}`
}

export function printFunc(func: Func, options: PrintOptions = {}): string {
  const name = valueNames(func)
  const type = (id: ValueId) => showType(func.values[id]?.type as TensorType)
  const params = func.params.map((p) => `  ${name(p.value)}: ${type(p.value)}${printSource(p.source)},`)
  const lines: string[] = []
  let place = ''
  for (const op of func.ops) {
    const here = `  -- ${op.module}${op.module === '' ? '' : ' '}(${op.stage})`
    if (here !== place) lines.push(here)
    place = here
    lines.push(`  ${printOp(op, name, type, options)}`)
  }
  const results = func.results.map((r) => `${printSink(r.sink)}${name(r.value)}`)
  lines.push(
    results.length > 4 ? `  return\n    ${results.join(',\n    ')}` : `  return ${results.join(', ')}`,
  )
  const open = params.length > 0 ? `(\n${params.join('\n')}\n)` : '()'
  return `func ${func.name}${open} {\n${lines.map((l) => l.trimEnd()).join('\n')}\n}`
}

/** `%name`, `%name.7` or `%7` of each value, numbered in order of definition. */
function valueNames(func: Func): (id: ValueId) => string {
  const order = [...func.params.map((p) => p.value), ...func.ops.flatMap((op) => op.results)]
  const number = new Map(order.map((id, i) => [id, i]))
  const uses = new Map<string, number>()
  for (const { name } of func.values)
    if (name !== undefined) uses.set(hint(name), (uses.get(hint(name)) ?? 0) + 1)
  return (id) => {
    const given = func.values[id]?.name
    const own = given === undefined ? '' : hint(given)
    if (own === '') return `%${number.get(id) ?? `?${id}`}`
    return uses.get(own) === 1 ? `%${own}` : `%${own}.${number.get(id) ?? `?${id}`}`
  }
}

const printSource = (source: ParamSource) =>
  source.kind === 'operand' ? '' : ` = ${source.kind} ${text(source.name)}`

const printSink = (sink: ResultSink) => (sink.kind === 'result' ? '' : `${sink.kind} ${text(sink.name)} `)

function printOp(
  op: AnyOp,
  name: (id: ValueId) => string,
  type: (id: ValueId) => string,
  options: PrintOptions,
): string {
  const results = op.results.length > 0 ? `${op.results.map(name).join(', ')} = ` : ''
  const types = options.types === false ? '' : ` : ${op.results.map(type).join(', ')}`
  const { span } = op
  const place =
    options.spans && span
      ? ` @ ${text(span.file)} ${span.startLine}:${span.startColumn}-${span.endLine}:${span.endColumn} ${span.start}..${span.end}`
      : ''
  return `${results}${printUse(op, name)}${types}${place}`
}

function printUse(op: AnyOp, name: (id: ValueId) => string): string {
  const operands = op.operands.map((v) => (v === null ? '_' : name(v)))
  const split = (data: number) =>
    [operands.slice(0, data).join(', '), operands.slice(data).join(', ')].join('; ')
  if (op.kind === 'call') return `call ${op.attrs.callee}(${split(op.attrs.data)})`
  if (op.kind === 'residual') {
    const { branch, ...rest } = op.attrs
    return `residual ${branch}(${split(1)}) ${printAttributes(rest)}`
  }
  if (operands.length === operandNames[op.kind].length) while (operands.at(-1) === '_') operands.pop()
  const attrs = printAttributes(op.attrs)
  return `${op.kind}(${operands.join(', ')})${attrs === '{}' ? '' : ` ${attrs}`}`
}

/** `{eps: 0.000001, segments: <global 64x17 + local 192x5>, type: f32[]}`: JSON with bare keys and IR types. */
export function printAttributes(attrs: object): string {
  const fields = Object.entries(attrs).filter(([, value]) => value !== undefined)
  const printed = fields.map(([key, value]) => `${bareKey(key)}: ${printValue(key, value)}`)
  return `{${printed.join(', ')}}`
}

const bareKey = (key: string) => (/^[A-Za-z_]\w*$/.test(key) ? key : text(key))

function printValue(key: string, value: unknown): string {
  if (key === 'segments')
    return `<${(value as readonly Group[]).map((g) => `${g.name} ${g.count}x${g.length}`).join(' + ')}>`
  if (key === 'type' && typeof value === 'object') return showType(value as TensorType)
  if (Array.isArray(value)) return `[${value.map((v) => printValue('', v)).join(', ')}]`
  if (typeof value === 'object' && value !== null) return printAttributes(value)
  return JSON.stringify(value)
}
