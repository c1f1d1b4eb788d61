#pragma once
#include <type_traits>

#include "bf16.h"
#include "math.h"

// What every matrix product is made of: a register tile of `tile_rows` x `tile_columns` accumulators runs along the
// contracted dimension over a packed panel of B and over A, where it lies or packed. It goes in *steps*: one element of
// float, or two consecutive ones of bf16 in 32 bits, the first in the lower half, which one instruction multiplies and
// adds where the machine has it. Sums are float.

namespace dino {
namespace DINO_ISA {

#if defined(__AVX512F__)
inline constexpr int tile_rows = 12;
#else
inline constexpr int tile_rows = 6;
#endif
inline constexpr int tile_vectors = 2;
inline constexpr int tile_columns = tile_vectors * width;

typedef int32_t vi_memory __attribute__((vector_size(4 * width), aligned(2), may_alias));

/** Elements of the contracted dimension in a step. */
template <class T>
inline constexpr int64_t in_step = 4 / static_cast<int64_t>(sizeof(T));
template <class T>
DINO_INLINE int64_t steps_of(int64_t k) { return ceil_div(k, in_step<T>); }
/** k in whole steps. */
template <class T>
DINO_INLINE int64_t whole_steps(int64_t k) { return steps_of<T>(k) * in_step<T>; }

DINO_INLINE vf load_steps(const float* p) { return load(p); }
DINO_INLINE vi load_steps(const bf16* p) { return *reinterpret_cast<const vi_memory*>(p); }
DINO_INLINE void store_steps(float* p, vf v) { store(p, v); }
DINO_INLINE void store_steps(bf16* p, vi v) { *reinterpret_cast<vi_memory*>(p) = v; }
DINO_INLINE vf broadcast_step(const float* p) { return broadcast(*p); }
DINO_INLINE vi broadcast_step(const bf16* p) {
  int32_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return broadcast_int(bits);
}
DINO_INLINE vf multiply_add(vf acc, vf a, vf b) { return a * b + acc; }
/** acc + the products of both halves. */
DINO_INLINE vf multiply_add(vf acc, vi a, vi b) {
#if defined(__AVX512BF16__)
  return (vf)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
#else
  const vi upper = broadcast_int(static_cast<int32_t>(0xffff0000u));
  acc = (vf)(a & upper) * (vf)(b & upper) + acc;
  return (vf)((vu)a << 16) * (vf)((vu)b << 16) + acc;
#endif
}

/** The first `count` elements of a row as steps, zeros after; reads nothing beyond them. */
DINO_INLINE vf get_steps(const float* p, int64_t count) {
  return count >= width ? load(p) : load_first(p, at_least(count, 0));
}
DINO_INLINE vi get_steps(const bf16* p, int64_t count) {
  if (count >= 2 * width) return load_steps(p);
#if defined(__AVX512F__)
  return (vi)_mm512_maskz_loadu_epi16(static_cast<__mmask32>((uint64_t{1} << at_least(count, 0)) - 1), p);
#else
  vi v{};
  if (count > 0) std::memcpy(&v, p, static_cast<size_t>(count) * sizeof(bf16));
  return v;
#endif
}

/** `count` elements of bf16 as they are stored, zeros after. */
DINO_INLINE vh get_bits(const bf16* p, int64_t count) {
  if (count >= width) return *reinterpret_cast<const vh_memory*>(p);
#if defined(__AVX512F__)
  return (vh)_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << at_least(count, 0)) - 1), p);
#endif
  vh h{};
  if (count > 0) std::memcpy(&h, p, static_cast<size_t>(count) * sizeof(bf16));
  return h;
}
/** Steps of two rows of bf16: element i of both. */
DINO_INLINE vi interleave(vh first, vh second) {
  return (vi)(__builtin_convertvector(first, vu) | (__builtin_convertvector(second, vu) << 16));
}
/** The step that begins at a row, of `count` columns; `rows` of its rows are there. */
DINO_INLINE vf step_of_rows(const float* row, int64_t, int64_t, int64_t count) { return get_steps(row, count); }
DINO_INLINE vi step_of_rows(const bf16* row, int64_t ld, int64_t rows, int64_t count) {
  return interleave(get_bits(row, count), get_bits(row + ld, rows > 1 ? count : 0));
}

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

/** What a tile kernel asks for meanwhile: of both operands, of the result and of a matrix that its epilogue reads or writes. */
struct Meanwhile {
  Ahead a, b, c, beside;

  bool due() const { return (a.turn | b.turn | c.turn | beside.turn) > 0; }
};
DINO_INLINE void fetch_lines(Meanwhile& m) { fetch_line(m.a), fetch_line(m.b), fetch_line(m.c), fetch_line(m.beside); }
/** Steps of a tile kernel from one line of each to the next. */
inline constexpr int64_t fetch_steps = 4;

