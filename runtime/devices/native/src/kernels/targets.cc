#include "bf16.h"
#include "columns.h"
#include "math.h"
#include "table.h"

// Teacher targets t[b,k] = exp(z[b,k]/T + u[b] + v[k]) from logits z [R, K] and log factors.

namespace dino {
namespace DINO_ISA {
namespace {

inline constexpr float minus_infinity = -__builtin_inff();

/** log sum_k exp(z[k] / T + v[k]) */
float row_lse(const float* z, const float* v, float inverse, int64_t n) {
  vf tops = broadcast(minus_infinity);
  const vf factor = broadcast(inverse);
  for_lanes(n, [&](int64_t i, int64_t c) {
    tops = maximum(tops, get_or(z + i, c, 0.0f) * factor + get_or(v + i, c, minus_infinity));
  });
  const float top = maximum_lanes(tops);
  const vf shift = broadcast(top);
  vf sum = broadcast(0.0f);
  for_lanes(n, [&](int64_t i, int64_t c) {
    sum = sum + exponential_negative(get_or(z + i, c, 0.0f) * factor + get_or(v + i, c, minus_infinity) - shift);
  });
  return top + static_cast<float>(__builtin_log(static_cast<double>(sum_lanes(sum))));
}

/** finish(k, log sum_b exp(z[b,k] / T + u[b])) for every column, over at least one row. */
template <class Finish>
void for_column_lses(const Call& call, const float* z, const float* u, float inverse, int64_t rows, int64_t k, const Finish& finish) {
  const vf factor = broadcast(inverse);
  constexpr int vectors = 2;
  parallel(call, ceil_div(k, vectors * width), [&](int64_t task, int) {
    const int64_t k0 = task * vectors * width;
    int64_t count[vectors];
    vf top[vectors], sum[vectors];
    for (int j = 0; j < vectors; j++) {
      count[j] = at_least(at_most(k - k0 - j * width, width), 0);
      top[j] = broadcast(minus_infinity);
      sum[j] = broadcast(0.0f);
    }
    for (int64_t b = 0; b < rows; b++)
      for (int j = 0; j < vectors; j++)
        if (count[j] > 0) top[j] = maximum(top[j], get(z + b * k + k0 + j * width, count[j]) * factor + broadcast(u[b]));
    for (int64_t b = 0; b < rows; b++)
      for (int j = 0; j < vectors; j++)
        if (count[j] > 0)
          sum[j] = sum[j] + exponential_negative(get(z + b * k + k0 + j * width, count[j]) * factor + broadcast(u[b]) - top[j]);
    for (int j = 0; j < vectors; j++)
      for (int64_t l = 0; l < count[j]; l++)
        finish(k0 + j * width + l, static_cast<double>(top[j][l]) + __builtin_log(static_cast<double>(sum[j][l])));
  });
}

}  // namespace

// (z [R, K], temp [], rows?) -> (u [R], v [K])
void sinkhorn(const Call& call) {
  const Tensor& z = *call.in[0];
  const int64_t bound = rows_of(z), k = columns_of(z), rows = row_limit(call, 2, bound);
  const int64_t iterations = static_cast<int64_t>(call.attr[0]);
  const float inverse = 1.0f / f32_of(call.in[1])[0];
  const float* x = f32_of(&z);
  float *u = f32_of(call.out[0]), *v = f32_of(call.out[1]);
  for (int64_t b = 0; b < bound; b++) u[b] = 0.0f;
  for (int64_t i = 0; i < k; i++) v[i] = 0.0f;
  if (rows == 0) return;
  const double log_rows = __builtin_log(static_cast<double>(rows)), log_k = __builtin_log(static_cast<double>(k));
  for (int64_t round = 0; round < iterations; round++) {
    for_column_lses(call, x, u, inverse, rows, k, [&](int64_t i, double lse) { v[i] = static_cast<float>(-log_k - lse); });
    const double last = round + 1 == iterations ? 0.0 : log_rows;
    for_rows(call, rows, k, [&](int64_t first, int64_t end) {
      for (int64_t b = first; b < end; b++) u[b] = static_cast<float>(-last - static_cast<double>(row_lse(x + b * k, v, inverse, k)));
    });
  }
  if (iterations > 0) return;
  // Q divided by its sum alone.
  double* own = take<double>(call, rows);
  double top = -__builtin_inf(), total = 0;
  for (int64_t b = 0; b < rows; b++) {
    own[b] = static_cast<double>(row_lse(x + b * k, v, inverse, k));
    if (own[b] > top) top = own[b];
  }
  for (int64_t b = 0; b < rows; b++) total += __builtin_exp(own[b] - top);
  for (int64_t b = 0; b < rows; b++) u[b] = static_cast<float>(log_rows - top - __builtin_log(total));
}

// (z [R, K], u? [R], temp [], rows?) -> [K]
void sinkhorn_columns(const Call& call) {
  const Tensor& z = *call.in[0];
  const int64_t bound = rows_of(z), k = columns_of(z), rows = row_limit(call, 3, bound);
  float* to = f32_of(call.out[0]);
  const float* u = call.in[1] ? f32_of(call.in[1]) : nullptr;
  if (!u) {
    float* zeros = take<float>(call, rows);
    for (int64_t b = 0; b < rows; b++) zeros[b] = 0.0f;
    u = zeros;
  }
  for (int64_t i = 0; rows == 0 && i < k; i++) to[i] = minus_infinity;
  if (rows > 0)
    for_column_lses(call, f32_of(&z), u, 1.0f / f32_of(call.in[2])[0], rows, k,
                    [&](int64_t i, double lse) { to[i] = static_cast<float>(lse); });
}

// (z [R, K], v [K], temp [], rows?) -> u [R]
void sinkhorn_rows(const Call& call) {
  const Tensor& z = *call.in[0];
  const int64_t bound = rows_of(z), k = columns_of(z), rows = row_limit(call, 3, bound);
  const float *x = f32_of(&z), *v = f32_of(call.in[1]), inverse = 1.0f / f32_of(call.in[2])[0];
  float* u = f32_of(call.out[0]);
  for_rows(call, rows, k, [&](int64_t first, int64_t end) {
    for (int64_t b = first; b < end; b++) u[b] = -row_lse(x + b * k, v, inverse, k);
  });
  for (int64_t b = rows; b < bound; b++) u[b] = 0.0f;
}

// (z [R, K], center [K], temp []) -> (u [R], v [K])
void sharpen_center(const Call& call) {
  const Tensor& z = *call.in[0];
  const int64_t k = columns_of(z);
  const float* center = f32_of(call.in[1]);
  const float temperature = f32_of(call.in[2])[0], inverse = 1.0f / temperature;
  const float* x = f32_of(&z);
  float *u = f32_of(call.out[0]), *v = f32_of(call.out[1]);
  for (int64_t i = 0; i < k; i++) v[i] = -center[i] / temperature;
  for_rows(call, rows_of(z), k, [&](int64_t first, int64_t end) {
    for (int64_t b = first; b < end; b++) u[b] = -row_lse(x + b * k, v, inverse, k);
  });
}

// (z [R, K], u [R], v [K], temp []) -> t [R, K]
void make_targets(const Call& call) {
  const Tensor& z = *call.in[0];
  const int64_t k = columns_of(z);
  const float *x = f32_of(&z), *u = f32_of(call.in[1]), *v = f32_of(call.in[2]);
  const vf factor = broadcast(1.0f / f32_of(call.in[3])[0]);
  float* t = f32_of(call.out[0]);
  for_rows(call, rows_of(z), k, [&](int64_t first, int64_t end) {
    for (int64_t b = first; b < end; b++)
      for_lanes(k, [&](int64_t i, int64_t c) {
        put(t + b * k + i, exponential(get(x + b * k + i, c) * factor + get(v + i, c) + broadcast(u[b])), c);
      });
  });
}

namespace {

void sum_first_rows(const Call& call, int64_t rows, double factor) {
  const Tensor& z = *call.in[0];
  const int64_t k = columns_of(z);
  float* to = f32_of(call.out[0]);
  if (rows == 0) {
    for (int64_t i = 0; i < k; i++) to[i] = 0.0f;
    return;
  }
  with_data(&z, [&](const auto* x) {
    reduce_rows(
        call, rows, k,
        [&](int64_t first, int64_t end, float* sums) {
          for (int64_t r = first; r < end; r++)
            for_lanes(k, [&](int64_t i, int64_t c) { put(sums + i, get(sums + i, c) + get(x + r * k + i, c), c); });
        },
        [&](int64_t i, double total) { to[i] = static_cast<float>(total * factor); });
  });
}

}  // namespace

// (z [R, K], rows?, empty? [K]) -> [K]
void mean_rows(const Call& call) {
  const int64_t rows = row_limit(call, 1, rows_of(*call.in[0]));
  if (rows == 0 && call.in_count > 2 && call.in[2]) {
    __builtin_memcpy(call.out[0]->data, call.in[2]->data, static_cast<size_t>(call.out[0]->elements) * sizeof(float));
    return;
  }
  sum_first_rows(call, rows, rows == 0 ? 0.0 : 1.0 / static_cast<double>(rows));
}

// (x [R, d], rows?) -> [d]
void sum_rows(const Call& call) { sum_first_rows(call, row_limit(call, 1, rows_of(*call.in[0])), 1.0); }

}  // namespace DINO_ISA
}  // namespace dino
