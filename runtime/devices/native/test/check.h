#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "../src/tensor.h"

namespace dino {
namespace test {

/** Counts what failed and prints the first of it. */
inline int failures = 0;
inline bool check(bool condition, const std::string& what) {
  if (condition) return true;
  if (failures++ < 20) std::printf("FAIL %s\n", what.c_str());
  return false;
}

/** The same numbers everywhere (splitmix64). */
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  double uniform() { return static_cast<double>(next() >> 11) / 9007199254740992.0; }
};

inline double element(const Tensor& t, int64_t i) {
  if (t.dtype == DType::i32) return static_cast<double>(i32_of(&t)[i]);
  return static_cast<double>(t.dtype == DType::bf16 ? from_bf16(static_cast<const uint16_t*>(t.data)[i]) : f32_of(&t)[i]);
}
inline void set_element(const Tensor& t, int64_t i, double value) {
  if (t.dtype == DType::i32)
    i32_of(&t)[i] = static_cast<int32_t>(value);
  else if (t.dtype == DType::bf16)
    static_cast<uint16_t*>(t.data)[i] = to_bf16(static_cast<float>(value));
  else
    f32_of(&t)[i] = static_cast<float>(value);
}

/** A kernel with its operands and what the oracle gives, as scripts/test-native.mjs records it. */
struct Trial {
  std::string name;
  std::vector<double> plan;
  struct Values {
    size_t tensor;
    double limit;  // how far a result may be off
    std::vector<double> values;
  };
  std::vector<Values> inputs, expected;
};
bool read_trials(const char* path, std::vector<Trial>& trials);

void test_pool();
void test_products();
void test_ranks();
void test_replay(const std::vector<Trial>& trials);
void test_corrupt(const std::vector<Trial>& trials);

}  // namespace test
}  // namespace dino
