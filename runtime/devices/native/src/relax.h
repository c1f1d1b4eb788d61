#pragma once

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace dino {

/** Looks at what another thread will write so many times before it sleeps: some tens of microseconds. */
inline constexpr int spins_before_sleep = 4000;

/** Between two looks. */
static inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace dino
