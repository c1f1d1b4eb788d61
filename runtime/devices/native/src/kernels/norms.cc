#include "bf16.h"
#include "columns.h"
#include "math.h"
#include "table.h"

namespace dino {
namespace DINO_ISA {
namespace {

/** y[R, d] = body(row, column, lanes), a vector at a time, to float or bf16. */
template <class Body>
void write_rows(const Tensor* y, int64_t first, int64_t end, int64_t d, const Body& body) {
  with_data(y, [&](auto* to) {
    for (int64_t r = first; r < end; r++)
      for_lanes(d, [&](int64_t i, int64_t c) { put(to + r * d + i, body(r, i, c), c); });
  });
}

float dot(const float* a, const float* b, int64_t n) {
  vf sum = broadcast(0.0f);
  for_lanes(n, [&](int64_t i, int64_t c) { sum = sum + get(a + i, c) * get(b + i, c); });
  return sum_lanes(sum);
}

}  // namespace

// (x [R, d], w [d], b [d]) -> (y, mean [R], rstd [R])
void layer_norm(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  const float *x = f32_of(call.in[0]), *w = f32_of(call.in[1]), *b = f32_of(call.in[2]);
  float *means = f32_of(call.out[1]), *rstds = f32_of(call.out[2]);
  const double eps = call.attr[0];
  for_rows(call, rows_of(*call.in[0]), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float* row = x + r * d;
      vf sum = broadcast(0.0f);
      for_lanes(d, [&](int64_t i, int64_t c) { sum = sum + get(row + i, c); });
      const float mean = sum_lanes(sum) / static_cast<float>(d);
      vf squares = broadcast(0.0f);
      for_lanes(d, [&](int64_t i, int64_t c) {
        const vf gap = get_or(row + i, c, mean) - broadcast(mean);
        squares = squares + gap * gap;
      });
      const float rstd =
          static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(sum_lanes(squares)) / static_cast<double>(d) + eps));
      means[r] = mean;
      rstds[r] = rstd;
      write_rows(call.out[0], r, r + 1, d, [&](int64_t, int64_t i, int64_t c) {
        return (get(row + i, c) - broadcast(mean)) * broadcast(rstd) * get(w + i, c) + get(b + i, c);
      });
    }
  });
}

// (x, mean, rstd, w, b) -> y
void layer_norm_rebuild(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  const float *x = f32_of(call.in[0]), *means = f32_of(call.in[1]), *rstds = f32_of(call.in[2]);
  const float *w = f32_of(call.in[3]), *b = f32_of(call.in[4]);
  for_rows(call, rows_of(*call.in[0]), d, [&](int64_t first, int64_t end) {
    write_rows(call.out[0], first, end, d, [&](int64_t r, int64_t i, int64_t c) {
      return (get(x + r * d + i, c) - broadcast(means[r])) * broadcast(rstds[r]) * get(w + i, c) + get(b + i, c);
    });
  });
}

namespace {

template <class Slope>
void layer_norm_grad_of(const Call& call, const Slope* dy) {
  const int64_t d = columns_of(*call.in[0]);
  const float* x = f32_of(call.in[1]);
  const float *means = f32_of(call.in[2]), *rstds = f32_of(call.in[3]), *w = f32_of(call.in[4]);
  float *dx = f32_of(call.out[0]), *dw = f32_of(call.out[1]), *db = f32_of(call.out[2]);
  const float inverse = 1.0f / static_cast<float>(d);
  reduce_rows(
      call, rows_of(*call.in[0]), 2 * d,
      [&](int64_t first, int64_t end, float* sums) {
        for (int64_t r = first; r < end; r++) {
          const vf mean = broadcast(means[r]), rstd = broadcast(rstds[r]);
          vf sum = broadcast(0.0f), product = broadcast(0.0f);
          for_lanes(d, [&](int64_t i, int64_t c) {
            const vf slope = get(dy + r * d + i, c);
            const vf unit = (get(x + r * d + i, c) - mean) * rstd;
            const vf g = slope * get(w + i, c);
            sum = sum + g;
            product = product + g * unit;
            put(sums + i, get(sums + i, c) + slope * unit, c);
            put(sums + d + i, get(sums + d + i, c) + slope, c);
          });
          const vf mean_g = broadcast(sum_lanes(sum) * inverse), mean_product = broadcast(sum_lanes(product) * inverse);
          for_lanes(d, [&](int64_t i, int64_t c) {
            const vf unit = (get(x + r * d + i, c) - mean) * rstd;
            const vf g = get(dy + r * d + i, c) * get(w + i, c);
            put(dx + r * d + i, rstd * (g - mean_g - unit * mean_product), c);
          });
        }
      },
      [&](int64_t i, double total) { (i < d ? dw[i] : db[i - d]) = static_cast<float>(total); });
}

}  // namespace

