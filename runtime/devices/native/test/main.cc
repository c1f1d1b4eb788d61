// Tests of the native library without Node, for sanitizers: `native-test CASES`, where CASES holds every kernel's
// cases as scripts/test-native.mjs records them from the oracle.
#include <cstring>

#include "check.h"

namespace dino {
namespace test {

bool read_trials(const char* path, std::vector<Trial>& trials) {
  std::FILE* file = std::fopen(path, "rb");
  if (!file) return false;
  std::vector<double> words;
  double buffer[4096];
  for (size_t n; (n = std::fread(buffer, sizeof(double), 4096, file)) > 0;) words.insert(words.end(), buffer, buffer + n);
  std::fclose(file);
  size_t at = 0;
  const auto count = [&] { return at < words.size() ? static_cast<size_t>(words[at++]) : 0; };
  const auto list = [&] {
    std::vector<double> values;
    for (size_t n = count(); n > 0 && at < words.size(); n--) values.push_back(words[at++]);
    return values;
  };
  for (size_t n = count(); n > 0; n--) {
    Trial trial;
    for (double c : list()) trial.name += static_cast<char>(c);
    trial.plan = list();
    for (auto* values : {&trial.inputs, &trial.expected})
      for (size_t m = count(); m > 0; m--) {
        Trial::Values& v = values->emplace_back();
        v.tensor = count();
        v.limit = at < words.size() ? words[at++] : 0;
        v.values = list();
      }
    trials.push_back(std::move(trial));
  }
  return at == words.size();
}

}  // namespace test
}  // namespace dino

int main(int argc, char** argv) {
  using namespace dino::test;
  std::vector<Trial> trials;
  if (argc != 2 || !read_trials(argv[1], trials)) {
    std::printf("usage: native-test CASES\n");
    return 2;
  }
  test_pool();
  test_products();
  test_ranks();
  test_replay(trials);
  test_corrupt(trials);
  std::printf("%d failures in %zu cases\n", failures, trials.size());
  return failures == 0 ? 0 : 1;
}