/** What sums begin with: rows `ld` apart (0: one row for all), or zeros where `data` is null. */
struct Start {
  const float* data;
  int64_t ld;
};

/**
 * out[i, j] = start[i, j] + sum_p a[i, p] b[p, j] over `steps` of p for `Rows` x (Vectors * width) elements. Step p of row i
 * of A is at a[i * sa + p], or with `TransposedA` at a[p * sa + i], in steps of the last index; step p of B at b + p * sb.
 */
template <class T, int Rows, int Vectors, bool TransposedA>
static void tile_kernel(int64_t steps, const T* a, int64_t sa, const T* b, int64_t sb, Start start, float* out, int64_t ldo,
                        Meanwhile& meanwhile) {
  constexpr int64_t step = in_step<T>;
  vf acc[Rows][Vectors];
  int64_t due = meanwhile.due() ? 0 : steps;
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
  // Rows in threes from one pointer each: fewer registers than a pointer a row.
  constexpr int Bases = (Rows + 2) / 3;
  const T* base[Bases];
#pragma GCC unroll 4
  for (int g = 0; g < Bases; g++) base[g] = TransposedA ? a : a + 3 * g * sa;
  for (int64_t p = 0; p < steps; p++) {
    if (p == due) {
      fetch_lines(meanwhile);
      due += fetch_steps;
    }
    decltype(load_steps(b)) bv[Vectors];
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; j++) bv[j] = load_steps(b + j * width * step);
#pragma GCC unroll 12
    for (int i = 0; i < Rows; i++) {
      const auto av = broadcast_step(TransposedA ? a + i * step : base[i / 3] + (i % 3) * sa + p * step);
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; j++) acc[i][j] = multiply_add(acc[i][j], av, bv[j]);
    }
    if (TransposedA) a += sa;
    b += sb;
  }
#pragma GCC unroll 12
  for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; j++) store(out + i * ldo + j * width, acc[i][j]);
}

template <class T>
using TileKernel = void (*)(int64_t, const T*, int64_t, const T*, int64_t, Start, float*, int64_t, Meanwhile&);

template <class T, int Vectors, bool TransposedA>
static inline TileKernel<T> tile_kernel_of(int64_t rows) {
  static constexpr TileKernel<T> table[] = {
      tile_kernel<T, 1, Vectors, TransposedA>,  tile_kernel<T, 2, Vectors, TransposedA>,  tile_kernel<T, 3, Vectors, TransposedA>,
      tile_kernel<T, 4, Vectors, TransposedA>,  tile_kernel<T, 5, Vectors, TransposedA>,  tile_kernel<T, 6, Vectors, TransposedA>,
#if defined(__AVX512F__)
      tile_kernel<T, 7, Vectors, TransposedA>,  tile_kernel<T, 8, Vectors, TransposedA>,  tile_kernel<T, 9, Vectors, TransposedA>,
      tile_kernel<T, 10, Vectors, TransposedA>, tile_kernel<T, 11, Vectors, TransposedA>, tile_kernel<T, 12, Vectors, TransposedA>,
#endif
  };
  return table[rows - 1];
}
/** The kernel for `rows` x `columns`, at most a tile of them. */
template <class T>
static inline TileKernel<T> tile_kernel_of(int64_t rows, int64_t columns, bool transposed_a) {
  if (columns <= width) return transposed_a ? tile_kernel_of<T, 1, true>(rows) : tile_kernel_of<T, 1, false>(rows);
  return transposed_a ? tile_kernel_of<T, 2, true>(rows) : tile_kernel_of<T, 2, false>(rows);
}

/** B[k, n] as tile kernels read it: columns j.. (a multiple of tile_columns) from data + j * apart, step p at + p * stride. */
template <class T>
struct Columns {
  const T* data;
  int64_t apart;
  int64_t stride;
};
/** Panels of `pack_panels` over a contracted dimension of k. */
template <class T>
DINO_INLINE Columns<T> panels_of(const T* panels, int64_t k) {
  return Columns<T>{panels, whole_steps<T>(k), tile_columns * in_step<T>};
}
/** A row-major matrix whose rows may be read up to the next multiple of `width`. */
DINO_INLINE Columns<float> rows_as_columns(const float* data, int64_t stride) { return Columns<float>{data, 1, stride}; }

/**
 * out[m, n] (+)= A[m, k] B[k, n] on the calling thread, A as the tile kernel reads it: of bf16 its rows are of whole steps.
 * Each row of `out` may be written up to the next multiple of `width`.
 */
