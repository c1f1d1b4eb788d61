import { diagnose } from '../../diagnostics/catalogue.js'
import type { Span } from '../../diagnostics/diagnostic.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { DType, Group, OpKind, TensorType } from './types.js'

/** What a shape rule may ask beyond the operand types: where the op stands, and what a called function returns. */
export interface ShapeContext {
  readonly span: Span | null
  readonly callee: (name: string, types: readonly TensorType[]) => readonly TensorType[]
}

/** For ops outside any module: no function can be called. */
export const noCallees: ShapeContext = {
  span: null,
  callee: (name) => {
    throw new DiagnosticError([diagnose('DINO0604', null, { callee: name })])
  },
}

/** `f32[2048: global 64x17 + local 192x5, 96]`, `f32[mask.rows<=384, 64]`, `i32[]` */
export function showType(type: TensorType): string {
  const dims = type.shape.map(String)
  if (dims.length > 0) {
    if (type.rows !== undefined) dims[0] = `${type.rows}<=${dims[0]}`
    if (type.segments)
      dims[0] += `: ${type.segments.map((g) => `${g.name} ${g.count}x${g.length}`).join(' + ')}`
  }
  return `${type.dtype}[${dims.join(', ')}]`
}

export const elements = (type: TensorType) => type.shape.reduce((n, size) => n * size, 1)

export const groupRows = (groups: readonly Group[]) => groups.reduce((n, g) => n + g.count * g.length, 0)
export const sequences = (groups: readonly Group[]) => groups.reduce((n, g) => n + g.count, 0)

/**
 * How many of `count` sequences a site of stochastic depth keeps: a fixed number, whichever the host draws, of each of
 * `draws` equal parts of the images.
 */
export function keptCount(count: number, rate: number, draws = 1): number {
  return draws * Math.max(Math.trunc((count / draws) * (1 - rate)), 1)
}

export const tensor = (dtype: DType, ...shape: number[]): TensorType => ({ dtype, shape })

/**
 * A type with the given parts and no undefined fields. Every type is written by one of these four literals, so that
 * they are four kinds of object to the engine.
 */
export function tensorType(
  dtype: DType,
  shape: readonly number[],
  segments?: readonly Group[] | undefined,
  rows?: string | undefined,
): TensorType {
  if (segments === undefined) return rows === undefined ? { dtype, shape } : { dtype, shape, rows }
  return rows === undefined ? { dtype, shape, segments } : { dtype, shape, segments, rows }
}

/** A result aligned with the rows of `x`: another shape, the same segments and bound. */
export const like = (x: TensorType, ...shape: number[]) => tensorType(x.dtype, shape, x.segments, x.rows)

export function sameGroups(a: readonly Group[] | undefined, b: readonly Group[] | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return (
    a.length === b.length &&
    a.every((g, i) => g.name === b[i]?.name && g.count === b[i]?.count && g.length === b[i]?.length)
  )
}

export function sameType(a: TensorType, b: TensorType): boolean {
  return (
    a.dtype === b.dtype &&
    a.rows === b.rows &&
    a.shape.length === b.shape.length &&
    a.shape.every((size, i) => size === b.shape[i]) &&
    sameGroups(a.segments, b.segments)
  )
}

/** A dimension in a pattern: a size, or a symbol that stands for the same size wherever it occurs in one op. */
export type Dim = string | number

/**
 * Reads the operands of one op against patterns: `o.float(0, 'R', 'in')` takes operand 0 as a two-dimensional f32 or
 * bf16 tensor and binds R and in; `o.float(1, 'out', 'in')` then demands the same `in`. Throws DINO0601 otherwise.
 */
export class Operands {
  private readonly sizes = new Map<string, number>()

  constructor(
    private readonly kind: OpKind,
    private readonly names: readonly string[],
    readonly all: readonly (TensorType | null)[],
    readonly context: ShapeContext,
  ) {}

