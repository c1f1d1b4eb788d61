import type { Span } from '../../diagnostics/diagnostic.js'

/**
 * The intermediate representation: SSA values with dtype and static shape, grouped in functions.
 *
 * A *ragged token tensor* is `[T, d]` rows plus `segments`, a list of groups in row order: 64 global crops of 65
 * tokens and 192 local crops of 17 tokens live in one tensor of 64*65 + 192*17 rows.
 *
 * A tensor whose first dimension is only a bound (masked patches) names in `rows` the host scalar that says how
 * many of its rows are real at each step. The rows beyond it hold finite values that nothing may read: every
 * reduction over rows takes the scalar as an operand, and gradients of such rows are exactly 0.
 */
export type DType = 'f32' | 'bf16' | 'i32'

export interface Group {
  readonly name: string
  /** Sequences. */
  readonly count: number
  /** Tokens in each sequence. */
  readonly length: number
}

export interface TensorType {
  readonly dtype: DType
  /** `[]` is a scalar. */
  readonly shape: readonly number[]
  readonly segments?: readonly Group[]
  readonly rows?: string
}

export type ValueId = number

/**
 * How an op stores its activations: `bf16` makes those of its results bf16 that precision.ts lists under `writes`;
 * without it they are f32. Set by pass 8.
 */
export interface Stored {
  readonly storage?: 'bf16'
}

export interface Value {
  readonly id: ValueId
  readonly type: TensorType
  /** A hint for printing: `%x_mid` instead of `%41`. */
  readonly name?: string
}

/**
 * `backward` ops include forward values built again because backward should not keep them (gelu, silu_gate, ...):
 * common subexpressions are only shared within one stage.
 */
export type Stage = 'forward' | 'backward' | 'recompute' | 'update'

export interface Op<K extends OpKind = OpKind> {
  readonly kind: K
  /** null where an optional operand is absent. */
  readonly operands: readonly (ValueId | null)[]
  readonly results: readonly ValueId[]
  readonly attrs: OpAttrs[K]
  /**
   * Which part of the network it belongs to: `student.backbone.blocks.3.attn`, `teacher.dino_head`, `loss.koleo`. In
   * a called function it is relative to the `module` of the call (`attn.qkv` in a block called as
   * `student.backbone.blocks.3`), since student and teacher call the same functions; inlining joins the two by a dot.
   */
  readonly module: string
  readonly stage: Stage
  readonly span: Span | null
}
/** The union over kinds, so that `switch (op.kind)` narrows `attrs`. */
export type AnyOp = { [K in OpKind]: Op<K> }[OpKind]

/** Where a parameter of a function comes from. Parameters of called functions are plain `operand`s. */
export type ParamSource =
  | { readonly kind: 'operand' }
  | { readonly kind: 'state'; readonly name: string }
  | { readonly kind: 'input'; readonly name: string }
  /** Handed from `accumulate` to `update` (and, with several micro-steps, from one run of `accumulate` to the next). */
  | { readonly kind: 'carried'; readonly name: string }

/** What becomes of a result. An entry function's `state` result replaces that state tensor. */
export type ResultSink =
  | { readonly kind: 'result' }
  | { readonly kind: 'state'; readonly name: string }
  | { readonly kind: 'carried'; readonly name: string }
  /** A small tensor that the host may read after the program: `loss.dino_local`, `grad_norm.backbone`. */
  | { readonly kind: 'metric'; readonly name: string }
  /** A tensor that the host may ask for: `features.cls`. */
  | { readonly kind: 'output'; readonly name: string }

export interface Func {
  readonly name: string
  readonly params: readonly { readonly value: ValueId; readonly source: ParamSource }[]
  readonly ops: readonly AnyOp[]
  readonly results: readonly { readonly value: ValueId; readonly sink: ResultSink }[]
  /** Indexed by id; dense. Types inside a called function are those of its first call; see `instantiate`. */
  readonly values: readonly Value[]
}

