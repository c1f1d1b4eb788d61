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

/** What sums begin with: rows `ld` apart (0: one row for all), or zeros where `data` is null. */
struct Start {
  const float* data;
  int64_t ld;
};

/**
 * out[i, j] = start[i, j] + sum_p a[i, p] b[p, j] for `Rows` x (Vectors * width) elements. a[i, p] is at
 * a[i * sa + p], or with `TransposedA` at a[p * sa + i]; row p of b at b + p * sb.
 */
template <int Rows, int Vectors, bool TransposedA>
static void tile_kernel(int64_t k, const float* a, int64_t sa, const float* b, int64_t sb, Start start, float* out,
                        int64_t ldo) {
  vf acc[Rows][Vectors];
#pragma GCC unroll 12
  for (int i = 0; i < Rows; i++) {
    __builtin_prefetch(out + i * ldo, 1);
    __builtin_prefetch(out + i * ldo + Vectors * width - 1, 1);
  }
  if (start.data) {
#pragma GCC unroll 12
    for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; j++) acc[i][j] = load(start.data + i * start.ld + j * width);
  } else {
#pragma GCC unroll 12
    for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; j++) acc[i][j] = broadcast(0.0f);
  }
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
#pragma GCC unroll 12
  for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; j++) store(out + i * ldo + j * width, acc[i][j]);
}

typedef void (*TileKernel)(int64_t, const float*, int64_t, const float*, int64_t, Start, float*, int64_t);

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
      float* to = out + i * ldo + j;
      kernel(k, ai, sa, b.data + j * b.step, b.stride, Start{add ? to : nullptr, ldo}, to, ldo);
    }
  }
}

/** Floats of `pack_panels` for k x n. */
static inline int64_t panel_floats(int64_t k, int64_t n) { return k * ceil_div(n, tile_columns) * tile_columns; }

/**
 * to[p, r] = scale * from[r, p] for `rows` (at most `width`) rows of k, each row of `to` filled up to `width` with zeros.
 */
static inline void transpose(const float* from, int64_t ld, int64_t rows, int64_t k, float scale, float* __restrict to,
                             int64_t ld_to) {
  const vf factor = broadcast(scale);
  for (int64_t p = 0; p < k; p += width) {
    const int64_t count = at_most(k - p, width);
    vf x[width];
    for (int64_t r = 0; r < width; r++) x[r] = r < rows ? get(from + r * ld + p, count) * factor : broadcast(0.0f);
    transpose_vectors(x);
    for (int64_t r = 0; r < count; r++) store(to + (p + r) * ld_to, x[r]);
  }
}

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
  // Column j of the panel is a row of the stored matrix.
  for (int v = 0; v < tile_vectors; v++) {
    const int64_t here = at_least(at_most(count - v * width, width), 0);
    transpose(b.data + (first + v * width) * b.ld + k0, b.ld, here, k, scale, panel + v * width, tile_columns);
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

/** body(offset in the sums, offset in the matrices of the epilogue, offset in c, lanes) over a tile at (i, j). */
template <class Body>
DINO_INLINE void over_tile(int64_t ld_sums, int64_t rows, int64_t columns, int64_t i, int64_t j, const Epilogue& e, int64_t ldc,
                           const Body& body) {
  for (int64_t r = 0; r < rows; r++)
    for_lanes(columns, [&](int64_t x, int64_t count) {
      body(r * ld_sums + x, (i + r) * e.ld + j + x, (i + r) * ldc + j + x, count);
    });
}

/** Finishes rows x columns of a tile in `sums` and stores them at (i, j) of `c`. */
static void finish_tile(const float* sums, int64_t ld_sums, int64_t rows, int64_t columns, int64_t i, int64_t j,
                        const Epilogue& e, float* c, int64_t ldc) {
  const bool more = e.alpha != 1.0f || e.bias || e.addend;
  if (e.before_gelu && !e.slope && !more) {
    over_tile(ld_sums, rows, columns, i, j, e, ldc, [&](int64_t from, int64_t at, int64_t to, int64_t count) {
      const vf v = get(sums + from, count);
      put(e.before_gelu + at, v, count);
      put(c + to, gelu_of(v), count);
    });
  } else if (e.slope && !e.before_gelu && !more) {
    over_tile(ld_sums, rows, columns, i, j, e, ldc, [&](int64_t from, int64_t at, int64_t to, int64_t count) {
      put(c + to, get(sums + from, count) * gelu_slope(get(e.slope + at, count)), count);
    });
  } else {
    const vf alpha = broadcast(e.alpha);
    over_tile(ld_sums, rows, columns, i, j, e, ldc, [&](int64_t from, int64_t at, int64_t to, int64_t count) {
      vf v = get(sums + from, count) * alpha;
      if (e.bias) v = v + get(e.bias + at % e.ld, count);
      if (e.addend) v = v + get(e.addend + at, count);
      if (e.slope) v = v * gelu_slope(get(e.slope + at, count));
      if (e.before_gelu) {
        put(e.before_gelu + at, v, count);
        v = gelu_of(v);
      }
      put(c + to, v, count);
    });
  }
}

/** Asks for the memory that `finish_tile` will touch. */
static inline void fetch_tile(const Epilogue& e, int64_t rows, int64_t i, int64_t j, const float* c, int64_t ldc) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t x = 0; x < tile_columns; x += 16) {
      __builtin_prefetch(c + r * ldc + x, 1);
      if (e.slope) __builtin_prefetch(e.slope + (i + r) * e.ld + j + x);
      if (e.before_gelu) __builtin_prefetch(e.before_gelu + (i + r) * e.ld + j + x, 1);
    }
}