template <class T>
[[maybe_unused]] static void multiply_tiles(int64_t m, int64_t n, int64_t k, const T* a, int64_t sa, bool transposed_a,
                                            Columns<T> b, float* out, int64_t ldo, bool add, Meanwhile* meanwhile = nullptr) {
  Meanwhile nothing;
  for (int64_t i = 0; i < m; i += tile_rows) {
    const int64_t rows = at_most(m - i, tile_rows);
    const T* ai = transposed_a ? a + i * in_step<T> : a + i * sa;
    for (int64_t j = 0; j < n; j += tile_columns) {
      float* to = out + i * ldo + j;
      const TileKernel<T> kernel = tile_kernel_of<T>(rows, n - j, transposed_a);
      kernel(steps_of<T>(k), ai, sa, b.data + j * b.apart, b.stride, Start{add ? to : nullptr, ldo}, to, ldo,
             meanwhile ? *meanwhile : nothing);
    }
  }
}

/** A matrix stored row-major with rows `ld` apart, read as its transpose where `transposed`. */
template <class T>
struct Operand {
  const T* data;
  int64_t ld;
  bool transposed;
};
template <class T>
Operand(T*, int64_t, bool) -> Operand<std::remove_const_t<T>>;

/** Elements of `pack_panels` for k x n. */
template <class T>
static inline int64_t panel_elements(int64_t k, int64_t n) { return whole_steps<T>(k) * ceil_div(n, tile_columns) * tile_columns; }

/**
 * `rows` stored rows of n columns as steps of panels of `Columns` columns, each panel of `depth` rows, zeros on the right and
 * for a row that a last step lacks: some rows at a time, so that whole lines are read and written. Reads nothing beyond the
 * rows; where a vector is wider than a panel, what it writes too much is written over by the next step.
 */
template <int Columns, class T>
static void pack_rows(const T* from, int64_t ld, int64_t rows, int64_t n, int64_t depth, T* __restrict panels) {
  constexpr int64_t step = in_step<T>, together = 8 * step, vectors = (Columns + width - 1) / width;
  for (int64_t q = 0; q < rows; q += together) {
    const int64_t end = at_most(q + together, rows);
    for (int64_t j = 0; j < n; j += Columns) {
      const T* row = from + j;
      T* to = panels + j * whole_steps<T>(depth);
      for (int64_t r = end; r < at_most(end + together, rows); r++) __builtin_prefetch(row + r * ld, 0, 2);
      for (int64_t r = q; r < end; r += step)
        for (int64_t v = 0; v < vectors; v++) {
          const int64_t x = v * width, here = n - j >= vectors * width ? width : at_most(n - j, Columns) - x;
          const auto values = step_of_rows(row + r * ld + x, ld, rows - r, here);
          T* at = to + r * Columns + x * step;
          if (Columns % width == 0 || r + step < rows)
            store_steps(at, values);
          else
            std::memcpy(at, &values, static_cast<size_t>(at_most(Columns - x, width)) * 4);
        }
    }
  }
}

/**
 * Columns first .. first+count (at most `tile_columns`) of op(B)[k0 .. k0+k, :] as one panel, zeros on the right. `scale`
 * multiplies a transposed operand of floats, and is for that alone.
 */
template <class T>
static void pack_panel(const Operand<T>& b, int64_t k0, int64_t k, int64_t first, int64_t count, T* __restrict panel, float scale = 1.0f) {
  if (!b.transposed) return pack_rows<tile_columns>(b.data + k0 * b.ld + first, b.ld, k, count, k, panel);
  // A column of the panel is a row of the stored matrix, whose steps already stand together.
  constexpr int64_t step = in_step<T>;
  const vf factor = broadcast(scale);
  for (int v = 0; v < tile_vectors; v++) {
    const int64_t here = at_most(count - v * width, width);
    for (int64_t p = 0; p < k; p += width * step) {
      vf x[width];
      for (int64_t r = 0; r < width; r++) {
        x[r] = r < here ? (vf)get_steps(b.data + (first + v * width + r) * b.ld + k0 + p, k - p) : broadcast(0.0f);
        if (step == 1) x[r] = x[r] * factor;
      }
      transpose_vectors(x);
      const int64_t steps = at_most(steps_of<T>(k - p), width);
      for (int64_t r = 0; r < steps; r++) store(reinterpret_cast<float*>(panel + (p + r * step) * tile_columns + v * width * step), x[r]);
    }
  }
}

/** op(B)[k0 .. k0+k, j0 .. j0+n] as panels one after the other. */
template <class T>
[[maybe_unused]] static void pack_panels(const Operand<T>& b, int64_t k0, int64_t k, int64_t j0, int64_t n, T* panels, float scale = 1.0f) {
  for (int64_t j = 0; j < n; j += tile_columns)
    pack_panel(b, k0, k, j0 + j, at_most(n - j, tile_columns), panels + j * whole_steps<T>(k), scale);
}

}  // namespace DINO_ISA
}  // namespace dino
