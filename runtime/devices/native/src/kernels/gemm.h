#pragma once
#include "math.h"

// The matrix product under linear, matmul, attention, prototypes and KoLeo: a register tile of `tile_rows` x
// `tile_columns` accumulators runs along the contracted dimension over a packed panel of B and over A where it lies.

namespace dino {
namespace DINO_ISA {

#if defined(__AVX512F__)
inline constexpr int tile_rows = 12;
#else
inline constexpr int tile_rows = 6;
#endif
inline constexpr int tile_vectors = 2;
inline constexpr int tile_columns = tile_vectors * width;

/** A matrix stored row-major with rows `ld` apart, read as its transpose where `transposed`. */
struct Operand {
  const float* data;
  int64_t ld;
  bool transposed;
};

/**
 * out[i, j] (+)= sum_p a[i, p] b[p, j] for `rows` x (vectors * width) elements. a[i, p] is at a[i * sa + p], or with
 * `TransposedA` at a[p * sa + i]; row p of b at b + p * sb.
 */
template <int Rows, int Vectors, bool TransposedA>
static void tile_kernel(int64_t k, const float* __restrict a, int64_t sa, const float* __restrict b, int64_t sb,
                        float* __restrict out, int64_t ldo, bool add) {
  vf acc[Rows][Vectors];
#pragma GCC unroll 12
  for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; j++) acc[i][j] = broadcast(0.0f);
  if constexpr (TransposedA) {
    for (int64_t p = 0; p < k; p++) {
      vf bv[Vectors];
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; j++) bv[j] = load(b + j * width);
#pragma GCC unroll 12
      for (int i = 0; i < Rows; i++) {
        const vf av = broadcast(a[i]);
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++) acc[i][j] = av * bv[j] + acc[i][j];
      }
      a += sa;
      b += sb;
    }
  } else {
    // Rows in threes from one pointer each: fewer registers than a pointer a row.
    constexpr int Bases = (Rows + 2) / 3;
    const float* base[Bases];
#pragma GCC unroll 4
    for (int g = 0; g < Bases; g++) base[g] = a + 3 * g * sa;
    for (int64_t p = 0; p < k; p++) {
      vf bv[Vectors];
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; j++) bv[j] = load(b + j * width);
#pragma GCC unroll 12
      for (int i = 0; i < Rows; i++) {
        const vf av = broadcast(base[i / 3][(i % 3) * sa + p]);
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++) acc[i][j] = av * bv[j] + acc[i][j];
      }
      b += sb;
    }
  }
  if (add) {
#pragma GCC unroll 12
    for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; j++) acc[i][j] = load(out + i * ldo + j * width) + acc[i][j];
  }
#pragma GCC unroll 12
  for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; j++) store(out + i * ldo + j * width, acc[i][j]);
}

typedef void (*TileKernel)(int64_t, const float*, int64_t, const float*, int64_t, float*, int64_t, bool);

template <int Vectors, bool TransposedA>
static inline TileKernel tile_kernel_of(int64_t rows) {
  static constexpr TileKernel table[] = {
      tile_kernel<1, Vectors, TransposedA>, tile_kernel<2, Vectors, TransposedA>, tile_kernel<3, Vectors, TransposedA>,
      tile_kernel<4, Vectors, TransposedA>, tile_kernel<5, Vectors, TransposedA>, tile_kernel<6, Vectors, TransposedA>,
#if defined(__AVX512F__)
      tile_kernel<7, Vectors, TransposedA>,  tile_kernel<8, Vectors, TransposedA>,
      tile_kernel<9, Vectors, TransposedA>,  tile_kernel<10, Vectors, TransposedA>,
      tile_kernel<11, Vectors, TransposedA>, tile_kernel<12, Vectors, TransposedA>,
#endif
  };
  return table[rows - 1];
}

/** B[k, n] as the tile kernel reads it: columns j.. (a multiple of tile_columns) from data + j * step, row p at + p * stride. */
struct Columns {
  const float* data;
  int64_t step;
  int64_t stride;
};
/** Panels of `pack_panels` over a contracted dimension of k. */
DINO_INLINE Columns panels_of(const float* panels, int64_t k) { return Columns{panels, k, tile_columns}; }
/** A row-major matrix whose rows may be read up to the next multiple of `width`. */
DINO_INLINE Columns rows_as_columns(const float* data, int64_t stride) { return Columns{data, 1, stride}; }

/**
 * out[m, n] (+)= A[m, k] B[k, n] on the calling thread. Each row of `out` may be written up to the next multiple of
 * `width`.
 */
