#include "columns.h"
#include "math.h"
#include "table.h"

namespace dino {
namespace DINO_ISA {

namespace {

/** Of all elements of all operands, summed in double over fixed ranges. */
double sum_of_squares(const Call& call) {
  int64_t parts = 0;
  for (int i = 0; i < call.in_count; i++) parts += ceil_div(call.in[i]->elements, task_elements);
  struct Part {
    const float* data;
    int64_t n;
    double sum;
  };
  Part* all = take<Part>(call, parts);
  int64_t at = 0;
  for (int i = 0; i < call.in_count; i++)
    for (int64_t first = 0; first < call.in[i]->elements; first += task_elements)
      all[at++] = Part{f32_of(call.in[i]) + first, at_most(call.in[i]->elements - first, task_elements), 0.0};
  const int64_t in_task = 16;
  parallel(call, ceil_div(parts, in_task), [&](int64_t task, int) {
    for (int64_t p = task * in_task; p < at_most((task + 1) * in_task, parts); p++) {
      // Short sums in float, their sum in double.
      double total = 0;
      for (int64_t i = 0; i < all[p].n; i += 512) {
        vf sum = broadcast(0.0f);
        for_lanes(at_most(all[p].n - i, 512), [&](int64_t j, int64_t c) {
          const vf g = get(all[p].data + i + j, c);
          sum = sum + g * g;
        });
        total += static_cast<double>(sum_lanes(sum));
      }
      all[p].sum = total;
    }
  });
  double total = 0;
  for (int64_t p = 0; p < parts; p++) total += all[p].sum;
  return total;
}

}  // namespace

// (g1, ..., gn) -> [] the 2-norm of all
void norm(const Call& call) { f32_of(call.out[0])[0] = static_cast<float>(__builtin_sqrt(sum_of_squares(call))); }

// (x1, ..., xn) -> [] the sum of the squares of all
void square_sum(const Call& call) { f32_of(call.out[0])[0] = static_cast<float>(sum_of_squares(call)); }

void finite(const Call& call) {
  bool all = true;
  for (int i = 0; i < call.in_count; i++) all = all && __builtin_isfinite(f32_of(call.in[i])[0]);
  f32_of(call.out[0])[0] = all ? 1.0f : 0.0f;
}

void clip_factor(const Call& call) {
  const double factor = call.attr[0] / (static_cast<double>(f32_of(call.in[0])[0]) + 1e-6);
  f32_of(call.out[0])[0] = factor < 1 ? static_cast<float>(factor) : 1.0f;
}

namespace {

/** What AdamW does to each element. Attributes: beta1, beta2, eps, lr multiplier, wd multiplier. */
struct AdamW {
  float keep, beta1, beta2, gain1, gain2, lr, inverse1, inverse2, eps, clip;
};
double power(double base, int32_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1, base *= base)
    if (exponent & 1) result *= base;
  return result;
}
AdamW adamw_of(const double* attr, const Tensor* lr, const Tensor* wd, const Tensor* step, const Tensor* clip) {
  const double rate = attr[3] * static_cast<double>(f32_of(lr)[0]);
  const double decay = attr[4] * static_cast<double>(f32_of(wd)[0]);
  AdamW a{};
  a.keep = static_cast<float>(1.0 - rate * decay);
  a.beta1 = static_cast<float>(attr[0]);
  a.beta2 = static_cast<float>(attr[1]);
  a.gain1 = static_cast<float>(1.0 - attr[0]);
  a.gain2 = static_cast<float>(1.0 - attr[1]);
  a.lr = static_cast<float>(rate);
  a.inverse1 = static_cast<float>(1.0 / (1.0 - power(attr[0], i32_of(step)[0])));
  a.inverse2 = static_cast<float>(1.0 / (1.0 - power(attr[1], i32_of(step)[0])));
  a.eps = static_cast<float>(attr[2]);
  a.clip = clip ? f32_of(clip)[0] : 1.0f;
  return a;
}
DINO_INLINE vf adamw_step(const AdamW& a, vf p, vf g, vf& m, vf& v) {
  g = g * broadcast(a.clip);
  m = broadcast(a.beta1) * m + broadcast(a.gain1) * g;
  v = broadcast(a.beta2) * v + broadcast(a.gain2) * g * g;
  const vf root = square_root(v * broadcast(a.inverse2)) + broadcast(a.eps);
  return p * broadcast(a.keep) - broadcast(a.lr) * (m * broadcast(a.inverse1)) / root;
}

void copy_elements(const Call& call, const Tensor* to, const Tensor* from) {
  if (to->data == from->data) return;
  for_elements(call, to->elements, [&](int64_t first, int64_t n) {
    __builtin_memcpy(f32_of(to) + first, f32_of(from) + first, static_cast<size_t>(n) * sizeof(float));
  });
}

}  // namespace

// (p, g, m, v, lr, wd, step, clip?, finite) -> (p, m, v)
void adamw(const Call& call) {
  if (f32_of(call.in[8])[0] == 0.0f) {
    copy_elements(call, call.out[0], call.in[0]);
    copy_elements(call, call.out[1], call.in[2]);
    copy_elements(call, call.out[2], call.in[3]);
    return;
  }
  const AdamW a = adamw_of(call.attr, call.in[4], call.in[5], call.in[6], call.in[7]);
  const float *p = f32_of(call.in[0]), *g = f32_of(call.in[1]), *m = f32_of(call.in[2]), *v = f32_of(call.in[3]);
  float *po = f32_of(call.out[0]), *mo = f32_of(call.out[1]), *vo = f32_of(call.out[2]);
  for_elements(call, call.in[0]->elements, [&](int64_t first, int64_t n) {
    for_lanes(n, [&](int64_t j, int64_t c) {
      const int64_t i = first + j;
      vf mi = get(m + i, c), vi_ = get(v + i, c);
      const vf next = adamw_step(a, get(p + i, c), get(g + i, c), mi, vi_);
      put(po + i, next, c);
      put(mo + i, mi, c);
      put(vo + i, vi_, c);
    });
  });
}

// (t, s, momentum, finite) -> momentum * t + (1 - momentum) * s
void ema(const Call& call) {
  if (f32_of(call.in[3])[0] == 0.0f) return copy_elements(call, call.out[0], call.in[0]);
  const float momentum = f32_of(call.in[2])[0];
  const vf keep = broadcast(momentum), take_in = broadcast(static_cast<float>(1.0 - static_cast<double>(momentum)));
  const float *t = f32_of(call.in[0]), *s = f32_of(call.in[1]);
  float* out = f32_of(call.out[0]);
  for_elements(call, call.in[0]->elements, [&](int64_t first, int64_t n) {
    for_lanes(n, [&](int64_t j, int64_t c) {
      put(out + first + j, keep * get(t + first + j, c) + take_in * get(s + first + j, c), c);
    });
  });
}

// (p, g, m, v, t, lr, wd, step, momentum, clip?, finite) -> (p, m, v, t)
void adamw_ema(const Call& call) {
  if (f32_of(call.in[10])[0] == 0.0f) {
    copy_elements(call, call.out[0], call.in[0]);
    copy_elements(call, call.out[1], call.in[2]);
    copy_elements(call, call.out[2], call.in[3]);
    copy_elements(call, call.out[3], call.in[4]);
    return;
  }
  const AdamW a = adamw_of(call.attr, call.in[5], call.in[6], call.in[7], call.in[9]);
  const float momentum = f32_of(call.in[8])[0];
  const vf keep = broadcast(momentum), take_in = broadcast(static_cast<float>(1.0 - static_cast<double>(momentum)));
  const float *p = f32_of(call.in[0]), *g = f32_of(call.in[1]), *m = f32_of(call.in[2]), *v = f32_of(call.in[3]);
  const float* t = f32_of(call.in[4]);
  float *po = f32_of(call.out[0]), *mo = f32_of(call.out[1]), *vo = f32_of(call.out[2]), *to = f32_of(call.out[3]);
  for_elements(call, call.in[0]->elements, [&](int64_t first, int64_t n) {
    for_lanes(n, [&](int64_t j, int64_t c) {
      const int64_t i = first + j;
      vf mi = get(m + i, c), vi_ = get(v + i, c);
      const vf next = adamw_step(a, get(p + i, c), get(g + i, c), mi, vi_);
      put(po + i, next, c);
      put(mo + i, mi, c);
      put(vo + i, vi_, c);
      put(to + i, keep * get(t + i, c) + take_in * next, c);
    });
  });
}

// (center [K], mean [K], finite [], rows? i32 []) -> momentum * center + (1 - momentum) * mean
void update_center(const Call& call) {
  const bool seen = call.in_count < 4 || call.in[3] == nullptr || i32_of(call.in[3])[0] > 0;
  if (f32_of(call.in[2])[0] == 0.0f || !seen) return copy_elements(call, call.out[0], call.in[0]);
  const vf keep = broadcast(static_cast<float>(call.attr[0])), take_in = broadcast(static_cast<float>(1.0 - call.attr[0]));
  const float *center = f32_of(call.in[0]), *mean = f32_of(call.in[1]);
  float* out = f32_of(call.out[0]);
  for_elements(call, call.in[0]->elements, [&](int64_t first, int64_t n) {
    for_lanes(n, [&](int64_t j, int64_t c) {
      put(out + first + j, keep * get(center + first + j, c) + take_in * get(mean + first + j, c), c);
    });
  });
}

// (acc, x, first []) -> first = 1 ? x : acc + x
void accumulate(const Call& call) {
  if (f32_of(call.in[2])[0] == 1.0f) return copy_elements(call, call.out[0], call.in[1]);
  const Tensor& out = *call.out[0];
  for_elements(call, out.elements, [&](int64_t first, int64_t n) {
    if (out.dtype == DType::i32) {
      for (int64_t i = first; i < first + n; i++)
        i32_of(&out)[i] = static_cast<int32_t>(static_cast<uint32_t>(i32_of(call.in[0])[i]) + static_cast<uint32_t>(i32_of(call.in[1])[i]));
      return;
    }
    for_lanes(n, [&](int64_t j, int64_t c) {
      put(f32_of(&out) + first + j, get(f32_of(call.in[0]) + first + j, c) + get(f32_of(call.in[1]) + first + j, c), c);
    });
  });
}

}  // namespace DINO_ISA
}  // namespace dino
