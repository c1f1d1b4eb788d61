#pragma once
#include <cstdint>
#include <cstring>

#include "../tensor.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

// Vectors of `width` floats in the instruction set that this object is compiled for. Everything lives in a namespace
// named after the set, so that objects of different sets share no symbol. `a * b + c` contracts to a fused
// multiply-add where the set has one.

#if !defined(DINO_ISA)
#error "compile with -DDINO_ISA=avx512|avx2|portable"
#endif

namespace dino {
namespace DINO_ISA {

#if defined(__AVX512F__)
inline constexpr int width = 16;
#elif defined(__AVX2__)
inline constexpr int width = 8;
#else
inline constexpr int width = 4;
#endif

typedef float vf __attribute__((vector_size(4 * width)));
typedef int32_t vi __attribute__((vector_size(4 * width)));
typedef float vf_memory __attribute__((vector_size(4 * width), aligned(4), may_alias));

#define DINO_INLINE static inline __attribute__((always_inline))

DINO_INLINE vf load(const float* p) { return *reinterpret_cast<const vf_memory*>(p); }
DINO_INLINE void store(float* p, vf v) { *reinterpret_cast<vf_memory*>(p) = v; }

DINO_INLINE vf broadcast(float x) {
#if defined(__AVX512F__)
  return (vf)_mm512_set1_ps(x);
#elif defined(__AVX2__)
  return (vf)_mm256_set1_ps(x);
#else
  return vf{x, x, x, x};
#endif
}
DINO_INLINE vi broadcast_int(int32_t x) {
#if defined(__AVX512F__)
  return (vi)_mm512_set1_epi32(x);
#elif defined(__AVX2__)
  return (vi)_mm256_set1_epi32(x);
#else
  return vi{x, x, x, x};
#endif
}

/** The first n floats, zeros after; n <= width. Reads nothing beyond them. */
DINO_INLINE vf load_first(const float* p, int64_t n) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#else
  vf v = broadcast(0.0f);
  for (int64_t i = 0; i < n; i++) v[i] = p[i];
  return v;
#endif
}
DINO_INLINE void store_first(float* p, vf v, int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
#else
  float lanes[width];
  std::memcpy(lanes, &v, sizeof v);
  for (int64_t i = 0; i < n; i++) p[i] = lanes[i];
#endif
}

DINO_INLINE vf select(vi mask, vf yes, vf no) {
  return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}
/** yes where a < b, else no. */
DINO_INLINE vf where_less(vf a, vf b, vf yes, vf no) {
#if defined(__AVX512F__)
  return (vf)_mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ), (__m512)no, (__m512)yes);
#elif defined(__AVX2__)
  return (vf)_mm256_blendv_ps((__m256)no, (__m256)yes, _mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LT_OQ));
#else
  return select((vi)(a < b), yes, no);
#endif
}
DINO_INLINE vf maximum(vf a, vf b) {
#if defined(__AVX512F__)
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return select((vi)(a > b), a, b);
#endif
}
DINO_INLINE vf minimum(vf a, vf b) {
#if defined(__AVX512F__)
  return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return select((vi)(a < b), a, b);
#endif
}
DINO_INLINE vf square_root(vf a) {
#if defined(__AVX512F__)
  return (vf)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)a);
#else
  vf r;
  for (int i = 0; i < width; i++) r[i] = __builtin_sqrtf(a[i]);
  return r;
#endif
}
DINO_INLINE vf absolute(vf a) { return (vf)((vi)a & broadcast_int(0x7fffffff)); }

/** Sums over lanes by halves: a fixed order. */
DINO_INLINE float sum_lanes(vf v) {
#if defined(__AVX512F__)
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
#elif defined(__AVX2__)
  const __m256 half = (__m256)v;
#endif
#if defined(__AVX2__)
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
#else
  return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}
DINO_INLINE float maximum_lanes(vf v) {
#if defined(__AVX512F__)
  const __m256 half = _mm256_max_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
#elif defined(__AVX2__)
  const __m256 half = (__m256)v;
#endif
#if defined(__AVX2__)
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
#else
  const float a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
  return a > b ? a : b;
#endif
}

/** x[i][j] becomes x[j][i], in a square of vectors. */
DINO_INLINE void transpose_vectors(vf (&x)[width]) {
#if defined(__AVX512F__)
  __m512 t[16], u[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps((__m512)x[i], (__m512)x[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps((__m512)x[i], (__m512)x[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    u[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
    u[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
    u[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
    u[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_f32x4(u[i], u[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(u[i], u[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    x[i] = (vf)_mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    x[i + 4] = (vf)_mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
    x[i + 8] = (vf)_mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    x[i + 12] = (vf)_mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
  }
#elif defined(__AVX2__)
  __m256 t[8], u[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps((__m256)x[i], (__m256)x[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps((__m256)x[i], (__m256)x[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    x[i] = (vf)_mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
    x[i + 4] = (vf)_mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
  }
#else
  vf y[width];
  for (int i = 0; i < width; i++)
    for (int j = 0; j < width; j++) y[i][j] = x[j][i];
  for (int i = 0; i < width; i++) x[i] = y[i];
#endif
}

/**
 * Runs body(offset, count) over n elements, count = width but for the last: with `get` and `put` below a row of any
 * length is one loop.
 */
template <class Body>
DINO_INLINE void for_lanes(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + width <= n; i += width) body(i, static_cast<int64_t>(width));
  if (i < n) body(i, n - i);
}
DINO_INLINE vf get(const float* p, int64_t count) { return count == width ? load(p) : load_first(p, count); }
/** As `get`, with `rest` in the lanes beyond. */
DINO_INLINE vf get_or(const float* p, int64_t count, float rest) {
  if (count == width) return load(p);
#if defined(__AVX512F__)
  return (vf)_mm512_mask_loadu_ps((__m512)broadcast(rest), static_cast<__mmask16>((1u << count) - 1), p);
#else
  vf v = broadcast(rest);
  for (int64_t i = 0; i < count; i++) v[i] = p[i];
  return v;
#endif
}
DINO_INLINE void put(float* p, vf v, int64_t count) {
  if (count == width)
    store(p, v);
  else
    store_first(p, v, count);
}

}  // namespace DINO_ISA
}  // namespace dino
