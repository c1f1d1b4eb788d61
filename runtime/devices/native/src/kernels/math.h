#pragma once
#include "simd.h"

// Exponential and normal distribution on vectors, to about one unit in the last place of a float. The polynomials
// were fitted here by iteratively reweighted least squares over Chebyshev nodes.

namespace dino {
namespace DINO_ISA {

DINO_INLINE vf exponential(vf x) {
  // Operands in this order let a NaN through.
  x = minimum(broadcast(89.5f), maximum(broadcast(-104.0f), x));
  const vf magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const vf shifted = x * broadcast(1.44269504f) + magic;
  const vf n = shifted - magic;
  vf r = x - n * broadcast(0.693359375f);
  r = r - n * broadcast(-2.12194440e-4f);
  vf p = broadcast(0.00138368455544f);
  p = p * r + broadcast(0.00837481580221f);
  p = p * r + broadcast(0.0416682255775f);
  p = p * r + broadcast(0.166664201699f);
  p = p * r + broadcast(0.499999920798f);
  p = p * r + broadcast(1.00000003632f);
  p = p * r + broadcast(1.0f);
#if defined(__AVX512F__)
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  // Two factors, so that neither overflows nor vanishes where the product does not.
  const vi whole = (vi)shifted - (vi)magic;
  const vi half = whole >> 1;
  const vf first = (vf)((half + broadcast_int(127)) << 23);
  const vf second = (vf)((whole - half + broadcast_int(127)) << 23);
  return p * first * second;
#endif
}

/** Natural logarithm of positive normal numbers; the polynomial is Cephes' logf. */
DINO_INLINE vf logarithm(vf x) {
  const vi bits = (vi)x;
  // x = 2^e m with m in [sqrt(1/2), sqrt(2))
  const vi e = (bits - broadcast_int(0x3f3504f3)) >> 23;
  const vf m = (vf)(bits - (e << 23)) - broadcast(1.0f);
  vf p = broadcast(7.0376836292e-2f);
  p = p * m + broadcast(-1.1514610310e-1f);
  p = p * m + broadcast(1.1676998740e-1f);
  p = p * m + broadcast(-1.2420140846e-1f);
  p = p * m + broadcast(1.4249322787e-1f);
  p = p * m + broadcast(-1.6668057665e-1f);
  p = p * m + broadcast(2.0000714765e-1f);
  p = p * m + broadcast(-2.4999993993e-1f);
  p = p * m + broadcast(3.3333331174e-1f);
  const vf z = m * m;
  const vf n = __builtin_convertvector(e, vf);
  return (n * broadcast(-2.12194440e-4f) + p * m * z - broadcast(0.5f) * z) + m + n * broadcast(0.693359375f);
}

/**
 * Phi(x), the distribution function of the standard normal: half of erfc(z) = 2^(-z q(z)), z = |x| / sqrt 2, on the
 * side where it is small, so that x Phi(x) keeps its relative accuracy. Below z = 4 (7.7e-9) it is taken for 0.
 */
DINO_INLINE vf normal_distribution(vf x) {
  const vf z = absolute(x) * broadcast(0.70710678f);
  vf q = broadcast(-1.1604895e-5f);
  q = q * z + broadcast(1.5296533e-4f);
  q = q * z + broadcast(-8.4823859e-4f);
  q = q * z + broadcast(2.2747948e-3f);
  q = q * z + broadcast(-8.4816418e-5f);
  q = q * z + broadcast(-2.7724469e-2f);
  q = q * z + broadcast(1.4830791e-1f);
  q = q * z + broadcast(9.1844290e-1f);
  q = q * z + broadcast(1.6279073f);
  const vf tail = broadcast(0.5f) * exponential(z * q * broadcast(-0.69314718f));
  const vf small = select((vi)(z > broadcast(4.0f)), broadcast(0.0f), tail);
  return select((vi)(x < broadcast(0.0f)), small, broadcast(1.0f) - small);
}

DINO_INLINE vf gelu_of(vf x) { return x * normal_distribution(x); }

/** gelu'(x) = Phi(x) + x phi(x) */
DINO_INLINE vf gelu_slope(vf x) {
  const vf density = broadcast(0.39894228f) * exponential(x * x * broadcast(-0.5f));
  return normal_distribution(x) + x * density;
}

DINO_INLINE vf sigmoid(vf x) { return broadcast(1.0f) / (broadcast(1.0f) + exponential(-x)); }

}  // namespace DINO_ISA
}  // namespace dino
