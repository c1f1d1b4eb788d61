#pragma once
#include "simd.h"

namespace dino {
namespace DINO_ISA {

/** Rows in one partial sum of a reduction over rows: fixed, so that the order of additions is. */
static inline int64_t reduction_rows(int64_t rows) { return at_least(ceil_div(rows, 64), 32); }

/**
 * Sums over rows: body(first row, end row, partial) adds to `sums` zeroed columns for its rows; the partials are then
 * added in order in double. finish(column, total) takes each total.
 */
template <class Body, class Finish>
static void reduce_rows(const Call& call, int64_t rows, int64_t sums, const Body& body, const Finish& finish) {
  const int64_t length = reduction_rows(rows);
  const int64_t parts = ceil_div(rows, length);
  float* partials = take<float>(call, parts * sums);
  parallel(call, parts, [&](int64_t part, int) {
    float* mine = partials + part * sums;
    for (int64_t i = 0; i < sums; i++) mine[i] = 0.0f;
    body(part * length, at_most((part + 1) * length, rows), mine);
  });
  const int64_t columns = 256;
  parallel(call, ceil_div(sums, columns), [&](int64_t task, int) {
    double total[columns];
    const int64_t c0 = task * columns;
    const int64_t n = at_most(sums - c0, columns);
    for (int64_t i = 0; i < n; i++) total[i] = 0.0;
    for (int64_t part = 0; part < parts; part++)
      for (int64_t i = 0; i < n; i++) total[i] += partials[part * sums + c0 + i];
    for (int64_t i = 0; i < n; i++) finish(c0 + i, total[i]);
  });
}

/** Rows or elements in one task of work that is bound by memory. */
inline constexpr int64_t task_elements = 16384;

/** body(first, count) over consecutive ranges of n elements. */
template <class Body>
static void for_elements(const Call& call, int64_t n, const Body& body) {
  parallel(call, ceil_div(n, task_elements), [&](int64_t task, int) {
    const int64_t first = task * task_elements;
    body(first, at_most(n - first, task_elements));
  });
}

/** body(first row, end row) over ranges of rows of `width_of_row` elements. */
template <class Body>
static void for_rows(const Call& call, int64_t rows, int64_t width_of_row, const Body& body) {
  const int64_t per_task = at_least(task_elements / at_least(width_of_row, 1), 1);
  parallel(call, ceil_div(rows, per_task), [&](int64_t task, int) {
    body(task * per_task, at_most((task + 1) * per_task, rows));
  });
}

}  // namespace DINO_ISA
}  // namespace dino
