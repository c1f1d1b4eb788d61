#pragma once
// Every kernel kind of compiler/ir/types.ts. A kind listed here without a check or a kernel does not compile.

/** One rank's own business: a kernel for every instruction set. */
#define DINO_LOCAL_KINDS(X)                                                                               \
  X(patchify) X(replace_masked) X(replace_masked_grad) X(interpolate_pos) X(interpolate_pos_grad)         \
  X(assemble_tokens) X(assemble_tokens_grad)                                                              \
  X(linear) X(matmul) X(batch_matmul) X(sum_rows)                                                         \
  X(layer_norm) X(layer_norm_rebuild) X(layer_norm_grad) X(gelu) X(gelu_grad) X(silu_gate)                \
  X(silu_gate_grad) X(layer_scale) X(layer_scale_grad) X(l2_normalize) X(l2_normalize_grad)               \
  X(weight_norm) X(weight_norm_grad) X(softmax) X(softmax_grad) X(add) X(scale) X(fill) X(cast)           \
  X(attention) X(attention_grad) X(split_heads) X(join_heads) X(merge_heads) X(unmerge_heads)             \
  X(concat_rows) X(slice_rows) X(place_rows) X(select_tokens) X(place_tokens) X(gather_rows)              \
  X(scatter_add_rows) X(gather_segments) X(scatter_segments) X(residual_add) X(residual_add_grad)         \
  X(sinkhorn) X(sharpen_center) X(make_targets) X(mean_rows)                                              \
  X(cross_entropy_rows) X(cross_entropy_rows_grad) X(prototype_cross_entropy)                             \
  X(prototype_cross_entropy_grad) X(streamed_sinkhorn) X(streamed_sharpen_center) X(streamed_mean_rows)   \
  X(streamed_cross_entropy) X(streamed_cross_entropy_grad) X(koleo) X(koleo_grad) X(weighted_sum)         \
  X(norm) X(finite) X(clip_factor) X(adamw) X(ema) X(adamw_ema) X(update_center) X(accumulate)            \
  X(sinkhorn_columns) X(sinkhorn_rows) X(square_sum) X(sqrt)

/** Of all ranks' operands: collectives.cc. */
#define DINO_COLLECTIVE_KINDS(X) X(all_gather) X(reduce_scatter) X(all_reduce)

#define DINO_KERNEL_KINDS(X) DINO_LOCAL_KINDS(X) DINO_COLLECTIVE_KINDS(X)

namespace dino {

enum class Kind : int {
#define X(name) name,
  DINO_KERNEL_KINDS(X)
#undef X
};

inline constexpr const char* kind_names[] = {
#define X(name) #name,
    DINO_KERNEL_KINDS(X)
#undef X
};
inline constexpr int kind_count = sizeof(kind_names) / sizeof(kind_names[0]);
/** Kinds from here on are collectives. */
inline constexpr int local_kind_count = static_cast<int>(Kind::all_gather);
inline constexpr int collective_kind_count = kind_count - local_kind_count;
inline constexpr bool is_collective(Kind kind) { return static_cast<int>(kind) >= local_kind_count; }
/** Ranks of a plan at most; runtime/distributed/open.ts says so before a plan is loaded. */
inline constexpr int max_ranks = 64;

}  // namespace dino
