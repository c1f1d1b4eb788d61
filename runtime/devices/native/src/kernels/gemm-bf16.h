#pragma once
#include "bf16.h"
#include "gemm.h"

// The matrix product of bf16 operands with float sums. As in gemm.h, a register tile runs along the contracted
// dimension over a packed panel of B; here it goes in *pairs*, two consecutive elements of that dimension in 32 bits,
// the first in the lower half, which one instruction multiplies and adds where the machine has it.

namespace dino {
namespace DINO_ISA {

typedef int32_t vi_memory __attribute__((vector_size(4 * width), aligned(2), may_alias));

/** acc + the products of both halves. */
DINO_INLINE vf dot_pairs(vf acc, vi a, vi b) {
#if defined(__AVX512BF16__)
  return (vf)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
#else
  const vi upper = broadcast_int(static_cast<int32_t>(0xffff0000u));
  acc = (vf)(a & upper) * (vf)(b & upper) + acc;
  return (vf)((vu)a << 16) * (vf)((vu)b << 16) + acc;
#endif
}

DINO_INLINE vi broadcast_pair(const bf16* p) {
  int32_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return broadcast_int(bits);
}
DINO_INLINE vi load_pairs(const bf16* p) { return *reinterpret_cast<const vi_memory*>(p); }
DINO_INLINE void store_pairs(bf16* p, vi v) { *reinterpret_cast<vi_memory*>(p) = v; }
/** The first `count` elements as pairs, zeros after; reads nothing beyond them. */
DINO_INLINE vi get_pairs(const bf16* p, int64_t count) {
  if (count >= 2 * width) return load_pairs(p);
#if defined(__AVX512F__)
  return (vi)_mm512_maskz_loadu_epi16(static_cast<__mmask32>((uint64_t{1} << at_least(count, 0)) - 1), p);
#else
  vi v{};
  if (count > 0) std::memcpy(&v, p, static_cast<size_t>(count) * sizeof(bf16));
  return v;
#endif
}
/** Pairs of two rows: element i of both. */
DINO_INLINE vi interleave(vh first, vh second) {
  return (vi)(__builtin_convertvector(first, vu) | (__builtin_convertvector(second, vu) << 16));
}
DINO_INLINE vh get_bits(const bf16* p, int64_t count) {
  if (count >= width) return *reinterpret_cast<const vh_memory*>(p);
#if defined(__AVX512F__)
  return (vh)_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << at_least(count, 0)) - 1), p);
#endif
  vh h{};
  if (count > 0) std::memcpy(&h, p, static_cast<size_t>(count) * sizeof(bf16));
  return h;
}

/**
 * out[i, j] (+)= sum of `pairs` products for `Rows` x (Vectors * width) elements. Pair p of row i of A is at
 * a[i * sa + 2 p], or with `TransposedA` at a[p * sa + 2 i]; row p of pairs of B at b + p * sb.
 */
template <int Rows, int Vectors, bool TransposedA>
static void pair_kernel(int64_t pairs, const bf16* a, int64_t sa, const bf16* b, int64_t sb, bool add, float* out, int64_t ldo) {
  vf acc[Rows][Vectors];
#pragma GCC unroll 12
  for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; j++) acc[i][j] = add ? load(out + i * ldo + j * width) : broadcast(0.0f);
  // Rows in threes from one pointer each: fewer registers than a pointer a row.
  constexpr int Bases = (Rows + 2) / 3;
  const bf16* base[Bases];
#pragma GCC unroll 4
  for (int g = 0; g < Bases; g++) base[g] = a + 3 * g * sa;
  for (int64_t p = 0; p < pairs; p++) {
    vi bv[Vectors];
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; j++) bv[j] = load_pairs(b + 2 * j * width);
#pragma GCC unroll 12
    for (int i = 0; i < Rows; i++) {
      const vi av = broadcast_pair(TransposedA ? a + p * sa + 2 * i : base[i / 3] + (i % 3) * sa + 2 * p);
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; j++) acc[i][j] = dot_pairs(acc[i][j], av, bv[j]);
    }
    b += sb;
  }
