import type { ArgumentType, FieldType } from '../../grammar/schema/types.js'
import { camelCase } from '../../grammar/schema/types.js'
import { kindNamed } from '../../grammar/schema/vocabulary.js'
import { exact, trim, writeQuantity } from './dyn.js'
import { type FlatBlock, flatten } from './flatten.js'
import type {
  Curation,
  DataReference,
  ModelReference,
  ResolvedExperiment,
  Schedule,
  Source,
  Time,
} from './resolved.js'

type Json = Readonly<Record<string, unknown>>

/** A resolved value as the language writes it. */
export function writeValue(value: unknown, type: FieldType): string {
  if (value === null || value === undefined) return noneOf(type) ?? 'none'
  switch (type.kind) {
    case 'quantity':
      return writeNumber(value, type)
    case 'words':
      return String(value)
    case 'switch':
      return value === true ? 'on' : 'off'
    case 'text':
    case 'path':
      return writeText(value as string)
    case 'range': {
      const { min, max } = value as { min: unknown; max: unknown }
      return `${writeValue(min, type.of)}..${writeValue(max, type.of)}`
    }
    case 'list':
      return `[${(value as unknown[]).map((item) => writeValue(item, type.of)).join(', ')}]`
    case 'schedule':
      return writeSchedule(value as Schedule, type.of)
    case 'reference':
      switch (type.to) {
        case 'data':
        case 'pool':
          return writeData(value as DataReference)
        case 'model':
          return writeModel(value as ModelReference)
        case 'head':
          return `head.${value as string}`
        default:
          return value as string
      }
    case 'call':
      return writeCall(type.name, type.args, value as Json)
    case 'special':
      return writeSpecial(type.name, value as Json)
    case 'either': {
      const option = type.options.find((o) => suits(value, o)) ?? type.options[0]!
      return writeValue(value, option)
    }
    default:
      return type satisfies never
  }
}

function noneOf(type: FieldType): string | null {
  if (type.kind === 'words') return type.none
  return type.kind === 'either' ? (type.options.map(noneOf).find((none) => none !== null) ?? null) : null
}

function writeNumber(value: unknown, type: FieldType & { kind: 'quantity' }): string {
  if (type.of === 'time') return writeQuantity((value as Time).value, (value as Time).unit)
  const number = value as number
  switch (type.of) {
    case 'ratio': {
      const percent = trim(number * 100)
      return Number(percent) / 100 === number ? `${percent}%` : exact(number)
    }
    case 'length':
      return writeQuantity(number, 'px')
    case 'count':
      return writeQuantity(number, 'img')
    case 'memory':
      return writeQuantity(number, 'byte')
    case 'duration':
      return writeQuantity(number, 's')
    case 'distance':
      return writeQuantity(number, 'm')
    case 'factor':
      return writeQuantity(number, 'x')
    case 'integer':
    case 'number':
      return exact(number)
    default:
      return type.of satisfies never
  }
}

