#pragma once
#include "gelu.h"
#include "tiles.h"

// The matrix product under linear, matmul and prototypes, of float or bf16 operands: blocks of rows and columns whose
// operands stay in the second-level cache, over packed panels of B and over A where it lies, or packed where that is faster.

namespace dino {
namespace DINO_ISA {

/** Numbers of a result as they are stored. */
struct Values {
  void* data = nullptr;
  bool half = false;
};
DINO_INLINE Values values_of(float* data) { return Values{data, false}; }
DINO_INLINE Values values_of(const Tensor* t) { return Values{t->data, is_bf16(t)}; }
template <class Body>
DINO_INLINE void with_data(const Values& v, const Body& body) {
  if (v.half)
    body(static_cast<bf16*>(v.data));
  else
    body(static_cast<float*>(v.data));
}

/** What becomes of a product before it is stored; absent parts are null. Matrices are [m, n] as the product is. */
struct Epilogue {
  float alpha = 1.0f;
  const float* bias = nullptr;  // [n]
  const float* addend = nullptr;
  Values slope = {};        // times gelu'(slope)
  Values before_gelu = {};  // instead: the sum is kept here and the result is its GELU; of the type of the result

  bool sums() const { return alpha != 1.0f || bias || addend; }
  bool any() const { return sums() || slope.data || before_gelu.data; }
};

template <class T>
struct Product {
  int64_t m, n, k;
  Operand<T> a;  // op(a) [m, k]
  Operand<T> b;  // op(b) [k, n]
  Values c;      // [m, n]
  Epilogue epilogue;
  Start start;  // [m, n], or one row: what `begin` moved here from the epilogue
};

/** Finishes rows x columns of a tile in `sums` and stores them at (i, j). */
template <class T, class Out>
static void finish_tile(const Product<T>& p, const float* sums, int64_t ld_sums, int64_t rows, int64_t columns, int64_t i, int64_t j,
                        Out* c) {
  const Epilogue& e = p.epilogue;
  const bool more = e.sums();
  const vf alpha = broadcast(e.alpha);
  // body(the sum, where it goes, lanes)
  const auto over = [&](const auto& body) __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows; r++)
      for_lanes(columns, [&](int64_t x, int64_t count) __attribute__((always_inline)) {
        const int64_t at = (i + r) * p.n + j + x;
        vf v = get(sums + r * ld_sums + x, count);
        if (more) {
          v = v * alpha;
          if (e.bias) v = v + get(e.bias + j + x, count);
          if (e.addend) v = v + get(e.addend + at, count);
        }
        body(v, at, count);
      });
  };
  if (e.before_gelu.data) {
    Out* before = static_cast<Out*>(e.before_gelu.data);
    over([&](vf v, int64_t at, int64_t count) {
      put(before + at, v, count);
      put(c + at, gelu_for(v, c), count);
    });
  } else if (e.slope.data) {
    with_data(e.slope, [&](const auto* slope) {
      over([&](vf v, int64_t at, int64_t count) { put(c + at, v * gelu_slope_for(get(slope + at, count), c), count); });
    });
  } else {
    over([&](vf v, int64_t at, int64_t count) { put(c + at, v, count); });
  }
}
template <class T>
static void finish_tile(const Product<T>& p, const float* sums, int64_t ld_sums, int64_t rows, int64_t columns, int64_t i, int64_t j) {
  with_data(p.c, [&](auto* c) { finish_tile(p, sums, ld_sums, rows, columns, i, j, c); });
}

/** A contracted range and the columns of C whose block of B stays in the second-level cache. */
template <class T>
inline constexpr int64_t k_block = 384 * in_step<T>;
inline constexpr int64_t n_block = 320;
inline constexpr int64_t m_block = 20 * tile_rows;

/** Sums begin with the addend or the bias rather than add it at the end: no more reads, and c may be the addend's place. */
template <class T>
static void begin(Product<T>& p) {
  Epilogue& e = p.epilogue;
  if (e.alpha != 1.0f) return;
  if (e.addend) {
    p.start = Start{e.addend, p.n};
    e.addend = nullptr;
  } else if (e.bias) {
    p.start = Start{e.bias, 0};
    e.bias = nullptr;
  }
}

