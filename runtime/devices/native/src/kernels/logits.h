#pragma once
#include "pairs.h"
#include "tiles.h"

// Logits of rows over prototypes, for a range of prototypes at a time.

namespace dino {
namespace DINO_ISA {

/** Prototypes in a range: as many as keep `rows` of them within 4 MiB. */
static inline int64_t range_of(int64_t k, int64_t rows) {
  const int64_t fit = (int64_t{1} << 20) / at_least(rows, 1) / tile_columns * tile_columns;
  return at_most(at_least(at_most(fit, 2048), 4 * tile_columns), ceil_div(k, tile_columns) * tile_columns);
}

/** Rows in a task of products with a range of prototypes. */
inline constexpr int64_t logit_rows = 4 * tile_rows;

/** Logits of features x [R, b] over prototypes w [K, b], for a range of them at a time; both f32, or both bf16. */
struct Logits {
  const Tensor *x, *w;
  int64_t b;
  float inverse;  // of the temperature
  void* panels;
  bf16* copies;  // of rows that are multiplied, a thread

  Logits(const Call& call, const Tensor* x, const Tensor* w, float inverse, int64_t range)
      : x(x), w(w), b(columns_of(*x)), inverse(inverse) {
    panels = is_bf16(x) ? static_cast<void*>(take<bf16>(call, panel_elements<bf16>(b, range))) : take<float>(call, panel_elements<float>(b, range));
    copies = take<bf16>(call, pool_threads(*call.pool) * copy_elements());
  }

  /** w[k0 .. k0+n]ᵀ as panels, which `rows` multiplies. */
  void pack(const Call& call, int64_t k0, int64_t n) const {
    parallel(call, ceil_div(n, tile_columns), [&](int64_t panel, int) {
      const int64_t j = panel * tile_columns, count = at_most(n - j, tile_columns);
      if (is_bf16(x))
        pack_panel(Operand{bf16_of(w) + k0 * b, b, true}, 0, b, j, count, static_cast<bf16*>(panels) + j * whole_steps<bf16>(b));
      else
        pack_panel(Operand{f32_of(w) + k0 * b, b, true}, 0, b, j, count, static_cast<float*>(panels) + j * b, inverse);
    });
  }

  /** logits[m, n], rows `ld` apart, of rows first ... */
  void rows(int64_t first, int64_t m, int64_t n, float* logits, int64_t ld, int thread) const {
    if (!is_bf16(x)) return multiply_tiles(m, n, b, f32_of(x) + first * b, b, false, panels_of(static_cast<float*>(panels), b), logits, ld, false);
    const int64_t padded = round_to_pairs(b);
    bf16* copy = copies + thread * copy_elements();
    for (int64_t i = 0; i < m; i += tile_rows) {
      const int64_t rows = at_most(m - i, tile_rows);
      for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < b; c += 2 * width)
          store_steps(copy + r * padded + c, get_steps(bf16_of(x) + (first + i + r) * b + c, b - c));
      multiply_tiles(rows, n, b, copy, padded, false, panels_of(static_cast<bf16*>(panels), b), logits + i * ld, ld, false);
      for (int64_t r = 0; r < rows; r++)
        for_lanes(n, [&](int64_t j, int64_t c) {
          float* at = logits + (i + r) * ld + j;
          put(at, get(at, c) * broadcast(inverse), c);
        });
    }
  }
  /** As `rows`, of rows 0 .. m, divided over the pool. */
  void tile(const Call& call, int64_t m, int64_t n, float* to, int64_t ld) const {
    parallel(call, ceil_div(m, logit_rows), [&](int64_t task, int thread) {
      const int64_t first = task * logit_rows;
      rows(first, at_most(m - first, logit_rows), n, to + first * ld, ld, thread);
    });
  }

 private:
  static int64_t round_to_pairs(int64_t n) { return ceil_div(n, 2 * width) * 2 * width; }
  int64_t copy_elements() const { return is_bf16(x) ? tile_rows * round_to_pairs(b) : 0; }
};

}  // namespace DINO_ISA
}  // namespace dino
