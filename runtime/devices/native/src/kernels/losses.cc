#include "pairs.h"
#include "table.h"
#include "tiles.h"

namespace dino {
namespace DINO_ISA {
namespace {

inline constexpr float minus_infinity = -__builtin_inff();

/** Sums the targets of a unit's teacher rows into `sum` and returns their total. */
float sum_targets(const Units& units, int64_t unit, const float* t, int64_t k, float* sum) {
  vf total = broadcast(0.0f);
  for (int64_t r = 0; r < units.teachers(); r++) {
    const float* row = t + units.teacher(unit, r) * k;
    for_lanes(k, [&](int64_t i, int64_t c) {
      const vf x = get(row + i, c);
      put(sum + i, r == 0 ? x : get(sum + i, c) + x, c);
      total = total + x;
    });
  }
  return sum_lanes(total);
}

float row_lse(const float* x, float inverse, int64_t n) {
  vf tops = broadcast(minus_infinity);
  for_lanes(n, [&](int64_t i, int64_t c) { tops = maximum(tops, get_or(x + i, c, minus_infinity)); });
  const float top = maximum_lanes(tops) * inverse;
  const vf shift = broadcast(top), factor = broadcast(inverse);
  vf sum = broadcast(0.0f);
  for_lanes(n, [&](int64_t i, int64_t c) { sum = sum + exponential_negative(get_or(x + i, c, minus_infinity) * factor - shift); });
  return top + __builtin_logf(sum_lanes(sum));
}

/** Mean over the teacher rows of the entropy of t, and of t. */
void target_stats(const Call& call, const float* t, int64_t rows, int64_t k, float* entropy, float* usage) {
  double* entropies = take<double>(call, rows);
  reduce_rows(
      call, rows, k,
      [&](int64_t first, int64_t end, float* sums) {
        for (int64_t r = first; r < end; r++) {
          vf sum = broadcast(0.0f);
          for_lanes(k, [&](int64_t i, int64_t c) {
            const vf x = get(t + r * k + i, c);
            sum = sum + x * logarithm(maximum(x, broadcast(1.17549435e-38f)));
            put(sums + i, get(sums + i, c) + x, c);
          });
          entropies[r] = -static_cast<double>(sum_lanes(sum));
        }
      },
      [&](int64_t i, double total) { usage[i] = static_cast<float>(total / static_cast<double>(rows)); });
  double total = 0;
  for (int64_t r = 0; r < rows; r++) total += entropies[r];
  *entropy = static_cast<float>(total / static_cast<double>(rows));
}

}  // namespace

// (logits [S, K], t [R, K], weights?, rows?) -> (loss, lse [S], entropy, usage [K])
void cross_entropy_rows(const Call& call) {
  const CrossEntropy a = cross_entropy_of(call);
  const Tensor& logits = *call.in[0];
  const int64_t bound = rows_of(logits), k = columns_of(logits), students = row_limit(call, 3, bound);
  const float *x = f32_of(&logits), *t = f32_of(call.in[1]);
  const float* weights = call.in[2] ? f32_of(call.in[2]) : nullptr;
  float* lse = f32_of(call.out[1]);
  const Units units = units_of(a, students);
  const float inverse = 1.0f / a.temperature;
  double* losses = take<double>(call, students);
  float* sums = take<float>(call, pool_threads(*call.pool) * k);
  for (int64_t s = students; s < bound; s++) lse[s] = 0.0f;
  const int64_t crops = units.count == 0 ? 0 : students / units.count;
  parallel(call, ceil_div(units.count, unit_rows), [&](int64_t task, int thread) {
    float* sum = sums + thread * k;
    for (int64_t u = task * unit_rows; u < at_most((task + 1) * unit_rows, units.count); u++) {
      const float mass = sum_targets(units, u, t, k, sum);
      for (int64_t c = 0; c < crops; c++) {
        const int64_t s = c * units.count + u;
        lse[s] = row_lse(x + s * k, inverse, k);
        vf along = broadcast(0.0f);
        for_lanes(k, [&](int64_t i, int64_t n) { along = along + get(sum + i, n) * get(x + s * k + i, n); });
        losses[s] = static_cast<double>(lse[s]) * static_cast<double>(mass) -
                    static_cast<double>(sum_lanes(along)) / static_cast<double>(a.temperature);
      }
    }
  });
  f32_of(call.out[0])[0] = total_loss(units, weights, losses);
  if (!a.stats) return;
  float *entropy = f32_of(call.out[2]), *usage = f32_of(call.out[3]);
  if (students == 0) {
    entropy[0] = 0.0f;
    for (int64_t i = 0; i < k; i++) usage[i] = 0.0f;
    return;
  }
  target_stats(call, t, a.pairing == 0 ? students : rows_of(*call.in[1]), k, entropy, usage);
}

// (dloss [], logits, t, lse, weights?, rows?) -> dlogits
void cross_entropy_rows_grad(const Call& call) {
  const CrossEntropy a = cross_entropy_of(call);
  const Tensor& logits = *call.in[1];
  const int64_t bound = rows_of(logits), k = columns_of(logits), students = row_limit(call, 5, bound);
  const float *x = f32_of(&logits), *t = f32_of(call.in[2]), *lse = f32_of(call.in[3]);
  const float* weights = call.in[4] ? f32_of(call.in[4]) : nullptr;
  float* dx = f32_of(call.out[0]);
  const Units units = units_of(a, students);
  const float inverse = 1.0f / a.temperature;
  const float slope = f32_of(call.in[0])[0] * a.scale * inverse;
  float* sums = take<float>(call, pool_threads(*call.pool) * k);
  const int64_t crops = units.count == 0 ? 0 : students / units.count;
  parallel(call, ceil_div(units.count, unit_rows), [&](int64_t task, int thread) {
    float* sum = sums + thread * k;
    for (int64_t u = task * unit_rows; u < at_most((task + 1) * unit_rows, units.count); u++) {
      const vf mass = broadcast(sum_targets(units, u, t, k, sum));
      for (int64_t c = 0; c < crops; c++) {
        const int64_t s = c * units.count + u;
        const vf factor = broadcast(weights ? slope * weights[s] : slope), shift = broadcast(lse[s]);
        for_lanes(k, [&](int64_t i, int64_t n) {
          const vf p = exponential(get(x + s * k + i, n) * broadcast(inverse) - shift);
          put(dx + s * k + i, factor * (p * mass - get(sum + i, n)), n);
        });
      }
    }
  });
  for_elements(call, (bound - students) * k, [&](int64_t first, int64_t n) {
    for (int64_t i = first; i < first + n; i++) dx[students * k + i] = 0.0f;
  });
}

namespace {

float row_norm(const float* x, int64_t d) {
  vf sum = broadcast(0.0f);
  for_lanes(d, [&](int64_t i, int64_t c) { sum = sum + get(x + i, c) * get(x + i, c); });
  return __builtin_sqrtf(sum_lanes(sum));
}

/** Rows divided by max(||x||, eps). */
float* unit_rows_of(const Call& call, const Tensor& x, float eps) {
  const int64_t d = columns_of(x);
  const float* from = f32_of(&x);
  float* to = take<float>(call, x.elements);
  for_rows(call, rows_of(x), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float norm = row_norm(from + r * d, d);
      const vf inverse = broadcast(1.0f / (norm > eps ? norm : eps));
      for_lanes(d, [&](int64_t i, int64_t c) { put(to + r * d + i, get(from + r * d + i, c) * inverse, c); });
    }
  });
  return to;
}

float distance_between(const float* a, const float* b, float eps, int64_t d) {
  vf sum = broadcast(0.0f);
  for_lanes(d, [&](int64_t i, int64_t c) {
    // Lanes beyond the row come to zero.
    const vf gap = get(a + i, c) - get_or(b + i, c, eps) + broadcast(eps);
    sum = sum + gap * gap;
  });
  return __builtin_sqrtf(sum_lanes(sum));
}

}  // namespace

