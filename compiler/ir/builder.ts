import type { Span } from '../../diagnostics/diagnostic.js'
import { inferCall } from './instantiate.js'
import type { ShapeContext } from './operands.js'
import { operandNames, resultTypes } from './ops.js'
import type {
  AnyOp,
  Func,
  OpAttrs,
  OpKind,
  ParamSource,
  ResultSink,
  Stage,
  TensorType,
  Value,
  ValueId,
} from './types.js'

type One = readonly [ValueId]
type Two = readonly [ValueId, ValueId]
type Three = readonly [ValueId, ValueId, ValueId]
type Many = readonly ValueId[]

/** How many results an op of each kind has, where the kind and its attributes' type decide; else a list. */
export type ResultsOf<K extends OpKind> = K extends 'call' | 'grad'
  ? Many
  : K extends 'layer_norm' | 'layer_norm_grad' | 'split_heads' | 'adamw'
    ? Three
    : K extends
          | 'replace_masked_grad'
          | 'layer_scale_grad'
          | 'weight_norm_grad'
          | 'attention'
          | 'sinkhorn'
          | 'sharpen_center'
          | 'koleo'
          | 'prototype_cross_entropy_grad'
      ? Two
      : K extends 'linear' | 'residual_add_grad'
        ? readonly [ValueId, ...ValueId[]]
        : K extends 'cross_entropy_rows' | 'prototype_cross_entropy'
          ? readonly [ValueId, ValueId, ...ValueId[]]
          : K extends 'assemble_tokens_grad'
            ? readonly [ValueId, ValueId, ValueId, ...ValueId[]]
            : K extends 'adamw_ema'
              ? readonly [ValueId, ValueId, ValueId, ValueId]
              : One

/** The same few thousand names come again in every phase and variant. */
const hints = new Map<string, string>()

/** A name hint must read back from IR text: letters, digits and underscores. */
export function hint(name: string): string {
  const known = hints.get(name)
  if (known !== undefined) return known
  const made = name.replace(/[^A-Za-z0-9_]+/g, '_').replace(/^(?=\d)/, '_')
  hints.set(name, made)
  return made
}

/**
 * Builds one function in order. Values are numbered as they are defined, and every type is inferred, so a finished
 * function is well-typed SSA. `module`, `stage` and `span` go onto each op from then on.
 *
 * `functions` are those that ops may call; it is read at each call, so a record that grows may be shared.
 */
export class FuncBuilder {
  module = ''
  stage: Stage = 'forward'
  span: Span | null = null
  readonly name: string
  private readonly functions: Readonly<Record<string, Func>>
  private readonly params: { value: ValueId; source: ParamSource }[] = []
  private readonly ops: AnyOp[] = []
  private readonly values: Value[] = []

  constructor(name: string, functions: Readonly<Record<string, Func>> = {}) {
    this.name = name
    this.functions = functions
  }

  type(value: ValueId): TensorType {
    return (this.values[value] as Value).type
  }

  nameOf(value: ValueId): string | undefined {
    return this.values[value]?.name
  }

  /** The value of the host input of a name (`mask.rows`), where the function has it. */
  input(name: string): ValueId | null {
    return this.params.find((p) => p.source.kind === 'input' && p.source.name === name)?.value ?? null
  }

  param(type: TensorType, source: ParamSource = { kind: 'operand' }, name?: string): ValueId {
    const value = this.define(type, name ?? ('name' in source ? source.name : undefined))
    this.params.push({ value, source })
    return value
  }

  /**
   * Appends an op and returns its results: `const [y, mean, rstd] = b.op('layer_norm', [x, w, bias], { eps })`.
   * Missing trailing operands become null. Throws DINO06xx where the operands do not fit.
   */
  op<K extends OpKind>(
    kind: K,
    operands: readonly (ValueId | null)[],
    attrs: OpAttrs[K],
    names: readonly (string | undefined)[] = [],
  ): ResultsOf<K> {
    const filled = [...operands]
    const wanted = operandNames[kind]
    if (!wanted.at(-1)?.startsWith('...')) while (filled.length < wanted.length) filled.push(null)
    const types = filled.map((v) => (v === null ? null : this.type(v)))
    const results = resultTypes(kind, types, attrs, this.context()).map((type, i) =>
      this.define(type, names[i]),
    )
    this.ops.push({
      kind,
      operands: filled,
      results,
      attrs,
      module: this.module,
      stage: this.stage,
      span: this.span,
    } as unknown as AnyOp)
    return results as unknown as ResultsOf<K>
  }

  /** The first result of an op: `const y = b.one('linear', [x, w, bias], { activation: 'none' })`. */
  one<K extends OpKind>(
    kind: K,
    operands: readonly (ValueId | null)[],
    attrs: OpAttrs[K],
    name?: string,
  ): ValueId {
    return (this.op(kind, operands, attrs, [name]) as readonly ValueId[])[0] as ValueId
  }

  /** Appends a copy of an op of any function with other operands; module, stage and span come from the op. */
  append(
    op: AnyOp,
    operands: readonly (ValueId | null)[],
    names: readonly (string | undefined)[] = [],
  ): readonly ValueId[] {
    return this.at(op, () => this.op(op.kind, operands, op.attrs as OpAttrs[OpKind], names) as Many)
  }

  /** As `append` where the types of the results are known: they and their names are those of `like`. */
  copy(
    op: AnyOp,
    operands: readonly (ValueId | null)[],
    like: readonly Value[],
    module: string = op.module,
    span: Span | null = op.span,
  ): readonly ValueId[] {
    const results = like.map(({ type, name }) => this.define(type, name))
    const { kind, attrs, stage } = op
    this.ops.push({ kind, operands, results, attrs, module, stage, span } as unknown as AnyOp)
    return results
  }

  /** Runs `emit` with the module, stage and span of an op (or some of the three), then restores them. */
  at<T>(place: { module?: string; stage?: Stage; span?: Span | null }, emit: () => T): T {
    const { module, stage, span } = this
    this.module = place.module ?? module
    this.stage = place.stage ?? stage
    this.span = place.span === undefined ? span : place.span
    try {
      return emit()
    } finally {
      Object.assign(this, { module, stage, span })
    }
  }

  finish(results: readonly (ValueId | { readonly value: ValueId; readonly sink: ResultSink })[]): Func {
    return {
      name: this.name,
      params: [...this.params],
      ops: [...this.ops],
      results: results.map((r) => (typeof r === 'number' ? { value: r, sink: { kind: 'result' } } : r)),
      values: [...this.values],
    }
  }

  private context(): ShapeContext {
    return { span: this.span, callee: (name, types) => inferCall(this.functions, name, types, this.span) }
  }

  private define(type: TensorType, name: string | undefined): ValueId {
    const id = this.values.length
    this.values.push(name === undefined || name === '' ? { id, type } : { id, type, name: hint(name) })
    return id
  }
}