[[maybe_unused]] static void multiply_tiles(int64_t m, int64_t n, int64_t k, const float* a, int64_t sa, bool transposed_a, Columns b,
                           float* out, int64_t ldo, bool add) {
  for (int64_t i = 0; i < m; i += tile_rows) {
    const int64_t rows = at_most(m - i, tile_rows);
    const float* ai = transposed_a ? a + i : a + i * sa;
    for (int64_t j = 0; j < n; j += tile_columns) {
      const bool narrow = n - j <= width;
      const TileKernel kernel = transposed_a ? (narrow ? tile_kernel_of<1, true>(rows) : tile_kernel_of<2, true>(rows))
                                             : (narrow ? tile_kernel_of<1, false>(rows) : tile_kernel_of<2, false>(rows));
      kernel(k, ai, sa, b.data + j * b.step, b.stride, out + i * ldo + j, ldo, add);
    }
  }
}

/** Floats of `pack_panels` for k x n. */
static inline int64_t panel_floats(int64_t k, int64_t n) { return k * ceil_div(n, tile_columns) * tile_columns; }

/**
 * Columns first..first+count of op(B)[k0 .. k0+k, :], `count` at most `tile_columns`, as one panel [k, tile_columns]
 * with zeros on the right.
 */
static inline void pack_panel(const Operand& b, int64_t k0, int64_t k, int64_t first, int64_t count, float scale,
                              float* __restrict panel) {
  if (!b.transposed) {
    for (int64_t p = 0; p < k; p++) {
      const float* row = b.data + (k0 + p) * b.ld + first;
      for (int v = 0; v < tile_vectors; v++) {
        const int64_t here = at_least(at_most(count - v * width, width), 0);
        const vf values = here == width ? load(row + v * width) : here > 0 ? load_first(row + v * width, here) : broadcast(0.0f);
        store(panel + p * tile_columns + v * width, scale == 1.0f ? values : values * broadcast(scale));
      }
    }
    return;
  }
  // Column j of the panel is a row of the stored matrix: blocks of 16 keep both sides in cache.
  for (int64_t p0 = 0; p0 < k; p0 += 16) {
    const int64_t p1 = at_most(p0 + 16, k);
    for (int64_t j = 0; j < count; j++) {
      const float* row = b.data + (first + j) * b.ld + k0;
      for (int64_t p = p0; p < p1; p++) panel[p * tile_columns + j] = row[p] * scale;
    }
    for (int64_t j = count; j < tile_columns; j++)
      for (int64_t p = p0; p < p1; p++) panel[p * tile_columns + j] = 0.0f;
  }
}

/** op(B)[k0 .. k0+k, j0 .. j0+n] as panels one after the other. */
static inline void pack_panels(const Operand& b, int64_t k0, int64_t k, int64_t j0, int64_t n, float scale, float* panels) {
  for (int64_t j = 0; j < n; j += tile_columns)
    pack_panel(b, k0, k, j0 + j, at_most(n - j, tile_columns), scale, panels + j * k);
}

/** What becomes of a product before it is stored; absent parts are null. All matrices are [m, n] with rows `ld` apart. */
struct Epilogue {
  float alpha = 1.0f;
  const float* bias = nullptr;   // [n]
  const float* addend = nullptr;
  const float* slope = nullptr;  // times gelu'(slope)
  float* before_gelu = nullptr;  // the sum is kept here and the result is its GELU
  int64_t ld = 0;
};

/** Finishes rows x columns of a tile in `sums` and stores them at (i, j) of `c`. */
static void finish_tile(const float* sums, int64_t ld_sums, int64_t rows, int64_t columns, int64_t i, int64_t j,
                        const Epilogue& e, float* c, int64_t ldc) {
  for (int64_t r = 0; r < rows; r++) {
    const float* from = sums + r * ld_sums;
    const int64_t at = (i + r) * e.ld + j;
    float* to = c + (i + r) * ldc + j;
    for_lanes(columns, [&](int64_t x, int64_t count) {
      vf v = get(from + x, count);
      if (e.alpha != 1.0f) v = v * broadcast(e.alpha);
      if (e.bias) v = v + get(e.bias + j + x, count);
      if (e.addend) v = v + get(e.addend + at + x, count);
      if (e.slope) v = v * gelu_slope(get(e.slope + at + x, count));
      if (e.before_gelu) {
        put(e.before_gelu + at + x, v, count);
        v = gelu_of(v);
      }
      put(to + x, v, count);
    });
  }
}

struct Product {
  int64_t m, n, k;
  Operand a;  // op(a) [m, k]
  Operand b;  // op(b) [k, n]
  float* c;   // [m, n]
  int64_t ldc;
  Epilogue epilogue;
  bool onto;  // c holds an addend
};