/**
 * A tensor that outlives a step. `role` says who owns it; AdamW moments are `m.<name>` and `v.<name>` of a student
 * parameter. `name` is role + the reference code's state_dict name: `student.backbone.blocks.0.attn.qkv.weight`,
 * `teacher.dino_head.last_layer.weight_g`, `center.dino`. Shapes are the flattened ones that ops read
 * (`pos_embed` [1+M*M, d], `cls_token` [d], `mask_token` [d], `register_tokens` [r, d], `patch_embed.proj.weight`
 * [d, 3*p*p], `weight_g` [K]); `storedShape` is the reference's.
 */
export interface StateTensor {
  readonly name: string
  readonly type: TensorType
  readonly storedShape: readonly number[]
  readonly role: 'student' | 'teacher' | 'keep' | 'moment' | 'center'
  readonly init: Initializer
  /** For student parameters that train. */
  readonly optimizer?: {
    readonly submodule: string
    readonly lrMultiplier: number
    readonly wdMultiplier: number
    readonly lastLayer: boolean
  }
}

/** How state is divided over ranks (pass 10). Tensors in no buffer (centers) are whole on every rank. */
export interface Shards {
  readonly ranks: number
  /** Flat buffers. Each rank holds one part of each, `length` values, as the state tensor of the buffer's name. */
  readonly buffers: readonly ShardBuffer[]
}
export interface ShardBuffer {
  readonly name: string
  readonly length: number
  /** One after the other: from `start` of the whole buffer's ranks * length values on; the rest is zeros. */
  readonly tensors: readonly {
    readonly name: string
    readonly shape: readonly number[]
    readonly start: number
  }[]
}

export type Initializer =
  | { readonly kind: 'zeros' }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'normal'; readonly std: number; readonly key: string }
  /** Cut at two absolute units, as torch's trunc_normal_(a=-2, b=2) does. */
  | { readonly kind: 'trunc_normal'; readonly std: number; readonly key: string }
  | { readonly kind: 'uniform'; readonly bound: number; readonly key: string }
  | { readonly kind: 'copy'; readonly of: string }
  | {
      readonly kind: 'artefact'
      readonly path: string
      readonly tensor: string
      readonly hash: string | null
    }

/** How the host makes an input at each step. */
export type Generator =
  | { readonly kind: 'crops'; readonly group: string }
  | { readonly kind: 'images' }
  | { readonly kind: 'mask' }
  /** Row of each masked patch in a `[2B*(prefix+patches), d]` token tensor: ascending. */
  | { readonly kind: 'mask_rows'; readonly prefix: number; readonly patches: number }
  /** 1 / (masked patches in the crop of the row). */
  | { readonly kind: 'mask_weights' }
  | { readonly kind: 'row_count' }
  /** Which sequences of each group a residual branch keeps: positions within the whole tensor, group after group. */
  | {
      readonly kind: 'kept_subset'
      readonly site: string
      readonly groups: readonly { readonly name: string; readonly count: number; readonly kept: number }[]
    }
  /** 0 or 1/(1-rate) a sequence. */
  | {
      readonly kind: 'keep_factors'
      readonly site: string
      readonly rate: number
      readonly groups: readonly { readonly name: string; readonly count: number }[]
    }
  /** `lr`, `last_layer_lr`, `weight_decay`, `teacher_temp`, `momentum`, `keep_momentum`. */
  | { readonly kind: 'schedule'; readonly name: string }
  /** Updates since the moments were last reset, from 1. */
  | { readonly kind: 'adam_step' }
  /** 1 on the first micro-step, else 0. */
  | { readonly kind: 'first_micro_step' }
  | { readonly kind: 'labels' }

export interface HostInput {
  readonly name: string
  readonly type: TensorType
  readonly generator: Generator
}

export interface Module {
  readonly name: string
  readonly functions: Readonly<Record<string, Func>>
  /** In order of execution: `['accumulate', 'update']` for training, `['forward']` for features. */
  readonly entries: readonly string[]
  readonly state: readonly StateTensor[]
  readonly inputs: readonly HostInput[]
  readonly microSteps: number
}