/** Rows so far apart that they all fall into one set of the first-level cache. */
template <class T>
static bool far_apart(const Operand<T>& a) { return a.ld * static_cast<int64_t>(sizeof(T)) % 4096 == 0; }
/** Whether columns of A have to be packed as those of B are: pairs of bf16, and rows that fall into the same sets of the caches. */
template <class T>
static bool is_tiled(const Operand<T>& a) { return a.transposed && (in_step<T> > 1 || far_apart(a)); }

/** Scratch of a thread: a row of tiles, sums of a block that is stored as bf16, and copied rows of A. */
template <class T>
inline constexpr int64_t row_ld = k_block<T> + 16 * in_step<T>;
inline constexpr int64_t row_floats = tile_rows * n_block;
template <class T>
static int64_t block_floats(bool half) { return row_floats + (half ? m_block * n_block : 0) + tile_rows * row_ld<T> / in_step<T>; }
/** As `block_floats` with a block of packed tiles of A and one of panels of B. */
template <class T>
static int64_t single_floats(int64_t n) {
  return block_floats<T>(false) + (m_block * k_block<T> + panel_elements<T>(k_block<T>, at_most(n, n_block))) / in_step<T>;
}

/**
 * Rows i0 .. i0+m, columns j0 .. j0+n of c over the contracted range k0 .. k0+k (at most m_block, n_block, k_block) with packed
 * panels of op(b) for just those columns and, where `tiles` is not null, packed tiles of op(a) for just those rows, while
 * `next` is asked for; `first` and `last` say whether this range begins and ends the sum.
 */
template <class T>
static void multiply_block(const Product<T>& p, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t k0, int64_t k, const T* panels,
                           const T* tiles, bool first, bool last, Meanwhile next, float* scratch) {
  constexpr int64_t step = in_step<T>;
  const Epilogue& e = p.epilogue;
  const int64_t depth = whole_steps<T>(k);
  // What is not stored as it is, is finished from a buffer, a row of tiles at a time; sums of what is stored as bf16 lie apart.
  const bool buffered = last && (e.any() || p.c.half);
  float *spare = scratch, *own = scratch + row_floats;
  T* copy = reinterpret_cast<T*>(own + (p.c.half ? m_block * n_block : 0));
  const bool transposed = p.a.transposed;
  // A step of the last of an odd number of bf16 would reach beyond its row.
  const bool copied = !transposed && (far_apart(p.a) || k % step != 0);
  const int64_t panel_count = ceil_div(n, tile_columns), kernels = panel_count * ceil_div(m, tile_rows);
  const int64_t share_a = ceil_div(next.a.left, kernels), share_b = ceil_div(next.b.left, kernels);
  for (int64_t i = i0; i < i0 + m; i += tile_rows) {
    const int64_t rows = at_most(i0 + m - i, tile_rows);
    const T* a = transposed ? p.a.data + k0 * p.a.ld + i : p.a.data + i * p.a.ld + k0;
    int64_t sa = p.a.ld;
    if (!transposed) next.a = ahead_of(a + tile_rows * sa, sa, at_most(i0 + m - i - tile_rows, tile_rows), k);
    const int64_t turn = transposed ? share_a : ceil_div(next.a.left, panel_count);
    if (tiles) {
      a = tiles + (i - i0) * depth;
      sa = tile_rows * step;
    } else if (copied) {
      for (int64_t r = 0; r < rows; r++)
        for (int64_t x = 0; x < k; x += width * step) store_steps(copy + r * row_ld<T> + x, get_steps(a + r * sa + x, k - x));
      a = copy;
      sa = row_ld<T>;
    }
    float* sums = p.c.half ? own + (i - i0) * n_block : static_cast<float*>(p.c.data) + i * p.n + j0;
    const int64_t ld_sums = p.c.half ? n_block : p.n;
    for (int64_t j = 0; j < n; j += tile_columns) {
      take_turn(next.a, turn);
      take_turn(next.b, share_b);
      const int64_t columns = at_most(n - j, tile_columns);
      const bool whole = columns == tile_columns || columns == width || p.c.half;
      float *c = sums + j, *buffer = spare + j;
      Start start{nullptr, 0};
      if (!first)
        start = Start{c, ld_sums};
      else if (p.start.data)
        start = Start{p.start.data + i * p.start.ld + j0 + j, p.start.ld};
      if (columns % width != 0 && start.data && !(p.c.half && !first)) {
        for (int64_t r = 0; r < rows; r++)
          for_lanes(columns, [&](int64_t x, int64_t count) {
            store(buffer + r * n_block + x, get(start.data + r * start.ld + x, count));
          });
        start = Start{buffer, n_block};
      }
      if (buffered) {
        // What finish_tile will touch.
        const int64_t at = i * p.n + j0 + j;
        const Values& beside = e.slope.data ? e.slope : e.before_gelu;
        with_data(p.c, [&](const auto* data) { next.c = ahead_of(data + at, p.n, rows, columns); });
        next.beside = Ahead{};
        if (beside.data) with_data(beside, [&](const auto* data) { next.beside = ahead_of(data + at, p.n, rows, columns); });
        take_turn(next.c, next.c.left);
        take_turn(next.beside, next.beside.left);
      }
      const bool direct = whole && !buffered;
      tile_kernel_of<T>(rows, columns, transposed)(steps_of<T>(k), a, sa, panels + j * depth, tile_columns * step, start,
                                                   direct ? c : buffer, direct ? ld_sums : n_block, next);
      if (!whole && !buffered)
        for (int64_t r = 0; r < rows; r++)
          for_lanes(columns, [&](int64_t x, int64_t count) { put(c + r * ld_sums + x, load(buffer + r * n_block + x), count); });
    }
    if (buffered) finish_tile(p, spare, n_block, rows, n, i, j0);
  }
}

