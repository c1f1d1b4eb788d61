#include "bf16.h"
#include "columns.h"
#include "math.h"
#include "table.h"

namespace dino {
namespace DINO_ISA {
namespace {

/** out[i] = f(in0[i]) or f(in0[i], in1[i]) over tensors of one shape, each float or bf16. */
template <class F>
void map(const Call& call, const F& f) {
  with_data(call.in[0], [&](const auto* x) {
    with_data(call.out[0], [&](auto* y) {
      for_elements(call, call.out[0]->elements, [&](int64_t first, int64_t n) {
        for_lanes(n, [&](int64_t i, int64_t c) { put(y + first + i, f(get(x + first + i, c)), c); });
      });
    });
  });
}
template <class F>
void map_two(const Call& call, const F& f) {
  with_data(call.in[0], [&](const auto* a) {
    with_data(call.in[1], [&](const auto* b) {
      with_data(call.out[0], [&](auto* y) {
        for_elements(call, call.out[0]->elements, [&](int64_t first, int64_t n) {
          for_lanes(n, [&](int64_t i, int64_t c) { put(y + first + i, f(get(a + first + i, c), get(b + first + i, c)), c); });
        });
      });
    });
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
  with_data(call.in[0], [&](const auto* x) {
    with_data(call.out[0], [&](auto* y) {
      for_rows(call, rows_of(*call.out[0]), 2 * h, [&](int64_t first, int64_t end) {
        for (int64_t r = first; r < end; r++)
          for_lanes(h, [&](int64_t i, int64_t c) {
            const vf a = get(x + 2 * r * h + i, c), b = get(x + (2 * r + 1) * h + i, c);
            put(y + r * h + i, a * sigmoid(a) * b, c);
          });
      });
    });
  });
}

namespace {

template <class Slope, class In, class Out>
void silu_gate_grad_of(const Call& call, const Slope* dy, const In* x, Out* dx) {
  const int64_t h = columns_of(*call.in[0]);
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

}  // namespace

// (dy [R, h], x [R, 2h]) -> [R, 2h]
void silu_gate_grad(const Call& call) {
  with_data(call.in[0], [&](const auto* dy) {
    with_data(call.in[1], [&](const auto* x) {
      with_data(call.out[0], [&](auto* dx) { silu_gate_grad_of(call, dy, x, dx); });
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

namespace {

template <class In, class Out>
void layer_scale_grad_of(const Call& call, const In* x, Out* dx) {
  const int64_t d = columns_of(*call.in[0]);
  const float *dy = f32_of(call.in[0]), *gamma = f32_of(call.in[2]);
  float* dgamma = f32_of(call.out[1]);
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

}  // namespace

// (dy, x, gamma) -> (dx, dgamma)
void layer_scale_grad(const Call& call) {
  with_data(call.in[1], [&](const auto* x) {
    with_data(call.out[0], [&](auto* dx) { layer_scale_grad_of(call, x, dx); });
  });
}

void add(const Call& call) {
  map_two(call, [](vf x, vf y) { return x + y; });
}

void scale(const Call& call) {
  const vf factor = broadcast(static_cast<float>(call.attr[0]));
  map(call, [&](vf x) { return x * factor; });
}

void sqrt(const Call& call) {
  map(call, [](vf x) { return square_root(x); });
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
  if (x.dtype != DType::i32 && y.dtype != DType::i32) return map(call, [](vf v) { return v; });
  for_elements(call, y.elements, [&](int64_t first, int64_t n) {
    if (x.dtype == y.dtype) {
      __builtin_memcpy(i32_of(&y) + first, i32_of(&x) + first, static_cast<size_t>(n) * sizeof(int32_t));
      return;
    }
    if (y.dtype == DType::i32)
      with_data(&x, [&](const auto* from) {
        for_lanes(n, [&](int64_t i, int64_t c) {
          const vf v = get(from + first + i, c);
          for (int64_t l = 0; l < c; l++) i32_of(&y)[first + i + l] = whole(v[l]);
        });
      });
    else
      with_data(&y, [&](auto* to) {
        for_lanes(n, [&](int64_t i, int64_t c) {
          vf v = broadcast(0.0f);
          for (int64_t l = 0; l < c; l++) v[l] = static_cast<float>(i32_of(&x)[first + i + l]);
          put(to + first + i, v, c);
        });
      });
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