struct Product {
  int64_t m, n, k;
  Operand a;  // op(a) [m, k]
  Operand b;  // op(b) [k, n]
  float* c;   // [m, n]
  int64_t ldc;
  Epilogue epilogue;
  Start start;  // [m, n], or one row: what `begin` moved here from the epilogue
};

/** A contracted range and the columns of C whose block of B stays in the second-level cache. */
inline constexpr int64_t k_block = 384;
inline constexpr int64_t n_block = 320;
inline constexpr int64_t m_block = 20 * tile_rows;

/** Sums begin with the bias or the addend rather than add it at the end: no more reads, and c may be its place. */
static inline void begin(Product& p) {
  Epilogue& e = p.epilogue;
  if (e.alpha != 1.0f || (e.bias && e.addend)) return;
  if (e.addend) p.start = Start{e.addend, e.ld};
  if (e.bias) p.start = Start{e.bias, 0};
  e.addend = e.bias = nullptr;
}

/** Floats of scratch that `multiply_block` and `multiply_single` need on each thread: rows of C and a block of A. */
inline constexpr int64_t spare_floats = tile_rows * n_block;
inline constexpr int64_t row_ld = k_block + 16;
static inline int64_t block_floats() { return spare_floats + m_block * row_ld; }
static inline int64_t single_floats(int64_t n) { return block_floats() + panel_floats(k_block, at_most(n, n_block)); }

/** Memory of the next block, asked for line by line while this one is computed: it would else wait for it at its start. */
struct Ahead {
  const float* row;
  int64_t rows, ld, lines;  // lines of 64 bytes in a row
  int64_t line;
};
DINO_INLINE Ahead ahead_of(const float* data, int64_t ld, int64_t rows, int64_t columns) {
  return Ahead{data, rows, ld, ceil_div(columns, 16), 0};
}
static inline void fetch(Ahead& a, int64_t lines) {
  for (; lines > 0 && a.rows > 0; lines--) {
    __builtin_prefetch(a.row + a.line * 16, 0, 2);
    if (++a.line < a.lines) continue;
    a.line = 0;
    a.row += a.ld;
    a.rows--;
  }
}

/** Rows so far apart that they all fall into one set of the first-level cache. */
static inline bool far_apart(int64_t ld) { return ld % 1024 == 0; }