/** Without a contracted dimension: what sums begin with. */
template <class T>
static void multiply_nothing(const Product<T>& p, int64_t i0, int64_t m, int64_t j0, int64_t n, float* scratch) {
  for (int64_t i = i0; i < i0 + m; i++)
    for (int64_t j = j0; j < j0 + n; j += tile_columns) {
      const int64_t columns = at_most(j0 + n - j, tile_columns);
      for_lanes(columns, [&](int64_t x, int64_t count) {
        store(scratch + x, p.start.data ? get(p.start.data + i * p.start.ld + j + x, count) : broadcast(0.0f));
      });
      finish_tile(p, scratch, tile_columns, 1, columns, i, j);
    }
}

/** All of c, stored as float, over the contracted range k0 .. k0+k, on the calling thread, which packs as it goes. */
template <class T>
static void multiply_range(const Product<T>& p, int64_t k0, int64_t k, float* scratch) {
  T* tiles = reinterpret_cast<T*>(scratch + block_floats<T>(false));
  T* panels = tiles + m_block * k_block<T>;
  // Half a block where both operands are read a row of the contracted dimension at a time: the next half comes meanwhile.
  const bool by_rows = p.a.transposed && !p.b.transposed, tiled = is_tiled(p.a);
  const int64_t most = by_rows ? k_block<T> / 2 : k_block<T>;
  for (int64_t j = 0; j < p.n; j += n_block) {
    const int64_t columns = at_most(p.n - j, n_block);
    if (k == 0) multiply_nothing(p, 0, p.m, j, columns, scratch);
    for (int64_t q = 0; q < k; q += most) {
      const int64_t depth = at_most(k - q, most), left = at_most(at_least(k - q - most, 0), most), at = k0 + q;
      pack_panels(p.b, at, depth, j, columns, panels);
      for (int64_t i = 0; i < p.m; i += m_block) {
        const int64_t rows = at_most(p.m - i, m_block);
        Meanwhile next;
        if (by_rows) next.a = ahead_of(p.a.data + (at + most) * p.a.ld + i, p.a.ld, left, rows);
        if (by_rows && i == 0) next.b = ahead_of(p.b.data + (at + most) * p.b.ld + j, p.b.ld, left, columns);
        if (tiled) pack_rows<tile_rows>(p.a.data + at * p.a.ld + i, p.a.ld, depth, rows, depth, tiles);
        multiply_block(p, i, rows, j, columns, at, depth, panels, tiled ? tiles : nullptr, q == 0, q + depth == k, next, scratch);
      }
    }
  }
}