// (x [R, d]) -> (loss [], neighbour i32 [R]); attributes: set, eps, scale
void koleo(const Call& call) {
  const Tensor& x = *call.in[0];
  const int64_t rows = rows_of(x), d = columns_of(x), set = static_cast<int64_t>(call.attr[0]);
  const float eps = static_cast<float>(call.attr[1]);
  int32_t* neighbour = i32_of(call.out[1]);
  const float* unit = unit_rows_of(call, x, eps);
  float* panels = take<float>(call, panel_elements<float>(d, set));
  const int64_t stride = ceil_div(set, tile_columns) * tile_columns;
  float* products = take<float>(call, pool_threads(*call.pool) * tile_rows * stride);
  double* logs = take<double>(call, rows);
  for (int64_t first = 0; first < rows; first += set) {
    parallel(call, ceil_div(set, tile_columns), [&](int64_t panel, int) {
      const int64_t j = panel * tile_columns;
      pack_panel(Operand{unit + first * d, d, true}, 0, d, j, at_most(set - j, tile_columns), panels + j * d);
    });
    parallel(call, ceil_div(set, tile_rows), [&](int64_t task, int thread) {
      float* dots = products + thread * tile_rows * stride;
      const int64_t i0 = task * tile_rows, count = at_most(set - i0, tile_rows);
      multiply_tiles(count, set, d, unit + (first + i0) * d, d, false, panels_of(panels, d), dots, stride, false);
      for (int64_t i = 0; i < count; i++) {
        float* row = dots + i * stride;
        row[i0 + i] = -1.0f;
        int64_t best = 0;
        for (int64_t j = 1; j < set; j++)
          if (row[j] > row[best]) best = j;
        const int64_t r = first + i0 + i;
        neighbour[r] = static_cast<int32_t>(first + best);
        logs[r] = __builtin_log(static_cast<double>(distance_between(unit + r * d, unit + (first + best) * d, eps, d)) +
                                static_cast<double>(eps));
      }
    });
  }
  double total = 0;
  for (int64_t r = 0; r < rows; r++) total += logs[r];
  f32_of(call.out[0])[0] = static_cast<float>(-call.attr[2] * total);
}

