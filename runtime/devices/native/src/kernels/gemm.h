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
 * Memory that is wanted soon, row by row, a line of 64 bytes at a time. A tile kernel asks for `turn` lines of it between
 * its multiply-adds: asked for all at once, they wait for each other and the kernel for them.
 */
struct Ahead {
  const char* row = nullptr;
  int64_t stride = 0, lines = 0;  // bytes from row to row, lines of a row
  int64_t left = 0;               // lines of all rows
  int64_t line = 0, turn = 0;
};
template <class T>
DINO_INLINE Ahead ahead_of(const T* data, int64_t ld, int64_t rows, int64_t columns) {
  const int64_t bytes = static_cast<int64_t>(sizeof(T)), lines = ceil_div(columns * bytes, 64);
  return Ahead{reinterpret_cast<const char*>(data), ld * bytes, lines, at_least(rows, 0) * lines};
}
DINO_INLINE void take_turn(Ahead& a, int64_t lines) {
  a.turn = at_most(lines, a.left);
  a.left -= a.turn;
}
DINO_INLINE void fetch_line(Ahead& a) {
  if (a.turn <= 0) return;
  a.turn--;
  __builtin_prefetch(a.row + a.line * 64, 0, 2);
  if (++a.line < a.lines) return;
  a.line = 0;
  a.row += a.stride;
}
static inline void fetch(Ahead& a, int64_t lines) {
  for (take_turn(a, lines); a.turn > 0;) fetch_line(a);
}

/** What a tile kernel asks for meanwhile: of both operands, of the result and of a matrix that its epilogue reads or writes. */
struct Meanwhile {
  Ahead a, b, c, beside;

  bool due() const { return (a.turn | b.turn | c.turn | beside.turn) > 0; }
};
DINO_INLINE void fetch_lines(Meanwhile& m) { fetch_line(m.a), fetch_line(m.b), fetch_line(m.c), fetch_line(m.beside); }
/** Steps of a tile kernel from one line of each to the next. */
inline constexpr int64_t fetch_steps = 4;

/**
 * out[i, j] = start[i, j] + sum_p a[i, p] b[p, j] for `Rows` x (Vectors * width) elements. a[i, p] is at
 * a[i * sa + p], or with `TransposedA` at a[p * sa + i]; row p of b at b + p * sb.
 */
template <int Rows, int Vectors, bool TransposedA>
static void tile_kernel(int64_t k, const float* a, int64_t sa, const float* b, int64_t sb, Start start, float* out,
                        int64_t ldo, Meanwhile& meanwhile) {
  vf acc[Rows][Vectors];
  int64_t due = meanwhile.due() ? 0 : k;
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
      if (p == due) {
        fetch_lines(meanwhile);
        due += fetch_steps;
      }
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
      if (p == due) {
        fetch_lines(meanwhile);
        due += fetch_steps;
      }
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

typedef void (*TileKernel)(int64_t, const float*, int64_t, const float*, int64_t, Start, float*, int64_t, Meanwhile&);

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
      Meanwhile nothing;
      kernel(k, ai, sa, b.data + j * b.step, b.stride, Start{add ? to : nullptr, ldo}, to, ldo, nothing);
    }
  }
}

/** The size of `count` equal shares of n in whole units. */
static inline int64_t share_of(int64_t n, int64_t count, int64_t unit) { return ceil_div(ceil_div(n, count), unit) * unit; }

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

/** Rows so far apart that they all fall into one set of the first-level cache. */
static inline bool far_apart(int64_t ld) { return ld % 1024 == 0; }

/**
 * `rows` stored rows of n columns as rows of panels of `Columns` columns and `depth` rows each, zeros on the right: eight
 * rows at a time, so that whole lines are read and written. Reads nothing beyond the rows; where a vector is wider than
 * what is left of a panel, what it writes too much is written over by the next row.
 */
