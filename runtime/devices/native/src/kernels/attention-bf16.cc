#include "attention-bf16.h"

#include "heads.h"
#include "tiles.h"

// Attention of attention.cc with its five products in bf16: q, k and v as they are stored, the probabilities and their
// gradients rounded when they are multiplied. Scores, sums over keys and everything else are float.

namespace dino {
namespace DINO_ISA {
namespace {

inline constexpr int64_t key_block = 192;  // a multiple of tile_rows and tile_columns
inline constexpr int64_t query_block = 8 * tile_rows;
inline constexpr int64_t queries_in_task = 16 * 4 * tile_rows;

/** 2^x to three parts in a million, for x below 127; minus infinity gives 0, NaN stays. */
DINO_INLINE vf power_of_two_short(vf x) {
  x = maximum(broadcast(-150.0f), x);  // in this order a NaN passes
  const vf n = nearest(x), r = x - n;
  vf p = broadcast(0.009570100018f);
  p = p * r + broadcast(0.05591786017f);
  p = p * r + broadcast(0.2402474487f);
  p = p * r + broadcast(0.6931218148f);
  p = p * r + broadcast(0.9999992614f);
  return scale_by_power(p, n);
}

inline constexpr double log2_e = 1.4426950408889634;

/** Elements of the panels of k x n in key blocks, one after the other. */
int64_t block_elements(int64_t k, int64_t n) { return ceil_div(k, key_block) * panel_elements<bf16>(key_block, n); }

/** Rows k0 .. of a matrix [k, n] as panels, block by block. */
void pack_blocks(const bf16* rows, int64_t ld, int64_t k, int64_t n, int64_t block, bf16* panels) {
  for (int64_t k0 = 0; k0 < k; k0 += block)
    pack_panels(Operand{rows, ld, false}, k0, at_most(k - k0, block), 0, n,
                panels + k0 / block * panel_elements<bf16>(block, n));
}

/** Rows of whole pairs: where a head has an odd size, copies with a zero after each row. */
struct Rows {
  const bf16* data;
  int64_t ld;
};
Rows whole_pairs(const bf16* from, int64_t ld, int64_t rows, int64_t size, bf16* copy) {
  if (size % 2 == 0) return Rows{from, ld};
  const int64_t padded = round_up(size, 2 * width);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t x = 0; x < size; x += 2 * width) store_steps(copy + r * padded + x, get_steps(from + r * ld + x, size - x));
  return Rows{copy, padded};
}
int64_t copy_elements(int64_t rows, int64_t size) { return size % 2 == 0 ? 0 : rows * round_up(size, 2 * width); }

/** Elements in whole lines of the cache. */
bf16* take_elements(bf16*& from, int64_t count) {
  bf16* taken = from;
  from += round_up(count, 32);
  return taken;
}
float* take_floats(bf16*& from, int64_t count) { return reinterpret_cast<float*>(take_elements(from, 2 * count)); }

}  // namespace

void attention_bf16(const Call& call) {
  const Tensor& qkv = *call.in[0];
  const int64_t heads = static_cast<int64_t>(call.attr[0]);
  const int64_t d = columns_of(*call.out[0]), size = d / heads, padded = round_up(size, width);
  const vf factor = broadcast(static_cast<float>(log2_e / __builtin_sqrt(static_cast<double>(size))));
  const bf16* x = bf16_of(&qkv);
  float* lse = f32_of(call.out[1]);
  const int64_t most = longest(qkv);
  const int64_t key_elements = panel_elements<bf16>(size, most), value_elements = block_elements(most, size);
  const int64_t scratch = round_up(key_elements, 32) + round_up(value_elements, 32) + round_up(copy_elements(tile_rows, size), 32) +
                          round_up(tile_rows * key_block, 32) + 2 * round_up(tile_rows * key_block + tile_rows * padded, 32) + 64;
  bf16* memory = take<bf16>(call, pool_threads(*call.pool) * scratch);
  const Items items = items_of(qkv, heads, queries_in_task);
  with_data(call.out[0], [&](auto* o) {
    parallel(call, items.tasks(), [&](int64_t task, int thread) {
      bf16* at = memory + thread * scratch;
      bf16 *keys = take_elements(at, key_elements), *values = take_elements(at, value_elements);
      bf16 *copy = take_elements(at, copy_elements(tile_rows, size)), *p = take_elements(at, tile_rows * key_block);
      float *scores = take_floats(at, tile_rows * key_block), *sums = take_floats(at, tile_rows * padded);
      items.run(task, pool_threads(*call.pool), [&](const Head& h, const Head& next, int64_t first_query) {
        const bf16* q = x + h.first_row * 3 * d + h.head * size;
        pack_panels(Operand{q + d, 3 * d, true}, 0, size, 0, h.length, keys);
        pack_blocks(q + 2 * d, 3 * d, h.length, size, key_block, values);
        const int64_t end = at_most(first_query + queries_in_task, h.length);
        Meanwhile meanwhile;
        meanwhile.a = qkv_of(x, next, d, size);
        const int64_t share = ceil_div(meanwhile.a.left, ceil_div(end - first_query, tile_rows));
        for (int64_t i = first_query; i < end; i += tile_rows) {
          const int64_t rows = at_most(end - i, tile_rows);
          take_turn(meanwhile.a, share);
          const Rows a = whole_pairs(q + i * 3 * d, 3 * d, rows, size, copy);
          float top[tile_rows], total[tile_rows];
          for (int64_t r = 0; r < rows; r++) top[r] = -__builtin_inff(), total[r] = 0.0f;
          for (int64_t k0 = 0; k0 < h.length; k0 += key_block) {
            const int64_t n = at_most(h.length - k0, key_block);
            multiply_tiles(rows, n, size, a.data, a.ld, false, panels_of(keys + k0 * whole_steps<bf16>(size), size), scores,
                           key_block, false, &meanwhile);
            for (int64_t r = 0; r < rows; r++) {
              const float* row = scores + r * key_block;
              vf tops = broadcast(-__builtin_inff());
              for_lanes(n, [&](int64_t j, int64_t c) { tops = maximum(tops, get_or(row + j, c, -__builtin_inff())); });
              const float most_here = maximum_lanes(maximum(broadcast(top[r]), tops * factor));
              const vf shift = broadcast(most_here);
              vf sum = broadcast(0.0f);
              for_lanes(n, [&](int64_t j, int64_t c) {
                const vf e = power_of_two_short(get_or(row + j, c, -__builtin_inff()) * factor - shift);
                sum = sum + e;
                store(p + r * key_block + j, e);
              });
              if (k0 > 0) {
                const vf correction = power_of_two_short(broadcast(top[r] - most_here));
                total[r] = total[r] * correction[0] + sum_lanes(sum);
                for (int64_t j = 0; j < padded; j += width) store(sums + r * padded + j, load(sums + r * padded + j) * correction);
              } else {
                total[r] = sum_lanes(sum);
              }
              top[r] = most_here;
            }
            // The pair of the last of an odd number of keys is zero in both operands, or beyond what was stored.
            if (n % 2 != 0)
              for (int64_t r = 0; r < rows; r++) p[r * key_block + n] = bf16{0};
            multiply_tiles(rows, size, n, p, key_block, false,
                           panels_of(values + k0 / key_block * panel_elements<bf16>(key_block, size), n),
                           sums, padded, k0 > 0, &meanwhile);
          }
          for (int64_t r = 0; r < rows; r++) {
            const vf inverse = broadcast(1.0f / total[r]);
            auto* to = o + (h.first_row + i + r) * d + h.head * size;
            for_lanes(size, [&](int64_t j, int64_t c) { put(to + j, load(sums + r * padded + j) * inverse, c); });
          }
          for (int64_t r = 0; r < rows; r += width) {
            const int64_t count = at_most(rows - r, width);
            const vf logs = get(top + r, count) * broadcast(static_cast<float>(1 / log2_e)) + logarithm(get_or(total + r, count, 1.0f));
            for (int64_t l = 0; l < count; l++) lse[(h.first_row + i + r + l) * heads + h.head] = logs[l];
          }
        }
      });
    });
  });
}

void attention_grad_bf16(const Call& call) {
  const Tensor& qkv = *call.in[1];
  const int64_t heads = static_cast<int64_t>(call.attr[0]);
  const int64_t d = columns_of(*call.in[0]), size = d / heads, padded = round_up(size, width);
  const float scale = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(size)));
  const vf factor = broadcast(static_cast<float>(log2_e * static_cast<double>(scale)));
  const bf16 *slope = bf16_of(call.in[0]), *x = bf16_of(&qkv), *o = bf16_of(call.in[2]);
  const float* lse = f32_of(call.in[3]);
  const int64_t most = longest(qkv);
  const int64_t panel = panel_elements<bf16>(size, most), blocks = block_elements(most, size), sums = most * padded;
  const int64_t query_panel = panel_elements<bf16>(query_block, size), tile = query_block * key_block;
  // Panels of k and v; k, q and do by rows; copies of odd rows; sums of dq, dk, dv; scores and ds in float; p and ds by pairs of
  // queries, ds by rows; delta of each query.
  const int64_t scratch = 2 * round_up(panel, 32) + round_up(blocks, 32) + 2 * round_up(query_panel, 32) +
                          2 * round_up(copy_elements(query_block, size), 32) + 6 * round_up(sums, 32) + 4 * round_up(tile, 32) +
                          3 * round_up(tile, 32) + 2 * round_up(most, 32) + 64;
  bf16* memory = take<bf16>(call, pool_threads(*call.pool) * scratch);
  const Items items = items_of(qkv, heads, 0);
  with_data(call.out[0], [&](auto* dx) {
    parallel(call, items.tasks(), [&](int64_t task, int thread) {
      bf16* at = memory + thread * scratch;
      bf16 *key_panels = take_elements(at, panel), *value_panels = take_elements(at, panel), *keys = take_elements(at, blocks);
      bf16 *queries = take_elements(at, query_panel), *slopes = take_elements(at, query_panel);
      bf16* query_copy = take_elements(at, copy_elements(query_block, size));
      bf16* slope_copy = take_elements(at, copy_elements(query_block, size));
      float *dq = take_floats(at, sums), *dk = take_floats(at, sums), *dv = take_floats(at, sums);
      float *scores = take_floats(at, tile), *slopes_of_p = take_floats(at, tile);
      bf16 *p_pairs = take_elements(at, tile), *ds_pairs = take_elements(at, tile), *ds = take_elements(at, tile);
      float* delta = take_floats(at, most);
      items.run(task, pool_threads(*call.pool), [&](const Head& h, const Head& next, int64_t) {
        const bf16* q = x + h.first_row * 3 * d + h.head * size;
        const bf16* g = slope + h.first_row * d + h.head * size;
        const bf16* result = o + h.first_row * d + h.head * size;
        pack_panels(Operand{q + d, 3 * d, true}, 0, size, 0, h.length, key_panels);
        pack_panels(Operand{q + 2 * d, 3 * d, true}, 0, size, 0, h.length, value_panels);
        pack_blocks(q + d, 3 * d, h.length, size, key_block, keys);
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
          const Rows a = whole_pairs(q + i * 3 * d, 3 * d, rows, size, query_copy);
          const Rows b = whole_pairs(g + i * d, d, rows, size, slope_copy);
          pack_panels(Operand{q + i * 3 * d, 3 * d, false}, 0, rows, 0, size, queries);
          pack_panels(Operand{g + i * d, d, false}, 0, rows, 0, size, slopes);
          for (int64_t k0 = 0; k0 < h.length; k0 += key_block) {
            const int64_t n = at_most(h.length - k0, key_block), panels = k0 * whole_steps<bf16>(size);
            multiply_tiles(rows, n, size, a.data, a.ld, false, panels_of(key_panels + panels, size), scores, key_block, false,
                           &meanwhile);
            multiply_tiles(rows, n, size, b.data, b.ld, false, panels_of(value_panels + panels, size), slopes_of_p, key_block,
                           false, &meanwhile);
            for (int64_t r = 0; r < rows; r += 2) {
              const bool both = r + 1 < rows;
              const int64_t other = both ? r + 1 : r;
              const float* own = lse + (h.first_row + i) * heads + h.head;
              const vf shift = broadcast(own[r * heads] * static_cast<float>(log2_e)), less = broadcast(delta[i + r]);
              const vf shift2 = broadcast(own[other * heads] * static_cast<float>(log2_e)), less2 = broadcast(delta[i + other]);
              for_lanes(n, [&](int64_t j, int64_t c) {
                constexpr float none = -__builtin_inff();
                const vf e = power_of_two_short(get_or(scores + r * key_block + j, c, none) * factor - shift);
                const vf s = e * (get(slopes_of_p + r * key_block + j, c) - less);
                const vh e1 = narrow(e), s1 = narrow(s);
                vh e2{}, s2{};
                *reinterpret_cast<vh_memory*>(ds + r * key_block + j) = s1;
                if (both) {
                  const vf f = power_of_two_short(get_or(scores + other * key_block + j, c, none) * factor - shift2);
                  const vf t = f * (get(slopes_of_p + other * key_block + j, c) - less2);
                  e2 = narrow(f), s2 = narrow(t);
                  *reinterpret_cast<vh_memory*>(ds + other * key_block + j) = s2;
                }
                store_steps(p_pairs + r * key_block + 2 * j, interleave(e1, e2));
                store_steps(ds_pairs + r * key_block + 2 * j, interleave(s1, s2));
              });
              if (n % 2 != 0) ds[r * key_block + n] = ds[other * key_block + n] = bf16{0};
            }
            multiply_tiles(n, size, rows, p_pairs, 2 * key_block, true, panels_of(slopes, rows), dv + k0 * padded, padded,
                           i > 0, &meanwhile);
            multiply_tiles(n, size, rows, ds_pairs, 2 * key_block, true, panels_of(queries, rows), dk + k0 * padded, padded,
                           i > 0, &meanwhile);
            multiply_tiles(rows, size, n, ds, key_block, false,
                           panels_of(keys + k0 / key_block * panel_elements<bf16>(key_block, size), n),
                           dq + i * padded, padded, k0 > 0, &meanwhile);
          }
        }
        auto* to = dx + h.first_row * 3 * d + h.head * size;
        for (int64_t r = 0; r < h.length; r++)
          for_lanes(size, [&](int64_t j, int64_t c) {
            put(to + r * 3 * d + j, load(dq + r * padded + j) * broadcast(scale), c);
            put(to + r * 3 * d + d + j, load(dk + r * padded + j) * broadcast(scale), c);
            put(to + r * 3 * d + 2 * d + j, load(dv + r * padded + j), c);
          });
      });
    });
  });
}

}  // namespace DINO_ISA
}  // namespace dino