// (dloss [], x, neighbour) -> dx
void koleo_grad(const Call& call) {
  const Tensor& x = *call.in[1];
  const int64_t rows = rows_of(x), d = columns_of(x);
  const float eps = static_cast<float>(call.attr[1]);
  const float slope = static_cast<float>(-call.attr[2]) * f32_of(call.in[0])[0];
  const int32_t* neighbour = i32_of(call.in[2]);
  const float* from = f32_of(&x);
  float* dx = f32_of(call.out[0]);
  for (int64_t r = 0; r < rows; r++)
    if (neighbour[r] < 0 || neighbour[r] >= rows) return report(call, FaultCode::index, 2, neighbour[r], rows);
  const float* unit = unit_rows_of(call, x, eps);
  float* pull = take<float>(call, rows * d);
  for_rows(call, rows, d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float *a = unit + r * d, *b = unit + neighbour[r] * d;
      const float distance = distance_between(a, b, eps, d);
      const vf factor = broadcast(distance > 0.0f ? slope / (distance * (distance + eps)) : 0.0f);
      for_lanes(d, [&](int64_t i, int64_t c) {
        put(pull + r * d + i, (get(a + i, c) - get(b + i, c) + broadcast(eps)) * factor, c);
      });
    }
  });
  // What each row's pull does to its neighbour, in the order of rows; columns apart from each other.
  float* dunit = take<float>(call, rows * d);
  parallel(call, ceil_div(d, 2 * width), [&](int64_t task, int) {
    const int64_t c0 = task * 2 * width, n = at_most(d - c0, 2 * width);
    for (int64_t r = 0; r < rows; r++)
      for_lanes(n, [&](int64_t i, int64_t c) { put(dunit + r * d + c0 + i, get(pull + r * d + c0 + i, c), c); });
    for (int64_t r = 0; r < rows; r++) {
      float* to = dunit + neighbour[r] * d + c0;
      for_lanes(n, [&](int64_t i, int64_t c) { put(to + i, get(to + i, c) - get(pull + r * d + c0 + i, c), c); });
    }
  });
  for_rows(call, rows, d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float norm = row_norm(from + r * d, d);
      const bool free = norm > eps;
      vf sum = broadcast(0.0f);
      for_lanes(d, [&](int64_t i, int64_t c) { sum = sum + get(dunit + r * d + i, c) * get(from + r * d + i, c); });
      const vf along = broadcast(free ? sum_lanes(sum) / (norm * norm) : 0.0f), inverse = broadcast(1.0f / (free ? norm : eps));
      for_lanes(d, [&](int64_t i, int64_t c) {
        put(dx + r * d + i, (get(dunit + r * d + i, c) - get(from + r * d + i, c) * along) * inverse, c);
      });
    }
  });
}

}  // namespace DINO_ISA
}  // namespace dino
