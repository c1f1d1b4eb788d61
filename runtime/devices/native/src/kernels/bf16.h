#pragma once
#include "simd.h"

// bfloat16 in memory, float in registers: `get` and `put` of simd.h for both, so that a kernel is written once for the
// types of its operands.

namespace dino {
namespace DINO_ISA {

/** The upper half of a float. */
struct bf16 {
  uint16_t bits;
};

typedef uint16_t vh __attribute__((vector_size(2 * width)));
typedef uint16_t vh_memory __attribute__((vector_size(2 * width), aligned(2), may_alias));
typedef uint32_t vu __attribute__((vector_size(4 * width)));

DINO_INLINE vf widen(vh h) { return (vf)(__builtin_convertvector(h, vu) << 16); }

/** To nearest, ties to even; NaN stays NaN. The instruction takes denormal numbers for zero. */
DINO_INLINE vh narrow(vf v) {
#if defined(__AVX512BF16__)
  return (vh)_mm512_cvtneps_pbh((__m512)v);
#else
  const vu bits = (vu)v;
  const vu rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16, quiet = (bits >> 16) | 0x40;
  const vu is_nan = (vu)((bits & 0x7fffffff) > 0x7f800000);
  return __builtin_convertvector((is_nan & quiet) | (~is_nan & rounded), vh);
#endif
}

DINO_INLINE vf load(const bf16* p) { return widen(*reinterpret_cast<const vh_memory*>(p)); }
DINO_INLINE void store(bf16* p, vf v) { *reinterpret_cast<vh_memory*>(p) = narrow(v); }

DINO_INLINE vf get(const bf16* p, int64_t count) {
  if (count == width) return load(p);
#if defined(__AVX512F__)
  return widen((vh)_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << count) - 1), p));
#else
  vh h{};
  for (int64_t i = 0; i < count; i++) h[i] = p[i].bits;
  return widen(h);
#endif
}
DINO_INLINE void put(bf16* p, vf v, int64_t count) {
  const vh h = narrow(v);
  if (count == width) {
    *reinterpret_cast<vh_memory*>(p) = h;
    return;
  }
#if defined(__AVX512F__)
  _mm256_mask_storeu_epi16(p, static_cast<__mmask16>((1u << count) - 1), (__m256i)h);
#else
  for (int64_t i = 0; i < count; i++) p[i].bits = h[i];
#endif
}

DINO_INLINE bf16* bf16_of(const Tensor* t) { return static_cast<bf16*>(t->data); }
DINO_INLINE bool is_bf16(const Tensor* t) { return t->dtype == DType::bf16; }

/** body(data) with the data of a tensor as `float*` or `bf16*`. */
template <class Body>
DINO_INLINE void with_data(const Tensor* t, const Body& body) {
  if (is_bf16(t))
    body(bf16_of(t));
  else
    body(f32_of(t));
}

}  // namespace DINO_ISA
}  // namespace dino