#pragma GCC unroll 12
  for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; j++) store(out + i * ldo + j * width, acc[i][j]);
}

typedef void (*PairKernel)(int64_t, const bf16*, int64_t, const bf16*, int64_t, bool, float*, int64_t);

template <int Vectors, bool TransposedA>
static inline PairKernel pair_kernel_of(int64_t rows) {
  static constexpr PairKernel table[] = {
      pair_kernel<1, Vectors, TransposedA>, pair_kernel<2, Vectors, TransposedA>, pair_kernel<3, Vectors, TransposedA>,
      pair_kernel<4, Vectors, TransposedA>, pair_kernel<5, Vectors, TransposedA>, pair_kernel<6, Vectors, TransposedA>,
#if defined(__AVX512F__)
      pair_kernel<7, Vectors, TransposedA>,  pair_kernel<8, Vectors, TransposedA>,
      pair_kernel<9, Vectors, TransposedA>,  pair_kernel<10, Vectors, TransposedA>,
      pair_kernel<11, Vectors, TransposedA>, pair_kernel<12, Vectors, TransposedA>,
#endif
  };
  return table[rows - 1];
}

/** B as the kernel reads it: panels of `tile_columns` columns, each [pairs, tile_columns] pairs. */
inline constexpr int64_t panel_stride = 2 * tile_columns;
static inline int64_t pairs_of(int64_t k) { return ceil_div(k, 2); }
/** Elements of the panels of k x n. */
static inline int64_t pair_panel_elements(int64_t k, int64_t n) { return pairs_of(k) * panel_stride * ceil_div(n, tile_columns); }

/** A matrix stored row-major with rows `ld` apart, read as its transpose where `transposed`. */
struct HalfOperand {
  const bf16* data;
  int64_t ld;
  bool transposed;
};

/** Rows that are read a few lines at a time are asked for so many rows ahead. */
inline constexpr int64_t rows_ahead = 16;
static inline void fetch_row(const bf16* row, int64_t count) {
  for (int64_t x = 0; x < count; x += 32) __builtin_prefetch(row + x);
  __builtin_prefetch(row + count - 1);
}

/** Columns first .. first+count (at most `tile_columns`) of op(B)[k0 .. k0+k, :] as one panel, zeros on the right and below. */
static inline void pack_pair_panel(const HalfOperand& b, int64_t k0, int64_t k, int64_t first, int64_t count, bf16* __restrict panel) {
  if (!b.transposed) {
    for (int64_t p = 0; p < k; p += 2) {
      const bf16* row = b.data + (k0 + p) * b.ld + first;
      const bool both = p + 1 < k;
      if (p + rows_ahead + 1 < k) fetch_row(row + rows_ahead * b.ld, count), fetch_row(row + (rows_ahead + 1) * b.ld, count);
      for (int v = 0; v < tile_vectors; v++) {
        const int64_t here = count - v * width;
        const vh upper = get_bits(row + v * width, here), lower = get_bits(row + b.ld + v * width, both ? here : 0);
        store_pairs(panel + p / 2 * panel_stride + 2 * v * width, interleave(upper, lower));
      }
    }
    return;
  }
  // A column of the panel is a row of the stored matrix, whose pairs already stand together.
  for (int v = 0; v < tile_vectors; v++) {
    const int64_t here = at_most(count - v * width, width);
    for (int64_t p = 0; p < k; p += 2 * width) {
      vf x[width];
      for (int64_t r = 0; r < width; r++)
        x[r] = (vf)(r < here ? get_pairs(b.data + (first + v * width + r) * b.ld + k0 + p, k - p) : vi{});
      transpose_vectors(x);
      const int64_t rows = at_most(pairs_of(k - p), width);
      for (int64_t r = 0; r < rows; r++) store_pairs(panel + (p / 2 + r) * panel_stride + 2 * v * width, (vi)x[r]);
    }
  }
}

