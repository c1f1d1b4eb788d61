#include <cmath>
#include <memory>

#include "../src/executor.h"
#include "check.h"

namespace dino {
namespace test {
namespace {

struct Shape {
  int64_t m, n, k;
  bool ta, tb, addend, in_place;
  bool bf16 = false;       // a and b
  bool bf16_result = false;
};

/** A plan of one matmul (a, b, c?) -> d, or with `in_place` d where c is. */
std::vector<double> plan_of(const Shape& s) {
  const int64_t sizes[][2] = {{s.ta ? s.k : s.m, s.ta ? s.m : s.k}, {s.tb ? s.n : s.k, s.tb ? s.k : s.n}, {s.m, s.n}, {s.m, s.n}};
  std::vector<double> words{plan_magic, plan_encoding, 4};
  const auto half = [&](int i) { return i < 2 ? s.bf16 : i == 3 && s.bf16_result; };
  for (int i = 0; i < 4; i++) words.push_back(static_cast<double>(sizes[i][0] * sizes[i][1] * (half(i) ? 2 : 4)));
  words.push_back(4);
  for (int i = 0; i < 4; i++) {
    const int arena = i == 3 && s.in_place ? 2 : i;
    for (double w : {half(i) ? 1.0 : 0.0, 2.0, static_cast<double>(sizes[i][0]), static_cast<double>(sizes[i][1]), 0.0, 0.0, static_cast<double>(arena), 0.0})
      words.push_back(w);
  }
  for (double w : {1.0, 1.0, static_cast<double>(Kind::matmul), 5.0, 0.0, 1.0, s.addend ? 2.0 : -1.0, -1.0, -1.0, 1.0, 3.0, 3.0,
                   s.ta ? 1.0 : 0.0, s.tb ? 1.0 : 0.0, 0.0})
    words.push_back(w);
  return words;
}

void test_shape(const Shape& s, Engine& engine, Random& random) {
  const std::string name = std::string(engine.isa.name) + " product " + std::to_string(s.m) + "x" + std::to_string(s.n) + "x" +
                           std::to_string(s.k) + (s.ta ? " ta" : "") + (s.tb ? " tb" : "") + (s.addend ? " add" : "") +
                           (s.in_place ? " in place" : "") + (s.bf16 ? " bf16" : "") + (s.bf16_result ? " to bf16" : "");
  LoadError error;
  const std::vector<double> words = plan_of(s);
  const auto executor = Executor::load(words.data(), words.size(), State::create({}), error);
  if (!check(executor != nullptr, name + " is refused: " + error.message)) return;
  for (size_t i = 0; i < 3; i++)
    for (int64_t j = 0; j < executor->tensor(i).elements; j++)
      set_element(executor->tensor(i), j, random.uniform() - 0.5);
  const Tensor &a = executor->tensor(0), &b = executor->tensor(1);
  const Tensor& d = executor->tensor(3);
  const float* given = f32_of(&executor->tensor(2));
  const std::vector<float> c(given, given + s.m * s.n);
  std::atomic<bool> stop{false};
  executor->run(0, engine, stop);
  double worst = 0;
  for (int64_t i = 0; i < s.m; i++)
    for (int64_t j = 0; j < s.n; j++) {
      double sum = s.addend ? static_cast<double>(c[static_cast<size_t>(i * s.n + j)]) : 0.0;
      for (int64_t p = 0; p < s.k; p++)
        sum += element(a, s.ta ? p * s.m + i : i * s.k + p) * element(b, s.tb ? j * s.k + p : p * s.n + j);
      const double rounding = s.bf16_result ? std::fabs(sum) / 256 : 0;
      worst = std::fmax(worst, std::fabs(sum - element(d, i * s.n + j)) - rounding);
    }
  check(worst <= 2e-6 * std::sqrt(static_cast<double>(s.k) + 1), name + " is off by " + std::to_string(worst));
}

}  // namespace

/** Products of odd shapes against three loops in double. */
void test_products() {
  for (const Isa& isa : instruction_sets()) {
    if (!isa.supported) continue;
    Engine engine(2, isa);
    Random random{7};
    for (int i = 0; i < 120; i++) {
      const bool addend = random.below(2) == 1;
      const int64_t depth = i % 10 == 0 ? 2500 : 420;
      const bool in_place = addend && random.below(2) == 1;
      test_shape(Shape{1 + random.below(60), 1 + random.below(90), 1 + random.below(depth), random.below(2) == 1,
                       random.below(2) == 1, addend, in_place, i % 2 == 1, i % 4 == 1 && !in_place},
                 engine, random);
    }
    for (bool bf16 : {false, true}) {
      // Rows of A that fall into the same sets of the caches, by rows and by columns; enough columns for several parts.
      test_shape(Shape{70, 33, 2048, false, true, true, false, bf16, bf16}, engine, random);
      test_shape(Shape{1024, 33, 400, true, false, false, false, bf16, bf16}, engine, random);
      test_shape(Shape{9216, 8, 1000, true, false, false, false, bf16}, engine, random);
      test_shape(Shape{260, 700, 13, false, true, false, false, bf16}, engine, random);
      // Several parts of columns and of the contracted dimension.
      test_shape(Shape{13, 4200, 20, false, true, true, true, bf16}, engine, random);
      test_shape(Shape{14, 2600, 900, false, false, true, false, bf16}, engine, random);
      test_shape(Shape{50, 2048, 64, true, true, false, false, bf16}, engine, random);
      test_shape(Shape{30, 40, 2048, false, false, false, false, bf16}, engine, random);
      test_shape(Shape{37, 50, 1, true, false, true, true, bf16}, engine, random);
    }
    // A contracted dimension in several parts, whose sums are continued.
    test_shape(Shape{260, 270, 13001, true, false, true, false, true}, engine, random);
  }
}

}  // namespace test
}  // namespace dino