/** A product stored as float, on the calling thread, with `single_floats(n)` floats of scratch. */
template <class T>
[[maybe_unused]] static void multiply_single(const Product<T>& product, float* scratch) {
  Product<T> p = product;
  begin(p);
  multiply_range(p, 0, p.k, scratch);
}

/** Long in k and small otherwise (a weight gradient): partial products over fixed ranges of k, then their sum. */
template <class T>
static void multiply_split(const Call& call, const Product<T>& p, int64_t ranges) {
  const int64_t length = ceil_div(ceil_div(p.k, ranges), k_block<T>) * k_block<T>;
  const int64_t size = p.m * p.n;
  float* partials = take<float>(call, ranges * size);
  const int64_t scratch = single_floats<T>(p.n);
  float* scratches = take<float>(call, pool_threads(*call.pool) * scratch);
  parallel(call, ranges, [&](int64_t range, int thread) {
    Product<T> part = p;
    part.c = values_of(partials + range * size);
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
    finish_tile(p, partials + i0 * p.n, p.n, m, p.n, i0, 0);
  });
}

/** The size of `count` equal shares of n in whole units. */
static inline int64_t share_of(int64_t n, int64_t count, int64_t unit) { return ceil_div(ceil_div(n, count), unit) * unit; }

/**
 * Rows i0 .. i0+m and columns j0 .. j0+n of a product over the contracted range k0 .. k0+k: panels of op(b) and, where
 * `tiles` is not null, tiles of op(a), of one block of k after the other as multiply_block reads them.
 */
template <class T>
struct Part {
  int64_t i0, m, j0, n, k0, k;
  T *panels, *tiles;

  T* panels_at(int64_t j, int64_t q) const { return panels + q * ceil_div(n, tile_columns) * tile_columns + j * whole_steps<T>(deep(q)); }
  T* tiles_at(int64_t i, int64_t q) const { return tiles + q * ceil_div(m, tile_rows) * tile_rows + i * whole_steps<T>(deep(q)); }
  int64_t deep(int64_t q) const { return at_most(k - q, k_block<T>); }
};

/** Rows of the contracted dimension that a thread packs at a time. */
template <class T>
inline constexpr int64_t slab = k_block<T> / 8;

template <class T>
static void pack_panels_of(const Call& call, const Operand<T>& b, const Part<T>& part) {
  if (!b.transposed)
    return parallel(call, ceil_div(part.k, slab<T>), [&](int64_t task, int) {
      const int64_t at = task * slab<T>, q = at / k_block<T> * k_block<T>;
      pack_rows<tile_columns>(b.data + (part.k0 + at) * b.ld + part.j0, b.ld, at_most(part.k - at, slab<T>), part.n, part.deep(q),
                              part.panels_at(0, q) + (at - q) * tile_columns);
    });
  const int64_t panels = ceil_div(part.n, tile_columns);
  parallel(call, panels * ceil_div(part.k, k_block<T>), [&](int64_t task, int) {
    const int64_t q = task / panels * k_block<T>, j = task % panels * tile_columns;
    pack_panel(b, part.k0 + q, part.deep(q), part.j0 + j, at_most(part.n - j, tile_columns), part.panels_at(j, q));
  });
}

template <class T>
static void pack_tiles_of(const Call& call, const Operand<T>& a, const Part<T>& part) {
  parallel(call, ceil_div(part.k, slab<T>), [&](int64_t task, int) {
    const int64_t at = task * slab<T>, q = at / k_block<T> * k_block<T>;
    pack_rows<tile_rows>(a.data + (part.k0 + at) * a.ld + part.i0, a.ld, at_most(part.k - at, slab<T>), part.m, part.deep(q),
                         part.tiles_at(0, q) + (at - q) * tile_rows);
  });
}

