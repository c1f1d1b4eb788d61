#pragma once
#include "bf16.h"
#include "math.h"

// GELU and its slope to what the type of the result can tell apart.

namespace dino {
namespace DINO_ISA {

/**
 * For numbers that are rounded to bf16 next, with fewer terms than math.h: to 4e-4 of the smaller side of the distribution
 * and 3e-4 of the slope, a tenth of what rounding does.
 */
DINO_INLINE vf power_of_two_rough(vf x) {
  const vf n = nearest(x), r = x - n;
  vf p = broadcast(0.05517165268f);
  p = p * r + broadcast(0.2426111209f);
  p = p * r + broadcast(0.6932609885f);
  p = p * r + broadcast(0.9999280737f);
  return scale_by_power(p, n);
}
DINO_INLINE vf normal_distribution_rough(vf x) {
  const vf z = minimum(broadcast(5.5f), absolute(x));
  vf q = broadcast(0.0002411955956f);
  q = q * z + broadcast(-0.004988255374f);
  q = q * z + broadcast(0.04523870042f);
  q = q * z + broadcast(0.4681812835f);
  q = q * z + broadcast(1.147675422f);
  const vf small = power_of_two_rough(broadcast(-1.0f) - z * q);
  return where_less(x, broadcast(0.0f), small, broadcast(1.0f) - small);
}

DINO_INLINE vf gelu_for(vf x, const float*) { return gelu_of(x); }
DINO_INLINE vf gelu_for(vf x, const bf16*) { return x * normal_distribution_rough(x); }

DINO_INLINE vf gelu_slope_for(vf x, const float*) { return gelu_slope(x); }
/** Phi(-z) - z phi(z) = 2^(-z² / ln 4) g(z) on the side where it is small, and 1 less that on the other. */
DINO_INLINE vf gelu_slope_for(vf x, const bf16*) {
  const vf z = minimum(broadcast(5.5f), absolute(x));
  vf g = broadcast(-0.001859996893f);
  g = g * z + broadcast(0.01970462075f);
  g = g * z + broadcast(-0.08748124994f);
  g = g * z + broadcast(0.2244070175f);
  g = g * z + broadcast(-0.7917332458f);
  g = g * z + broadcast(0.4996934587f);
  const vf small = power_of_two_rough(z * z * broadcast(-0.72134752f)) * g;
  return where_less(x, broadcast(0.0f), small, broadcast(1.0f) - small);
}

}  // namespace DINO_ISA
}  // namespace dino
