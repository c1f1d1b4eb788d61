#include "attention-bf16.h"
#include "columns.h"
#include "heads.h"
#include "table.h"
#include "tiles.h"

// Attention within each sequence, one head at a time, by blocks of keys with a running maximum and sum: no score
// matrix is stored beyond one block. Rows of q, k and v are copied to scratch with a multiple of `width` columns.

namespace dino {
namespace DINO_ISA {
namespace {

inline constexpr int64_t key_block = 192;           // a multiple of tile_rows and tile_columns
inline constexpr int64_t query_block = 8 * tile_rows;
inline constexpr int64_t queries_in_task = 16 * 4 * tile_rows;

/** Copies `rows` rows of n columns to rows of `ld`, zeros on the right. */
void copy_padded(const float* from, int64_t stride, int64_t rows, int64_t n, float* to, int64_t ld) {
  for (int64_t r = 0; r < rows; r++) {
    for_lanes(n, [&](int64_t i, int64_t c) { store(to + r * ld + i, get(from + r * stride + i, c)); });
  }
}

}  // namespace

// (qkv ragged [T, 3d]) -> (o ragged [T, d], lse [T*h])
void attention(const Call& call) {
  if (is_bf16(call.in[0])) return attention_bf16(call);
  const Tensor& qkv = *call.in[0];
  const int64_t heads = static_cast<int64_t>(call.attr[0]);
  const int64_t d = columns_of(*call.out[0]), size = d / heads, padded = round_up(size, width);
  const float scale = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(size)));
  const float* x = f32_of(&qkv);
  float *o = f32_of(call.out[0]), *lse = f32_of(call.out[1]);
  const int64_t most = longest(qkv);
  const int64_t key_floats = panel_elements<float>(size, most), value_floats = most * padded;
  const int64_t scratch = round_up(key_floats + value_floats + tile_rows * (key_block + padded), 16);
  float* memory = take<float>(call, pool_threads(*call.pool) * scratch);
  const Items items = items_of(qkv, heads, queries_in_task);
  parallel(call, items.tasks(), [&](int64_t task, int thread) {
    float* keys = memory + thread * scratch;
    float* values = keys + key_floats;
    float* scores = values + value_floats;
    float* sums = scores + tile_rows * key_block;
    items.run(task, pool_threads(*call.pool), [&](const Head& h, const Head& next, int64_t first_query) {
      const float* q = x + h.first_row * 3 * d + h.head * size;
      pack_panels(Operand{q + d, 3 * d, true}, 0, size, 0, h.length, keys, scale);
      copy_padded(q + 2 * d, 3 * d, h.length, size, values, padded);
      const int64_t end = at_most(first_query + queries_in_task, h.length);
      Meanwhile meanwhile;
      meanwhile.a = qkv_of(x, next, d, size);
      const int64_t share = ceil_div(meanwhile.a.left, ceil_div(end - first_query, tile_rows));
      for (int64_t i = first_query; i < end; i += tile_rows) {
        const int64_t rows = at_most(end - i, tile_rows);
        take_turn(meanwhile.a, share);
        float top[tile_rows], total[tile_rows];
        for (int64_t r = 0; r < rows; r++) top[r] = -__builtin_inff(), total[r] = 0.0f;
        for (int64_t k0 = 0; k0 < h.length; k0 += key_block) {
          const int64_t n = at_most(h.length - k0, key_block);
          multiply_tiles(rows, n, size, q + i * 3 * d, 3 * d, false, panels_of(keys + k0 * size, size), scores, key_block,
                         false, &meanwhile);
          for (int64_t r = 0; r < rows; r++) {
            float* row = scores + r * key_block;
            vf tops = broadcast(top[r]);
            for_lanes(n, [&](int64_t j, int64_t c) { tops = maximum(tops, get_or(row + j, c, -__builtin_inff())); });
            const float most_here = maximum_lanes(tops);
            const vf shift = broadcast(most_here);
            vf sum = broadcast(0.0f);
            for_lanes(n, [&](int64_t j, int64_t c) {
              const vf e = exponential_negative(get_or(row + j, c, -__builtin_inff()) - shift);
              sum = sum + e;
              store(row + j, e);
            });
            if (k0 > 0) {
              const vf correction = exponential_negative(broadcast(top[r] - most_here));
              total[r] = total[r] * correction[0] + sum_lanes(sum);
              for (int64_t j = 0; j < padded; j += width) store(sums + r * padded + j, load(sums + r * padded + j) * correction);
            } else {
              total[r] = sum_lanes(sum);
            }
            top[r] = most_here;
          }
          multiply_tiles(rows, size, n, scores, key_block, false, rows_as_columns(values + k0 * padded, padded), sums, padded,
                         k0 > 0, &meanwhile);
        }
        for (int64_t r = 0; r < rows; r++) {
          const vf inverse = broadcast(1.0f / total[r]);
          float* to = o + (h.first_row + i + r) * d + h.head * size;
          for_lanes(size, [&](int64_t j, int64_t c) { put(to + j, load(sums + r * padded + j) * inverse, c); });
        }
        for (int64_t r = 0; r < rows; r += width) {
          const int64_t count = at_most(rows - r, width);
          const vf logs = get(top + r, count) + logarithm(get_or(total + r, count, 1.0f));
          for (int64_t l = 0; l < count; l++) lse[(h.first_row + i + r + l) * heads + h.head] = logs[l];
        }
      }
    });
  });
}