/** Which teacher rows a student row is compared with. B images, row = crop * B + image. */
export type Pairing =
  /** Teacher row = student row (iBOT). */
  | { readonly kind: 'same' }
  /** Two crops: the other crop of the same image (DINO global). */
  | { readonly kind: 'swap'; readonly images: number }
  /** Every teacher crop of the same image (DINO local): rows t*images + row % images for t < crops. */
  | { readonly kind: 'each'; readonly images: number; readonly crops: number }

/**
 * The operations. For each kind: its attributes, and in the comment operands -> results with shapes; `?` marks an
 * optional operand (null in `operands` where absent, so that the operand count is fixed; the builder fills it up). R rows, d width, h heads, K prototypes, N
 * images. Weights have the layout of the reference's state_dict: `[out, in]`. "Row-wise" ops work on each row alone,
 * "segment-wise" ones on each sequence alone; only those may be packed.
 *
 * Results aligned with the rows of the first operand inherit its `segments` and `rows` (so do `mean` and `rstd` of
 * layer_norm); so does the result of a matmul without transA. `u` of sinkhorn and sharpen_center and `lse` of the
 * cross-entropies inherit `rows` only.
 *
 * Everything is f32 unless it says i32, or pass 8 stores it in bf16: temperatures, lr, `first`, `finite` and mask weights are f32, and `rows`,
 * `step`, indices and masks i32. Which operands a result may overwrite is said by `inPlace` in ops.ts.
 */
export interface OpAttrs {
  // --- structure: gone after pass 6 ---------------------------------------------------------------------------
  /** (data..., weights...) -> results of `callee`. The first `data` operands are data, the rest parameters. */
  call: { readonly callee: string; readonly data: number }
  /**
   * (x, weights...) -> x + branch(x, weights...). `rate` is the stochastic depth of the site; `site` names it
   * (`blocks.3.attn`). Kept sequences are drawn in each of `draws` equal parts of the images (absent: 1). Expanded by
   * pass 3.
   */
  residual: {
    readonly branch: string
    readonly rate: number
    readonly form: 'subset' | 'masked'
    readonly site: string
    readonly draws?: number
  }
  /**
   * (loss [], p1, ..., pn) -> gradients of the same shapes, of seed * loss. With `outputs` = k: (y1, ..., yk, dy1,
   * ..., dyk, p1, ..., pn) -> gradients of sum <dy, y> (a stored linear functional; `seed` is then 1). A value that
   * the loss does not depend on gets zeros. Expanded by pass 5.
   */
  grad: { readonly seed: number; readonly outputs?: number }

  // --- tokens -------------------------------------------------------------------------------------------------
  /** (images [N, C, H, W]) -> [N*(H/p)*(W/p), C*p*p]; row-major patches; columns c, y, x. */
  patchify: { readonly patch: number }
  /** (x [R, d], token [d], mask i32 [R]) -> [R, d]: token where mask is 1. Row-wise. */
  replace_masked: Record<never, never>
  /** (dy [R, d], mask i32 [R]) -> (dx [R, d], dtoken [d]) */
  replace_masked_grad: Record<never, never>
  /** (pos [1+grid*grid, d]) -> [1+height*width, d]; golden/README "Position interpolation". Row 0 is copied. */
  interpolate_pos: PosInterpolation
  /** (dy [1+height*width, d]) -> [1+grid*grid, d]: the transpose. */
  interpolate_pos_grad: PosInterpolation
  /**
   * (patches [N*n, d], cls [d], pos [1+n, d], registers? [r, d]) -> ragged [N*(1+r+n), d] of one group:
   * per sequence cls + pos[0], registers, patches + pos[1..].
   */
  assemble_tokens: {
    readonly group: string
    readonly count: number
    readonly patches: number
    readonly registers: number
  }
  /** (dy [N*(1+r+n), d]) -> (dpatches, dcls, dpos, dregisters if r > 0) */
  assemble_tokens_grad: {
    readonly group: string
    readonly count: number
    readonly patches: number
    readonly registers: number
  }

