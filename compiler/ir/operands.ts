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

export const tensor = (dtype: DType, ...shape: number[]): TensorType => ({ dtype, shape })

/** A type with the given parts and no undefined fields. */
export function tensorType(
  dtype: DType,
  shape: readonly number[],
  segments?: readonly Group[] | undefined,
  rows?: string | undefined,
): TensorType {
  return { dtype, shape, ...(segments && { segments }), ...(rows !== undefined && { rows }) }
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
export interface Operands {
  readonly context: ShapeContext
  readonly count: number
  readonly all: readonly (TensorType | null)[]
  /** Any shape where no pattern is given. */
  float(i: number, ...pattern: Dim[]): TensorType
  int(i: number, ...pattern: Dim[]): TensorType
  optionalFloat(i: number, ...pattern: Dim[]): TensorType | null
  optionalInt(i: number, ...pattern: Dim[]): TensorType | null
  scalar(i: number): TensorType
  /** Any dtype and shape. */
  any(i: number): TensorType
  /** An operand that must be the same in dtype and shape as another type. */
  same(i: number, as: TensorType): TensorType
  /** An operand that must be ragged. */
  ragged(i: number, ...pattern: Dim[]): TensorType & { readonly segments: readonly Group[] }
  dim(symbol: string): number
  bind(symbol: string, size: number): void
  fail(i: number, expected: string): never
  badAttribute(attribute: string, expected: string, found: unknown): never
}

export function operands(
  kind: OpKind,
  names: readonly string[],
  all: readonly (TensorType | null)[],
  context: ShapeContext,
): Operands {
  const sizes = new Map<string, number>()
  const name = (i: number) => {
    const own = names[Math.min(i, names.length - 1)] ?? String(i)
    return own.startsWith('...') ? `${own.slice(3)} ${i}` : own.replace('?', '')
  }

  const fail = (i: number, expected: string): never => {
    const found = all[i]
    throw new DiagnosticError([
      diagnose('DINO0601', context.span, {
        op: kind,
        operand: name(i),
        expected,
        found: found ? showType(found) : 'nothing',
      }),
    ])
  }

  const wanted = (dtype: string, pattern: readonly Dim[], bound: ReadonlySet<string>) =>
    `${dtype}[${pattern
      .map((d) => (typeof d === 'number' ? d : bound.has(d) ? `${d} = ${sizes.get(d)}` : d))
      .join(', ')}]`

  const match = (i: number, dtype: 'float' | 'i32', pattern: readonly Dim[] | null): TensorType => {
    const type = all[i]
    const bound = new Set(sizes.keys())
    const expected = () => (pattern ? wanted(dtype === 'float' ? 'f32' : 'i32', pattern, bound) : dtype)
    if (!type) return fail(i, expected())
    if ((type.dtype === 'i32') !== (dtype === 'i32')) return fail(i, expected())
    if (!pattern) return type
    if (type.shape.length !== pattern.length) return fail(i, expected())
    pattern.forEach((d, axis) => {
      const size = type.shape[axis] as number
      const want = typeof d === 'number' ? d : sizes.get(d)
      if (want === undefined) sizes.set(d as string, size)
      else if (want !== size) fail(i, expected())
    })
    return type
  }

  return {
    context,
    count: all.length,
    all,
    float: (i, ...pattern) => match(i, 'float', pattern.length > 0 ? pattern : null),
    int: (i, ...pattern) => match(i, 'i32', pattern),
    optionalFloat: (i, ...pattern) => (all[i] ? match(i, 'float', pattern) : null),
    optionalInt: (i, ...pattern) => (all[i] ? match(i, 'i32', pattern) : null),
    scalar: (i) => match(i, 'float', []),
    any: (i) => all[i] ?? fail(i, 'a tensor'),
    same: (i, as) => {
      const type = all[i]
      const fits =
        type &&
        type.dtype === as.dtype &&
        type.shape.length === as.shape.length &&
        type.shape.every((size, axis) => size === as.shape[axis])
      return fits ? type : fail(i, showType(as))
    },
    ragged: (i, ...pattern) => {
      const type = match(i, 'float', pattern)
      if (!type.segments) return fail(i, 'a tensor with segments')
      return type as TensorType & { readonly segments: readonly Group[] }
    },
    dim: (symbol) => sizes.get(symbol) as number,
    bind: (symbol, size) => {
      sizes.set(symbol, size)
    },
    fail,
    badAttribute: (attribute, expected, found) => {
      throw new DiagnosticError([
        diagnose('DINO0603', context.span, {
          op: kind,
          attribute,
          expected,
          found: JSON.stringify(found) ?? 'nothing',
        }),
      ])
    },
  }
}