inline constexpr int64_t k_block = 384;
inline constexpr int64_t n_block = 10 * 32;

/** The same on the calling thread, with `pack` of `single_pack_floats(p.n)` floats of its own. */
static inline int64_t single_pack_floats(int64_t n) {
  return panel_floats(k_block, at_most(n, n_block)) + tile_rows * tile_columns;
}

/**
 * Rows i0 .. i0+m, columns j0 .. j0+n of c over the contracted range k0 .. k0+k with packed panels of op(b) for just
 * those columns; `first` and `last` say whether this range begins and ends the sum. `spare` holds one tile.
 */
static void multiply_block(const Product& p, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t k0, int64_t k,
                           const float* panels, bool first, bool last, float* spare) {
  const Epilogue& e = p.epilogue;
  const bool plain = e.alpha == 1.0f && !e.bias && !e.addend && !e.slope && !e.before_gelu;
  for (int64_t i = i0; i < i0 + m; i += tile_rows) {
    const int64_t rows = at_most(i0 + m - i, tile_rows);
    const float* a = p.a.transposed ? p.a.data + k0 * p.a.ld + i : p.a.data + i * p.a.ld + k0;
    for (int64_t j = j0; j < j0 + n; j += tile_columns) {
      const int64_t columns = at_most(j0 + n - j, tile_columns);
      const bool narrow = columns <= width;
      const TileKernel kernel = p.a.transposed
                                    ? (narrow ? tile_kernel_of<1, true>(rows) : tile_kernel_of<2, true>(rows))
                                    : (narrow ? tile_kernel_of<1, false>(rows) : tile_kernel_of<2, false>(rows));
      const float* panel = panels + (j - j0) * k;
      float* c = p.c + i * p.ldc + j;
      const bool whole = columns == (narrow ? width : tile_columns);
      if (whole && (plain || !last)) {
        kernel(k, a, p.a.ld, panel, tile_columns, c, p.ldc, !first);
        continue;
      }
      if (!first)
        for (int64_t r = 0; r < rows; r++)
          for_lanes(columns, [&](int64_t x, int64_t count) {
            store(spare + r * tile_columns + x, get(c + r * p.ldc + x, count));
          });
      kernel(k, a, p.a.ld, panel, tile_columns, spare, tile_columns, !first);
      if (last)
        finish_tile(spare, tile_columns, rows, columns, i, j, e, p.c, p.ldc);
      else
        for (int64_t r = 0; r < rows; r++)
          for_lanes(columns, [&](int64_t x, int64_t count) {
            put(c + r * p.ldc + x, load(spare + r * tile_columns + x), count);
          });
    }
  }
}

/** Without a contracted dimension the sums are zero. */
static void multiply_nothing(const Product& given, int64_t i0, int64_t m, int64_t j0, int64_t n, float* spare) {
  Product p = given;
  if (p.onto) p.epilogue.addend = p.c;
  for (int64_t x = 0; x < tile_rows * tile_columns; x++) spare[x] = 0.0f;
  for (int64_t i = i0; i < i0 + m; i += tile_rows)
    for (int64_t j = j0; j < j0 + n; j += tile_columns)
      finish_tile(spare, tile_columns, at_most(i0 + m - i, tile_rows), at_most(j0 + n - j, tile_columns), i, j,
                  p.epilogue, p.c, p.ldc);
}

static void multiply_range(const Product& p, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t k0, int64_t k,
                           float* pack) {
  float* spare = pack + panel_floats(k_block, at_most(p.n, n_block));
  for (int64_t j = j0; j < j0 + n; j += n_block) {
    const int64_t columns = at_most(j0 + n - j, n_block);
    if (k == 0) multiply_nothing(p, i0, m, j, columns, spare);
    for (int64_t q = 0; q < k; q += k_block) {
      const int64_t depth = at_most(k - q, k_block);
      pack_panels(p.b, k0 + q, depth, j, columns, 1.0f, pack);
      multiply_block(p, i0, m, j, columns, k0 + q, depth, pack, q == 0 && !p.onto, q + depth == k, spare);
    }
  }
}

static inline void multiply_single(const Product& p, float* pack) { multiply_range(p, 0, p.m, 0, p.n, 0, p.k, pack); }