  // --- products -----------------------------------------------------------------------------------------------
  /** (x [R, in], w [out, in], b? [out]) -> y [R, out]; with gelu: (y, pre [R, out]), y = gelu(pre). Row-wise. */
  linear: Stored & { readonly activation: 'none' | 'gelu' }
  /**
   * (a, b, c? [m, n], pre?, rows? i32 []) -> op(a) op(b) + c, [m, n]; `rows` limits the contracted dimension to its
   * first rows (only with transA: both operands then have that many rows). Epilogue `gelu_grad`: the result times gelu'(pre [m, n]).
   */
  matmul: Stored & {
    readonly transA: boolean
    readonly transB: boolean
    readonly epilogue: 'none' | 'gelu_grad'
  }
  /** (a [n, p, q], b [n, r, s]) -> [n, m, k] for each of the n: scale * op(a) op(b). */
  batch_matmul: { readonly transA: boolean; readonly transB: boolean; readonly scale: number }
  /** (x [R, d], rows? i32 []) -> [d]: the sum over (the first `rows`) rows. */
  sum_rows: Record<never, never>

  // --- normalisation and activations: row-wise ----------------------------------------------------------------
  /** (x [R, d], w [d], b [d]) -> (y, mean [R], rstd [R]); biased variance. */
  layer_norm: Stored & { readonly eps: number }
  /** (x, mean, rstd, w, b) -> y: the output again, in backward. */
  layer_norm_rebuild: Stored
  /** (dy, x, mean, rstd, w) -> (dx, dw, db) */
  layer_norm_grad: Record<never, never>
  /** (x) -> x * Phi(x), erf form. */
  gelu: Stored
  /** (dy, x) -> dx */
  gelu_grad: Stored
  /** (x [R, 2h]) -> silu(x[:, :h]) * x[:, h:] */
  silu_gate: Stored
  /** (dy [R, h], x [R, 2h]) -> [R, 2h] */
  silu_gate_grad: Stored
  /** (x [R, d], gamma [d]) -> x * gamma */
  layer_scale: Record<never, never>
  /** (dy, x, gamma) -> (dx, dgamma) */
  layer_scale_grad: Stored
  /** (x [R, d]) -> x / max(||x||, eps) */
  l2_normalize: Stored & { readonly eps: number }
  /** (dy, x) -> dx */
  l2_normalize_grad: { readonly eps: number }
  /** (v [K, d], g [K]) -> rows g_k v_k / ||v_k|| */
  weight_norm: Stored
  /** (dw, v, g) -> (dv, dg) */
  weight_norm_grad: Record<never, never>
  /** (x [..., n]) -> softmax over the last dimension. */
  softmax: Record<never, never>
  /** (dy, y) -> dx */
  softmax_grad: Record<never, never>
  /** (x, y) of one shape -> x + y */
  add: Record<never, never>
  /** (x) -> factor * x */
  scale: { readonly factor: number }
  /** () -> a tensor of the value. */
  fill: { readonly value: number; readonly type: TensorType }
  cast: { readonly to: DType }

  // --- attention: segment-wise --------------------------------------------------------------------------------
  /** (qkv ragged [T, 3d]) -> (o ragged [T, d], lse [T*h]); columns q, k, v, each by head; scale (d/h)^-0.5; lse row-major [T, h]. */
  attention: Stored & { readonly heads: number }
  /** (do, qkv, o, lse) -> dqkv */
  attention_grad: Stored & { readonly heads: number }
  /** (qkv [n*t, 3d]) -> (q, k, v), each [n*h, t, d/h], index n*h+head. For the composed form. */
  split_heads: { readonly heads: number; readonly count: number; readonly length: number }
  /** (q, k, v) -> [n*t, 3d]; its transpose. */
  join_heads: { readonly heads: number; readonly count: number; readonly length: number }
  /** (o [n*h, t, d/h]) -> [n*t, d] */
  merge_heads: { readonly heads: number; readonly count: number; readonly length: number }
  /** ([n*t, d]) -> [n*h, t, d/h] */
  unmerge_heads: { readonly heads: number; readonly count: number; readonly length: number }

