import type { Module } from '../ir/types.js'
import { verify } from '../ir/verify.js'
import { autodiff } from './autodiff.js'
import { cse } from './cse.js'
import { dce } from './dce.js'
import { fuseMeaning } from './fuse-meaning.js'
import { fuseNeighbours } from './fuse-neighbours.js'
import { inline } from './inline.js'
import { legalize } from './legalize.js'
import { mixedPrecision } from './mixed-precision.js'
import { pack } from './pack.js'
import { type MemoryLimit, recompute } from './recompute.js'
import { simplify } from './simplify.js'
import { plainResiduals, stochasticDepth } from './stochastic-depth.js'
import { type Streaming, streamLogits } from './stream-logits.js'

export interface PassOptions {
  readonly pack: boolean
  readonly fuse: boolean
  /** Which teacher logits are not stored, with `fuse`; those that are large by default. */
  readonly streamLogits?: Streaming
  readonly precision: 'float32' | 'bf16'
  readonly recompute: 'off' | 'blocks' | MemoryLimit
  /** `sharding` of shard.ts; null: one rank. */
  readonly shard?: ((module: Module) => Module) | null
  /** What the target has: `op:attention`, `bf16`. */
  readonly capabilities: ReadonlySet<string>
  readonly afterPass?: (name: PassName, module: Module) => void
  /**
   * Figures of a module of kernels only (compiler/plan/measure.ts). Given it, `optimize` measures the effect of each
   * pass, which costs as much again as all passes; without it the trace is empty.
   */
  readonly measure?: (module: Module) => Figures
  /** Check the module after every pass, as tests do. Every device checks the plan that comes of it in any case. */
  readonly verifyEach?: boolean
  /** Nothing will run: do not check at all. */
  readonly figuresOnly?: boolean
}

/** Over one step: all programs, each as often as a step runs it. */
export interface Figures {
  readonly ops: number
  readonly executedFlops: number
  readonly bytesMoved: number
  /** Most bytes alive at once, state included. */
  readonly peakBytes: number
}

/**
 * What one pass changed. A module between passes may still hold calls, residuals and `grad`; it is measured as what
 * it would execute if only the passes that must come still came: every branch computed on all sequences, `grad`
 * expanded, calls inlined. So the saving of stochastic depth is that of computing kept sequences only.
 */
export interface PassEffect {
  readonly pass: PassName
  readonly before: Figures
  readonly after: Figures
}

interface Pass {
  readonly name: string
  readonly run: (module: Module, options: PassOptions) => Module
}

/** The passes in order; the numbers are those of the design page. */
const passes = [
  /*  1 */ { name: 'simplify', run: simplify },
  /*  2 */ { name: 'pack', run: (module, options) => (options.pack ? pack(module) : module) },
  /*  3 */ { name: 'stochastic-depth', run: stochasticDepth },
  /*  4 */ { name: 'fuse-meaning', run: (module, options) => fuseMeaning(module, options.fuse) },
  /*  4 */ {
    name: 'stream-logits',
    run: (module, options) => (options.fuse ? streamLogits(module, options.streamLogits ?? 'large') : module),
  },
  /*  5 */ { name: 'autodiff', run: autodiff },
  /*  6 */ { name: 'inline', run: inline },
  /*  6 */ { name: 'cse', run: cse },
  /*  6 */ { name: 'dce', run: dce },
  /*  7 */ {
    name: 'fuse-neighbours',
    run: (module, options) => (options.fuse ? fuseNeighbours(module) : module),
  },
  /*  8 */ {
    name: 'mixed-precision',
    run: (module, options) => mixedPrecision(module, options.precision),
  },
  /*  9 */ {
    name: 'recompute',
    run: (module, { recompute: how, capabilities }) => recompute(module, legalized(how, capabilities)),
  },
  /* 10 */ { name: 'shard', run: (module, options) => options.shard?.(module) ?? module },
  /* 11 */ { name: 'legalize', run: (module, options) => legalize(module, options.capabilities) },
] as const satisfies readonly Pass[]

export type PassName = (typeof passes)[number]['name']

/** For `--after PASS`. */
export const passNames: readonly PassName[] = passes.map(({ name }) => name)

/** From a lowered module to kernels only, which `buildPlan` takes. */
export function optimize(
  module: Module,
  options: PassOptions,
): { module: Module; trace: readonly PassEffect[] } {
  const trace: PassEffect[] = []
  let now = module
  let before = options.measure?.(executable(now))
  for (const { name, run } of passes) {
    now = run(now, options)
    if (options.verifyEach) verify(now)
    options.afterPass?.(name, now)
    if (options.measure !== undefined && before !== undefined) {
      const after = options.measure(executable(now))
      trace.push({ pass: name, before, after })
      before = after
    }
  }
  if (!options.figuresOnly) verify(now, { kernelsOnly: true })
  return { module: now, trace }
}

/** A limit is held against the plan, which is that of the module legalized. */
function legalized(
  how: PassOptions['recompute'],
  capabilities: ReadonlySet<string>,
): PassOptions['recompute'] {
  if (typeof how === 'string') return how
  const { budgetBytes, peakBytes, aliveBytes } = how
  return {
    budgetBytes,
    peakBytes: (module) => peakBytes(legalize(module, capabilities)),
    aliveBytes: (module) => aliveBytes(legalize(module, capabilities)),
  }
}

/** Kernels only, by no more than what must be done to get there. */
function executable(module: Module): Module {
  return dce(inline(autodiff(plainResiduals(module))))
}