/** Long in k and small otherwise (a weight gradient): partial products over fixed ranges of k, then their sum. */
static void multiply_split(const Call& call, const Product& p, int64_t ranges) {
  const int64_t length = ceil_div(p.k, ranges);
  const int64_t size = p.m * p.n;
  float* partials = take<float>(call, ranges * size);
  const int64_t pack_floats = single_pack_floats(p.n);
  float* packs = take<float>(call, pool_threads(*call.pool) * pack_floats);
  parallel(call, ranges, [&](int64_t range, int thread) {
    Product part = p;
    part.c = partials + range * size;
    part.ldc = p.n;
    part.epilogue = Epilogue{};
    part.onto = false;
    const int64_t k0 = range * length;
    multiply_range(part, 0, p.m, 0, p.n, k0, at_least(at_most(p.k - k0, length), 0), packs + thread * pack_floats);
  });
  Epilogue epilogue = p.epilogue;
  if (p.onto) epilogue.addend = p.c;
  const int64_t rows = 8;
  parallel(call, ceil_div(p.m, rows), [&](int64_t task, int) {
    const int64_t i0 = task * rows;
    const int64_t m = at_most(p.m - i0, rows);
    for (int64_t range = 1; range < ranges; range++) {
      float* sum = partials + i0 * p.n;
      const float* part = partials + range * size + i0 * p.n;
      for_lanes(m * p.n, [&](int64_t x, int64_t count) { put(sum + x, get(sum + x, count) + get(part + x, count), count); });
    }
    finish_tile(partials + i0 * p.n, p.n, m, p.n, i0, 0, epilogue, p.c, p.ldc);
  });
}

/** B packed once by all threads, then blocks of rows (and of columns, where rows are few). */
static void multiply_rows(const Call& call, const Product& p) {
  const int64_t panels = ceil_div(p.n, tile_columns);
  float* packed = take<float>(call, panel_floats(p.k, p.n));
  // Panels of one range of k are consecutive, as multiply_block reads them.
  const int64_t ranges = ceil_div(p.k, k_block);
  parallel(call, panels * ranges, [&](int64_t task, int) {
    const int64_t q = task / panels * k_block;
    const int64_t j = task % panels * tile_columns;
    const int64_t depth = at_most(p.k - q, k_block);
    pack_panel(p.b, q, depth, j, at_most(p.n - j, tile_columns), 1.0f, packed + q * panels * tile_columns + j * depth);
  });
  int64_t rows = 20 * tile_rows;
  while (rows > tile_rows && ceil_div(p.m, rows) < 24) rows -= tile_rows;
  const int64_t row_blocks = ceil_div(p.m, rows);
  int64_t columns = n_block;
  while (columns > tile_columns && row_blocks * ceil_div(p.n, columns) < 8) columns -= tile_columns;
  const int64_t column_blocks = ceil_div(p.n, columns);
  float* spares = take<float>(call, static_cast<int64_t>(pool_threads(*call.pool)) * tile_rows * tile_columns);
  parallel(call, row_blocks * column_blocks, [&](int64_t task, int thread) {
    float* spare = spares + thread * tile_rows * tile_columns;
    const int64_t i = task / column_blocks * rows;
    const int64_t j = task % column_blocks * columns;
    const int64_t m = at_most(p.m - i, rows);
    const int64_t n = at_most(p.n - j, columns);
    if (p.k == 0) multiply_nothing(p, i, m, j, n, spare);
    for (int64_t q = 0; q < p.k; q += k_block) {
      const int64_t depth = at_most(p.k - q, k_block);
      multiply_block(p, i, m, j, n, q, depth, packed + q * panels * tile_columns + j * depth, 
                     q == 0 && !p.onto, q + depth == p.k, spare);
    }
  });
}

/** c = epilogue(op(a) op(b)), its work divided over the pool. */
[[maybe_unused]] static void multiply(const Call& call, const Product& product) {
  if (product.m == 0 || product.n == 0) return;
  Product p = product;
  if (p.epilogue.addend == p.c && p.ldc == p.epilogue.ld && p.epilogue.alpha == 1.0f && !p.epilogue.bias) {
    // Its place is the result's: sum onto it rather than read it after partial sums stand there.
    p.epilogue.addend = nullptr;
    p.onto = true;
  }
  const int64_t tiles = ceil_div(p.m, tile_rows) * ceil_div(p.n, tile_columns);
  if (p.k >= 4 * k_block && tiles <= 512 && p.k >= 2 * at_most(p.m, p.n)) {
    // Ranges of at least two blocks; their partial sums stay within 16 MiB.
    int64_t ranges = at_most(p.k / (2 * k_block), 16);
    ranges = at_least(at_most(ranges, (int64_t{4} << 20) / (p.m * p.n)), 1);
    if (ranges > 1) return multiply_split(call, p, ranges);
  }
  multiply_rows(call, p);
}

}  // namespace DINO_ISA
}  // namespace dino