  // --- moving rows --------------------------------------------------------------------------------------------
  /**
   * (x1 [R1, d], ...) -> [R1+..., d]; segments are concatenated (none if an operand has none). Rank 1 operands also.
   * The result of bounded operands names no `rows`; slicing it gives them back.
   */
  concat_rows: Record<never, never>
  /** (x [R, ...]) -> rows start .. start+count; `segments` and `rows` of the result as given. */
  slice_rows: {
    readonly start: number
    readonly count: number
    readonly segments?: readonly Group[]
    readonly rows?: string
  }
  /** (dy [count, ...]) -> [total, ...], zero elsewhere; `segments` and `rows` of the result as given. */
  place_rows: {
    readonly start: number
    readonly total: number
    readonly segments?: readonly Group[]
    readonly rows?: string
  }
  /** (x ragged [T, d]) -> tokens start .. start+tokens of every sequence of a group, [count*tokens, d]. */
  select_tokens: { readonly group: string; readonly start: number; readonly tokens: number }
  /** (dy [count*tokens, d]) -> ragged [T, d], zero elsewhere. */
  place_tokens: {
    readonly group: string
    readonly start: number
    readonly tokens: number
    readonly segments: readonly Group[]
  }
  /**
   * (x [R, d], index i32 [n], rows? i32 []) -> [n, d]; zero from `rows` on, where `index` is not read. Result `rows` =
   * that scalar's name, given exactly when the operand is.
   */
  gather_rows: { readonly rows?: string }
  /** (y [n, d], index i32 [n], rows? i32 []) -> [total, d]: sums into a zero tensor; `segments` as given. */
  scatter_add_rows: { readonly total: number; readonly segments?: readonly Group[] }
  /**
   * (x ragged, kept i32 [sum kept]) -> ragged of the kept sequences. The attribute counts them a group, in the order
   * of groups; the operand holds positions among all sequences of x (a local one of 64 + 192 is 64..255), group after
   * group, each at most once. Groups keep their names and lengths.
   */
  gather_segments: { readonly kept: readonly number[] }
  /** (y ragged of kept sequences, kept i32) -> ragged over `segments`, zero elsewhere, times scales[group]. */
  scatter_segments: { readonly segments: readonly Group[]; readonly scales: readonly number[] }
  /**
   * (x ragged [T, d], branch [T', d], gamma? [d], kept? i32, factors? [sequences]) -> x + gamma * s * branch: the
   * one way in which a branch rejoins the trunk. With `kept`, T' covers the kept sequences only and s = scales[group];
   * with `factors`, s = factors[sequence]; else s = 1. Also on tensors without segments (no kept, no factors).
   */
  residual_add: { readonly scales: readonly number[] | null }
  /**
   * (dy [T, d], branch?, gamma?, kept?, factors?) -> (dbranch [T', d], dgamma [d] if gamma). dx is dy itself.
   * `branch` is given exactly when `gamma` is. dbranch = gamma * s * dy at the kept rows, dgamma = sum over rows of
   * s * dy * branch. `segments`: those of branch, given exactly when `kept` is.
   */
  residual_add_grad: Stored & {
    readonly scales: readonly number[] | null
    readonly segments?: readonly Group[]
  }

  // --- teacher targets: t[b,k] = exp(z[b,k]/T + u[b] + v[k]) ---------------------------------------------------
  /**
   * (z [R, K], temp [], rows? i32 []) -> (u [R], v [K]): log factors of Sinkhorn-Knopp, `iterations` times rows
   * then columns (golden/README "Sinkhorn-Knopp"); streamed, stable in float32. With 0 rows: zeros.
   * u = 0; then each time v[k] = -log K - lse_b(z[b,k]/T + u[b]), u[b] = -log B - lse_k(z[b,k]/T + v[k]), where b runs
   * over the B = rows real ones; at the end u += log B. u is 0 beyond rows.
   */
  sinkhorn: { readonly iterations: number }
  /** (z [R, K], center [K], temp []) -> (u [R], v [K]) of softmax((z - center) / T): v = -center / T, u = -lse(z/T + v). */
  sharpen_center: Record<never, never>
  /** (z [R, K], u [R], v [K], temp []) -> t [R, K]; with `rows`, whatever stands beyond them. */
  make_targets: Record<never, never>
  /** (z [R, K], rows? i32 []) -> [K]: mean over rows; 0 rows: zeros. The batch center. */
  mean_rows: Record<never, never>

