import { FuncBuilder } from '../../compiler/ir/builder.js'
import { tensorType } from '../../compiler/ir/operands.js'
import type { Func, Group, TensorType, ValueId } from '../../compiler/ir/types.js'
import { f32 } from './graphs.js'

/** A transformer block as the lowering writes it: two residual branches with layer scale inside. */
export function blockFunctions(
  x: TensorType,
  heads: number,
  rate = 0,
  ffn: 'mlp' | 'swiglu' = 'mlp',
): Record<string, Func> {
  const d = x.shape[1] as number
  const functions: Record<string, Func> = {}

  const attn = new FuncBuilder('attn', functions)
  {
    const tokens = attn.param(x, undefined, 'x')
    const w = attnWeights(d).map(([name, shape]) => attn.param(f32(...shape), undefined, name)) as ValueId[]
    const [normed] = attn.op('layer_norm', [tokens, w[0] as ValueId, w[1] as ValueId], { eps: 1e-6 }, [
      'normed',
    ])
    const qkv = attn.one('linear', [normed, w[2] as ValueId, w[3] as ValueId], { activation: 'none' }, 'qkv')
    const [o] = attn.op('attention', [qkv], { heads }, ['o'])
    const y = attn.one('linear', [o, w[4] as ValueId, w[5] as ValueId], { activation: 'none' }, 'proj')
    functions.attn = attn.finish([attn.one('layer_scale', [y, w[6] as ValueId], {}, 'scaled')])
  }

  const mlp = new FuncBuilder('ffn', functions)
  {
    const tokens = mlp.param(x, undefined, 'x')
    const w = ffnWeights(d, ffn).map(([name, shape]) =>
      mlp.param(f32(...shape), undefined, name),
    ) as ValueId[]
    const [normed] = mlp.op('layer_norm', [tokens, w[0] as ValueId, w[1] as ValueId], { eps: 1e-6 }, [
      'normed',
    ])
    const pre = mlp.one('linear', [normed, w[2] as ValueId, w[3] as ValueId], { activation: 'none' }, 'pre')
    const hidden =
      ffn === 'mlp' ? mlp.one('gelu', [pre], {}, 'hidden') : mlp.one('silu_gate', [pre], {}, 'hidden')
    const y = mlp.one('linear', [hidden, w[4] as ValueId, w[5] as ValueId], { activation: 'none' }, 'out')
    functions.ffn = mlp.finish([mlp.one('layer_scale', [y, w[6] as ValueId], {}, 'scaled')])
  }

  const block = new FuncBuilder('block', functions)
  const tokens = block.param(x, undefined, 'x')
  const a = attnWeights(d).map(([name, shape]) => block.param(f32(...shape), undefined, name))
  const f = ffnWeights(d, ffn).map(([name, shape]) => block.param(f32(...shape), undefined, name))
  const site = { rate, form: 'subset' } as const
  const mid = block.one('residual', [tokens, ...a], { branch: 'attn', site: 'attn', ...site }, 'x_mid')
  functions.block = block.finish([
    block.one('residual', [mid, ...f], { branch: 'ffn', site: 'ffn', ...site }, 'x_out'),
  ])
  return functions
}

type Weights = readonly (readonly [string, readonly number[]])[]

const attnWeights = (d: number): Weights => [
  ['norm1_weight', [d]],
  ['norm1_bias', [d]],
  ['qkv_weight', [3 * d, d]],
  ['qkv_bias', [3 * d]],
  ['proj_weight', [d, d]],
  ['proj_bias', [d]],
  ['ls1_gamma', [d]],
]

function ffnWeights(d: number, ffn: 'mlp' | 'swiglu'): Weights {
  const [wide, hidden] = ffn === 'mlp' ? [4 * d, 4 * d] : [4 * d, 2 * d]
  return [
    ['norm2_weight', [d]],
    ['norm2_bias', [d]],
    ['fc1_weight', [wide, d]],
    ['fc1_bias', [wide]],
    ['fc2_weight', [d, hidden]],
    ['fc2_bias', [d]],
    ['ls2_gamma', [d]],
  ]
}

/** The weights of one block as parameters of an entry. */
export function blockParameters(b: FuncBuilder, d: number, prefix: string, ffn: 'mlp' | 'swiglu' = 'mlp') {
  return [...attnWeights(d), ...ffnWeights(d, ffn)].map(([name, shape]) =>
    b.param(f32(...shape), { kind: 'state', name: `${prefix}.${name}` }),
  )
}

export const twoGroups: readonly Group[] = [
  { name: 'global', count: 2, length: 3 },
  { name: 'local', count: 3, length: 2 },
]
export const tokensOf = (d: number, segments: readonly Group[] = twoGroups) =>
  tensorType('f32', [segments.reduce((n, g) => n + g.count * g.length, 0), d], segments)

/**
 * `depth` blocks (all with one set of weights where `tied`) on tokens, whose sum with fixed weights is the loss; the
 * gradients of all parameters are outputs by name, beside `loss`.
 */
export function network(
  options: {
    readonly d?: number
    readonly depth?: number
    readonly tied?: boolean
    readonly rate?: number
    readonly ffn?: 'mlp' | 'swiglu'
  } = {},
) {
  const { d = 4, depth = 1, tied = false, rate = 0, ffn = 'mlp' } = options
  const x = tokensOf(d)
  const functions = blockFunctions(x, 2, rate, ffn)
  const b = new FuncBuilder('main', functions)
  let tokens = b.param(x, { kind: 'input', name: 'tokens' })
  const dy = b.param(x, { kind: 'input', name: 'dy' })
  const parameters: ValueId[] = []
  for (let n = 0; n < depth; n++) {
    const own = tied && n > 0 ? parameters : blockParameters(b, d, `blocks.${n}`, ffn)
    if (!tied || n === 0) parameters.push(...own)
    b.module = `student.blocks.${n}`
    tokens = b.op('call', [tokens, ...own], { callee: 'block', data: 1 })[0] as ValueId
  }
  b.module = 'loss'
  const gradients = b.op('grad', [tokens, dy, ...parameters], { seed: 1, outputs: 1 })
  const results = [
    { value: tokens, sink: { kind: 'output' as const, name: 'y' } },
    ...gradients.map((value, i) => ({
      value,
      sink: { kind: 'output' as const, name: b.nameOf(parameters[i] as ValueId) as string },
    })),
  ]
  return { main: b.finish(results), functions }
}
