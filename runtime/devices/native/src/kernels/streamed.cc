#include "logits.h"
#include "table.h"

// Log factors of targets whose logits x wᵀ are never stored: all rows of a range of prototypes exist at a time, and every
// sweep over the prototypes multiplies anew. A range's column sums give its v, with which it adds to the sums of its rows:
// one sweep an iteration of Sinkhorn-Knopp.

namespace dino {
namespace DINO_ISA {
namespace {

inline constexpr float minus_infinity = -__builtin_inff();

/** One range of logits / T at a time, and what sweeps over them sum up. */
struct Sweep {
  const Call& call;
  const Logits& logits;
  int64_t rows, k, range;
  float* tile;
  float *tops, *sums;  // of the columns of each task of rows: maximum, and sum of exponentials below it
  float* row_tops;
  double* row_sums;

  Sweep(const Call& call, const Logits& logits, int64_t rows, int64_t range)
      : call(call), logits(logits), rows(rows), k(rows_of(*logits.w)), range(range) {
    tile = take<float>(call, rows * range);
    tops = take<float>(call, tasks() * range);
    sums = take<float>(call, tasks() * range);
    row_tops = take<float>(call, rows);
    row_sums = take<double>(call, rows);
  }
  int64_t tasks() const { return ceil_div(rows, logit_rows); }

  /** body(first row, end row, task) with the logits of these rows in place. */
  template <class Body>
  void each_task(int64_t n, bool multiplies, const Body& body) const {
    parallel(call, tasks(), [&](int64_t task, int thread) {
      const int64_t first = task * logit_rows, end = at_most(first + logit_rows, rows);
      if (multiplies) logits.rows(first, end - first, n, tile + first * range, range, thread);
      body(first, end, task);
    });
  }

  /** v[k] = -log K - log sum over rows of exp(z + u), of the n prototypes in the tile. */
  void columns(int64_t n, const float* u, float* v) const {
    each_task(n, true, [&](int64_t first, int64_t end, int64_t task) {
      for_lanes(n, [&](int64_t j, int64_t c) {
        vf top = broadcast(minus_infinity), sum = broadcast(0.0f);
        for (int64_t b = first; b < end; b++) top = maximum(top, get(tile + b * range + j, c) + broadcast(u[b]));
        for (int64_t b = first; b < end; b++) sum = sum + exponential_negative(get(tile + b * range + j, c) + broadcast(u[b]) - top);
        put(tops + task * range + j, top, c);
        put(sums + task * range + j, sum, c);
      });
    });
    const double log_k = __builtin_log(static_cast<double>(k));
    parallel(call, ceil_div(n, 64), [&](int64_t part, int) {
      for (int64_t j = part * 64; j < at_most(n, (part + 1) * 64); j++) {
        float top = minus_infinity;
        for (int64_t t = 0; t < tasks(); t++)
          if (tops[t * range + j] > top) top = tops[t * range + j];
        double sum = 0;
        for (int64_t t = 0; t < tasks(); t++)
          sum += static_cast<double>(sums[t * range + j]) * __builtin_exp(static_cast<double>(tops[t * range + j]) - static_cast<double>(top));
        v[j] = static_cast<float>(-log_k - static_cast<double>(top) - __builtin_log(sum));
      }
    });
  }

  /** Adds exp(z + v) of the n prototypes in the tile to the sums of the rows. */
  void add_rows(int64_t n, const float* v, bool multiplies) const {
    each_task(n, multiplies, [&](int64_t first, int64_t end, int64_t) {
      for (int64_t b = first; b < end; b++) {
        const float* z = tile + b * range;
        vf most = broadcast(row_tops[b]);
        for_lanes(n, [&](int64_t j, int64_t c) { most = maximum(most, get(z + j, c) + get_or(v + j, c, minus_infinity)); });
        const float top = maximum_lanes(most);
        const vf shift = broadcast(top);
        vf sum = broadcast(0.0f);
        for_lanes(n, [&](int64_t j, int64_t c) {
          sum = sum + exponential_negative(get(z + j, c) + get_or(v + j, c, minus_infinity) - shift);
        });
        const double before =
            row_tops[b] == minus_infinity ? 0.0 : row_sums[b] * __builtin_exp(static_cast<double>(row_tops[b]) - static_cast<double>(top));
        row_sums[b] = before + static_cast<double>(sum_lanes(sum));
        row_tops[b] = top;
      }
    });
  }

