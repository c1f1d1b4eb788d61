#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

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
void test_replay(const std::vector<Trial>& trials);
void test_corrupt(const std::vector<Trial>& trials);

}  // namespace test
}  // namespace dino