/** op(B)[k0 .. k0+k, j0 .. j0+n] as panels one after the other. */
[[maybe_unused]] static void pack_pair_panels(const HalfOperand& b, int64_t k0, int64_t k, int64_t j0, int64_t n, bf16* panels) {
  for (int64_t j = 0; j < n; j += tile_columns)
    pack_pair_panel(b, k0, k, j0 + j, at_most(n - j, tile_columns), panels + j / tile_columns * pairs_of(k) * panel_stride);
}

/**
 * Rows of a tile on the calling thread: out[rows, n] (+)= A B over `pairs`, from panels of B. Each row of `out` may be
 * written up to the next multiple of `width`.
 */
DINO_INLINE void multiply_pair_rows(int64_t rows, int64_t n, int64_t pairs, const bf16* a, int64_t sa, bool transposed_a,
                                    const bf16* panels, float* out, int64_t ldo, bool add) {
  for (int64_t j = 0; j < n; j += tile_columns) {
    const bool narrow = n - j <= width;
    const PairKernel kernel = transposed_a ? (narrow ? pair_kernel_of<1, true>(rows) : pair_kernel_of<2, true>(rows))
                                           : (narrow ? pair_kernel_of<1, false>(rows) : pair_kernel_of<2, false>(rows));
    kernel(pairs, a, sa, panels + j / tile_columns * pairs * panel_stride, panel_stride, add, out + j, ldo);
  }
}

/** As `multiply_tiles`, of pairs: out[m, n] (+)= A B. */
[[maybe_unused]] static void multiply_pair_tiles(int64_t m, int64_t n, int64_t pairs, const bf16* a, int64_t sa, bool transposed_a,
                                                 const bf16* panels, float* out, int64_t ldo, bool add) {
  for (int64_t i = 0; i < m; i += tile_rows)
    multiply_pair_rows(at_most(m - i, tile_rows), n, pairs, transposed_a ? a + 2 * i : a + i * sa, sa, transposed_a, panels,
                       out + i * ldo, ldo, add);
}

/** c[m, n] = op(a) op(b) and what becomes of it before it is stored; absent parts are null. */
struct HalfProduct {
  int64_t m, n, k;
  HalfOperand a, b;
  const Tensor* c;                      // f32 or bf16
  const float* bias = nullptr;          // [n]
  const float* addend = nullptr;        // [m, n], may be c
  const Tensor* slope = nullptr;        // times gelu'(slope)
  const Tensor* before_gelu = nullptr;  // the sum is kept here and the result is its GELU; of the dtype of c
};

/** A contracted range, and the most rows and columns of a block. */
inline constexpr int64_t half_depth = 768;
inline constexpr int64_t half_columns = 512;
inline constexpr int64_t half_rows = 20 * tile_rows;
/** Rows of A, copied: a little apart, so that they do not fall into one set of the first-level cache. */
inline constexpr int64_t half_ld = half_depth + 32;
static inline int64_t half_scratch_floats() { return half_rows * half_columns + half_rows * half_ld / 2 + width; }

/** Columns i0 .. i0+m of stored rows k0 .. k0+k as tiles of `tile_rows` columns, each [pairs, tile_rows] pairs. */
static void pack_pair_tiles(const HalfOperand& a, int64_t i0, int64_t m, int64_t k0, int64_t k, bf16* __restrict tiles) {
  const int64_t pairs = pairs_of(k);
  for (int64_t p = 0; p < k; p += 2) {
    const bf16 *row = a.data + (k0 + p) * a.ld + i0, *next = row + a.ld;
    const bool both = p + 1 < k;
    if (p + rows_ahead + 1 < k) fetch_row(row + rows_ahead * a.ld, m), fetch_row(next + rows_ahead * a.ld, m);
    for (int64_t i = 0; i < m; i += tile_rows) {
      bf16* to = tiles + (i * pairs + p / 2 * at_most(m - i, tile_rows)) * 2;
      const int64_t rows = at_most(m - i, tile_rows);
      for (int64_t x = 0; x < rows; x += width) {
        const int64_t here = at_most(m - i - x, width);
        const vi v = interleave(get_bits(row + i + x, here), get_bits(next + i + x, both ? here : 0));
        // A whole vector reaches into the next pairs, which are written after; at the end of a tile there are none.
        if (p / 2 + 2 < pairs)
          store_pairs(to + 2 * x, v);
        else
          std::memcpy(to + 2 * x, &v, static_cast<size_t>(at_most(rows - x, width)) * 4);
      }
    }
  }
}