// (dy, x, mean, rstd, w) -> (dx, dw, db)
void layer_norm_grad(const Call& call) {
  with_data(call.in[0], [&](const auto* dy) { layer_norm_grad_of(call, dy); });
}

// (x [R, d]) -> x / max(||x||, eps)
void l2_normalize(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  const float* x = f32_of(call.in[0]);
  const float eps = static_cast<float>(call.attr[0]);
  for_rows(call, rows_of(*call.in[0]), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float norm = __builtin_sqrtf(dot(x + r * d, x + r * d, d));
      const vf inverse = broadcast(1.0f / (norm > eps ? norm : eps));
      write_rows(call.out[0], r, r + 1, d, [&](int64_t, int64_t i, int64_t c) { return get(x + r * d + i, c) * inverse; });
    }
  });
}

// (dy, x) -> dx
void l2_normalize_grad(const Call& call) {
  const int64_t d = columns_of(*call.in[1]);
  const float *dy = f32_of(call.in[0]), *x = f32_of(call.in[1]);
  float* dx = f32_of(call.out[0]);
  const float eps = static_cast<float>(call.attr[0]);
  for_rows(call, rows_of(*call.in[1]), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float square = dot(x + r * d, x + r * d, d);
      const float norm = __builtin_sqrtf(square);
      const bool free = norm > eps;
      const vf inverse = broadcast(1.0f / (free ? norm : eps));
      const vf along = broadcast(free ? dot(dy + r * d, x + r * d, d) / square : 0.0f);
      for_lanes(d, [&](int64_t i, int64_t c) {
        put(dx + r * d + i, (get(dy + r * d + i, c) - get(x + r * d + i, c) * along) * inverse, c);
      });
    }
  });
}

// (v [K, d], g [K]) -> rows g_k v_k / ||v_k||
void weight_norm(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  const float *v = f32_of(call.in[0]), *g = f32_of(call.in[1]);
  for_rows(call, rows_of(*call.in[0]), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const vf factor = broadcast(g[r] / __builtin_sqrtf(dot(v + r * d, v + r * d, d)));
      write_rows(call.out[0], r, r + 1, d, [&](int64_t, int64_t i, int64_t c) { return get(v + r * d + i, c) * factor; });
    }
  });
}

// (dw, v, g) -> (dv, dg)
void weight_norm_grad(const Call& call) {
  const int64_t d = columns_of(*call.in[1]);
  const float *dw = f32_of(call.in[0]), *v = f32_of(call.in[1]), *g = f32_of(call.in[2]);
  float *dv = f32_of(call.out[0]), *dg = f32_of(call.out[1]);
  for_rows(call, rows_of(*call.in[1]), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float square = dot(v + r * d, v + r * d, d);
      const float norm = __builtin_sqrtf(square);
      const float along = dot(dw + r * d, v + r * d, d);
      const vf factor = broadcast(g[r] / norm), back = broadcast(along / square);
      for_lanes(d, [&](int64_t i, int64_t c) {
        put(dv + r * d + i, (get(dw + r * d + i, c) - get(v + r * d + i, c) * back) * factor, c);
      });
      dg[r] = along / norm;
    }
  });
}

// (x [..., n]) -> softmax over the last dimension
void softmax(const Call& call) {
  const int64_t n = last_dim(*call.in[0]);
  if (n == 0) return;
  const float* x = f32_of(call.in[0]);
  float* y = f32_of(call.out[0]);
  for_rows(call, call.in[0]->elements / n, n, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float *from = x + r * n;
      float* to = y + r * n;
      vf tops = broadcast(-__builtin_inff());
      for_lanes(n, [&](int64_t i, int64_t c) { tops = maximum(tops, get_or(from + i, c, -__builtin_inff())); });
      const vf shift = broadcast(maximum_lanes(tops));
      vf sum = broadcast(0.0f);
      for_lanes(n, [&](int64_t i, int64_t c) {
        const vf e = exponential_negative(get_or(from + i, c, -__builtin_inff()) - shift);
        sum = sum + e;
        put(to + i, e, c);
      });
      const vf inverse = broadcast(1.0f / sum_lanes(sum));
      for_lanes(n, [&](int64_t i, int64_t c) { put(to + i, get(to + i, c) * inverse, c); });
    }
  });
}

// (dy, y) -> dx
void softmax_grad(const Call& call) {
  const int64_t n = last_dim(*call.in[0]);
  if (n == 0) return;
  const float *dy = f32_of(call.in[0]), *y = f32_of(call.in[1]);
  float* dx = f32_of(call.out[0]);
  for_rows(call, call.in[0]->elements / n, n, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const vf along = broadcast(dot(dy + r * n, y + r * n, n));
      for_lanes(n, [&](int64_t i, int64_t c) {
        put(dx + r * n + i, get(y + r * n + i, c) * (get(dy + r * n + i, c) - along), c);
      });
    }
  });
}

}  // namespace DINO_ISA
}  // namespace dino