  /** One sweep: with `u` each range's v comes first, without it v is given. Leaves the log sums of the rows. */
  void run(const float* u, float* v) const {
    for (int64_t b = 0; b < rows; b++) row_sums[b] = 0.0, row_tops[b] = minus_infinity;
    for (int64_t k0 = 0; k0 < k; k0 += range) {
      const int64_t n = at_most(k - k0, range);
      logits.pack(call, k0, n);
      if (u) columns(n, u, v + k0);
      add_rows(n, v + k0, !u);
    }
  }
  /** log sum_k exp(z[k] / T + v[k]) of a row. */
  double row_lse(int64_t b) const { return static_cast<double>(row_tops[b]) + __builtin_log(row_sums[b]); }
};

}  // namespace

// (x [R, b], w [K, b], temp [], rows?) -> (u [R], v [K])
void streamed_sinkhorn(const Call& call) {
  const int64_t bound = rows_of(*call.in[0]), k = rows_of(*call.in[1]), rows = row_limit(call, 3, bound);
  const int64_t iterations = static_cast<int64_t>(call.attr[0]), range = range_of(k, rows);
  float *u = f32_of(call.out[0]), *v = f32_of(call.out[1]);
  for (int64_t b = 0; b < bound; b++) u[b] = 0.0f;
  for (int64_t i = 0; i < k; i++) v[i] = 0.0f;
  if (rows == 0) return;
  const Logits logits(call, call.in[0], call.in[1], 1.0f / f32_of(call.in[2])[0], range);
  const Sweep sweep(call, logits, rows, range);
  const double log_rows = __builtin_log(static_cast<double>(rows));
  for (int64_t round = 0; round < iterations; round++) {
    sweep.run(u, v);
    const double last = round + 1 == iterations ? 0.0 : log_rows;
    for (int64_t b = 0; b < rows; b++) u[b] = static_cast<float>(-last - sweep.row_lse(b));
  }
  if (iterations > 0) return;
  // Q divided by its sum alone.
  sweep.run(nullptr, v);
  double top = -__builtin_inf(), total = 0;
  for (int64_t b = 0; b < rows; b++)
    if (sweep.row_lse(b) > top) top = sweep.row_lse(b);
  for (int64_t b = 0; b < rows; b++) total += __builtin_exp(sweep.row_lse(b) - top);
  for (int64_t b = 0; b < rows; b++) u[b] = static_cast<float>(log_rows - top - __builtin_log(total));
}

// (x [R, b], w [K, b], center [K], temp []) -> (u [R], v [K])
void streamed_sharpen_center(const Call& call) {
  const int64_t rows = rows_of(*call.in[0]), k = rows_of(*call.in[1]), range = range_of(k, rows);
  const float* center = f32_of(call.in[2]);
  const float temperature = f32_of(call.in[3])[0];
  float *u = f32_of(call.out[0]), *v = f32_of(call.out[1]);
  for (int64_t i = 0; i < k; i++) v[i] = -center[i] / temperature;
  const Logits logits(call, call.in[0], call.in[1], 1.0f / temperature, range);
  const Sweep sweep(call, logits, rows, range);
  sweep.run(nullptr, v);
  for (int64_t b = 0; b < rows; b++) u[b] = static_cast<float>(-sweep.row_lse(b));
}

// (x [R, b], w [K, b], rows?) -> [K]: the mean of products is the product of the mean.
void streamed_mean_rows(const Call& call) {
  const Tensor &x = *call.in[0], &w = *call.in[1];
  const int64_t b = columns_of(x), k = rows_of(w), rows = row_limit(call, 2, rows_of(x));
  float* mean = take<float>(call, b);
  float* to = f32_of(call.out[0]);
  for (int64_t i = 0; i < b; i++) mean[i] = 0.0f;
  const double factor = rows == 0 ? 0.0 : 1.0 / static_cast<double>(rows);
  with_data(&x, [&](const auto* from) {
    reduce_rows(
        call, rows, b,
        [&](int64_t first, int64_t end, float* sums) {
          for (int64_t r = first; r < end; r++)
            for_lanes(b, [&](int64_t i, int64_t c) { put(sums + i, get(sums + i, c) + get(from + r * b + i, c), c); });
        },
        [&](int64_t i, double total) { mean[i] = static_cast<float>(total * factor); });
  });
  with_data(&w, [&](const auto* from) {
    for_rows(call, k, b, [&](int64_t first, int64_t end) {
      for (int64_t i = first; i < end; i++) {
        vf sum = broadcast(0.0f);
        for_lanes(b, [&](int64_t j, int64_t c) { sum = sum + get(from + i * b + j, c) * get(mean + j, c); });
        to[i] = sum_lanes(sum);
      }
    });
  });
}

}  // namespace DINO_ISA
}  // namespace dino