/**
 * sums[m, n] (rows `half_columns` apart) of rows i0.. and columns j0.. over the contracted range k0 .. k0+k, from panels
 * packed by blocks of `half_depth`, `block` elements apart; done(first row, rows, sums of it) as soon as rows have their sums.
 */
template <class Done>
static inline void sum_block(const HalfProduct& p, int64_t i0, int64_t m, int64_t n, int64_t k0, int64_t k, const bf16* packed,
                             int64_t panels, float* scratch, const Done& done) {
  float* sums = scratch;
  bf16* copy = reinterpret_cast<bf16*>(scratch + half_rows * half_columns);
  for (int64_t q = 0; q < at_least(k, 1); q += half_depth) {
    const int64_t depth = at_most(k - q, half_depth), pairs = pairs_of(depth);
    // The last pair of an odd row would reach beyond it.
    const bool copied = !p.a.transposed && (depth % 2 != 0 || p.a.ld % 2048 == 0);
    if (p.a.transposed) pack_pair_tiles(p.a, i0, m, k0 + q, depth, copy);
    const bf16* block = packed + pairs_of(q) * panels * panel_stride;
    for (int64_t i = 0; i < m; i += tile_rows) {
      const int64_t rows = at_most(m - i, tile_rows);
      const bf16* a = p.a.data + (i0 + i) * p.a.ld + k0 + q;
      int64_t sa = p.a.ld;
      if (p.a.transposed) {
        a = copy + 2 * i * pairs;
        sa = 2 * rows;
      } else if (copied) {
        for (int64_t r = 0; r < rows; r++)
          for (int64_t x = 0; x < depth; x += 2 * width) store_pairs(copy + r * half_ld + x, get_pairs(a + r * sa + x, depth - x));
        a = copy;
        sa = half_ld;
      }
      multiply_pair_rows(rows, n, pairs, a, sa, p.a.transposed, block, sums + i * half_columns, half_columns, q > 0);
      if (q + depth >= k) done(i0 + i, rows, sums + i * half_columns);
    }
  }
}

/**
 * GELU and its slope for numbers that are rounded to bf16 next: with fewer terms than math.h, to 4e-4 of the smaller side
 * of the distribution and 3e-4 of the slope, a tenth of what rounding does.
 */
DINO_INLINE vf power_of_two_rough(vf x) {
  const vf n = nearest(x), r = x - n;
  vf p = broadcast(0.05517165268f);
  p = p * r + broadcast(0.2426111209f);
  p = p * r + broadcast(0.6932609885f);
  p = p * r + broadcast(0.9999280737f);
  return scale_by_power(p, n);
}
DINO_INLINE vf normal_distribution_rough(vf x) {
  const vf z = minimum(broadcast(5.5f), absolute(x));
  vf q = broadcast(0.0002411955956f);
  q = q * z + broadcast(-0.004988255374f);
  q = q * z + broadcast(0.04523870042f);
  q = q * z + broadcast(0.4681812835f);
  q = q * z + broadcast(1.147675422f);
  const vf small = power_of_two_rough(broadcast(-1.0f) - z * q);
  return where_less(x, broadcast(0.0f), small, broadcast(1.0f) - small);
}
DINO_INLINE vf gelu_for(vf x, const float*) { return gelu_of(x); }
DINO_INLINE vf gelu_for(vf x, const bf16*) { return x * normal_distribution_rough(x); }
DINO_INLINE vf gelu_slope_for(vf x, const float*) { return gelu_slope(x); }
/** Phi(-z) - z phi(z) = 2^(-z² / ln 4) g(z) on the side where it is small, and 1 less that on the other. */
DINO_INLINE vf gelu_slope_for(vf x, const bf16*) {
  const vf z = minimum(broadcast(5.5f), absolute(x));
  vf g = broadcast(-0.001859996893f);
  g = g * z + broadcast(0.01970462075f);
  g = g * z + broadcast(-0.08748124994f);
  g = g * z + broadcast(0.2244070175f);
  g = g * z + broadcast(-0.7917332458f);
  g = g * z + broadcast(0.4996934587f);
  const vf small = power_of_two_rough(z * z * broadcast(-0.72134752f)) * g;
  return where_less(x, broadcast(0.0f), small, broadcast(1.0f) - small);
}