template <int Columns>
static void pack_rows(const float* from, int64_t ld, int64_t rows, int64_t n, int64_t depth, float* __restrict panels) {
  constexpr int64_t together = 8, vectors = (Columns + width - 1) / width;
  for (int64_t q = 0; q < rows; q += together) {
    const int64_t end = at_most(q + together, rows);
    for (int64_t j = 0; j < n; j += Columns) {
      const float* row = from + j;
      float* to = panels + j * depth;
      const int64_t here = at_most(n - j, Columns);
      const bool inside = n - j >= vectors * width;
      for (int64_t r = q; r < end; r++) {
        const bool spill = r + 1 < rows || Columns % width == 0;
        for (int64_t v = 0; v < vectors; v++) {
          const int64_t x = v * width;
          const vf values = inside ? load(row + r * ld + x) : get(row + r * ld + x, at_least(at_most(here - x, width), 0));
          if (spill)
            store(to + r * Columns + x, values);
          else
            store_first(to + r * Columns + x, values, at_most(Columns - x, width));
        }
      }
    }
  }
}

/**
 * Rows i0 .. i0+m, columns j0 .. j0+n of c over the contracted range k0 .. k0+k (at most m_block and k_block) with packed
 * panels of op(b) for just those columns and, where `tiles` is not null, packed tiles of op(a) for just those rows, while
 * `next` is asked for; `first` and `last` say whether this range begins and ends the sum.
 */
