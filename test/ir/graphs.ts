import { FuncBuilder } from '../../compiler/ir/builder.js'
import type { Data, Outcome } from '../../compiler/ir/interpret.js'
import { interpretEntry } from '../../compiler/ir/interpret.js'
import { tensor } from '../../compiler/ir/operands.js'
import type { Func, KernelKind, Module, OpAttrs, TensorType, ValueId } from '../../compiler/ir/types.js'
import { verify } from '../../compiler/ir/verify.js'
import type { OpCase } from './op-cases.js'

/** A module around one entry: state and inputs are declared as its parameters say. */
export function moduleOf(entry: Func, functions: Readonly<Record<string, Func>> = {}): Module {
  const type = (value: ValueId) => entry.values[value]?.type ?? tensor('f32')
  return {
    name: 'test',
    functions: { ...functions, [entry.name]: entry },
    entries: [entry.name],
    state: entry.params.flatMap((p) =>
      p.source.kind === 'state'
        ? [
            {
              name: p.source.name,
              type: type(p.value),
              storedShape: type(p.value).shape,
              role: 'student' as const,
              init: { kind: 'zeros' as const },
            },
          ]
        : [],
    ),
    inputs: entry.params.flatMap((p) =>
      p.source.kind === 'input'
        ? [{ name: p.source.name, type: type(p.value), generator: { kind: 'labels' as const } }]
        : [],
    ),
    microSteps: 1,
  }
}

/** Runs a module's only entry: parameters by name, whatever their source. */
export function run(module: Module, values: Readonly<Record<string, Data>>): Outcome {
  return interpretEntry(module, module.entries[0] as string, { state: values, inputs: values, carried: {} })
}

/** An entry that applies one op. Operands are inputs named `x0`, `x1`, ..., a bounding scalar is named `rows`. */
export function opGraph<K extends KernelKind>(kind: K, c: OpCase<K>) {
  const b = new FuncBuilder('main')
  const names = operandNamesOf(c)
  const operands = c.types.map((type, k) =>
    type ? b.param(type, { kind: 'input', name: names[k] as string }) : null,
  )
  const results = b.op(kind, operands, c.attrs as OpAttrs[K]) as readonly ValueId[]
  return { b, operands, results, names }
}

/** A scalar i32 beside bounded operands is the bound. */
export function operandNamesOf<K extends KernelKind>(c: OpCase<K>): readonly (string | null)[] {
  const bounded =
    c.types.some((type) => type?.rows !== undefined) || ('rows' in c.attrs && c.attrs.rows !== undefined)
  return c.types.map((type, k) =>
    type === null ? null : bounded && type.dtype === 'i32' && type.shape.length === 0 ? 'rows' : `x${k}`,
  )
}

export const outputs = (values: readonly ValueId[]) =>
  values.map((value, k) => ({ value, sink: { kind: 'output' as const, name: `y${k}` } }))

/** The numbers of a case by operand name. */
export function named(
  names: readonly (string | null)[],
  data: readonly (Data | null)[],
): Record<string, Data> {
  const all: Record<string, Data> = {}
  names.forEach((name, k) => {
    const value = data[k]
    if (name !== null && value) all[name] = value
  })
  return all
}

export function verified(module: Module): Module {
  verify(module)
  return module
}

/** Largest |a - b| over max(1, |b|). */
export function distance(a: Data, b: Data): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let worst = 0
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number]
    const d = Object.is(x, y) ? 0 : Math.abs(x - y) / Math.max(1, Math.abs(y))
    worst = Math.max(worst, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d)
  }
  return worst
}

export const f32 = (...shape: number[]): TensorType => tensor('f32', ...shape)