/** Finishes `rows` rows from i and n columns from j of c, whose sums are `ld` apart. */
template <class Out, class Slope>
static void finish_half(const HalfProduct& p, int64_t i, int64_t rows, int64_t j, int64_t n, const float* sums, int64_t ld,
                        Out* c, Out* before, const Slope* slope) {
  for (int64_t r = 0; r < rows; r++) {
    const int64_t row = (i + r) * p.n + j;
    const float *from = sums + r * ld, *bias = p.bias ? p.bias + j : nullptr, *addend = p.addend ? p.addend + row : nullptr;
    for_lanes(n, [&](int64_t x, int64_t count) {
      vf v = get(from + x, count);
      if (bias) v = v + get(bias + x, count);
      if (addend) v = v + get(addend + x, count);
      if (slope) v = v * gelu_slope_for(get(slope + row + x, count), c);
      if (before) {
        put(before + row + x, v, count);
        v = gelu_for(v, c);
      }
      put(c + row + x, v, count);
    });
  }
}
static void finish_half(const HalfProduct& p, int64_t i, int64_t rows, int64_t j, int64_t n, const float* sums, int64_t ld) {
  with_data(p.c, [&](auto* c) {
    auto* before = p.before_gelu ? static_cast<decltype(c)>(p.before_gelu->data) : nullptr;
    if (p.slope)
      with_data(p.slope, [&](const auto* slope) { finish_half(p, i, rows, j, n, sums, ld, c, before, slope); });
    else
      finish_half(p, i, rows, j, n, sums, ld, c, before, static_cast<const float*>(nullptr));
  });
}

/**
 * Columns j0 .. j0+n over the contracted range k0 .. k0+k: B packed by all threads, then blocks of rows, first of as many
 * rows as give many tasks, then of fewer columns. Where that is not enough the range is cut too, and its parts added in order.
 */