/** Columns i0 .. i0+m of a stored matrix in tiles of `tile_rows`, each [k, tile_rows]: rows are read from end to end. */
static void pack_tiles(const float* a, int64_t ld, int64_t k, int64_t m, float* __restrict tiles) {
  const int64_t whole = m / tile_rows;
  for (int64_t q = 0; q < k; q++) {
    const float* row = a + q * ld;
    float* to = tiles + q * tile_rows;
    // Whole vectors reach beyond a tile: into what the next tile or row overwrites, and on the last row beyond the matrix.
    if (q + 1 < k) {
      for (int64_t t = 0; t < whole; t++)
        for (int64_t x = 0; x < tile_rows; x += width) store(to + t * k * tile_rows + x, load(row + t * tile_rows + x));
    } else {
      for (int64_t i = 0; i < whole * tile_rows; i++) to[i / tile_rows * k * tile_rows + i % tile_rows] = row[i];
    }
    for (int64_t i = whole * tile_rows; i < m; i++) to[whole * k * tile_rows + i % tile_rows] = row[i];
  }
}

/**
 * Rows i0 .. i0+m, columns j0 .. j0+n of c over the contracted range k0 .. k0+k (at most m_block and k_block) with packed
 * panels of op(b) for just those columns, fetching `next_a` and `next_b` meanwhile; `first` and `last` say whether this range begins and ends the sum.
 */
static void multiply_block(const Product& p, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t k0, int64_t k,
                           const float* panels, bool first, bool last, Ahead next_a, Ahead next_b, float* scratch) {
  const Epilogue& e = p.epilogue;
  // What is not stored as it is, is finished from a buffer, a row of tiles at a time.
  const bool buffered = last && (e.alpha != 1.0f || e.bias || e.addend || e.slope || e.before_gelu);
  float* spare = scratch;
  float* copy = scratch + spare_floats;
  const bool transposed = p.a.transposed, copied = far_apart(p.a.ld);
  const int64_t panel_count = ceil_div(n, tile_columns), kernels = panel_count * ceil_div(m, tile_rows);
  const int64_t share_a = ceil_div(next_a.rows * next_a.lines, kernels), share_b = ceil_div(next_b.rows * next_b.lines, kernels);
  if (transposed && copied) pack_tiles(p.a.data + k0 * p.a.ld + i0, p.a.ld, k, m, copy);
  for (int64_t i = i0; i < i0 + m; i += tile_rows) {
    const int64_t rows = at_most(i0 + m - i, tile_rows);
    const float* a = transposed ? p.a.data + k0 * p.a.ld + i : p.a.data + i * p.a.ld + k0;
    int64_t sa = p.a.ld;
    Ahead next_rows = ahead_of(a + tile_rows * sa, sa, transposed || copied ? 0 : at_most(i0 + m - i - tile_rows, tile_rows), k);
    const int64_t share_rows = ceil_div(at_least(next_rows.rows, 0) * next_rows.lines, panel_count);
    if (transposed && copied) {
      a = copy + (i - i0) * k;
      sa = tile_rows;
    } else if (copied) {
      for (int64_t r = 0; r < rows; r++)
        for_lanes(k, [&](int64_t x, int64_t count) { put(copy + r * row_ld + x, get(a + r * sa + x, count), count); });
      a = copy;
      sa = row_ld;
    }
    for (int64_t j = 0; j < n; j += tile_columns) {
      fetch(next_rows, share_rows);
      fetch(next_a, share_a);
      fetch(next_b, share_b);
      const int64_t columns = at_most(n - j, tile_columns);
      const bool narrow = columns <= width, whole = columns == (narrow ? width : tile_columns);
      const TileKernel kernel = transposed ? (narrow ? tile_kernel_of<1, true>(rows) : tile_kernel_of<2, true>(rows))
                                           : (narrow ? tile_kernel_of<1, false>(rows) : tile_kernel_of<2, false>(rows));
      float* c = p.c + i * p.ldc + j0 + j;
      float* buffer = spare + j;
      Start start{nullptr, 0};
      if (!first)
        start = Start{c, p.ldc};
      else if (p.start.data)
        start = Start{p.start.data + i * p.start.ld + j0 + j, p.start.ld};
      if (!whole && start.data) {
        for (int64_t r = 0; r < rows; r++)
          for_lanes(columns, [&](int64_t x, int64_t count) {
            store(buffer + r * n_block + x, get(start.data + r * start.ld + x, count));
          });
        start = Start{buffer, n_block};
      }
      if (buffered) fetch_tile(e, rows, i, j0 + j, c, p.ldc);
      const bool direct = whole && !buffered;
      kernel(k, a, sa, panels + j * k, tile_columns, start, direct ? c : buffer, direct ? p.ldc : n_block);
      if (!whole && !buffered)
        for (int64_t r = 0; r < rows; r++)
          for_lanes(columns, [&](int64_t x, int64_t count) {
            put(c + r * p.ldc + x, load(buffer + r * n_block + x), count);
          });
    }
    if (buffered) finish_tile(spare, n_block, rows, n, i, j0, e, p.c, p.ldc);
  }
}