  // --- losses -------------------------------------------------------------------------------------------------
  /**
   * (logits [S, K], t [R, K], weights? [S], rows? i32 []) -> (loss [], lse [S], and with stats entropy [], usage [K]):
   * loss = scale * sum_s w_s sum_{r in pairing(s)} -sum_k t[r,k] log_softmax(logits[s] / studentTemp)[k];
   * entropy = mean over teacher rows of -sum t log t; usage = mean over teacher rows of t. 0 rows: zeros.
   * lse is that of logits / studentTemp. No gradient to t. `rows` (pairing `same` only) bounds both student and
   * teacher rows; entropy and usage are means over `rows` rows then.
   */
  cross_entropy_rows: CrossEntropy
  /** (dloss [], logits, t, lse, weights?, rows?) -> dlogits, 0 beyond rows */
  cross_entropy_rows_grad: CrossEntropy
  /**
   * (x [S, b], w [K, b], z [R, K], u [R], v [K], temp [], weights? [S], rows? i32 []) -> as cross_entropy_rows of
   * (x wᵀ, make_targets(z, u, v, temp)); neither logits nor targets are ever stored.
   */
  prototype_cross_entropy: CrossEntropy
  /** (dloss [], x, w, z, u, v, temp, lse, weights?, rows?) -> (dx [S, b], dw [K, b]) */
  prototype_cross_entropy_grad: CrossEntropy
  /**
   * Ops whose teacher logits z = x wᵀ [R, K] are products with prototypes that are never stored.
   * (x [R, b], w [K, b], temp [], rows? i32 []) -> as sinkhorn of z: (u [R], v [K])
   */
  streamed_sinkhorn: { readonly iterations: number }
  /** (x [R, b], w [K, b], center [K], temp []) -> as sharpen_center of z: (u [R], v [K]) */
  streamed_sharpen_center: Record<never, never>
  /** (x [R, b], w [K, b], rows? i32 []) -> as mean_rows of z: [K] */
  streamed_mean_rows: Record<never, never>
  /**
   * (x [S, b], w [K, b], xt [R, d], wt [K, d], u [R], v [K], temp [], weights? [S], rows? i32 []) -> (loss [], shift [S],
   * and with stats entropy [], usage [K]): as prototype_cross_entropy with z = xt wtᵀ, but for shift = lse - log mass,
   * mass being the sum of all targets of a student row (the number of its teacher rows, but for rounding): with it
   * backward needs no sweep over the targets to know mass.
   */
  streamed_cross_entropy: CrossEntropy
  /** (dloss [], x, w, xt, wt, u, v, temp, shift, weights?, rows?) -> (dx [S, b], dw [K, b]) */
  streamed_cross_entropy_grad: CrossEntropy
  /**
   * (x [R, d]) -> (loss [], neighbour i32 [R]); rows in consecutive sets of `set`; golden/README "KoLeo":
   * loss = -scale * sum over rows of log(distance + eps), rows divided by max(||x||, eps), distance =
   * ||x_i - x_nn + eps||. Neighbours are row numbers of the whole x; a row's product with itself counts as -1; ties go
   * to the lower index.
   */
  koleo: { readonly set: number; readonly eps: number; readonly scale: number }
  /** (dloss [], x, neighbour) -> dx */
  koleo_grad: { readonly set: number; readonly eps: number; readonly scale: number }
  /** (s1 [], ..., sn []) -> sum of coefficients * s. */
  weighted_sum: { readonly coefficients: readonly number[] }

