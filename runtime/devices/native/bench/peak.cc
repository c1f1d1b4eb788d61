// Independent multiply-adds, and dot products of pairs, on registers: what the machine reaches at most. Compiled once for
// each instruction set.
#include <cstdint>

#include "../src/kernels/tiles.h"

namespace dino {
namespace DINO_ISA {

/** Runs so many rounds and returns how many operations that was. */
double multiply_adds(int64_t rounds) {
  vf acc[12];
  // From values that the compiler cannot know: one that stays where it is would be left out of the loop.
  for (int i = 0; i < 12; i++) acc[i] = broadcast(static_cast<float>(rounds + i));
  const vf a = broadcast(0.999f), b = broadcast(0.001f);
  for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) acc[i] = acc[i] * a + b;
  }
  float sum = 0;
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) sum += sum_lanes(acc[i]);
  volatile float sink = sum;
  (void)sink;
  return 12.0 * 2 * width * static_cast<double>(rounds);
}

/** As `multiply_adds`, of pairs of bf16. */
double pair_dots(int64_t rounds) {
  vf acc[24];
  for (int i = 0; i < 24; i++) acc[i] = broadcast(static_cast<float>(i));
  const vi a = broadcast_int(0x3f803f7f), b = broadcast_int(0x3a803a7f);
  for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 24
    for (int i = 0; i < 24; i++) acc[i] = multiply_add(acc[i], a, b);
  }
  float sum = 0;
#pragma GCC unroll 24
  for (int i = 0; i < 24; i++) sum += sum_lanes(acc[i]);
  volatile float sink = sum;
  (void)sink;
  return 24.0 * 4 * width * static_cast<double>(rounds);
}

}  // namespace DINO_ISA
}  // namespace dino