/** Without a contracted dimension: what sums begin with. */
static void multiply_nothing(const Product& p, int64_t i0, int64_t m, int64_t j0, int64_t n, float* scratch) {
  for (int64_t i = i0; i < i0 + m; i++)
    for (int64_t j = j0; j < j0 + n; j += tile_columns) {
      const int64_t columns = at_most(j0 + n - j, tile_columns);
      for_lanes(columns, [&](int64_t x, int64_t count) {
        store(scratch + x, p.start.data ? get(p.start.data + i * p.start.ld + j + x, count) : broadcast(0.0f));
      });
      finish_tile(scratch, tile_columns, 1, columns, i, j, p.epilogue, p.c, p.ldc);
    }
}

/** All of c over the contracted range k0 .. k0+k, on the calling thread, which packs B as it goes. */
static void multiply_range(const Product& p, int64_t k0, int64_t k, float* scratch) {
  float* pack = scratch + block_floats();
  // Half a block where both operands are read a row of the contracted dimension at a time: the next half comes meanwhile.
  const bool by_rows = p.a.transposed && !p.b.transposed;
  const int64_t step = by_rows ? k_block / 2 : k_block;
  const Ahead nothing{nullptr, 0, 0, 0, 0};
  for (int64_t j = 0; j < p.n; j += n_block) {
    const int64_t columns = at_most(p.n - j, n_block);
    if (k == 0) multiply_nothing(p, 0, p.m, j, columns, scratch);
    for (int64_t q = 0; q < k; q += step) {
      const int64_t depth = at_most(k - q, step), next = at_most(at_least(k - q - step, 0), step);
      pack_panels(p.b, k0 + q, depth, j, columns, 1.0f, pack);
      for (int64_t i = 0; i < p.m; i += m_block) {
        const int64_t rows = at_most(p.m - i, m_block);
        const Ahead next_a = by_rows ? ahead_of(p.a.data + (k0 + q + step) * p.a.ld + i, p.a.ld, next, rows) : nothing;
        const Ahead next_b = by_rows && i == 0 ? ahead_of(p.b.data + (k0 + q + step) * p.b.ld + j, p.b.ld, next, columns) : nothing;
        multiply_block(p, i, rows, j, columns, k0 + q, depth, pack, q == 0, q + depth == k, next_a, next_b, scratch);
      }
    }
  }
}

/** A product on the calling thread, with `single_floats(n)` floats of scratch. */
[[maybe_unused]] static void multiply_single(const Product& product, float* scratch) {
  Product p = product;
  begin(p);
  multiply_range(p, 0, p.k, scratch);
}

/** Long in k and small otherwise (a weight gradient): partial products over fixed ranges of k, then their sum. */
static void multiply_split(const Call& call, const Product& p, int64_t ranges) {
  const int64_t length = ceil_div(ceil_div(p.k, ranges), k_block) * k_block;
  const int64_t size = p.m * p.n;
  float* partials = take<float>(call, ranges * size);
  const int64_t scratch = single_floats(p.n);
  float* scratches = take<float>(call, pool_threads(*call.pool) * scratch);
  parallel(call, ranges, [&](int64_t range, int thread) {
    Product part = p;
    part.c = partials + range * size;
    part.ldc = p.n;
    part.epilogue = Epilogue{};
    const int64_t k0 = range * length;
    multiply_range(part, k0, at_least(at_most(p.k - k0, length), 0), scratches + thread * scratch);
  });
  const int64_t rows = 8;
  parallel(call, ceil_div(p.m, rows), [&](int64_t task, int) {
    const int64_t i0 = task * rows;
    const int64_t m = at_most(p.m - i0, rows);
    for (int64_t range = 1; range < ranges; range++) {
      float* sum = partials + i0 * p.n;
      const float* part = partials + range * size + i0 * p.n;
      for_lanes(m * p.n, [&](int64_t x, int64_t count) { put(sum + x, get(sum + x, count) + get(part + x, count), count); });
    }
    finish_tile(partials + i0 * p.n, p.n, m, p.n, i0, 0, p.epilogue, p.c, p.ldc);
  });
}