/** A part of c, by blocks of rows and columns. */
template <class T>
static void multiply_part(const Call& call, const Product<T>& p, const Part<T>& part, float* scratches) {
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
    next.b = ahead_of(part.panels_at(j, q), 0, 1, panel_elements<T>(depth, across));
    if (part.tiles)
      next.a = ahead_of(part.tiles_at(i, q), 0, 1, height * depth);
    else if (p.a.transposed)
      next.a = ahead_of(p.a.data + (part.k0 + q) * p.a.ld + part.i0 + i, p.a.ld, depth, height);
    return next;
  };
  parallel(call, tasks, [&](int64_t task, int thread) {
    float* mine = scratches + thread * block_floats<T>(p.c.half);
    const int64_t i = task / column_blocks * rows, j = task % column_blocks * columns;
    const int64_t height = at_most(part.m - i, rows), across = at_most(part.n - j, columns);
    if (p.k == 0) multiply_nothing(p, part.i0 + i, height, part.j0 + j, across, mine);
    for (int64_t q = 0; q < part.k; q += k_block<T>) {
      const int64_t depth = part.deep(q), at = part.k0 + q;
      multiply_block(p, part.i0 + i, height, part.j0 + j, across, at, depth, part.panels_at(j, q),
                     part.tiles ? part.tiles_at(i, q) : nullptr, at == 0, at + depth == p.k, next_of(task, q + depth), mine);
    }
  });
}

/**
 * By parts of c and of k, so that some 2^21 steps of B and 2^22 of A are packed at a time; more where c is stored as bf16 and
 * k is longer than 6,000 steps, for then the sums of a block have to be whole.
 */
template <class T>
static void multiply_blocks(const Call& call, const Product<T>& product) {
  Product<T> p = product;
  begin(p);
  constexpr int64_t most = int64_t{1} << 21, most_columns = 4096;
  const bool tiled = is_tiled(p.a);
  // Sums of what is stored as bf16 cannot be continued.
  const int64_t k = at_least(p.k, 1), fit = at_least(most * in_step<T> / at_most(p.n, most_columns) / k_block<T>, 3) * k_block<T>;
  const int64_t depth = p.c.half ? k : at_most(fit, k), steps = steps_of<T>(depth);
  const int64_t n = share_of(p.n, ceil_div(p.n, at_most(at_least(most / steps, n_block), most_columns)), tile_columns);
  const int64_t m = tiled ? share_of(p.m, ceil_div(p.m, at_least(2 * most / steps, m_block)), tile_rows) : p.m;
  T* panels = take<T>(call, whole_steps<T>(depth) * n);
  T* tiles = tiled ? take<T>(call, whole_steps<T>(depth) * m) : nullptr;
  float* scratches = take<float>(call, pool_threads(*call.pool) * block_floats<T>(p.c.half));
  for (int64_t k0 = 0; k0 < k; k0 += depth)
    for (int64_t j0 = 0; j0 < p.n; j0 += n)
      for (int64_t i0 = 0; i0 < p.m; i0 += m) {
        const Part<T> part{i0, at_most(p.m - i0, m), j0, at_most(p.n - j0, n), k0, at_most(p.k - k0, depth), panels, tiles};
        if (i0 == 0) pack_panels_of(call, p.b, part);
        if (tiled && (j0 == 0 || m < p.m)) pack_tiles_of(call, p.a, part);
        multiply_part(call, p, part, scratches);
      }
}

/** c = epilogue(op(a) op(b)), its work divided over the pool. The addend may be c itself where alpha is 1. */
template <class T>
[[maybe_unused]] static void multiply(const Call& call, const Product<T>& p) {
  if (p.m == 0 || p.n == 0) return;
  const size_t mark = workspace_mark(*call.workspace);
  const int64_t ranges = at_most(ceil_div(p.k, 2 * k_block<T>), 16);
  if (ranges > 1 && p.m * p.n <= 65536)
    multiply_split(call, p, ranges);
  else
    multiply_blocks(call, p);
  workspace_release(*call.workspace, mark);
}

}  // namespace DINO_ISA
}  // namespace dino