// (do, qkv, o, lse) -> dqkv
void attention_grad(const Call& call) {
  if (is_bf16(call.in[1])) return attention_grad_bf16(call);
  const Tensor& qkv = *call.in[1];
  const int64_t heads = static_cast<int64_t>(call.attr[0]);
  const int64_t d = columns_of(*call.in[0]), size = d / heads, padded = round_up(size, width);
  const float scale = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(size)));
  const float *slope = f32_of(call.in[0]), *x = f32_of(&qkv), *o = f32_of(call.in[2]), *lse = f32_of(call.in[3]);
  float* dx = f32_of(call.out[0]);
  const int64_t most = longest(qkv);
  const int64_t panel = panel_elements<float>(size, most), rows_floats = most * padded;
  // Panels of k and v; rows of q, k, do; sums of dq, dk, dv; blocks of p and ds; delta of each query.
  const int64_t scratch =
      round_up(2 * panel + 6 * rows_floats + 2 * query_block * key_block + round_up(most, 16), 16);
  float* memory = take<float>(call, pool_threads(*call.pool) * scratch);
  const Items items = items_of(qkv, heads, 0);
  parallel(call, items.tasks(), [&](int64_t task, int thread) {
    float* key_panels = memory + thread * scratch;
    float* value_panels = key_panels + panel;
    float* queries = value_panels + panel;
    float* keys = queries + rows_floats;
    float* slopes = keys + rows_floats;
    float* dq = slopes + rows_floats;
    float* dk = dq + rows_floats;
    float* dv = dk + rows_floats;
    float* p = dv + rows_floats;
    float* ds = p + query_block * key_block;
    float* delta = ds + query_block * key_block;
    items.run(task, pool_threads(*call.pool), [&](const Head& h, const Head& next, int64_t) {
      const float* q = x + h.first_row * 3 * d + h.head * size;
      const float* g = slope + h.first_row * d + h.head * size;
      const float* result = o + h.first_row * d + h.head * size;
      pack_panels(Operand{q + d, 3 * d, true}, 0, size, 0, h.length, key_panels, scale);
      pack_panels(Operand{q + 2 * d, 3 * d, true}, 0, size, 0, h.length, value_panels);
      copy_padded(q, 3 * d, h.length, size, queries, padded);
      copy_padded(q + d, 3 * d, h.length, size, keys, padded);
      copy_padded(g, d, h.length, size, slopes, padded);
      for (int64_t r = 0; r < h.length; r++) {
        vf sum = broadcast(0.0f);
        for_lanes(size, [&](int64_t j, int64_t c) { sum = sum + get(g + r * d + j, c) * get(result + r * d + j, c); });
        delta[r] = sum_lanes(sum);
      }
      Meanwhile meanwhile = gradient_operands_of(x, slope, o, next, d, size);
      const Meanwhile all = meanwhile;
      for (int64_t i = 0; i < h.length; i += query_block) {
        const int64_t rows = at_most(h.length - i, query_block);
        take_turns(meanwhile, all, ceil_div(h.length, query_block));
        for (int64_t k0 = 0; k0 < h.length; k0 += key_block) {
          const int64_t n = at_most(h.length - k0, key_block);
          multiply_tiles(rows, n, size, queries + i * padded, padded, false, panels_of(key_panels + k0 * size, size), p,
                         key_block, false, &meanwhile);
          multiply_tiles(rows, n, size, slopes + i * padded, padded, false, panels_of(value_panels + k0 * size, size), ds,
                         key_block, false, &meanwhile);
          for (int64_t r = 0; r < rows; r++) {
            const vf shift = broadcast(lse[(h.first_row + i + r) * heads + h.head]), less = broadcast(delta[i + r]);
            float *pr = p + r * key_block, *dr = ds + r * key_block;
            for_lanes(n, [&](int64_t j, int64_t) {
              const vf e = exponential_negative(load(pr + j) - shift);
              store(pr + j, e);
              store(dr + j, e * (load(dr + j) - less));
            });
          }
          multiply_tiles(n, size, rows, p, key_block, true, rows_as_columns(slopes + i * padded, padded), dv + k0 * padded,
                         padded, i > 0, &meanwhile);
          multiply_tiles(n, size, rows, ds, key_block, true, rows_as_columns(queries + i * padded, padded), dk + k0 * padded,
                         padded, i > 0, &meanwhile);
          multiply_tiles(rows, size, n, ds, key_block, false, rows_as_columns(keys + k0 * padded, padded), dq + i * padded,
                         padded, k0 > 0, &meanwhile);
        }
      }
      float* to = dx + h.first_row * 3 * d + h.head * size;
      for (int64_t r = 0; r < h.length; r++)
        for_lanes(size, [&](int64_t j, int64_t c) {
          put(to + r * 3 * d + j, load(dq + r * padded + j) * broadcast(scale), c);
          put(to + r * 3 * d + d + j, load(dk + r * padded + j) * broadcast(scale), c);
          put(to + r * 3 * d + 2 * d + j, load(dv + r * padded + j), c);
        });
    });
  });
}