/** Columns j0 .. j0+n over the contracted range k0 .. k0+k: B packed by all threads, then blocks of rows and columns. */
static void multiply_part(const Call& call, const Product& p, int64_t j0, int64_t n, int64_t k0, int64_t k) {
  const size_t mark = workspace_mark(*call.workspace);
  const int64_t panels = ceil_div(n, tile_columns);
  float* packed = take<float>(call, panel_floats(k, n));
  // Panels of one block of k are consecutive, as multiply_block reads them.
  parallel(call, panels * ceil_div(k, k_block), [&](int64_t task, int) {
    const int64_t q = task / panels * k_block;
    const int64_t j = task % panels * tile_columns;
    const int64_t depth = at_most(k - q, k_block);
    pack_panel(p.b, k0 + q, depth, j0 + j, at_most(n - j, tile_columns), 1.0f, packed + q * panels * tile_columns + j * depth);
  });
  // Enough blocks for many threads, narrower ones before shorter ones: each reads its panels once for all its rows.
  constexpr int64_t enough = 32;
  int64_t row_blocks = ceil_div(p.m, m_block), column_blocks = ceil_div(n, n_block);
  while (row_blocks * column_blocks < enough && column_blocks < ceil_div(n, 3 * tile_columns)) column_blocks++;
  while (row_blocks * column_blocks < enough && row_blocks < ceil_div(p.m, 4 * tile_rows)) row_blocks++;
  const int64_t rows = ceil_div(ceil_div(p.m, row_blocks), tile_rows) * tile_rows;
  const int64_t columns = ceil_div(ceil_div(n, column_blocks), tile_columns) * tile_columns;
  row_blocks = ceil_div(p.m, rows);
  column_blocks = ceil_div(n, columns);
  const int64_t scratch = block_floats();
  float* scratches = take<float>(call, pool_threads(*call.pool) * scratch);
  parallel(call, row_blocks * column_blocks, [&](int64_t task, int thread) {
    float* mine = scratches + thread * scratch;
    const int64_t i = task / column_blocks * rows, j = task % column_blocks * columns;
    const int64_t height = at_most(p.m - i, rows), across = at_most(n - j, columns);
    if (p.k == 0) multiply_nothing(p, i, height, j0 + j, across, mine);
    for (int64_t q = 0; q < k; q += k_block) {
      const int64_t depth = at_most(k - q, k_block), at = k0 + q;
      const int64_t next = p.a.transposed ? at_most(k - q - depth, k_block) : 0;
      multiply_block(p, i, height, j0 + j, across, at, depth, packed + q * panels * tile_columns + j * depth, at == 0,
                     at + depth == p.k, ahead_of(p.a.data + (at + depth) * p.a.ld + i, p.a.ld, next, height),
                     Ahead{nullptr, 0, 0, 0, 0}, mine);
    }
  });
  workspace_release(*call.workspace, mark);
}

/** In parts that pack at most 2^21 floats (or one block of k), so that scratch memory has a bound. */
static void multiply_blocks(const Call& call, const Product& product) {
  Product p = product;
  begin(p);
  constexpr int64_t most_columns = 4096;
  for (int64_t j = 0; j < p.n; j += most_columns) {
    const int64_t n = at_most(p.n - j, most_columns);
    const int64_t depth = at_least((int64_t{1} << 21) / n / k_block, 1) * k_block;
    for (int64_t k = 0; k < at_least(p.k, 1); k += depth) multiply_part(call, p, j, n, k, at_most(p.k - k, depth));
  }
}

/** c = epilogue(op(a) op(b)), its work divided over the pool. The addend may be c itself. */
[[maybe_unused]] static void multiply(const Call& call, const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  const int64_t ranges = at_most(ceil_div(p.k, 2 * k_block), 16);
  if (ranges > 1 && p.m * p.n <= 65536) return multiply_split(call, p, ranges);
  multiply_blocks(call, p);
}

}  // namespace DINO_ISA
}  // namespace dino