  get count(): number {
    return this.all.length
  }

  /** Any shape where no pattern is given. */
  float(i: number, ...pattern: Dim[]): TensorType {
    return this.match(i, 'float', pattern.length > 0 ? pattern : null)
  }

  int(i: number, ...pattern: Dim[]): TensorType {
    return this.match(i, 'i32', pattern)
  }

  optionalFloat(i: number, ...pattern: Dim[]): TensorType | null {
    return this.all[i] ? this.match(i, 'float', pattern) : null
  }

  optionalInt(i: number, ...pattern: Dim[]): TensorType | null {
    return this.all[i] ? this.match(i, 'i32', pattern) : null
  }

  scalar(i: number): TensorType {
    return this.match(i, 'float', [])
  }

  /** Any dtype and shape. */
  any(i: number): TensorType {
    return this.all[i] ?? this.fail(i, 'a tensor')
  }

  /** An operand that must be the same in dtype and shape as another type. */
  same(i: number, as: TensorType): TensorType {
    const type = this.all[i]
    const fits =
      type &&
      type.dtype === as.dtype &&
      type.shape.length === as.shape.length &&
      type.shape.every((size, axis) => size === as.shape[axis])
    return fits ? type : this.fail(i, showType(as))
  }

  /** An operand that must be ragged. */
  ragged(i: number, ...pattern: Dim[]): TensorType & { readonly segments: readonly Group[] } {
    const type = this.match(i, 'float', pattern)
    if (!type.segments) return this.fail(i, 'a tensor with segments')
    return type as TensorType & { readonly segments: readonly Group[] }
  }

  dim(symbol: string): number {
    return this.sizes.get(symbol) as number
  }

  bind(symbol: string, size: number): void {
    this.sizes.set(symbol, size)
  }

  fail(i: number, expected: string): never {
    const found = this.all[i]
    throw new DiagnosticError([
      diagnose('DINO0601', this.context.span, {
        op: this.kind,
        operand: this.nameOf(i),
        expected,
        found: found ? showType(found) : 'nothing',
      }),
    ])
  }

  badAttribute(attribute: string, expected: string, found: unknown): never {
    throw new DiagnosticError([
      diagnose('DINO0603', this.context.span, {
        op: this.kind,
        attribute,
        expected,
        found: JSON.stringify(found) ?? 'nothing',
      }),
    ])
  }

  private match(i: number, dtype: 'float' | 'i32', pattern: readonly Dim[] | null): TensorType {
    const type = this.all[i]
    const before = this.sizes.size
    const refuse = () => this.fail(i, this.wanted(dtype, pattern, before))
    if (!type) return refuse()
    if ((type.dtype === 'i32') !== (dtype === 'i32')) return refuse()
    if (!pattern) return type
    if (type.shape.length !== pattern.length) return refuse()
    for (const [axis, d] of pattern.entries()) {
      const size = type.shape[axis] as number
      const want = typeof d === 'number' ? d : this.sizes.get(d)
      if (want === undefined) this.sizes.set(d as string, size)
      else if (want !== size) refuse()
    }
    return type
  }

  /** A pattern as text, with the sizes of the first `bound` symbols: those that other operands have set. */
  private wanted(dtype: 'float' | 'i32', pattern: readonly Dim[] | null, bound: number): string {
    if (!pattern) return dtype
    const set = new Set([...this.sizes.keys()].slice(0, bound))
    const dims = pattern.map((d) =>
      typeof d === 'number' ? d : set.has(d) ? `${d} = ${this.sizes.get(d)}` : d,
    )
    return `${dtype === 'float' ? 'f32' : 'i32'}[${dims.join(', ')}]`
  }

  private nameOf(i: number): string {
    const own = this.names[Math.min(i, this.names.length - 1)] ?? String(i)
    return own.startsWith('...') ? `${own.slice(3)} ${i}` : own.replace('?', '')
  }
}