namespace {

/** Moves [n*t, parts*d] to `parts` tensors [n*h, t, d/h], or back. */
void move_heads(const Call& call, float* rows, float* const* heads_of, int parts, bool split, int64_t d) {
  const int64_t heads = static_cast<int64_t>(call.attr[0]), count = static_cast<int64_t>(call.attr[1]);
  const int64_t length = static_cast<int64_t>(call.attr[2]), size = d / heads;
  for_rows(call, count * heads, length * size, [&](int64_t first, int64_t end) {
    for (int64_t item = first; item < end; item++) {
      const int64_t sequence = item / heads, head = item % heads;
      for (int part = 0; part < parts; part++)
        for (int64_t t = 0; t < length; t++) {
          float* row = rows + (sequence * length + t) * parts * d + part * d + head * size;
          float* own = heads_of[part] + (item * length + t) * size;
          if (split)
            __builtin_memcpy(own, row, static_cast<size_t>(size) * sizeof(float));
          else
            __builtin_memcpy(row, own, static_cast<size_t>(size) * sizeof(float));
        }
    }
  });
}

}  // namespace

// (qkv [n*t, 3d]) -> (q, k, v), each [n*h, t, d/h]
void split_heads(const Call& call) {
  float* parts[] = {f32_of(call.out[0]), f32_of(call.out[1]), f32_of(call.out[2])};
  move_heads(call, f32_of(call.in[0]), parts, 3, true, columns_of(*call.in[0]) / 3);
}

void join_heads(const Call& call) {
  float* parts[] = {f32_of(call.in[0]), f32_of(call.in[1]), f32_of(call.in[2])};
  move_heads(call, f32_of(call.out[0]), parts, 3, false, columns_of(*call.out[0]) / 3);
}

void merge_heads(const Call& call) {
  float* parts[] = {f32_of(call.in[0])};
  move_heads(call, f32_of(call.out[0]), parts, 1, false, columns_of(*call.out[0]));
}

void unmerge_heads(const Call& call) {
  float* parts[] = {f32_of(call.out[0])};
  move_heads(call, f32_of(call.in[0]), parts, 1, true, columns_of(*call.in[0]));
}

}  // namespace DINO_ISA
}  // namespace dino