  // --- update -------------------------------------------------------------------------------------------------
  /** (g1, ..., gn) -> [] the 2-norm of all. */
  norm: Record<never, never>
  /** (s1 [], ...) -> [] 1.0 where all are finite, else 0.0. */
  finite: Record<never, never>
  /** (norm []) -> [] min(1, max / (norm + 1e-6)) */
  clip_factor: { readonly max: number }
  /**
   * (p, g, m, v, lr [], wd [], step i32 [], clip? [], finite []) -> (p, m, v). g *= clip; p *= 1 - lr wd;
   * m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g²; p -= lr * mhat / (sqrt(vhat) + eps) with mhat =
   * m / (1 - beta1^step), vhat = v / (1 - beta2^step). lr and wd are multiplied by their multipliers first.
   * finite 0: all three unchanged, whatever g holds.
   */
  adamw: AdamW
  /** (t, s, momentum [], finite []) -> momentum * t + (1 - momentum) * s; finite 0: t. */
  ema: Record<never, never>
  /** (p, g, m, v, t, lr, wd, step, momentum, clip?, finite) -> (p, m, v, t): adamw, then ema of the new p. */
  adamw_ema: AdamW
  /**
   * (center [K], mean [K], finite [], rows? i32 []) -> momentum * center + (1 - momentum) * mean; the center itself
   * where finite is 0 or `rows`, the teacher rows seen in the step, is 0.
   */
  update_center: { readonly momentum: number }
  /** (acc, x, first []) -> first = 1 ? x : acc + x; a selection: acc may hold anything when first is 1. i32 also. */
  accumulate: Record<never, never>

  // --- ranks: all run the same plan, each on its own images and its own part of the state ------------------------
  /**
   * (x) -> tensors of `shapes`: the concatenation over ranks of x, flattened, cut in order; what is left over is padding.
   */
  all_gather: Ranked & { readonly shapes: readonly (readonly number[])[] }
  /**
   * (x1, ..., xn) -> [shape]: this rank's part of the sum over ranks of x1 ... xn, flattened and concatenated, with
   * zeros up to ranks * shape. Sums are float32, of bf16 operands too, and go by rank from 0, as in all_reduce: every
   * rank has the same bits.
   */
  reduce_scatter: Ranked & { readonly shape: readonly number[] }
  /**
   * (x1, ..., xn) -> the same shapes, element by element over ranks: `sum` (i32 also), `mean`, `logsumexp`. With
   * `weighted` the last operand is this rank's weight, i32 [], and no result: mean = sum w x / max(1, sum w).
   */
  all_reduce: Ranked & { readonly how: 'sum' | 'mean' | 'logsumexp'; readonly weighted: boolean }
  /**
   * Half an iteration of Sinkhorn-Knopp, between which ranks exchange: (z [R, K], u? [R], temp [], rows? i32 []) ->
   * [K]: log of the sum over the (first `rows`) rows of exp(z / T + u); -Infinity where there are none. No u: zeros.
   */
  sinkhorn_columns: Record<never, never>
  /** (z [R, K], v [K], temp [], rows? i32 []) -> u [R] = -log of the sum over k of exp(z / T + v); 0 beyond `rows`. */
  sinkhorn_rows: Record<never, never>
  /** (x1, ..., xn) -> [] the sum of the squares of all. */
  square_sum: Record<never, never>
  /** (x) -> square root, element by element. */
  sqrt: Record<never, never>
}

/** Of a collective: how many ranks take part. */
export interface Ranked {
  readonly ranks: number
}

export interface PosInterpolation {
  readonly grid: number
  readonly height: number
  readonly width: number
  readonly offset: number
  readonly antialias: boolean
}

export interface CrossEntropy {
  readonly pairing: Pairing
  readonly studentTemp: number
  readonly scale: number
  readonly stats: boolean
}

export interface AdamW {
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly lrMultiplier: number
  readonly wdMultiplier: number
}

export type OpKind = keyof OpAttrs
/** Ops that passes remove: a plan never holds them. */
export type StructuralKind = 'call' | 'residual' | 'grad'
export type KernelKind = Exclude<OpKind, StructuralKind>
/** Ops that need every rank's operands; all others are one rank's own business. */
export type CollectiveKind = 'all_gather' | 'reduce_scatter' | 'all_reduce'
export type LocalKind = Exclude<KernelKind, CollectiveKind>