function writeText(text: string): string {
  const escaped = text
    .replace(/\\/g, '\\\\')
    .replace(/"/g, '\\"')
    .replace(/\n/g, '\\n')
    .replace(/\$\{/g, '\\${')
  return `"${escaped}"`
}

/** Whether a resolved value can be of the type, by its form. */
function suits(value: unknown, type: FieldType): boolean {
  switch (type.kind) {
    case 'words':
      return typeof value === 'string' && type.words.includes(value)
    case 'quantity':
      return type.of === 'time' ? isTime(value) : typeof value === 'number'
    case 'switch':
      return typeof value === 'boolean'
    case 'call':
      return (value as Json).type === type.name
    case 'text':
    case 'path':
      return typeof value === 'string'
    case 'special':
      return typeof value === 'object'
    default:
      return true
  }
}

function isTime(value: unknown): boolean {
  return value !== null && typeof value === 'object' && 'unit' in value
}

function writeCall(name: string, args: readonly ArgumentType[], value: Json): string {
  if (args.length === 0) return name
  const written = args.map((arg) => {
    const text = writeValue(value[camelCase(arg.name)], arg.type)
    return arg.positional && !('default' in arg) ? text : `${arg.name}: ${text}`
  })
  return `${name}(${written.join(', ')})`
}

/** `warmup(0 -> 1e-3 over 1 epoch) |> cosine(to: 1e-5)`; a compressed one says what it comes from. */
export function writeSchedule(schedule: Schedule, of: FieldType): string {
  const pieces = [...schedule.pieces]
  const last = pieces.at(-1)
  const before = pieces.at(-2)
  // A piece that ends early is followed by its last value: that goes without saying.
  if (
    last?.kind === 'constant' &&
    before !== undefined &&
    before.kind !== 'constant' &&
    before.to === last.value
  )
    pieces.pop()
  let end: number | null = null
  const written = pieces.map((piece) => {
    const over = piece.over === null ? '' : ` over ${writeQuantity(piece.over.value, piece.over.unit)}`
    if (piece.kind === 'constant') {
      end = piece.value
      const value = writeValue(piece.value, of)
      return pieces.length === 1 && over === '' ? value : `constant(${value}${over})`
    }
    const to = writeValue(piece.to, of)
    const text =
      end !== null && piece.from === end
        ? `${piece.kind}(to: ${to}${over})`
        : `${piece.kind}(${writeValue(piece.from, of)} -> ${to}${over})`
    end = piece.to
    return text
  })
  return written.join(' |> ')
}

export function writeData(reference: DataReference): string {
  switch (reference.kind) {
    case 'source':
      return reference.splits === null
        ? reference.source
        : `${reference.source}.${reference.splits.join('+')}`
    case 'curation':
      return reference.stage === null ? reference.curation : `${reference.curation}.${reference.stage}`
    case 'mix':
      return `mix(${reference.parts.map((part) => `${writeData(part.of)}: ${trim(part.share * 100)}%`).join(', ')})`
    default:
      return reference satisfies never
  }
}

export function writeModel(model: ModelReference): string {
  switch (model.kind) {
    case 'run':
      return `run(${model.experiment}${model.variant === 'full' ? '' : `.${model.variant}`})`
    case 'file':
      return writeText(model.path)
    case 'hub':
      return writeText(`hf://${model.repository}`)
    default:
      return model satisfies never
  }
}

function writeSpecial(
  name: 'drop_path' | 'pos_interpolation' | 'split' | 'table' | 'tied',
  value: Json,
): string {
  switch (name) {
    case 'drop_path': {
      const { shape, from, to, form } = value as { shape: string; from: number; to: number; form: string }
      const extra = form === 'masked' ? ', form: masked' : ''
      return shape === 'uniform'
        ? `uniform(${trim(to)}${extra})`
        : `linear(${trim(from)} -> ${trim(to)}${extra})`
    }
    case 'pos_interpolation': {
      const { offset, antialias } = value as { offset: number; antialias: boolean }
      return antialias ? 'antialias' : offset === 0 ? 'exact' : `offset(${trim(offset)})`
    }
    case 'split': {
      const split = value as Source['split']
      switch (split.kind) {
        case 'all':
          return `all(${split.split})`
        case 'published':
          return 'published'
        case 'hash': {
          const shares = Object.entries(split.shares).map(([part, share]) => `${part}: ${trim(share * 100)}%`)
          return `hash(${[...shares, ...(split.by === null ? [] : [`by: ${writeText(split.by)}`])].join(', ')})`
        }
        case 'listed':
          return `listed(${Object.entries(split.files)
            .map(([part, file]) => `${part}: ${writeText(file)}`)
            .join(', ')})`
        default:
          return split satisfies never
      }
    }
    case 'table': {
      const { table, nested, file, label } = value as {
        table: string
        nested: string | null
        file: string
        label: string | null
      }
      const parts = [writeText(table)]
      if (nested !== null) parts.push(`nested: ${writeText(nested)}`)
      parts.push(`file: ${writeText(file)}`)
      if (label !== null) parts.push(`label: ${writeText(label)}`)
      return `table(${parts.join(', ')})`
    }
    case 'tied':
      return `tied(head.${value.to as string})`
    default:
      return name satisfies never
  }
}

export interface WriteOptions {
  /** Where a value was set, shown as a comment behind it; null shows nothing. */
  readonly place: ((path: string) => string | null) | null
  /** Fields that follow from others and would only repeat them. */
  readonly omit?: (path: string) => boolean
}

/** The whole experiment in the language, every default written out. */
export function writeExperiment(
  resolved: ResolvedExperiment,
  options: WriteOptions = { place: null },
): string {
  const lines: string[] = []
  const [first] = resolved.schedule.phases
  const { nodes, gpus, ranks, semantics, groups } = resolved.hardware
  const omitted = new Set([
    // Written elsewhere: the first phase has no state to keep, and its momentum is the teacher's.
    `schedule.${first?.name}.optimizer_state`,
    ...(first !== undefined && resolved.teacher.type === 'ema' && first.momentum === resolved.teacher.momentum
      ? [`schedule.${first.name}.momentum`]
      : []),
    ...(nodes !== null || gpus !== null ? ['hardware.ranks'] : []),
    ...(ranks === 1 ? ['hardware.shard'] : []),
    ...(semantics === 'per_rank' || groups === ranks ? ['hardware.groups'] : []),
  ])
  const inner: WriteOptions = { ...options, omit: (path) => omitted.has(path) }
  for (const [name, source] of Object.entries(resolved.sources)) writeSource(name, source, lines, options)
  for (const [name, curation] of Object.entries(resolved.curations)) writeCuration(name, curation, lines)
  const variant = resolved.variant === 'full' ? '' : ` // ${resolved.variant}`
  lines.push(`experiment ${resolved.name} {${variant}`)
  if (resolved.description !== null) lines.push(`  description = ${writeText(resolved.description)}`)
  for (const block of flatten(resolved)) writeBlock(block, '  ', lines, inner)
  lines.push('}')
  return `${lines.join('\n')}\n`
}

function comment(path: string, options: WriteOptions): string {
  const place = options.place?.(path) ?? null
  return place === null ? '' : ` // ${place}`
}

function writeBlock(block: FlatBlock, indent: string, lines: string[], options: WriteOptions): void {
  if (block.value !== null) {
    lines.push(
      `${indent}${block.path} = ${writeSpecial('tied', block.value as Json)}${comment(block.path, options)}`,
    )
    return
  }
  const { kind, name, type } = block
  const header =
    kind.form === 'typed'
      ? `${kind.kind} ${type}`
      : name === null
        ? kind.kind
        : `${kind.kind} ${name}${type !== null && type !== name ? `: ${type}` : ''}`
  lines.push(`${indent}${header} {`)
  for (const { path, value, field } of block.fields) {
    const none = value === null || value === undefined ? noneOf(field.type) : ''
    if (none === null || options.omit?.(path) === true) continue
    const compress = (value as Schedule | null)?.compress
    const text = `${field.name} = ${writeValue(value, field.type)}`
    if (compress === undefined) lines.push(`${indent}  ${text}${comment(path, options)}`)
    else {
      const [from, to] = [compress.from, compress.to].map((time) => writeQuantity(time.value, time.unit))
      lines.push(`${indent}  // inherited, compressed from ${from} to ${to}: ${text}`)
    }
  }
  for (const inner of block.blocks) writeBlock(inner, `${indent}  `, lines, options)
  lines.push(`${indent}}`)
}

function writeSource(name: string, source: Source, lines: string[], options: WriteOptions): void {
  const type = kindNamed('source').types.get(source.type)!
  lines.push(`source ${name}: ${source.type} {`)
  for (const field of type.fields.values()) {
    const value = source[field.key!]
    if (field.type.kind === 'special' && (value as { kind?: string }).kind === 'published') continue
    if ((value === null || value === undefined) && noneOf(field.type) === null) continue
    lines.push(
      `  ${field.name} = ${writeValue(value, field.type)}${comment(`sources.${name}.${field.name}`, options)}`,
    )
  }
  lines.push('}', '')
}

function writeCuration(name: string, curation: Curation, lines: string[]): void {
  lines.push(`curation ${name} {`)
  const inside = (text: string) => text.replaceAll(`${name}.`, '')
  for (const stage of curation.stages) {
    const type = kindNamed(stage.kind).types.get(stage.kind)!
    const fields = [...type.fields.values()].map(
      (f) => `${f.name} = ${inside(writeValue(stage[f.key!], f.type))}`,
    )
    lines.push(`  ${stage.kind}${stage.name === null ? '' : ` ${stage.name}`} { ${fields.join(', ')} }`)
  }
  lines.push(`  keep = [${curation.keep.map((k) => inside(writeData(k))).join(', ')}]`, '}', '')
}