static void multiply_half_part(const Call& call, const HalfProduct& p, int64_t j0, int64_t n, int64_t k0, int64_t k) {
  const size_t mark = workspace_mark(*call.workspace);
  // Blocks of columns are all equally wide, whole panels, and of a size that stays in the second-level cache.
  const int64_t most = at_most(half_columns, int64_t{327680} / at_least(at_most(k, half_depth), 1));
  const int64_t across = ceil_div(ceil_div(n, ceil_div(n, most)), tile_columns) * tile_columns;
  constexpr int64_t enough = 32;
  const int64_t column_blocks = ceil_div(n, across);
  // Columns of a stored A that become rows are read in runs of some cache lines, where that leaves enough blocks.
  const bool tall = p.a.transposed && ceil_div(p.m, 8 * tile_rows) * column_blocks >= 8;
  const int64_t least = tall ? 8 * tile_rows : 4 * tile_rows;
  int64_t row_blocks = at_least(ceil_div(p.m, half_rows), at_most(enough, ceil_div(p.m, least)));
  const int64_t rows = ceil_div(ceil_div(p.m, row_blocks), tile_rows) * tile_rows;
  row_blocks = ceil_div(p.m, rows);
  const int64_t column_tasks = row_blocks < enough ? column_blocks : 1;
  const int64_t ranges = p.m * p.n <= 65536 ? at_least(at_most(ceil_div(k, 2 * half_depth), 16), 1) : 1;
  const int64_t range = ceil_div(ceil_div(k, ranges), half_depth) * half_depth;

  const int64_t panels = across / tile_columns;
  const int64_t per_block = pair_panel_elements(k, across);
  bf16* packed = take<bf16>(call, column_blocks * per_block);
  const int64_t depths = ceil_div(k, half_depth);
  parallel(call, column_blocks * panels * depths, [&](int64_t task, int) {
    const int64_t q = task / (column_blocks * panels) * half_depth, depth = at_most(k - q, half_depth);
    const int64_t panel = task % (column_blocks * panels), block = panel / panels, j = panel * tile_columns;
    if (j >= n) return;
    pack_pair_panel(p.b, k0 + q, depth, j0 + j, at_most(n - j, tile_columns),
                    packed + block * per_block + (pairs_of(q) * panels + panel % panels * pairs_of(depth)) * panel_stride);
  });

  float* partials = ranges > 1 ? take<float>(call, ranges * p.m * n) : nullptr;
  const int64_t scratch = half_scratch_floats();
  float* scratches = take<float>(call, pool_threads(*call.pool) * scratch);
  parallel(call, ranges * row_blocks * column_tasks, [&](int64_t task, int thread) {
    const int64_t part = task / (row_blocks * column_tasks), i = task / column_tasks % row_blocks * rows;
    const int64_t height = at_most(p.m - i, rows), first = part * range, length = at_least(at_most(k - first, range), 0);
    const int64_t begin = column_tasks > 1 ? task % column_tasks : 0, end = column_tasks > 1 ? begin + 1 : column_blocks;
    for (int64_t block = begin; block < end; block++) {
      const int64_t j = block * across, columns = at_most(n - j, across);
      sum_block(p, i, height, columns, k0 + first, length, packed + block * per_block + pairs_of(first) * panels * panel_stride,
                panels, scratches + thread * scratch, [&](int64_t row, int64_t count, const float* sums) {
                  if (!partials) return finish_half(p, row, count, j0 + j, columns, sums, half_columns);
                  for (int64_t r = 0; r < count; r++)
                    std::memcpy(partials + (part * p.m + row + r) * n + j, sums + r * half_columns, static_cast<size_t>(columns) * 4);
                });
    }
  });
  if (partials)
    parallel(call, ceil_div(p.m, 8), [&](int64_t task, int) {
      const int64_t i = task * 8, height = at_most(p.m - i, 8);
      float* sums = partials + i * n;
      for (int64_t part = 1; part < ranges; part++) {
        const float* other = partials + (part * p.m + i) * n;
        for_lanes(height * n, [&](int64_t x, int64_t count) { put(sums + x, get(sums + x, count) + get(other + x, count), count); });
      }
      finish_half(p, i, height, j0, n, sums, n);
    });
  workspace_release(*call.workspace, mark);
}

/** c = op(a) op(b), its work divided over the pool, in parts that pack some 2^22 elements, so that scratch memory has a bound. */
[[maybe_unused]] static void multiply_half(const Call& call, const HalfProduct& p) {
  if (p.m == 0 || p.n == 0) return;
  // Sums that are stored as they are can be continued.
  const bool plain = !is_bf16(p.c) && !p.slope && !p.before_gelu;
  const int64_t depth = plain ? at_most(p.k, 16 * half_depth) : p.k;
  const int64_t columns = at_most(at_least((int64_t{1} << 22) / at_least(depth, 1) / half_columns, 1) * half_columns, 4096);
  for (int64_t j = 0; j < p.n; j += columns)
    for (int64_t k = 0; k < at_least(p.k, 1); k += at_least(depth, 1)) {
      HalfProduct part = p;
      if (k > 0) part.bias = nullptr, part.addend = f32_of(p.c);
      multiply_half_part(call, part, j, at_most(p.n - j, columns), k, at_most(p.k - k, depth));
    }
}

}  // namespace DINO_ISA
}  // namespace dino
