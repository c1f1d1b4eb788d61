#pragma once
#include "simd.h"

// Exponential and normal distribution on vectors, to about one unit in the last place of a float. The polynomials
// were fitted here by iteratively reweighted least squares over Chebyshev nodes.

namespace dino {
namespace DINO_ISA {

/** p * 2^n for whole n in -300..300. */
DINO_INLINE vf scale_by_power(vf p, vf n) {
#if defined(__AVX512F__)
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  // Two factors, so that neither overflows nor vanishes where the product does not.
  const vi whole = __builtin_convertvector(n, vi);
  const vi half = whole >> 1;
  return p * (vf)((half + broadcast_int(127)) << 23) * (vf)((whole - half + broadcast_int(127)) << 23);
#endif
}

DINO_INLINE vf nearest(vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_roundscale_ps((__m512)x, 0);
#elif defined(__AVX2__)
  return (vf)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const vf magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  return (x + magic) - magic;
#endif
}

/** e^x for x of at most 0; minus infinity gives 0, NaN stays. */
DINO_INLINE vf exponential_negative(vf x) {
  x = maximum(broadcast(-104.0f), x);  // in this order a NaN passes
  const vf n = nearest(x * broadcast(1.44269504f));
  vf r = x - n * broadcast(0.693359375f);
  r = r - n * broadcast(-2.12194440e-4f);
  vf p = broadcast(0.00138368455544f);
  p = p * r + broadcast(0.00837481580221f);
  p = p * r + broadcast(0.0416682255775f);
  p = p * r + broadcast(0.166664201699f);
  p = p * r + broadcast(0.499999920798f);
  p = p * r + broadcast(1.00000003632f);
  p = p * r + broadcast(1.0f);
  return scale_by_power(p, n);
}

DINO_INLINE vf exponential(vf x) { return exponential_negative(minimum(broadcast(89.5f), x)); }

/** 2^x for x in -300..0. */
DINO_INLINE vf power_of_two(vf x) {
  const vf n = nearest(x);
  const vf r = x - n;
  vf p = broadcast(0.000153458115153f);
  p = p * r + broadcast(0.00133999312157f);
  p = p * r + broadcast(0.00961848895896f);
  p = p * r + broadcast(0.0555032877698f);
  p = p * r + broadcast(0.240226468906f);
  p = p * r + broadcast(0.693147205737f);
  p = p * r + broadcast(1.0f);
  return scale_by_power(p, n);
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
 * Phi(x), the distribution function of the standard normal: Phi(-z) = 2^-(1 + z q(z)) on the side where it is small, so
 * that x Phi(x) keeps most of its relative accuracy. Fitted to 8e-9 up to z = 6; beyond, it only has to vanish.
 */
DINO_INLINE vf normal_distribution(vf x) {
  const vf z = minimum(broadcast(9.0f), absolute(x));
  vf q = broadcast(2.834952615e-6f);
  q = q * z + broadcast(-3.93780752e-5f);
  q = q * z + broadcast(1.861816816e-4f);
  q = q * z + broadcast(1.369336911e-4f);
  q = q * z + broadcast(-7.063417524e-3f);
  q = q * z + broadcast(5.249617707e-2f);
  q = q * z + broadcast(4.592081969e-1f);
  q = q * z + broadcast(1.151105205f);
  const vf small = power_of_two(broadcast(-1.0f) - z * q);
  return where_less(x, broadcast(0.0f), small, broadcast(1.0f) - small);
}

DINO_INLINE vf gelu_of(vf x) { return x * normal_distribution(x); }

/** gelu'(x) = Phi(x) + x phi(x) */
DINO_INLINE vf gelu_slope(vf x) {
  // x phi(x) vanishes beyond 20.
  const vf z = minimum(broadcast(20.0f), absolute(x));
  const vf density = power_of_two(z * z * broadcast(-0.72134752f) - broadcast(1.32574806f));
  return normal_distribution(x) + x * density;
}

DINO_INLINE vf sigmoid(vf x) { return broadcast(1.0f) / (broadcast(1.0f) + exponential(-x)); }

}  // namespace DINO_ISA
}  // namespace dino