static void multiply_block(const Product& p, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t k0, int64_t k,
                           const float* panels, const float* tiles, bool first, bool last, Meanwhile next, float* scratch) {
  const Epilogue& e = p.epilogue;
  // What is not stored as it is, is finished from a buffer, a row of tiles at a time.
  const bool buffered = last && (e.alpha != 1.0f || e.bias || e.addend || e.slope || e.before_gelu);
  float* spare = scratch;
  float* copy = scratch + spare_floats;
  const bool transposed = p.a.transposed, copied = !transposed && far_apart(p.a.ld);
  const int64_t panel_count = ceil_div(n, tile_columns), kernels = panel_count * ceil_div(m, tile_rows);
  const int64_t share_a = ceil_div(next.a.left, kernels), share_b = ceil_div(next.b.left, kernels);
  for (int64_t i = i0; i < i0 + m; i += tile_rows) {
    const int64_t rows = at_most(i0 + m - i, tile_rows);
    const float* a = transposed ? p.a.data + k0 * p.a.ld + i : p.a.data + i * p.a.ld + k0;
    int64_t sa = p.a.ld;
    if (!transposed) next.a = ahead_of(a + tile_rows * sa, sa, at_most(i0 + m - i - tile_rows, tile_rows), k);
    const int64_t turn = transposed ? share_a : ceil_div(next.a.left, panel_count);
    if (tiles) {
      a = tiles + (i - i0) * k;
      sa = tile_rows;
    } else if (copied) {
      for (int64_t r = 0; r < rows; r++)
        for_lanes(k, [&](int64_t x, int64_t count) { put(copy + r * row_ld + x, get(a + r * sa + x, count), count); });
      a = copy;
      sa = row_ld;
    }
    for (int64_t j = 0; j < n; j += tile_columns) {
      take_turn(next.a, turn);
      take_turn(next.b, share_b);
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
      if (buffered) {
        // What finish_tile will touch.
        const float* beside = e.slope ? e.slope : e.before_gelu;
        next.c = ahead_of(c, p.ldc, rows, columns);
        next.beside = beside ? ahead_of(beside + i * e.ld + j0 + j, e.ld, rows, columns) : Ahead{};
        take_turn(next.c, next.c.left);
        take_turn(next.beside, next.beside.left);
      }
      const bool direct = whole && !buffered;
      kernel(k, a, sa, panels + j * k, tile_columns, start, direct ? c : buffer, direct ? p.ldc : n_block, next);
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
  float *copy = scratch + spare_floats, *pack = scratch + block_floats();
  // Half a block where both operands are read a row of the contracted dimension at a time: the next half comes meanwhile.
  const bool by_rows = p.a.transposed && !p.b.transposed;
  const int64_t step = by_rows ? k_block / 2 : k_block;
  for (int64_t j = 0; j < p.n; j += n_block) {
    const int64_t columns = at_most(p.n - j, n_block);
    if (k == 0) multiply_nothing(p, 0, p.m, j, columns, scratch);
    for (int64_t q = 0; q < k; q += step) {
      const int64_t depth = at_most(k - q, step), next = at_most(at_least(k - q - step, 0), step);
      pack_panels(p.b, k0 + q, depth, j, columns, 1.0f, pack);
      for (int64_t i = 0; i < p.m; i += m_block) {
        const int64_t rows = at_most(p.m - i, m_block);
        Meanwhile meanwhile;
        if (by_rows) meanwhile.a = ahead_of(p.a.data + (k0 + q + step) * p.a.ld + i, p.a.ld, next, rows);
        if (by_rows && i == 0) meanwhile.b = ahead_of(p.b.data + (k0 + q + step) * p.b.ld + j, p.b.ld, next, columns);
        const float* tiles = p.a.transposed && far_apart(p.a.ld) ? copy : nullptr;
        if (tiles) pack_rows<tile_rows>(p.a.data + (k0 + q) * p.a.ld + i, p.a.ld, depth, rows, depth, copy);
        multiply_block(p, i, rows, j, columns, k0 + q, depth, pack, tiles, q == 0, q + depth == k, meanwhile, scratch);
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

/**
 * Rows i0 .. i0+m and columns j0 .. j0+n of a product over the contracted range k0 .. k0+k: panels of op(b) and, where
 * `tiles` is not null, tiles of op(a), of one block of k after the other as multiply_block reads them.
 */
struct Part {
  int64_t i0, m, j0, n, k0, k;
  float *panels, *tiles;

  float* panels_at(int64_t j, int64_t q) const { return panels + q * ceil_div(n, tile_columns) * tile_columns + j * deep(q); }
  float* tiles_at(int64_t i, int64_t q) const { return tiles + q * ceil_div(m, tile_rows) * tile_rows + i * deep(q); }
  int64_t deep(int64_t q) const { return at_most(k - q, k_block); }
};

/** Rows of the contracted dimension that a thread packs at a time. */
inline constexpr int64_t slab = k_block / 8;

static void pack_panels_of(const Call& call, const Operand& b, const Part& part) {
  if (!b.transposed)
    return parallel(call, ceil_div(part.k, slab), [&](int64_t task, int) {
      const int64_t at = task * slab, q = at / k_block * k_block;
      pack_rows<tile_columns>(b.data + (part.k0 + at) * b.ld + part.j0, b.ld, at_most(part.k - at, slab), part.n, part.deep(q),
                              part.panels_at(0, q) + (at - q) * tile_columns);
    });
  const int64_t panels = ceil_div(part.n, tile_columns);
  parallel(call, panels * ceil_div(part.k, k_block), [&](int64_t task, int) {
    const int64_t q = task / panels * k_block, j = task % panels * tile_columns;
    pack_panel(b, part.k0 + q, part.deep(q), part.j0 + j, at_most(part.n - j, tile_columns), 1.0f, part.panels_at(j, q));
  });
}

static void pack_tiles_of(const Call& call, const Operand& a, const Part& part) {
  parallel(call, ceil_div(part.k, slab), [&](int64_t task, int) {
    const int64_t at = task * slab, q = at / k_block * k_block;
    pack_rows<tile_rows>(a.data + (part.k0 + at) * a.ld + part.i0, a.ld, at_most(part.k - at, slab), part.m, part.deep(q),
                         part.tiles_at(0, q) + (at - q) * tile_rows);
  });
}

/** A part of c, by blocks of rows and columns. */
static void multiply_part(const Call& call, const Product& p, const Part& part, float* scratches) {
  // Enough blocks for many threads, narrower ones before shorter ones: each reads its panels once for all its rows.
  constexpr int64_t enough = 32;
  int64_t row_blocks = ceil_div(part.m, m_block), column_blocks = ceil_div(part.n, n_block);
  while (row_blocks * column_blocks < enough && column_blocks < ceil_div(part.n, 5 * tile_columns)) column_blocks++;
  while (row_blocks * column_blocks < enough && row_blocks < ceil_div(part.m, 4 * tile_rows)) row_blocks++;
  const int64_t rows = share_of(part.m, row_blocks, tile_rows), columns = share_of(part.n, column_blocks, tile_columns);
  row_blocks = ceil_div(part.m, rows);
  column_blocks = ceil_div(part.n, columns);
  const int64_t tasks = row_blocks * column_blocks, threads = pool_threads(*call.pool);
  // What comes after a block: the next of k, or the first of what is likely the thread's next task.
  const auto next_of = [&](int64_t task, int64_t q) {
    Meanwhile next;
    if (q >= part.k) task += threads, q = 0;
    if (task >= tasks) return next;
    const int64_t i = task / column_blocks * rows, j = task % column_blocks * columns, depth = part.deep(q);
    const int64_t height = at_most(part.m - i, rows), across = at_most(part.n - j, columns);
    next.b = ahead_of(part.panels_at(j, q), 0, 1, panel_floats(depth, across));
    if (part.tiles)
      next.a = ahead_of(part.tiles_at(i, q), 0, 1, height * depth);
    else if (p.a.transposed)
      next.a = ahead_of(p.a.data + (part.k0 + q) * p.a.ld + part.i0 + i, p.a.ld, depth, height);
    return next;
  };
  parallel(call, tasks, [&](int64_t task, int thread) {
    float* mine = scratches + thread * block_floats();
    const int64_t i = task / column_blocks * rows, j = task % column_blocks * columns;
    const int64_t height = at_most(part.m - i, rows), across = at_most(part.n - j, columns);
    if (p.k == 0) multiply_nothing(p, part.i0 + i, height, part.j0 + j, across, mine);
    for (int64_t q = 0; q < part.k; q += k_block) {
      const int64_t depth = part.deep(q), at = part.k0 + q;
      multiply_block(p, part.i0 + i, height, part.j0 + j, across, at, depth, part.panels_at(j, q),
                     part.tiles ? part.tiles_at(i, q) : nullptr, at == 0, at + depth == p.k, next_of(task, q + depth), mine);
    }
  });
}

/** By parts of c and of k, so that what is packed of each operand is at most some 2^21 floats. */
static void multiply_blocks(const Call& call, const Product& product) {
  Product p = product;
  begin(p);
  constexpr int64_t most = int64_t{1} << 21, most_columns = 4096;
  const size_t mark = workspace_mark(*call.workspace);
  // Columns of A whose rows fall into the same sets of the caches are packed as those of B are.
  const bool tiled = p.a.transposed && far_apart(p.a.ld);
  const int64_t k = at_least(p.k, 1), depth = at_most(at_least(most / at_most(p.n, most_columns) / k_block, 3) * k_block, k);
  const int64_t n = share_of(p.n, ceil_div(p.n, at_most(most / depth, most_columns)), tile_columns);
  const int64_t m = tiled ? share_of(p.m, ceil_div(p.m, most / depth), tile_rows) : p.m;
  float* panels = take<float>(call, depth * n);
  float* tiles = tiled ? take<float>(call, depth * m) : nullptr;
  float* scratches = take<float>(call, pool_threads(*call.pool) * block_floats());
  for (int64_t k0 = 0; k0 < k; k0 += depth)
    for (int64_t j0 = 0; j0 < p.n; j0 += n)
      for (int64_t i0 = 0; i0 < p.m; i0 += m) {
        const Part part{i0, at_most(p.m - i0, m), j0, at_most(p.n - j0, n), k0, at_most(p.k - k0, depth), panels, tiles};
        if (i0 == 0) pack_panels_of(call, p.b, part);
        if (tiled && (j0 == 0 || m < p.m)) pack_tiles_of(call, p.a, part);
        multiply_part(call, p, part, scratches);
      }
  workspace_release(*call.workspace, mark);
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
