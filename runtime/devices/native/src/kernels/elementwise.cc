#include "columns.h"
#include "math.h"
#include "table.h"

namespace dino {
namespace DINO_ISA {
namespace {

/** out[i] = f(in0[i]) or f(in0[i], in1[i]) over tensors of one shape. */
template <class F>
void map(const Call& call, const F& f) {
  const float* x = f32_of(call.in[0]);
  float* y = f32_of(call.out[0]);
  for_elements(call, call.out[0]->elements, [&](int64_t first, int64_t n) {
    for_lanes(n, [&](int64_t i, int64_t c) { put(y + first + i, f(get(x + first + i, c)), c); });
  });
}
template <class F>
void map_two(const Call& call, const F& f) {
  const float *a = f32_of(call.in[0]), *b = f32_of(call.in[1]);
  float* y = f32_of(call.out[0]);
  for_elements(call, call.out[0]->elements, [&](int64_t first, int64_t n) {
    for_lanes(n, [&](int64_t i, int64_t c) { put(y + first + i, f(get(a + first + i, c), get(b + first + i, c)), c); });
  });
}

}  // namespace

void gelu(const Call& call) {
  map(call, [](vf x) { return gelu_of(x); });
}

// (dy, x) -> dx
void gelu_grad(const Call& call) {
  map_two(call, [](vf dy, vf x) { return dy * gelu_slope(x); });
}

// (x [R, 2h]) -> silu(x[:, :h]) * x[:, h:]
void silu_gate(const Call& call) {
  const int64_t h = columns_of(*call.out[0]);
  const float* x = f32_of(call.in[0]);
  float* y = f32_of(call.out[0]);
  for_rows(call, rows_of(*call.out[0]), 2 * h, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++)
      for_lanes(h, [&](int64_t i, int64_t c) {
        const vf a = get(x + 2 * r * h + i, c), b = get(x + (2 * r + 1) * h + i, c);
        put(y + r * h + i, a * sigmoid(a) * b, c);
      });
  });
}

// (dy [R, h], x [R, 2h]) -> [R, 2h]
void silu_gate_grad(const Call& call) {
  const int64_t h = columns_of(*call.in[0]);
  const float *dy = f32_of(call.in[0]), *x = f32_of(call.in[1]);
  float* dx = f32_of(call.out[0]);
  const vf one = broadcast(1.0f);
  for_rows(call, rows_of(*call.in[0]), 2 * h, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++)
      for_lanes(h, [&](int64_t i, int64_t c) {
        const vf g = get(dy + r * h + i, c), a = get(x + 2 * r * h + i, c), b = get(x + (2 * r + 1) * h + i, c);
        const vf s = sigmoid(a);
        put(dx + 2 * r * h + i, g * b * s * (one + a * (one - s)), c);
        put(dx + (2 * r + 1) * h + i, g * a * s, c);
      });
  });
}

// (x [R, d], gamma [d]) -> x * gamma
void layer_scale(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  const float *x = f32_of(call.in[0]), *gamma = f32_of(call.in[1]);
  float* y = f32_of(call.out[0]);
  for_rows(call, rows_of(*call.in[0]), d, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++)
      for_lanes(d, [&](int64_t i, int64_t c) { put(y + r * d + i, get(x + r * d + i, c) * get(gamma + i, c), c); });
  });
}

// (dy, x, gamma) -> (dx, dgamma)
void layer_scale_grad(const Call& call) {
  const int64_t d = columns_of(*call.in[0]);
  const float *dy = f32_of(call.in[0]), *x = f32_of(call.in[1]), *gamma = f32_of(call.in[2]);
  float *dx = f32_of(call.out[0]), *dgamma = f32_of(call.out[1]);
  reduce_rows(
      call, rows_of(*call.in[0]), d,
      [&](int64_t first, int64_t end, float* sums) {
        for (int64_t r = first; r < end; r++)
          for_lanes(d, [&](int64_t i, int64_t c) {
            const vf g = get(dy + r * d + i, c);
            put(sums + i, get(sums + i, c) + g * get(x + r * d + i, c), c);
            put(dx + r * d + i, g * get(gamma + i, c), c);
          });
      },
      [&](int64_t i, double total) { dgamma[i] = static_cast<float>(total); });
}

void add(const Call& call) {
  map_two(call, [](vf x, vf y) { return x + y; });
}

void scale(const Call& call) {
  const vf factor = broadcast(static_cast<float>(call.attr[0]));
  map(call, [&](vf x) { return x * factor; });
}

void fill(const Call& call) {
  const Tensor& y = *call.out[0];
  const double value = call.attr[0];
  for_elements(call, y.elements, [&](int64_t first, int64_t n) {
    if (y.dtype == DType::i32)
      for (int64_t i = first; i < first + n; i++) i32_of(&y)[i] = static_cast<int32_t>(value);
    else
      for (int64_t i = first; i < first + n; i++) f32_of(&y)[i] = static_cast<float>(value);
  });
}

namespace {

/** Towards zero; what does not fit becomes the nearest that does, and NaN 0. */
int32_t whole(float x) {
  if (!(x > -2147483648.0f)) return x <= -2147483648.0f ? INT32_MIN : 0;
  return x < 2147483648.0f ? static_cast<int32_t>(x) : INT32_MAX;
}

}  // namespace

void cast(const Call& call) {
  const Tensor &x = *call.in[0], &y = *call.out[0];
  for_elements(call, y.elements, [&](int64_t first, int64_t n) {
    for (int64_t i = first; i < first + n; i++) {
      if (x.dtype == y.dtype)
        i32_of(&y)[i] = i32_of(&x)[i];
      else if (y.dtype == DType::f32)
        f32_of(&y)[i] = static_cast<float>(i32_of(&x)[i]);
      else
        i32_of(&y)[i] = whole(f32_of(&x)[i]);
    }
  });
}

// (s1 [], ..., sn []) -> sum of coefficients * s
void weighted_sum(const Call& call) {
  double total = 0;
  for (int i = 0; i < call.in_count; i++) total += call.attr[i] * static_cast<double>(f32_of(call.in[i])[0]);
  f32_of(call.out[0])[0] = static_cast<float>(total);
}

}  // namespace DINO_ISA
}  // namespace dino
